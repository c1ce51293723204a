"""FREALIGN's parameter files: rows as each version writes them, the convention of poses, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations, rotation_distance_deg
from continuousflex_deep.io.frealign import Microscope, read_frealign
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Particles
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map

N, BOX, PIXEL = 5, 8, 1.05
MICROSCOPE = Microscope(300.0, 2.7, 0.07)
# three particles of a stack of five, as each version prints them: their positions, poses, shifts of (2.1, -4.2) Å, …
VALUES = [(1, 8.25, 120.86, 223.1), (3, -179.99, 77.5, 85.68), (5, 284.12, 0.0, -0.01)]
SHIFT_A, DEFOCUS, ANGLE_DEG, FILMS = (2.1, -4.2), (31776.1, 31280.3), -55.25, (8743, 8743, 8744)
HEAD_8 = "C           PSI   THETA     PHI     SHX     SHY    MAG   FILM      DF1      DF2  ANGAST  PRESA  DPRES\n"
HEAD_9 = (
    "C           PSI   THETA     PHI       SHX       SHY     MAG  FILM      DF1      DF2  ANGAST     OCC     -LogP"
    "      SIGMA   SCORE  CHANGE\n"
)
HEAD_CISTEM = (
    "C           PSI   THETA     PHI       SHX       SHY     MAG  INCLUDE   DF1      DF2  ANGAST  PSHIFT     OCC"
    "      LogP      SIGMA   SCORE  CHANGE\n"
)
POSE_8 = "%7d%8.2f%8.2f%8.2f%8.2f%8.2f%8s%6d%9.1f%9.1f%8.2f"
POSE_9 = "%7d%8.2f%8.2f%8.2f%10.2f%10.2f%8d%6d%9.1f%9.1f%8.2f"
IN_PX = tuple(value / PIXEL for value in SHIFT_A)
# name -> header, form of a row, shifts, magnification, and the last columns
VERSIONS = {
    "8": (HEAD_8, POSE_8 + "%7.2f%8.2f", IN_PX, "50000.", (44.1, 0.2)),
    "8, without changes": ("", POSE_8 + "%7.2f", IN_PX, "50000.", (44.1,)),
    "early 9": ("", POSE_9 + "%8.2f%13d%8.2f%8.2f", SHIFT_A, 50000, (100.0, -2200, 20.1, 0.5)),
    "9": (HEAD_9, POSE_9 + "%8.2f%10d%11.4f%8.2f%8.2f", SHIFT_A, 50000, (100.0, -2200, 0.5, 20.1, 0.5)),
    "cisTEM": (HEAD_CISTEM, POSE_9 + "%8.2f%8.2f%10d%11.4f%8.2f%8.2f", SHIFT_A, 50000,
               (1.57, 100.0, -2200, 0.5, 20.1, 0.5)),
}  # fmt: skip


def parameters(version: str, films: tuple[int, ...] = FILMS) -> str:
    head, form, shift, magnification, last = VERSIONS[version]
    rows = [
        form % (number, *angles, *shift, magnification, film, *DEFOCUS, ANGLE_DEG, *last)
        for (number, *angles), film in zip(VALUES, films, strict=True)
    ]
    return head + "".join(f"{row}\n" for row in rows) + "C  averages   1.0\n"


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)
    write_stack(tmp_path / "stack.mrc", images, PIXEL)
    return tmp_path / "stack.mrc"


def read(stack: Path, text: str, pixel_size_A: float | None = PIXEL, min_occupancy_percent: float = 0.0) -> Particles:
    path = stack.with_name("class1.par")
    path.write_text(text)
    return read_frealign(path, str(stack), MICROSCOPE, pixel_size_A, min_occupancy_percent)


# ----------------------------------------------------------------------------------------------------- what is read
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_the_same(stack: Path, version: str) -> None:
    p = read(stack, parameters(version))
    assert p.ids.tolist() == [1, 3, 5]
    assert p.indices.tolist() == [0, 2, 4]
    assert set(p.stacks) == {str(stack)}
    assert (p.box_px, p.pixel_size_A, p.phase_flipped) == (BOX, PIXEL, False)
    euler_deg, shift_A = p.require_poses("it")
    np.testing.assert_allclose(euler_deg, [angles[::-1] for _, *angles in VALUES])
    np.testing.assert_allclose(shift_A, [[-value for value in SHIFT_A]] * 3, atol=0.006)
    ctf = p.require_ctf("it")
    assert set(zip(ctf.defocus_u_A, ctf.defocus_v_A, ctf.defocus_angle_deg, strict=True)) == {(*DEFOCUS, ANGLE_DEG)}
    assert (set(ctf.voltage_kV), set(ctf.cs_mm), set(ctf.amplitude_contrast)) == ({300.0}, {2.7}, {0.07})
    np.testing.assert_allclose(ctf.phase_shift_deg, np.degrees(1.57) if version == "cisTEM" else 0.0)
    films = {} if version == "cisTEM" else {"rlnMicrographId": [str(film) for film in FILMS]}
    assert {name: column.tolist() for name, column in p.extra.items()} == films


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t + "\n\n"])
def test_other_ways_to_write_it(stack: Path, version: str, change: object) -> None:
    assert callable(change)
    plain, other = read(stack, parameters(version)), read(stack, change(parameters(version)))
    np.testing.assert_array_equal(plain.require_poses("it")[0], other.require_poses("it")[0])
    assert other.extra.keys() == plain.extra.keys()


@pytest.mark.parametrize("version", ["8", "early 9", "9", "cisTEM"])
def test_numbers_that_touch_each_other(stack: Path, version: str) -> None:
    """Fortran's columns have fixed widths; a film of six digits fills its own."""
    films = (123456, 123456, 123457)
    text = parameters(version, films)
    assert len(text.splitlines()[1].split()) < len(parameters(version).splitlines()[1].split())
    p = read(stack, text)
    assert p.ids.tolist() == [1, 3, 5]
    np.testing.assert_allclose(p.require_poses("it")[0][1], [85.68, 77.5, -179.99])


def test_particles_of_other_classes_are_left_out(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = parameters("9").splitlines()[1:4]
    text = "\n".join([first, second.replace(" 100.00 ", "  30.00 "), third]) + "\n"
    assert read(stack, text).ids.tolist() == [1, 3, 5]
    assert read(stack, text, min_occupancy_percent=50).ids.tolist() == [1, 5]
    assert "of 3 particles are left out 1 whose occupancy is below 50% (--min-occupancy-percent)" in (
        capsys.readouterr().err
    )
    assert read(stack, parameters("8"), min_occupancy_percent=50).ids.tolist() == [1, 3, 5]  # it has no occupancies
    with pytest.raises(InputError, match=r"no particle is left of 3; reduce --min-occupancy-percent"):
        read(stack, parameters("9").replace(" 100.00 ", "   0.00 "), min_occupancy_percent=50)


@pytest.mark.parametrize("version", ["9", "cisTEM"])
def test_marked_particles_are_left_out(stack: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(stack, parameters(version, (8743, -1, 8744))).ids.tolist() == [1, 5]
    assert "1 that it marks by a negative number of their film" in capsys.readouterr().err


def test_one_magnification_is_not_reported(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(stack, parameters("9"))
    assert capsys.readouterr().err == ""
    stack.with_name("class1.par").unlink()
    lines = parameters("9").splitlines()
    lines[2] = lines[2].replace("   50000", "   47619")
    read(stack, "\n".join(lines))
    assert "not applied by this program, and left out: MAG (magnification of the particle" in capsys.readouterr().err


def test_the_pixel_size_is_that_of_the_stack(stack: Path) -> None:
    assert read(stack, parameters("9"), pixel_size_A=None).pixel_size_A == pytest.approx(PIXEL)
    in_px = read(stack, parameters("8"), pixel_size_A=2 * PIXEL).require_poses("it")[1]
    np.testing.assert_allclose(in_px, [[-2 * value for value in SHIFT_A]] * 3, atol=0.012)


# ------------------------------------------------------------------------------------------------------- convention
def test_poses_give_the_map(tmp_path: Path) -> None:
    """Images by FREALIGN's own definition: a pixel (x, y) of the image lies at x·a + y·b of the map, where a and b are
    the first rows of its matrix of PHI, THETA and PSI; the particle is at (SHX, SHY)."""
    n, box, pixel = 300, 32, 2.5
    rng = np.random.default_rng(5)
    angles_deg = matrix_to_euler(random_rotations(n, rng)).round(2)
    moved_A = rng.uniform(-4, 4, (n, 2)).round(2)
    (cphi, cthe, cpsi), (sphi, sthe, spsi) = np.cos(np.radians(angles_deg)).T, np.sin(np.radians(angles_deg)).T
    rows = [
        [cphi * cthe * cpsi - sphi * spsi, sphi * cthe * cpsi + cphi * spsi, -sthe * cpsi],
        [-cphi * cthe * spsi - sphi * cpsi, -sphi * cthe * spsi + cphi * cpsi, sthe * spsi],
        [sthe * cphi, sthe * sphi, cthe],
    ]
    matrices = np.moveaxis(np.array(rows), -1, 0)
    write_stack(tmp_path / "s.mrc", true_images(matrices, -moved_A, box, pixel).astype(np.float32), pixel)
    (phi, theta, psi), (shx, shy) = angles_deg.T, moved_A.T
    form = VERSIONS["9"][1]
    lines = [
        form % (i + 1, psi[i], theta[i], phi[i], shx[i], shy[i], 50000, 1, 1e4, 1e4, 0, 100, 0, 0.5, 20, 0)
        for i in range(n)
    ]
    (tmp_path / "p.par").write_text(HEAD_9 + "\n".join(lines))
    p = read_frealign(tmp_path / "p.par", str(tmp_path / "s.mrc"), MICROSCOPE)
    volume = reconstruct(p, ctf=False).map
    truth = true_map(box, pixel)
    assert np.corrcoef(volume.ravel(), truth.ravel())[0, 1] > 0.97


def test_poses_survive_a_particle_file(stack: Path) -> None:
    p = read(stack, parameters("cisTEM"))
    write_particles(p, stack.with_name("p.star"))
    back = read_particles(stack.with_name("p.star"))
    assert back.ids.tolist() == p.ids.tolist()
    rotations = [euler_to_matrix(q.require_poses("it")[0]) for q in (p, back)]
    assert rotation_distance_deg(*rotations).max() < 1e-5
    np.testing.assert_allclose(back.require_poses("it")[1], p.require_poses("it")[1])
    np.testing.assert_allclose(back.require_ctf("it").phase_shift_deg, p.require_ctf("it").phase_shift_deg)


# ---------------------------------------------------------------------------------------------------------- refusals
ROWS = parameters("9").splitlines()
TORN = "\n".join([*ROWS[:3], ROWS[3][:60]])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("C only comments\n\n", FormatError, "has no particles: all its lines are empty or comments"),
        ("1 2 3\n", FormatError, r"line 1: got 3 columns, expected those of FREALIGN \(12, 13, 15, 16, 17\): '1 2 3'"),
        (TORN, FormatError, "line 4: this row has 7 values, but the table has 16 columns"),
        (parameters("9").replace("31776.1", "*******"), FormatError, "column DF1: got '.*', expected a number"),
        (parameters("9").replace("      3 ", "      0 "), FormatError, "column NO: got 0, expected positions"),
        (parameters("9").replace("      3 ", "      1 "), InputError, "rows 1, 2 are all of the image"),
        (parameters("9").replace("      5 ", "      6 "), InputError, "refers to image 6, but '.*' has 5; give the"),
        (HEAD_9.replace("  CHANGE", "") + parameters("early 9"), InputError, "the columns of a file of changes"),
    ],
)
def test_refusals(stack: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(stack, text)


def test_other_commands_tell_how_to_convert(stack: Path) -> None:
    stack.with_name("class1.par").write_text(parameters("9"))
    with pytest.raises(InputError, match="neither its stack nor the microscope; convert it first: convert --part"):
        read_particles(stack.with_name("class1.par"))
