"""Spider files: maps in both byte orders; what is no stack or map is refused by its name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.maps import read_map, read_volume, volume_origin_A
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.tests.helpers.image_dialects import write_spider

VOLUME = np.random.default_rng(6).integers(-120, 120, size=(5, 6, 7))
FLOATS = np.random.default_rng(5).normal(size=(4, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("order", ["<", ">"])
def test_maps_of_spider(tmp_path: Path, order: str) -> None:
    for name in ("v.vol", "v.spi", "v.xmp", "v.mrc"):
        path = write_spider(tmp_path / name, VOLUME, order=order, as_map=True)
        volume, voxel_A = read_volume(path)
        np.testing.assert_array_equal(volume, VOLUME)
        assert voxel_A == 0  # the header has none
        assert not volume_origin_A(path, 2.0).any()
    with pytest.raises(InputError, match="no voxel size; give it by --voxel-size-A"):
        read_map(path)
    assert read_map(path, 2.0)[1] == 2.0
    (tmp_path / "cut.vol").write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FormatError, match="is truncated: 5 sections of 7 × 6 px need"):
        read_volume(tmp_path / "cut.vol")


@pytest.mark.parametrize("read", [stack_info, read_volume])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"w5": -22}, "contains complex numbers (a Fourier transform)"),
        ({"w1": 6}, "is a Spider stack of volumes"),
        ({"w24": -1}, "is an indexed Spider stack"),
        ({"w26": 1e9}, "is truncated: 1000000000 images"),
        ({"w26": np.nan}, "announces nan images"),
        ({"w26": 0}, "announces 0 images"),
        ({"w12": 6.5}, "unknown format"),
        ({"w22": np.inf}, "unknown format"),
        ({"w2": np.nan}, "unknown format"),
    ],
)
def test_other_files_of_spider_are_refused_by_name(
    tmp_path: Path, read: Any, changed: dict[str, float], said: str
) -> None:
    path = write_spider(tmp_path / "s.stk", FLOATS, **changed)
    with pytest.raises(FormatError) as error:
        read(path)
    assert said in str(error.value)


def test_maps_and_stacks_of_spider_are_not_confused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is a stack of 4 images"):
        read_volume(write_spider(tmp_path / "s.stk", FLOATS))
    with pytest.raises(FormatError, match="is a map of 5 sections of 7 × 6 voxels; expected images"):
        stack_info(write_spider(tmp_path / "v.vol", VOLUME, as_map=True))
