"""Particles from and to RELION 3.0, RELION 3.1 and Xmipp files, and what bad files are told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import check_images, write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.particles import Ctf, Particles, concatenate, join
from continuousflex_deep.tests.helpers import needs

N, BOX, PIXEL = 4, 11, 1.25
HANDED_ON = ("extra", "column_order")  # a file that we write has optics groups, too


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)
    write_stack(tmp_path / "s.mrcs", images, PIXEL)
    return tmp_path


def full_particles(folder: Path) -> Particles:
    """Everything a particle can know, in rows that are not in the order of their ids."""
    rng = np.random.default_rng(1)
    ctf = Ctf(
        defocus_u_A=rng.uniform(5e3, 2e4, N), defocus_v_A=rng.uniform(5e3, 2e4, N),
        defocus_angle_deg=rng.uniform(0, 180, N), voltage_kV=np.full(N, 300.0),
        cs_mm=np.full(N, 2.7), amplitude_contrast=np.full(N, 0.07),
        phase_shift_deg=rng.uniform(0, 90, N),
    )  # fmt: skip
    return Particles(
        ids=np.array([40, 10, 30, 20]), stacks=np.array([str(folder / "s.mrcs")] * N, dtype=object),
        indices=np.array([3, 0, 2, 1]), pixel_size_A=PIXEL, box_px=BOX, ctf=ctf, phase_flipped=True,
        euler_deg=rng.uniform(-180, 180, (N, 3)), shift_A=rng.normal(size=(N, 2)), mode_ids=(7, 8, 11),
        amplitudes=rng.normal(scale=100, size=(N, 3)), amplitudes_sd=rng.uniform(1, 2, (N, 3)),
        free_amplitudes=rng.normal(scale=100, size=(N, 3)), free_amplitudes_sd=rng.uniform(1, 2, (N, 3)),
        angle_sd_deg=rng.uniform(size=N),
        shift_sd_A=rng.uniform(size=N), score=rng.uniform(size=N), ambiguous=np.array([True, False, False, True]),
        half=np.array([2, 1, 0, 1]),
        extra={"rlnMicrographName": np.array(["data_1.mrc", "two words.mrc", "m3.mrc", "m4.mrc"], dtype=object)},
    )  # fmt: skip


def assert_same(first: Particles, second: Particles, skip: tuple[str, ...] = ()) -> None:
    for name in vars(first):
        a, b = getattr(first, name), getattr(second, name)
        if name in skip:
            continue
        if isinstance(a, Ctf):
            for field in vars(a):
                np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-8, err_msg=field)
        elif isinstance(a, dict):
            assert {k: v.tolist() for k, v in a.items()} == {k: v.tolist() for k, v in b.items()}, name
        elif isinstance(a, np.ndarray) and a.dtype != object:
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6, err_msg=name)
        elif isinstance(a, np.ndarray):
            assert a.tolist() == b.tolist(), name
        else:
            assert a == b, name


def test_star_keeps_everything(folder: Path) -> None:
    p = full_particles(folder)
    write_particles(p, folder / "p.star")
    back = read_particles(folder / "p.star")
    assert_same(p, back, skip=HANDED_ON)
    assert back.extra["rlnMicrographName"].tolist() == p.extra["rlnMicrographName"].tolist()
    write_particles(back, folder / "again.star")
    assert_same(back, read_particles(folder / "again.star"))


def test_xmd_keeps_everything(folder: Path) -> None:
    p = full_particles(folder)
    write_particles(p, folder / "p.xmd")
    assert_same(p, read_particles(folder / "p.xmd"), skip=(*HANDED_ON, "half"))


def test_marks_of_failed_fits_are_no_scores(folder: Path) -> None:
    """Xmipp's cost is 1 - score; -1, and the value that its optimiser begins with, are marks of fits that failed."""
    p = full_particles(folder)
    write_particles(p.replace(ambiguous=None), folder / "p.xmd")
    cost = read_star(folder / "p.xmd")["noname"]["cost"]
    np.testing.assert_allclose(1 - cost.astype(float), p.score)
    assert read_particles(folder / "p.xmd").ambiguous is None
    text = (folder / "p.xmd").read_text()
    for row, mark in ((0, "-1"), (1, "1000000.000000")):
        text = text.replace(f" {cost[row]} ", f" {mark} ", 1)
    (folder / "p.xmd").write_text(text)
    found = read_particles(folder / "p.xmd")
    assert found.score[:2].tolist() == [0, 0]
    assert np.flatnonzero(found.ambiguous).tolist() == [0, 1]
    np.testing.assert_allclose(found.score[2:], p.score[2:])


@pytest.mark.parametrize(
    ("modes", "message"),
    [("7 7", r"modes \[7\] more than once"), ("7 x", "cannot read 'x'"), ("6 7", "rigid-body"), ("7 -1", "cannot")],
)
def test_xmd_that_names_no_modes_is_refused(modes: str, message: str, tmp_path: Path) -> None:
    rows = "\n".join(f" {i}@a.mrcs {i} ' 1.0 2.0 ' ' {modes} '" for i in (1, 2))
    head = "# XMIPP_STAR_1 *\ndata_noname\nloop_\n _image\n _itemId\n _nmaDisplacements\n _cfdModes\n"
    write_stack(tmp_path / "a.mrcs", np.zeros((2, 8, 8), dtype=np.float32), 1.0)
    (tmp_path / "a.xmd").write_text(f"{head}{rows}\n")
    with pytest.raises(FormatError, match=rf"a.xmd': cfdModes does not name the modes of the amplitudes: .*{message}"):
        read_particles(tmp_path / "a.xmd", 1.0)


def test_xmd_that_names_its_modes_is_believed(folder: Path) -> None:
    particles = full_particles(folder)
    write_particles(particles, folder / "out.xmd")
    again = read_particles(folder / "out.xmd", mode_ids=tuple(m + 20 for m in particles.mode_ids))
    assert again.mode_ids == particles.mode_ids


def test_xmd_is_read_by_xmipp(folder: Path) -> None:
    xmipp = needs.xmipp_library()
    p = full_particles(folder)
    write_particles(p, folder / "p.xmd")
    table = xmipp.MetaData(str(folder / "p.xmd"))
    np.testing.assert_allclose(table.getColumnValues(xmipp.MDL_NMA), p.amplitudes, rtol=1e-5)  # it prints 6 digits
    np.testing.assert_allclose(table.getColumnValues(xmipp.MDL_SHIFT_X), p.shift_A[:, 0] / PIXEL, atol=1e-5)
    np.testing.assert_allclose(table.getColumnValues(xmipp.MDL_ANGLE_TILT), p.euler_deg[:, 1], atol=1e-5)


def test_stacks_called_mrc_are_named_so_that_relion_takes_them_for_stacks(folder: Path) -> None:
    """As cryoSPARC calls them. RELION reads N@x.mrc as a map and refuses it, but N@x.mrc:mrcs as a stack."""
    (folder / "s.mrcs").rename(folder / "s.mrc")
    p = full_particles(folder)
    p = p.replace(stacks=np.array([str(folder / "s.mrc")] * N, dtype=object))
    for name in ("p.star", "p.xmd"):
        write_particles(p, folder / name)
        assert "000004@s.mrc:mrcs " in (folder / name).read_text()
        assert_same(p, read_particles(folder / name), skip=(*HANDED_ON, "half"))


def test_written_paths_are_relative_and_found_after_a_move(folder: Path) -> None:
    write_particles(full_particles(folder), folder / "p.star")
    assert "@s.mrcs" in (folder / "p.star").read_text()
    moved = folder.parent / (folder.name + "_moved")
    folder.rename(moved)
    assert read_particles(moved / "p.star").stacks[0] == str(moved / "s.mrcs")


def test_relion_project_relative_names(folder: Path) -> None:
    job = folder / "Extract" / "job003"
    job.mkdir(parents=True)
    (folder / "s.mrcs").rename(job / "s.mrcs")
    (job / "p.star").write_text("data_\nloop_\n_rlnImageName\n2@Extract/job003/s.mrcs\n")
    assert read_particles(job / "p.star").stacks[0] == str(job / "s.mrcs")


RELION_30 = """
data_

loop_
_rlnImageName #1
_rlnVoltage #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnSphericalAberration #6
_rlnDetectorPixelSize #7
_rlnMagnification #8
_rlnAmplitudeContrast #9
_rlnAngleRot #10
_rlnAngleTilt #11
_rlnAnglePsi #12
_rlnOriginX #13
_rlnOriginY #14
_rlnClassNumber #15
000002@s.mrcs 300 10000 9000 30 2.7 5.0 40000 0.1 10 20 30 2.0 -4.0 1
000001@s.mrcs 300 11000 9500 35 2.7 5.0 40000 0.1 40 50 60 0.0 1.0 2
"""


def test_relion_30(folder: Path) -> None:
    (folder / "p.star").write_text(RELION_30)
    p = read_particles(folder / "p.star")
    assert p.pixel_size_A == pytest.approx(1.25)  # 5 µm / 40,000
    np.testing.assert_allclose(p.shift_A, [[2.5, -5.0], [0, 1.25]])  # pixels become Å
    assert p.ids.tolist() == [2, 1]
    assert p.ctf is not None
    assert p.ctf.defocus_v_A.tolist() == [9000, 9500]
    assert p.extra["rlnClassNumber"].tolist() == ["1", "2"]
    write_particles(p, folder / "q.star")
    assert_same(p, read_particles(folder / "q.star"), skip=HANDED_ON)


RELION_31 = """
data_optics
loop_
_rlnOpticsGroup
_rlnOpticsGroupName
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnImagePixelSize
_rlnImageSize
_rlnMtfFileName
1 first 200 2.0 0.1 1.25 11 "my mtf.star"
7 second 300 2.7 0.07 1.25 11 k2.star

data_particles
loop_
_rlnImageName
_rlnDefocusU
_rlnDefocusV
_rlnOpticsGroup
_rlnOriginXAngst
_rlnOriginYAngst
_rlnRandomSubset
000003@s.mrcs 5000 5000 7 1.5 0.5 2
000001@s.mrcs 6000 6000 1 2.5 1.5 1
"""


def test_relion_31_optics_groups_survive(folder: Path) -> None:
    (folder / "p.star").write_text(RELION_31)
    p = read_particles(folder / "p.star")
    assert p.ctf is not None
    assert p.ctf.voltage_kV.tolist() == [300, 200]
    assert p.optics_extra["rlnMtfFileName"].tolist() == ["k2.star", "my mtf.star"]
    np.testing.assert_allclose(p.shift_A, [[1.5, 0.5], [2.5, 1.5]])
    write_particles(p, folder / "q.star")
    back = read_particles(folder / "q.star")
    assert_same(p, back)
    assert back.half.tolist() == [2, 1]
    # optics that differ within one group are kept, particle by particle
    merged = p.replace(extra={"rlnOpticsGroup": np.array(["1", "1"], dtype=object)}, optics_extra={})
    write_particles(merged, folder / "r.star")
    assert_same(merged, read_particles(folder / "r.star"))


HALVES = """
data_particles
loop_
_rlnImageName
_rlnMicrographName
_rlnRandomSubset
_rlnClassNumber
000002@s.mrcs m1.mrc 2 5
000001@s.mrcs m2.mrc 1 6
000004@s.mrcs m3.mrc 0 7
"""


def test_half_sets_stay_with_their_particles_and_in_their_column(folder: Path) -> None:
    (folder / "p.star").write_text(HALVES)
    p = read_particles(folder / "p.star")
    assert p.half.tolist() == [2, 1, 0]
    for made in (p, concatenate([p.select([0]), p.select([1, 2])]), join(p.replace(half=None), p.select([2, 0, 1]))):
        write_particles(made, folder / "q.star")
        table = read_star(folder / "q.star")["particles"]
        assert list(table)[-3:] == ["rlnMicrographName", "rlnRandomSubset", "rlnClassNumber"]
        assert table["rlnRandomSubset"].tolist() == ["2", "1", "0"]
    written = (folder / "q.star").read_bytes()
    write_particles(read_particles(folder / "q.star"), folder / "r.star")
    assert (folder / "r.star").read_bytes() == written


def test_half_sets_that_only_some_sets_have_are_dropped(folder: Path) -> None:
    p = full_particles(folder)
    assert concatenate([p.select([0, 1]), p.select([2, 3]).replace(half=None)]).half is None
    with pytest.raises(InputError, match=r"got half sets \[1, 3\], expected 1 and 2"):
        p.replace(half=np.array([1, 3, 1, 1]))


def test_gold_xmipp_file(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "gold10" / "gold_wavelet_modes7-9_256px_stack_not_included.xmd").read_text()
    with pytest.raises(InputError, match="no such file"):
        read_particles(shared_data / "gold10" / "gold_wavelet_modes7-9_256px_stack_not_included.xmd", pixel_size_A=1.0)
    stack = next(word.split("@")[1] for word in text.split() if "@" in word)
    write_stack(tmp_path / "s.mrcs", np.ones((50, 8, 8), dtype=np.float32), 2.0)
    (tmp_path / "p.xmd").write_text(text.replace(stack, "s.mrcs"))
    p = read_particles(tmp_path / "p.xmd")
    assert p.mode_ids == (7, 8, 9)
    assert p.amplitudes is not None
    assert p.amplitudes.shape == (len(p), 3)
    column = [line.split("'")[1].split() for line in text.splitlines() if "@" in line]
    np.testing.assert_allclose(p.amplitudes, np.array(column, dtype=float))
    with pytest.raises(InputError, match="3 values per particle, but there are 2 modes"):
        read_particles(tmp_path / "p.xmd", mode_ids=(7, 8))
    assert read_particles(tmp_path / "p.xmd", mode_ids=(7, 9, 12)).mode_ids == (7, 9, 12)


def test_xmipp_shifts_are_pixels(folder: Path) -> None:
    (folder / "p.xmd").write_text(
        "# XMIPP_STAR_1 * \n# \ndata_noname\nloop_\n _image\n _shiftX\n _shiftY\n _itemId\n 000002@s.mrcs 2.0 -1.0 17\n"
    )
    p = read_particles(folder / "p.xmd")
    np.testing.assert_allclose(p.shift_A, [[2.5, -1.25]])
    assert p.ids.tolist() == [17]


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap("000001@s.mrcs 6000", "3@s.mrcs 6000"), "rows 1, 2 are all of the image .* symmetry expansion"),
        (swap("000003@", "0@"), "image name '0@s.mrcs'; expected NUMBER@STACK"),
        (swap("5000 5000 7", "5000 nan 7"), r"rlnDefocusV: 1 values are not finite, first in row 1"),
        (swap("5000 5000 7", "5000 many 7"), "line 24, column rlnDefocusV: got 'many', expected a number"),
        (swap("1.5 0.5 2", "1.5 0.5 3"), "column rlnRandomSubset: got values 1 3, expected 1 and 2"),
        (swap("1.5 0.5 2", "1.5 0.5 first"), "column rlnRandomSubset: got 'first', expected a number"),
        (swap("5000 5000 7", "5000 5000 3"), r"optics groups \['3'\], the optics table has \['1', '7'\]"),
        (swap("first 200", "first 0"), "got voltages from 0 to 300, expected 10 to 4000 kV"),
        (swap("_rlnDefocusV", "_rlnOther"), "there is a CTF, but its column rlnDefocusV is missing"),
        (swap("0.07 1.25", "0.07 2.5"), "images have different pixel sizes"),
        (swap("_rlnImageName", "_rlnName"), "no table with a rlnImageName or image column"),
        (swap("_rlnOpticsGroup\n_rlnOriginX", "_rlnOther\n_rlnOriginX"), "rlnOpticsGroup is missing"),
        (
            swap("000003@s.mrcs 5000 5000 7 1.5 0.5 2\n000001@s.mrcs 6000 6000 1 2.5 1.5 1\n", ""),
            "no particles|not a valid STAR",
        ),
    ],
)
def test_bad_tables_are_explained(folder: Path, change: Callable[[str], str], message: str) -> None:
    (folder / "p.star").write_text(change(RELION_31))
    with pytest.raises(InputError, match=message) as caught:
        read_particles(folder / "p.star")
    assert "\n" not in str(caught.value).strip()


def test_poses_are_readable_where_images_are_absent(folder: Path) -> None:
    """A file that tells box and pixel size can be analysed without its images; using these says they are missing."""
    (folder / "p.star").write_text(RELION_31.replace("@s.mrcs", "@absent.mrcs"))
    (folder / "q.star").write_text(RELION_31)
    there, absent = (read_particles(folder / name) for name in ("q.star", "p.star"))
    assert (absent.box_px, absent.pixel_size_A) == (there.box_px, there.pixel_size_A)
    with pytest.raises(InputError, match="no such file"):
        check_images(absent)


def test_pixel_size_given_found_or_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    write_stack(folder / "none.mrcs", images, 0.0)
    (folder / "p.xmd").write_text("data_noname\nloop_\n _image\n 1@none.mrcs\n 2@none.mrcs\n")
    with pytest.raises(InputError, match="by --pixel-size-A to train, or to convert"):
        read_particles(folder / "p.xmd")
    assert read_particles(folder / "p.xmd", pixel_size_A=3.0).pixel_size_A == 3.0
    (folder / "p.star").write_text(RELION_31)
    assert read_particles(folder / "p.star", pixel_size_A=3.0).pixel_size_A == 3.0
    assert "the given pixel size 3 Å is used, not that of the file, 1.25 Å" in capsys.readouterr().err


def test_premultiplied_images_are_refused(folder: Path) -> None:
    text = (
        RELION_31.replace("_rlnMtfFileName", "_rlnCtfDataAreCtfPremultiplied")
        .replace('"my mtf.star"', "1")
        .replace("k2.star", "1")
    )
    (folder / "p.star").write_text(text)
    with pytest.raises(InputError, match="premultiplied"):
        read_particles(folder / "p.star")


def test_vectors_of_different_lengths(folder: Path) -> None:
    (folder / "p.xmd").write_text(
        "data_noname\nloop_\n _image\n _nmaDisplacements\n 1@s.mrcs ' 1.0 2.0 '\n 2@s.mrcs ' 1.0 2.0 3.0 '\n"
    )
    with pytest.raises(FormatError, match=r"vectors of different lengths \[2, 3\]"):
        read_particles(folder / "p.xmd")


def test_rows_are_found_and_joined_by_id(folder: Path) -> None:
    p = full_particles(folder)
    np.testing.assert_array_equal(p.rows_of([20, 40]), [3, 0])
    with pytest.raises(InputError, match=r"1 of 2 particle ids are not in the other set, for example \[99\]"):
        p.rows_of([10, 99])
    shuffled = p.select([2, 3, 0, 1])
    bare = p.replace(euler_deg=None, shift_A=None, amplitudes=None, amplitudes_sd=None, mode_ids=(), pixel_size_A=2.5)
    joined = join(bare, shuffled)
    np.testing.assert_array_equal(joined.euler_deg, p.euler_deg)
    np.testing.assert_array_equal(joined.amplitudes, p.amplitudes)
    assert joined.pixel_size_A == 2.5


def test_merging_and_its_refusals(folder: Path) -> None:
    p = full_particles(folder)
    merged = concatenate([p.select([0, 1]), p.select([2, 3])])
    assert_same(p, merged)
    with pytest.raises(InputError, match="unique"):
        concatenate([p, p.select([0])])
    with pytest.raises(InputError, match="pixel sizes"):
        concatenate([p.select([0]), p.select([1]).replace(pixel_size_A=2.0)])
    with pytest.raises(InputError, match="phase_flipped"):
        concatenate([p.select([0]), p.select([1]).replace(phase_flipped=False)])
    without = concatenate([p.select([0]), p.select([1]).replace(amplitudes_sd=None)])
    assert without.amplitudes_sd is None


def test_wrong_shapes_are_refused(folder: Path) -> None:
    p = full_particles(folder)
    with pytest.raises(InputError, match="score has 2 rows, expected 4"):
        p.replace(score=np.zeros(2))
    with pytest.raises(InputError, match="amplitudes have shape"):
        p.replace(mode_ids=(7, 8))
    with pytest.raises(InputError, match="phase flipping needs CTF"):
        p.replace(ctf=None).require_ctf("phase flipping")


def test_missing_columns_are_not_invented(folder: Path) -> None:
    (folder / "p.star").write_text("data_\nloop_\n_rlnImageName\n1@s.mrcs\n2@s.mrcs\n")
    p = read_particles(folder / "p.star")
    assert (p.ctf, p.euler_deg, p.shift_A, p.amplitudes, p.mode_ids) == (None, None, None, None, ())
    assert p.pixel_size_A == pytest.approx(PIXEL)
    assert not p.phase_flipped


def test_ids_of_several_stacks_do_not_collide(folder: Path) -> None:
    write_stack(folder / "t.mrcs", np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32), PIXEL)
    (folder / "p.star").write_text("data_\nloop_\n_rlnImageName\n1@s.mrcs\n1@t.mrcs\n2@s.mrcs\n")
    p = read_particles(folder / "p.star")
    assert len(set(p.ids.tolist())) == 3
    assert (p.ids > 0).all()
    (folder / "q.star").write_text("data_\nloop_\n_rlnImageName\n1@t.mrcs\n1@s.mrcs\n")
    assert read_particles(folder / "q.star").ids.tolist() == p.ids[[1, 0]].tolist()


def test_rows_that_xmipp_has_disabled_are_left_out(folder: Path) -> None:
    write_stack(folder / "three.mrcs", np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32), 2.0)
    rows = "\n".join(f" {i}@three.mrcs {enabled}" for i, enabled in ((1, 1), (2, -1), (3, 1)))
    (folder / "p.xmd").write_text(f"data_noname\nloop_\n _image\n _enabled\n{rows}\n")
    assert read_particles(folder / "p.xmd").ids.tolist() == [1, 3]
