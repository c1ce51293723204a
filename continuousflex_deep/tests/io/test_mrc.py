"""Images and maps in MRC files of many programs give the same numbers; other data is refused by its name."""

import struct
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.stacks import check_images, read_images, stack_info
from continuousflex_deep.particles import Particles
from continuousflex_deep.programs import RELION, run_program
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.documents import REPOSITORY
from continuousflex_deep.tests.helpers.image_dialects import IMOD_STAMP, MODES, mrc_bytes, particles_of, write_mrc

IMAGES = np.random.default_rng(5).integers(-120, 120, size=(4, 6, 6))  # fit into every type of numbers
FLOATS = IMAGES.astype(np.float32)
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
    np.testing.assert_array_equal(read_images(particles_of(path, 4, 6)), FLOATS)
    check_images(particles_of(path, 4, 6))
    assert stack_info(path).n == 4
    told = capsys.readouterr().err
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
    np.testing.assert_array_equal(read_images(particles_of(path, 4, 6)), data.astype(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order_of_bytes_without_a_stamp(tmp_path: Path, order: str) -> None:
    """Mode 0 is the same in both orders; the sizes tell, also those that are a power of 256."""
    sides = np.ones((2, 256, 256), dtype=np.int8)
    path = write_mrc(tmp_path / "s.mrcs", sides, order=order, machst=b"\0\0\0\0", map=b"\0\0\0\0", dmin=-3, dmax=2)
    assert (stack_info(path).n, stack_info(path).box_px) == (2, 256)


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
    np.testing.assert_array_equal(read_images(particles_of(stack, 4, 6)), expected)
    check_images(particles_of(stack, 4, 6))
    assert f"its bytes are read as {said}" in capsys.readouterr().err
    volume, _ = read_volume(write_mrc(tmp_path / "v.mrc", UNSIGNED, **given))
    np.testing.assert_array_equal(volume, expected)
    assert f"its bytes are read as {said}" in capsys.readouterr().err


def test_notes_on_many_stacks_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Although each has another range of densities."""
    paths = [
        write_mrc(tmp_path / f"{k}.mrcs", UNSIGNED, dmin=0, dmax=200 + k, ispg=0, map=b"\0\0\0\0") for k in range(5)
    ]
    names = np.array([str(path) for path in paths], dtype=object)
    check_images(Particles(ids=np.arange(5), stacks=names, indices=np.arange(5) % 4, pixel_size_A=2.0, box_px=6))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all("5 of 5 image stacks, for example" in line for line in told)


@pytest.mark.parametrize("axes", [(3, 2, 1), (1, 3, 2)])
def test_stacks_along_another_axis_are_refused(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    with pytest.raises(FormatError, match=r"sections lie along [xy] .*correct the words MAPC, MAPR and MAPS"):
        stack_info(write_mrc(tmp_path / "s.mrcs", FLOATS, axes=axes))


@pytest.mark.parametrize("axes", [(1, -2, 3), (1, 1, 3), (0, 2, 3), (10**9, 1, 2)])
def test_unknown_axes_are_refused(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    for read in (stack_info, read_volume):
        with pytest.raises(FormatError, match="expected each of 1, 2 and 3 once; correct the header"):
            read(write_mrc(tmp_path / "s.mrc", FLOATS, axes=axes))


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
    np.testing.assert_array_equal(read_images(particles_of(tmp_path / "s.mrcs", 4, 6)), FLOATS)
    check_images(particles_of(tmp_path / "s.mrcs", 4, 6))
    assert "the file is 333 bytes longer than its header announces; they are not read" in capsys.readouterr().err


@needs.marked(RELION, "relion_image_handler")
def test_relion_reads_the_same(tmp_path: Path) -> None:
    """All but what RELION does not look at, the order of axes and unsigned bytes, and what 3.1 lacks, 16-bit floats."""
    images = np.tile(IMAGES, (1, 4, 4))
    unusual = ["no MAP", "NUL behind MAP", "stamp of SerialEM", "stamp and MAP missing", "extended header", "IMOD"]
    files = [("float32", HEADERS[name][0]) for name in unusual] + [("int8", {}), ("int16", {})]
    for number, (dtype, given) in enumerate(files):
        order = "<>"[number % 2]
        path = write_mrc(tmp_path / f"{number}.mrcs", images.astype(dtype), order=order, **given)
        words = ["--i", path.name, "--o", f"{number}_relion.mrcs", "--multiply_constant", "1"]
        program = RELION.require(["relion_image_handler"])["relion_image_handler"]
        run_program([str(program), *words], RELION.environment(program), tmp_path, tmp_path / "log")
        theirs = mrcfile.read(tmp_path / f"{number}_relion.mrcs")
        np.testing.assert_array_equal(read_images(particles_of(path, 4, 24)), theirs, err_msg=f"{dtype} {given}")


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
