"""The same images and the same map, as programs of many years write them, give the same numbers; what means something
else is refused by its name. The table of docs/formats.md, line by line."""

import bz2
import gzip
import lzma
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.maps import read_map, read_volume, volume_origin_A
from continuousflex_deep.io.stacks import check_images, read_images, stack_info, write_stack
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.documents import REPOSITORY
from continuousflex_deep.tests.helpers.image_dialects import (
    IMOD_STAMP,
    MODES,
    mrc_bytes,
    spider_bytes,
    write_mrc,
    write_spider,
)

IMAGES = np.random.default_rng(5).integers(-120, 120, size=(4, 6, 6))  # fit into every type of numbers
VOLUME = np.random.default_rng(6).integers(-120, 120, size=(5, 6, 7))  # unequal sides tell the axes apart
FLOATS = IMAGES.astype(np.float32)


def particles_of(path: Path, n: int = 4, box_px: int = 6, pixel_size_A: float = 2.0) -> Particles:
    names = np.array([str(path)] * n, dtype=object)
    return Particles(
        ids=np.arange(1, n + 1), stacks=names, indices=np.arange(n), pixel_size_A=pixel_size_A, box_px=box_px
    )


def words(raw: bytes, number: int, *values: bytes) -> bytes:
    """The bytes of a file with other words in its header, from a number on (counted from 1)."""
    joined = b"".join(values)
    return raw[: 4 * (number - 1)] + joined + raw[4 * (number - 1) + len(joined) :]


def notes(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- headers of old programs

# name: what is written, and what the note must say ("" where there is none)
HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "MRC2014": ({}, ""),
    "MRC2014, image stack": ({"ispg": 0, "mz": 1}, ""),
    "RELION": ({"ispg": 0, "nversion": 0, "machst": b"DA\0\0"}, ""),
    "crystal": ({"ispg": 19}, ""),
    "no MAP": ({"map": b"\0\0\0\0"}, "the header lacks the word MAP"),
    "NUL behind MAP": ({"map": b"MAP\0"}, ""),
    "no stamp": ({"machst": b"\0\0\0\0"}, "the machine stamp is 00 00 00 00"),
    "stamp of SerialEM": ({"machst": b"D\0\0\0"}, "the machine stamp is 44 00 00 00"),
    "stamp with blanks": ({"machst": b"D   "}, "the machine stamp is 44 20 20 20"),
    "stamp and MAP missing": ({"machst": b"\0\0\0\0", "map": b"\0\0\0\0"}, "the header lacks the word MAP"),
    "extended header": ({"extended": bytes(range(256)) * 5, "exttyp": b"SERI"}, ""),
    "extended header of FEI": ({"extended": b"\xff" * 768, "exttyp": b"FEI1"}, ""),
    "symmetry of CCP4": ({"extended": b"X,  Y,  Z".ljust(80), "ispg": 1, "exttyp": b"CCP4"}, ""),
    "labels": ({"nlabl": 10, "label": [b"\0binary\xff\xfe label"] * 10}, ""),
    "axes unset": ({"axes": (0, 0, 0)}, ""),
    "axes swapped": ({"axes": (2, 1, 3)}, ""),
    "statistics not finite": ({"dmin": np.nan, "dmax": np.inf, "rms": -1}, ""),
    "cell unset": ({"cella": (0, 0, 0)}, ""),
    "grid unset": ({"mx": 0, "my": 0, "mz": 0}, ""),
    "cell negative": ({"cella": (-12, -12, 8)}, "the voxel size in its header, -2 × -2 × 2 Å, is impossible"),
    "cell not finite": ({"cella": (np.nan, np.inf, 8)}, "is impossible and not used"),
    "angles unset": ({"cellb": (0, 0, 0)}, ""),
    "IMOD": ({"imod_flags": 12, "nversion": 0}, ""),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", HEADERS)
def test_images_are_the_same_in_every_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, order: str
) -> None:
    given, expected = HEADERS[name]
    if "machst" in given and order == ">" and given["machst"] != b"\0\0\0\0":
        given = given | {"machst": b"\x11" + given["machst"][1:]}
        expected = expected.replace("44 ", "11 ")
    data = FLOATS.transpose(0, 2, 1) if name == "axes swapped" else FLOATS
    path = write_mrc(tmp_path / "s.mrcs", data, order=order, **given)
    np.testing.assert_array_equal(read_images(particles_of(path)), FLOATS)
    check_images(particles_of(path))
    assert stack_info(path).n == 4
    told = notes(capsys)
    assert expected in told if expected else told == "" or "machine stamp is 11 41" in told
    unknown = name in ("cell unset", "grid unset", "cell negative", "cell not finite")
    assert stack_info(path).pixel_size_A == (None if unknown else pytest.approx(2.0))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [b"DD\0\0", b"\x11\x11\0\0"])
@pytest.mark.parametrize("number", sorted(set(MODES) - {"complex64"}))
def test_images_are_the_same_in_every_type_and_byte_order(
    tmp_path: Path, number: str, stamp: bytes, order: str
) -> None:
    """Also where the machine stamp names the wrong order."""
    data = (np.abs(IMAGES) if number.startswith("u") else IMAGES).astype(number)
    low, high = float(data.min()), 255.0 if number == "uint8" else float(data.max())
    path = write_mrc(tmp_path / "s.mrc", data, order=order, machst=stamp, dmin=low, dmax=high)
    np.testing.assert_array_equal(read_images(particles_of(path)), data.astype(np.float32))


SIDES = 256 * np.ones((2, 256, 256), dtype=np.int8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order_of_bytes_without_a_stamp(tmp_path: Path, order: str) -> None:
    """Mode 0 is the same in both orders; the sizes tell, also those that are a power of 256."""
    path = write_mrc(tmp_path / "s.mrcs", SIDES, order=order, machst=b"\0\0\0\0", map=b"\0\0\0\0", dmin=-3, dmax=2)
    assert (stack_info(path).n, stack_info(path).box_px) == (2, 256)


# ------------------------------------------------------------------------------------------------------- signs of bytes

UNSIGNED = np.random.default_rng(7).integers(0, 256, size=(4, 6, 6)).astype(np.uint8)
# range in the header, IMOD's flags, whether the bytes are signed, and what the note must say
SIGNS = [
    ((0, 255), None, False, "unsigned, since the header's range is 0 to 255"),
    ((-128, 127), None, True, "signed, since the header's range is -128 to 127"),
    ((-3, 90), None, True, "signed, since the header's range is -3 to 90"),
    ((3, 200), None, False, "unsigned, since the header's range is 3 to 200"),
    ((-1, 250), None, False, "unsigned, since the header's range is -1 to 250"),
    ((0, 100), None, True, "signed, as MRC2014 defines; the header's range does not decide it"),
    ((0, -1), None, True, "signed, as MRC2014 defines"),
    ((0, 0), None, True, "signed, as MRC2014 defines"),
    ((np.nan, np.nan), None, True, "signed, as MRC2014 defines"),
    ((-128, 127), 0, False, "unsigned, by IMOD's flag"),
    ((0, 255), 0, False, "unsigned, by IMOD's flag"),
    ((0, 255), 1, True, "signed, by IMOD's flag"),
    ((-128, 127), 13, True, "signed, by IMOD's flag"),
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("limits", "flags", "signed", "said"), SIGNS)
def test_signs_of_bytes(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    limits: tuple[float, float],
    flags: int | None,
    signed: bool,
    said: str,
    order: str,
) -> None:
    given = {"dmin": limits[0], "dmax": limits[1], "imod_flags": flags, "order": order}
    expected = (UNSIGNED.view(np.int8) if signed else UNSIGNED).astype(np.float32)
    stack = write_mrc(tmp_path / "s.mrcs", UNSIGNED, **given)
    np.testing.assert_array_equal(read_images(particles_of(stack)), expected)
    check_images(particles_of(stack))
    assert f"its bytes are read as {said}" in notes(capsys)
    volume, _ = read_volume(write_mrc(tmp_path / "v.mrc", UNSIGNED, **given))
    np.testing.assert_array_equal(volume, expected)
    assert f"its bytes are read as {said}" in notes(capsys)


def test_notes_on_many_stacks_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Although each has another range of densities."""
    paths = [
        write_mrc(tmp_path / f"{k}.mrcs", UNSIGNED, dmin=0, dmax=200 + k, ispg=0, map=b"\0\0\0\0") for k in range(5)
    ]
    names = np.array([str(path) for path in paths], dtype=object)
    check_images(Particles(ids=np.arange(5), stacks=names, indices=np.arange(5) % 4, pixel_size_A=2.0, box_px=6))
    told = notes(capsys).splitlines()
    assert len(told) == 2
    assert all("5 of 5 image stacks, for example" in line for line in told)


# ----------------------------------------------------------------------------------------------------------------- maps


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
    assert (f"stored in the order {name} and are read as xyz" in notes(capsys)) == (axes != (1, 2, 3))


@pytest.mark.parametrize("axes", [(3, 2, 1), (1, 3, 2)])
def test_stacks_along_another_axis_are_refused(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    with pytest.raises(FormatError, match=r"sections lie along [xy] .*correct the words MAPC, MAPR and MAPS"):
        stack_info(write_mrc(tmp_path / "s.mrcs", FLOATS, axes=axes))


@pytest.mark.parametrize("axes", [(1, -2, 3), (1, 1, 3), (0, 2, 3)])
def test_unknown_axes_are_refused(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    for read in (stack_info, read_volume):
        with pytest.raises(FormatError, match="expected each of 1, 2 and 3 once; correct the header"):
            read(write_mrc(tmp_path / "s.mrc", FLOATS, axes=axes))


def test_voxels_that_are_not_cubic_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_mrc(tmp_path / "v.mrc", FLOATS, voxel_A=(2, 2, 2.5))
    with pytest.raises(FormatError, match=r"not cubic: 2 × 2 × 2\.5 Å along x, y and z; resample it to cubic voxels"):
        read_volume(path)
    with pytest.raises(FormatError, match="give the voxel size by --voxel-size-A"):
        read_map(path)
    assert read_map(path, 2.2)[1] == 2.2  # the advice
    assert "voxels of 2 × 2 × 2.5 Å in its header, 2.2 Å are used as given" in notes(capsys)
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
    assert notes(capsys) == ""
    assert read_map(path, 4.0)[1] == 4.0
    assert "voxels of 2 × 2 × 2 Å in its header, 4 Å are used as given" in notes(capsys)
    unknown = write_mrc(tmp_path / "u.mrc", FLOATS, cella=(0, 0, 0))
    with pytest.raises(InputError, match="no voxel size; give it by --voxel-size-A"):
        read_map(unknown)
    assert read_map(unknown, 4.0)[1] == 4.0
    assert notes(capsys) == ""


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
    assert notes(capsys) == ""
    assert origin(origin=(1, 0, 3), **starts) == [1, 0, 3]
    assert "two positions of the first voxel: the origin 1 × 0 × 3 Å, which is used, and the start" in notes(capsys)
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
    assert ("its origin is read with the sign that IMOD gives it" in notes(capsys)) == (sign < 0)


# ------------------------------------------------------------------------------------------ what is refused by its name


@pytest.mark.parametrize("read", [stack_info, read_volume])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": 3}, "contains complex numbers (a Fourier transform), its mode is 3"),
        ({"mode": 4}, "contains complex numbers (a Fourier transform), its mode is 4"),
        ({"mode": 16}, "contains colours (RGB), its mode is 16"),
        ({"mode": 101}, "contains 4-bit numbers, its mode is 101"),
        ({"mode": 0, "imod_flags": 16}, "contains 4-bit numbers, two in a byte"),
        ({"mode": 9}, "damaged MRC header: got 6 × 6 × 4 numbers of mode 9"),
        ({"nx": 0}, "damaged MRC header: got 0 × 6 × 4 numbers of mode 2"),
        ({"nz": -4}, "damaged MRC header: got 6 × 6 × -4 numbers of mode 2"),
        ({"nsymbt": -8}, "an extended header of -8 bytes"),
        ({"nz": 10**9}, "is not a complete MRC file: its header announces 1000000000 × 6 × 6 numbers"),
        ({"nsymbt": 2**31 - 1}, "is not a complete MRC file"),
        ({"ispg": 401, "mz": 2}, "is a stack of volumes (its space group is 401)"),
        ({"ispg": 630}, "is a stack of volumes"),
    ],
)
def test_other_data_is_refused_by_name(tmp_path: Path, read: Any, given: dict[str, Any], said: str) -> None:
    path = write_mrc(tmp_path / "s.mrc", FLOATS, **given)
    with pytest.raises(FormatError) as error:
        read(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("read", [stack_info, read_volume])
def test_truncated_files_are_refused(tmp_path: Path, read: Any) -> None:
    raw = mrc_bytes(FLOATS)
    for length in (len(raw) - 1, 1024, 1023, 100, 1):
        (tmp_path / "s.mrc").write_bytes(raw[:length])
        with pytest.raises(FormatError, match="not a complete MRC file" if length >= 1024 else "unknown format"):
            read(tmp_path / "s.mrc")
    (tmp_path / "s.mrc").write_bytes(b"")
    with pytest.raises(FormatError, match="is empty"):
        read(tmp_path / "s.mrc")


def test_what_follows_the_data_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.mrcs").write_bytes(mrc_bytes(FLOATS, ispg=0) + bytes(333))
    np.testing.assert_array_equal(read_images(particles_of(tmp_path / "s.mrcs")), FLOATS)
    check_images(particles_of(tmp_path / "s.mrcs"))
    assert "the file is 333 bytes longer than its header announces; they are not read" in notes(capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(mrc_bytes(FLOATS), mtime=0), "compressed by gzip; decompress it by gunzip"),
        (bz2.compress(mrc_bytes(FLOATS)), "compressed by bzip2; decompress it by bunzip2"),
        (lzma.compress(mrc_bytes(FLOATS)), "compressed by xz; decompress it by unxz"),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "an HDF5 file; convert it to MRC"),
        (b"II*\0" + bytes(2000), "a TIFF file; convert it to MRC"),
        (bytes(4000), "unknown format; expected an MRC or Spider file"),
        (b"_rlnImageName #1\n" * 200, "unknown format; expected an MRC or Spider file"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "s.mrc").write_bytes(content)
    for read in (stack_info, read_volume):
        with pytest.raises(FormatError, match=said):
            read(tmp_path / "s.mrc")


def test_a_stack_is_no_map_and_a_map_no_stack(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", FLOATS, 2.0)
    with pytest.raises(FormatError, match="is a stack of 4 images of 6 × 6 px; expected a 3D map"):
        read_volume(tmp_path / "s.mrcs")
    with pytest.raises(FormatError, match="is a stack of 4 images"):
        read_volume(write_mrc(tmp_path / "s.mrc", FLOATS, ispg=0, mz=1))
    with pytest.raises(FormatError, match="is a single image of 6 × 6 px; expected a 3D map"):
        read_volume(write_mrc(tmp_path / "one.mrc", FLOATS[:1]))
    cubes = [write_mrc(tmp_path / f"{k}.mrc", np.zeros((6, 6, 6), np.float32)) for k in range(3)]
    names = np.array([str(path) for path in cubes], dtype=object)
    subtomograms = Particles(ids=np.arange(3), stacks=names, indices=np.zeros(3, int), pixel_size_A=2.0, box_px=6)
    with pytest.raises(InputError, match="is a map of 6 voxels a side; expected two-dimensional images"):
        check_images(subtomograms)
    check_images(particles_of(cubes[0]))  # six images in a file with the header of a map: many programs write so


# --------------------------------------------------------------------------------------------------------------- Spider


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


# ---------------------------------------------------------------------------------------------------------------- names

NAMES = ["частицы 1.mrcs", "粒子.MRCS", "a b'c\"d.Mrc", "user@host.mrcs", "x.st", "x.map", "none", "x.y:z.mrcs"]


@pytest.mark.parametrize("name", NAMES)
def test_files_are_recognised_by_their_content(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Ordner mit Leerzeichen ✓"
    folder.mkdir()
    path = write_mrc(folder / name, FLOATS, ispg=0)
    np.testing.assert_array_equal(read_images(particles_of(path)), FLOATS)
    assert stack_info(f"{path}:mrcs").n == 4
    if path.suffix.lower() != ".mrcs":
        np.testing.assert_array_equal(read_volume(f"{path}:mrc")[0], FLOATS)
    path.write_bytes(spider_bytes(FLOATS))
    write_stack(folder / "made.mrcs", FLOATS, 2.0)  # forgets what was read
    np.testing.assert_array_equal(read_images(particles_of(path)), FLOATS)


# ------------------------------------------------------------------------------------------------ the table of the page


def test_every_word_of_the_header_is_in_the_table_of_formats() -> None:
    """Those with a meaning each have a line, which says applied, kept, refused or not used."""
    page = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    for word in (
        "NX", "MODE", "NXSTART", "MX", "CELLA", "CELLB", "MAPC", "DMIN", "ISPG", "NSYMBT", "EXTTYP", "NVERSION",
        "ORIGIN", "MAP", "MACHST", "RMS", "LABEL", "imodStamp",
    ):  # fmt: skip
        found = [line for line in lines if f"`{word}`" in line.split("|")[1]]
        assert found, f"docs/formats.md has no line on the header's word {word}"
        assert any(verdict in found[0] for verdict in ("applied", "refused", "not used", "tells")), found[0]


def test_the_stamp_of_imod_is_what_imod_writes() -> None:
    assert struct.pack("<i", IMOD_STAMP) == b"IMOD"
