"""Maps: the same whatever the order of their axes; grids that are not cubic; their place; written as MRC."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.maps import read_map, read_volume, volume_origin_A, write_volume
from continuousflex_deep.io.stacks import stack_info
from continuousflex_deep.tests.helpers.image_dialects import write_mrc

VOLUME = np.random.default_rng(6).integers(-120, 120, size=(5, 6, 7))  # unequal sides tell the axes apart
FLOATS = np.random.default_rng(5).normal(size=(4, 6, 6)).astype(np.float32)


def test_volume_round_trip(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(7, 7, 7)).astype(np.float32)
    write_volume(tmp_path / "v.mrc", volume, 2.5)
    back, voxel = read_volume(tmp_path / "v.mrc")
    np.testing.assert_array_equal(back, volume)
    assert voxel == pytest.approx(2.5)
    write_mrc(tmp_path / "flat.mrc", volume[:1])
    with pytest.raises(FormatError, match="expected a 3D map"):
        read_volume(tmp_path / "flat.mrc")


def stored(volume: np.ndarray, axes: tuple[int, int, int]) -> np.ndarray:
    """A map (z, y, x) as it lies in a file whose columns, rows and sections lie along these axes (1 for x, …)."""
    return np.ascontiguousarray(volume.transpose([3 - axis for axis in reversed(axes)]))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)])
def test_maps_are_the_same_whatever_the_order_of_their_axes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], axes: tuple[int, int, int], order: str
) -> None:
    start = {1: -3, 2: 4, 3: 5}  # of x, y, z
    starts = {f"n{axis}start": start[along] for axis, along in zip("xyz", axes, strict=True)}
    data = stored(VOLUME, axes).astype(np.int16)
    path = write_mrc(tmp_path / "v.map", data, order=order, axes=axes, **starts)
    volume, voxel_A = read_volume(path)
    np.testing.assert_array_equal(volume, VOLUME)
    assert volume.dtype == np.float32
    assert voxel_A == pytest.approx(2.0)
    np.testing.assert_allclose(volume_origin_A(path, voxel_A), [-6, 8, 10])
    name = "".join("xyz"[axis - 1] for axis in axes)
    assert (f"stored in the order {name} and are read as xyz" in capsys.readouterr().err) == (axes != (1, 2, 3))


def test_voxels_that_are_not_cubic_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_mrc(tmp_path / "v.mrc", FLOATS, voxel_A=(2, 2, 2.5))
    with pytest.raises(FormatError, match=r"not cubic: 2 × 2 × 2\.5 Å along x, y and z; resample it to cubic voxels"):
        read_volume(path)
    with pytest.raises(FormatError, match="give the voxel size by --voxel-size-A"):
        read_map(path)
    assert read_map(path, 2.2)[1] == 2.2  # the advice
    assert "voxels of 2 × 2 × 2.5 Å in its header, 2.2 Å are used as given" in capsys.readouterr().err
    stack_info(path)  # of images, sections have no size
    with pytest.raises(FormatError, match=r"pixels are 2 × 2\.5 Å in its header; expected square ones"):
        stack_info(write_mrc(tmp_path / "s.mrcs", FLOATS, voxel_A=(2, 2.5, 2)))


def test_the_grid_is_counted_along_its_own_axes(tmp_path: Path) -> None:
    """A cut-out of a cell: MX, MY, MZ are not the sides of the map."""
    path = write_mrc(tmp_path / "v.mrc", VOLUME.astype(np.float32), mx=50, my=40, mz=20, cella=(75, 60, 30))
    assert read_volume(path)[1] == pytest.approx(1.5)


def test_a_size_of_sections_that_is_missing_is_that_of_x(tmp_path: Path) -> None:
    assert read_volume(write_mrc(tmp_path / "v.mrc", FLOATS, cella=(12, 12, 0)))[1] == pytest.approx(2.0)


def test_the_option_counts_and_a_note_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_mrc(tmp_path / "v.mrc", FLOATS)
    assert read_map(path, 2.01)[1] == 2.01
    assert capsys.readouterr().err == ""
    assert read_map(path, 4.0)[1] == 4.0
    assert "voxels of 2 × 2 × 2 Å in its header, 4 Å are used as given" in capsys.readouterr().err
    unknown = write_mrc(tmp_path / "u.mrc", FLOATS, cella=(0, 0, 0))
    with pytest.raises(InputError, match="no voxel size; give it by --voxel-size-A"):
        read_map(unknown)
    assert read_map(unknown, 4.0)[1] == 4.0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("angles", "fine"), [((90, 90, 90), True), ((0, 0, 0), True), ((90, 90, 120), False), ((80, 90, 90), False)]
)
def test_cells_that_are_not_rectangular_are_refused(
    tmp_path: Path, angles: tuple[float, float, float], fine: bool
) -> None:
    path = write_mrc(tmp_path / "v.mrc", FLOATS, cellb=angles)
    if fine:
        read_volume(path)
    else:
        with pytest.raises(FormatError, match="expected 90°; resample it to a rectangular grid"):
            read_volume(path)


def test_the_origin_counts_before_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def origin(**given: Any) -> list[float]:
        return volume_origin_A(write_mrc(tmp_path / "v.mrc", FLOATS, **given), 2.0).tolist()

    starts = {"nxstart": 5, "nystart": 6, "nzstart": -7}
    assert origin() == [0, 0, 0]
    assert origin(**starts) == [10, 12, -14]
    assert origin(origin=(10, 12, -14), **starts) == [10, 12, -14]
    assert capsys.readouterr().err == ""
    assert origin(origin=(1, 0, 3), **starts) == [1, 0, 3]
    note = "two positions of the first voxel: the origin (1, 0, 3) Å, which is used, and the start (10, 12, -14) Å"
    assert note in capsys.readouterr().err
    assert origin(origin=(np.nan, 0, 3), **starts) == [10, 12, -14]
    assert origin(origin=(1e-30, 0, 1e30), **starts) == [10, 12, -14]


@pytest.mark.parametrize(
    ("flags", "version", "sign"), [(0, 0, -1), (1, 0, -1), (4, 0, 1), (0, 20140, 1), (None, 0, 1), (None, 20140, 1)]
)
def test_the_origin_of_imod_has_the_other_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: int | None, version: int, sign: int
) -> None:
    """Unless its flag 4, or the version, says that it is MRC2014's."""
    path = write_mrc(tmp_path / "v.mrc", FLOATS, origin=(1, -2, 3), imod_flags=flags, nversion=version)
    np.testing.assert_array_equal(volume_origin_A(path, 2.0), np.array([1, -2, 3]) * sign)
    assert ("its origin is read with the sign that IMOD gives it" in capsys.readouterr().err) == (sign < 0)
