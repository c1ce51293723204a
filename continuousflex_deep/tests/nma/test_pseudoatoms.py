"""Pseudoatoms: known Gaussians are found again, maps are approximated as asked, files hold it, and modes are right."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from continuousflex_deep import cli
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion.blocks import spatial_blocks
from continuousflex_deep.nma.network import compute_modes
from continuousflex_deep.nma.particle_mask import is_inverted, otsu_threshold
from continuousflex_deep.nma.pseudoatoms import map_to_pseudoatoms
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.tests.helpers.image_dialects import write_mrc, write_spider
from continuousflex_deep.tests.helpers.maps import blob, gaussians_map, overlap_with_map


@pytest.mark.parametrize("box", [40, 41])
def test_known_gaussians_are_found_again(box: int) -> None:
    """As far apart that each is seen on its own; the origin is voxel d//2 for even and odd boxes."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(-1, 2) * 16.0] * 3), axis=-1).reshape(-1, 3)
    centres = grid + rng.uniform(-2.5, 2.5, size=grid.shape)
    weights = rng.uniform(0.4, 1.0, len(grid))
    weights[3] = 1.0
    volume = gaussians_map(centres, weights, 3.0, box, 2.0)
    found = map_to_pseudoatoms(volume, volume > 0.05, 2.0, 3.0, 1.0, 100)
    assert len(found.structure) == 27
    distance, place = cKDTree(centres).query(found.structure.coords_A)
    assert sorted(place) == list(range(27))
    assert distance.max() < 0.05
    np.testing.assert_allclose(found.structure.weights * found.peak, weights[place], atol=0.02)
    assert found.error_percent < 1.0


@pytest.mark.parametrize("target", [10.0, 2.0])
def test_error_asked_for_is_reached_with_few(target: float) -> None:
    volume = blob()
    found = map_to_pseudoatoms(volume, volume > 0.2, 2.0, 2.5, target, 5000)
    assert 0.2 * target < found.error_percent <= target
    inside = volume > 0.2
    made = found.peak * gaussians_map(found.structure.coords_A, found.structure.weights, 2.5, 40, 2.0)
    error = np.linalg.norm((made - volume)[inside]) / np.linalg.norm(volume[inside])
    assert 100 * error == pytest.approx(found.error_percent, abs=0.3)
    nearest = cKDTree(found.structure.coords_A).query(found.structure.coords_A, k=2)[0][:, 1]
    assert nearest.min() > 0.5 * 2.5
    coarse = map_to_pseudoatoms(volume, inside, 2.0, 2.5, 3 * target, 5000)
    assert len(coarse.structure) < len(found.structure)


def test_quarter_turn_of_the_map_turns_the_pseudoatoms() -> None:
    volume = blob(41)  # an odd box turns onto itself
    turned = np.rot90(volume, axes=(1, 2)).copy()  # x to −y
    first, second = (map_to_pseudoatoms(v, v > 0.2, 2.0, 3.0, 5.0, 5000) for v in (volume, turned))
    assert len(first.structure) == pytest.approx(len(second.structure), rel=0.1)
    x, y, z = first.structure.coords_A.T
    back = first.structure.replace_coords(np.stack([y, -x, z], axis=1))
    assert overlap_with_map(turned, back, 3.0, 2.0) > 0.995
    assert overlap_with_map(turned, second.structure, 3.0, 2.0) > 0.995
    assert overlap_with_map(turned, first.structure, 3.0, 2.0) < 0.95


def test_what_cannot_be_reached_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    volume = blob()
    few = map_to_pseudoatoms(volume, volume > 0.2, 2.0, 3.0, 1.0, 30)
    assert len(few.structure) <= 30
    assert "--max-pseudoatoms is 30" in capsys.readouterr().err
    wide = map_to_pseudoatoms(volume, volume > 0.2, 2.0, 8.0, 1.0, 5000)
    assert wide.error_percent > 1.0
    assert "try a smaller --sigma-A" in capsys.readouterr().err


def run(folder: Path, volume: np.ndarray, *more: str, voxel_A: float = 2.0) -> int:
    write_volume(folder / "map.mrc", volume.astype(np.float32), voxel_A)
    return cli.main(["pseudoatoms", "--map", str(folder / "map.mrc"), "--output", str(folder / "p.pdb"), *more])


def test_command_and_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Solvent far from 0 and specks of noise do no harm; the file alone tells how to make the map again."""
    volume = blob()
    dusty = volume + 7.0
    dusty[2, 2, 2] += 2.0
    assert run(tmp_path, dusty, "--target-error-percent", "4", "--threshold", "7.2") == 0
    assert "1 of" in capsys.readouterr().err
    read = read_structure(tmp_path / "p.pdb")
    assert read.is_pseudoatomic
    assert read.weights.max() == 1
    assert np.abs(read.coords_A).max() < 36
    record = json.loads((tmp_path / "p.json").read_text())
    assert record["error_percent"] <= 4
    assert record["solvent"] == pytest.approx(7.0, abs=0.02)
    made = record["peak_density_of_weight_1"] * gaussians_map(read.coords_A, read.weights, record["sigma_A"], 40, 2.0)
    again = np.linalg.norm((made - volume)[volume >= 0.2]) / np.linalg.norm(volume[volume >= 0.2])
    assert 100 * again == pytest.approx(record["error_percent"], abs=0.5)
    text = (tmp_path / "p.pdb").read_text()
    assert "REMARK   6 SIGMA 3.0000 ANGSTROM" in text
    assert text.count("\nATOM ") == len(read)


def test_noise_is_not_approximated(tmp_path: Path) -> None:
    """A map with noise as strong as its density at the border gives about as many pseudoatoms, in the same places."""
    assert run(tmp_path, blob()) == 0
    clean = read_structure(tmp_path / "p.pdb")
    noise = 0.2 * np.random.default_rng(4).normal(size=(40, 40, 40))
    assert run(tmp_path, blob() + noise) == 0
    noisy, record = read_structure(tmp_path / "p.pdb"), json.loads((tmp_path / "p.json").read_text())
    assert record["noise"] == pytest.approx(0.2, rel=0.05)
    assert len(noisy) < 1.5 * len(clean)
    assert overlap_with_map(blob(), noisy, 3.0, 2.0) > 0.98


def test_negative_maps_are_inverted_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, -blob()) == 2
    assert "use --invert" in capsys.readouterr().err
    assert run(tmp_path, -blob(), "--invert") == 0
    assert overlap_with_map(blob(), read_structure(tmp_path / "p.pdb"), 3.0, 2.0) > 0.99
    assert run(tmp_path, blob(), "--invert") == 2
    assert "omit --invert" in capsys.readouterr().err


def shapes(box_px: int = 40) -> dict[str, np.ndarray]:
    """Bright particles (d, d, d) of many shapes on a dark ground, some of which the box cuts."""
    z, y, x = np.mgrid[:box_px, :box_px, :box_px] - (box_px - 1) / 2
    radius = np.sqrt(x**2 + y**2 + z**2)
    masked = np.where(radius < 10, 0.8, -0.2)  # a mean of 0 within a mask, 0 outside
    return {
        "small ball": radius < 4,
        "half of the box": radius < 19.7,
        "most of the box": radius < 24,
        "filament": np.sqrt(x**2 + y**2) < 8,
        "membrane": np.abs(z) < 8,
        "thick slab": np.abs(z) < 14,
        "capsid": ((radius > 14) & (radius < 18)) - 0.3 * ((radius >= 18) & (radius < 20)),
        "masked": np.where(radius < 18, masked, 0),
    }


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("shape", shapes())
def test_contrast_is_judged_from_the_corners(shape: str, noise: float) -> None:
    volume = shapes()[shape] + noise * np.random.default_rng(3).normal(size=(40, 40, 40))
    assert not is_inverted(volume)
    assert not is_inverted(0.01 * volume + 7)
    if shape not in ("most of the box", "thick slab", "small ball"):  # the box cuts them, or the noise hides them
        assert is_inverted(-volume)
        assert is_inverted(5 - 100 * volume)


def test_noise_has_no_contrast() -> None:
    volume = np.random.default_rng(0).normal(size=(40, 40, 40))
    assert not is_inverted(volume)
    assert not is_inverted(-volume)


def test_a_particle_that_fills_half_of_the_box_needs_no_inversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    radius = np.sqrt(((np.mgrid[:20, :20, :20] - 9.5) ** 2).sum(axis=0))
    ball = ndimage.gaussian_filter((radius < 10).astype(np.float32), 1)
    assert np.median(ball) > 0.5  # the median is the particle's
    assert run(tmp_path, ball, "--target-error-percent", "20") == 0
    assert run(tmp_path, -ball) == 2
    assert "use --invert" in capsys.readouterr().err
    assert run(tmp_path, -ball, "--invert", "--target-error-percent", "20") == 0


def test_mask_instead_of_threshold(tmp_path: Path) -> None:
    mask = np.zeros((40, 40, 40))
    mask[:, :, 20:] = 1
    write_volume(tmp_path / "mask.mrc", mask, 2.0)
    assert run(tmp_path, blob(), "--mask", str(tmp_path / "mask.mrc"), "--target-error-percent", "10") == 0
    assert read_structure(tmp_path / "p.pdb").coords_A[:, 0].min() > -1.01  # the border's half voxel


@pytest.mark.parametrize(
    ("volume", "more", "message"),
    [
        (np.zeros((16, 16, 16)), [], "the map contains no particle"),
        (np.full((16, 16, 16), np.nan), [], "4096 voxels are not finite"),
        (np.zeros((16, 16, 20)), [], "expected a cubic one"),
        (blob(), ["--threshold", "99"], "selects no voxel: none is as high; the map's values range from 0 to"),
        (blob(), ["--threshold", "high"], "--threshold: got 'high', expected a density or auto"),
        (blob(), ["--sigma-A", "0.5"], "--sigma-A: got 0.5 Å, expected 1.4 to 24 Å for voxels of 2 Å"),
        (blob(), ["--mask", "nowhere.mrc"], "no such file"),
    ],
)
def test_unusable_maps_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], volume: np.ndarray, more: list[str], message: str
) -> None:
    assert run(tmp_path, volume, *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.pdb").exists()


def test_a_mask_without_voxels_is_explained_by_its_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """IMOD writes 0 and 1 as the signed bytes −128 and −127."""
    write_mrc(tmp_path / "m.mrc", ((blob() > 0.2) - 128).astype(np.int8), imod_flags=1)
    assert run(tmp_path, blob(), "--mask", str(tmp_path / "m.mrc")) == 2
    assert "none is above 0.5; the mask's values range from -128 to -127; give another" in capsys.readouterr().err


def test_the_same_map_in_other_files_gives_the_same_pseudoatoms(tmp_path: Path) -> None:
    """With other axes, in the other byte order, by Spider, and as unsigned bytes but for their steps."""
    volume = blob().astype(np.float32)
    volume[:, :, :5] += 0.01  # no symmetry hides an order of axes
    steps = np.rint(volume / volume.max() * 255).astype(np.uint8)
    files = [
        write_mrc(tmp_path / "plain.mrc", volume),
        write_mrc(tmp_path / "turned.map", volume.transpose(2, 0, 1).copy(), axes=(2, 3, 1), order=">"),
        write_spider(tmp_path / "карта 1.VOL", volume, as_map=True),
        write_mrc(tmp_path / "bytes.mrc", steps, imod_flags=0),
    ]
    found = []
    for number, file in enumerate(files):
        words = ["pseudoatoms", "--map", str(file), "--output", str(tmp_path / f"{number}.pdb")]
        assert cli.main([*words, "--voxel-size-A", "2", "--target-error-percent", "25"]) == 0
        found.append(read_structure(tmp_path / f"{number}.pdb"))
    for other in found[1:3]:
        np.testing.assert_array_equal(other.coords_A, found[0].coords_A)
        np.testing.assert_array_equal(other.weights, found[0].weights)
    np.testing.assert_allclose(found[3].coords_A, found[0].coords_A, atol=0.1)


def test_voxel_size_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, blob(), voxel_A=0.0) == 2
    assert "--voxel-size-A" in capsys.readouterr().err
    assert run(tmp_path, blob(), "--voxel-size-A", "2", voxel_A=0.0) == 0


@pytest.mark.parametrize(("size", "count"), [(1, 100), (10, 100), (7, 30), (200, 100)])
def test_blocks_in_space_are_full_and_compact(size: int, count: int) -> None:
    points = np.random.default_rng(0).uniform(size=(count, 3)) * [40, 10, 10]
    block = spatial_blocks(points, size)
    sizes = np.bincount(block)
    assert (sizes[:-1] == size).all()
    assert sizes.sum() == count
    spread = [np.ptp(points[block == b], axis=0).max() for b in range(len(sizes))]
    if 1 < size < count:
        assert np.mean(spread) < 0.6 * 40


@pytest.fixture(scope="module")
def adenylate_kinase(shared_data: Path) -> tuple[Structure, Structure]:
    """Its atoms, and the pseudoatoms of its map."""
    atoms = read_structure(shared_data / "gold10" / "AK.pdb")
    volume = structure_to_map(atoms, 48, 2.0, b_factor_A2=400.0)
    return atoms, map_to_pseudoatoms(volume, volume >= otsu_threshold(volume), 2.0, 3.0, 5.0, 5000).structure


@pytest.mark.parametrize("block_size", [0, 3])
def test_modes_of_pseudoatoms_are_those_of_the_atoms(
    shared_data: Path, adenylate_kinase: tuple[Structure, Structure], block_size: int
) -> None:
    """AK as a map, as pseudoatoms: the three slowest modes move the same places as elNemo's of all atoms."""
    (atoms, found), modes = adenylate_kinase, read_modes(shared_data / "elnemo_ak", (7, 8, 9))
    place = atoms.coords_A - atoms.center_A
    near = np.exp(-(np.linalg.norm(found.coords_A[:, None] - place, axis=2) ** 2) / (2 * 3.0**2)) * atoms.weights
    there = np.einsum("pa,mad->mpd", near / near.sum(axis=1, keepdims=True), modes.vectors)
    there /= np.linalg.norm(there, axis=(1, 2), keepdims=True)
    options = NmaOptions(structure="s", output="o", cutoff_percent=95.0, block_size=block_size, n_modes=9)
    same = np.abs(np.einsum("mpd,mpd->m", compute_modes(found, options).vectors, there))
    assert same.min() > 0.8
