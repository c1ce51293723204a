"""Maps: read from MRC and Spider files, written as MRC."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.tests.helpers.image_dialects import write_mrc


def test_volume_round_trip(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(7, 7, 7)).astype(np.float32)
    write_volume(tmp_path / "v.mrc", volume, 2.5)
    back, voxel = read_volume(tmp_path / "v.mrc")
    np.testing.assert_array_equal(back, volume)
    assert voxel == pytest.approx(2.5)
    write_mrc(tmp_path / "flat.mrc", volume[:1])
    with pytest.raises(FormatError, match="expected a 3D map"):
        read_volume(tmp_path / "flat.mrc")
