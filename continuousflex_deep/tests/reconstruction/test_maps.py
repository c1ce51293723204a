"""Maps of different sampling brought together, and the sign of their contrast."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.reconstruction.fsc import spherical_mask
from continuousflex_deep.reconstruction.maps import contrast_sign, crop_or_pad_map, read_reference_map, resize_map
from continuousflex_deep.tests.helpers.gaussian_particles import true_map


@pytest.mark.parametrize(("old", "new"), [(48, 32), (32, 48), (48, 33), (33, 48), (45, 31)])
def test_resized_map_is_the_density_at_the_new_voxels(old: int, new: int) -> None:
    width_A = 108.0
    resized = resize_map(true_map(old, width_A / old).astype(np.float32), new)
    np.testing.assert_allclose(resized, true_map(new, width_A / new), atol=0.01)


@pytest.mark.parametrize(("old", "new"), [(48, 36), (36, 48), (48, 37), (37, 48)])
def test_cropped_or_padded_map_keeps_its_centre(old: int, new: int) -> None:
    np.testing.assert_allclose(
        crop_or_pad_map(true_map(old, 3.0).astype(np.float32), new), true_map(new, 3.0), atol=0.01
    )


def test_reference_is_brought_to_the_images_sampling(tmp_path: Path) -> None:
    expected = true_map(40, 3.0)
    for box, voxel in ((40, 3.0), (60, 2.0), (52, 3.0)):
        write_volume(tmp_path / "r.mrc", true_map(box, voxel).astype(np.float32), voxel)
        np.testing.assert_allclose(read_reference_map(tmp_path / "r.mrc", 40, 3.0), expected, atol=0.01)


def test_unsuitable_references_are_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "other.mrc", np.zeros((20, 20, 20), dtype=np.float32), 2.0)
    with pytest.raises(InputError, match=r"20 voxels of 2 Å \(40 Å wide\), the images 40 px of 3 Å"):
        read_reference_map(tmp_path / "other.mrc", 40, 3.0)
    write_volume(tmp_path / "flat.mrc", np.zeros((20, 20, 21), dtype=np.float32), 3.0)
    with pytest.raises(InputError, match="expected a cubic one"):
        read_reference_map(tmp_path / "flat.mrc", 20, 3.0)
    with pytest.raises(InputError, match="no such file"):
        read_reference_map(tmp_path / "none.mrc", 20, 3.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_contrast_is_found_in_noise(sign: int) -> None:
    true = true_map(32, 3.0)
    noisy = (sign * true + np.random.default_rng(0).normal(size=true.shape) * true.std()).astype(np.float32)
    mask = spherical_mask(32, 26, 2)
    assert contrast_sign(noisy, mask) == (sign, "skewness of the map")
    assert contrast_sign(noisy, mask, true.astype(np.float32)) == (sign, "correlation with the reference")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("radius_px", [4, 10, 13, 15])
def test_contrast_of_particles_that_fill_the_mask(radius_px: int, sign: int) -> None:
    """The mean within the mask is theirs, not the solvent's."""
    z, y, x = np.mgrid[:36, :36, :36] - 18
    ball = (x**2 + y**2 + z**2 < radius_px**2) + 0.05 * np.random.default_rng(1).normal(size=(36, 36, 36))
    assert contrast_sign((sign * ball + 3).astype(np.float32), spherical_mask(36, 30, 2))[0] == sign
