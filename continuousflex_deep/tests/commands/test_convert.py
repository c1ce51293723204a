"""The convert command: nothing of the other program's file is lost, and RELION reads what is written."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.cli import main
from continuousflex_deep.geometry import euler_to_matrix, random_rotations, rotation_distance_deg
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.programs import RELION
from continuousflex_deep.reconstruction.fsc import spherical_mask
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.cryosparc_data import dataset, save
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map

OPTICS = """
data_optics
loop_
_rlnOpticsGroupName
_rlnOpticsGroup
_rlnMtfFileName
_rlnMicrographOriginalPixelSize
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnImagePixelSize
_rlnImageSize
_rlnImageDimensionality
_rlnBeamTiltX
_rlnOddZernike
old 2 mtf_200.star 0.5 200 2.0 0.1 1.0 16 2 0.25 [0.1,0.2]
new 10 mtf_300.star 0.5 300 2.7 0.07 1.0 16 2 -0.5 [0.3,0.4]
"""
ROWS = """
data_particles
loop_
_rlnImageName
_rlnMicrographName
_rlnCoordinateX
_rlnDefocusU
_rlnDefocusV
_rlnDefocusAngle
_rlnOpticsGroup
_rlnRandomSubset
_rlnGroupName
_rlnAngleRot
_rlnAngleTilt
_rlnAnglePsi
_rlnOriginXAngst
_rlnOriginYAngst
000001@a.mrcs m1.mrc 10.5 10000 9900 11 10 2 "group one" 1 2 3 0.5 0.25
000002@a.mrcs m1.mrc 20.5 11000 9910 12 2 1 g1 4 5 6 1.5 1.25
000001@b.mrcs m2.mrc 30.5 12000 9920 13 10 1 g2 7 8 9 2.5 2.25
000003@a.mrcs m1.mrc 40.5 13000 9930 14 2 2 g1 1 5 9 3.5 3.25
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """original.star of two stacks at 16 px, and reduced/particles.star of the same at 8 px."""
    rng = np.random.default_rng(0)
    for name, n in (("a", 3), ("b", 1)):
        write_stack(tmp_path / f"{name}.mrcs", rng.normal(size=(n, 16, 16)).astype(np.float32), 1.0)
    (tmp_path / "original.star").write_text(OPTICS + ROWS)
    arguments = ["preprocess", "--particles", str(tmp_path / "original.star"), "--box", "8"]
    assert main([*arguments, "--output", str(tmp_path / "reduced")]) == 0
    return tmp_path


def convert(particles: Path, output: Path, *more: str) -> int:
    return main(["convert", "--particles", str(particles), "--output", str(output), *more])


def predicted(folder: Path, rows: list[int]) -> Particles:
    """What a network might say of some of the reduced images."""
    p = read_particles(folder / "reduced" / "particles.star").select(rows)
    n = len(p)
    p = p.replace(
        euler_deg=np.arange(3.0 * n).reshape(n, 3) * 10,
        shift_A=np.arange(2.0 * n).reshape(n, 2) + 0.125,
        mode_ids=(7, 9),
        amplitudes=np.arange(2.0 * n).reshape(n, 2) * 7,
        extra=p.extra | {"cfdPC1": np.array([f"{i}.5" for i in range(n)], dtype=object)},
    )
    write_particles(p, folder / "predicted.star")
    return p


def test_predictions_on_reduced_images_go_back_to_the_original_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    p = predicted(folder, [3, 0, 2])
    assert convert(folder / "predicted.star", folder / "out.star", "--images", str(folder / "original.star")) == 0
    assert "3 particles of 16 px, 1 Å/px, CTF, poses, amplitudes of modes 7 9, optics groups: 2, half sets: 1 + 2" in (
        capsys.readouterr().out
    )
    before, after = read_star(folder / "original.star"), read_star(folder / "out.star")
    chosen = [3, 0, 2]
    changed = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"}
    for name in set(before["particles"]) - changed:
        old, new = before["particles"][name][chosen].tolist(), after["particles"][name].tolist()
        assert [float(v) for v in new] == [float(v) for v in old] if "Defocus" in name else new == old, name
    for name, column in before["optics"].items():
        new = after["optics"][name].tolist()
        assert [float(v) if v[0].isdigit() else v for v in new] == [
            float(v) if v[0].isdigit() else v for v in column.tolist()
        ], name
    back = read_particles(folder / "out.star")
    assert back.ids.tolist() == p.ids.tolist()
    np.testing.assert_allclose(back.require_amplitudes("it"), p.amplitudes)
    np.testing.assert_allclose(back.require_poses("it")[1], p.shift_A)
    np.testing.assert_allclose(back.require_poses("it")[0], p.euler_deg, atol=1e-6)
    assert back.extra["cfdPC1"].tolist() == ["0.5", "1.5", "2.5"]
    record = json.loads((folder / "out.json").read_text())
    assert (record["command"], record["half_sets"], record["mode_ids"]) == ("convert", {"1": 1, "2": 2}, [7, 9])


@pytest.mark.parametrize("witness", ["defocus", "micrograph"])
def test_poses_are_not_given_to_images_of_other_particles(
    folder: Path, capsys: pytest.CaptureFixture[str], witness: str
) -> None:
    """Ids that are mere positions in a stack are the same in every set."""
    p = predicted(folder, [0, 1, 2, 3]).replace(ids=np.arange(1, 5))
    write_particles(p, folder / "predicted.star")
    if witness == "defocus":
        ctf = p.require_ctf("the test")
        other = p.replace(ctf=dataclasses.replace(ctf, defocus_u_A=ctf.defocus_u_A + 5000))
    else:
        other = p.replace(extra=p.extra | {"rlnMicrographName": "other_" + p.extra["rlnMicrographName"]})
    write_particles(other, folder / "other.star")
    assert convert(folder / "predicted.star", folder / "out.star", "--images", str(folder / "other.star")) == 2
    assert f"the same ids to different particles: the {witness} differs for 4 of 4" in capsys.readouterr().err
    assert not (folder / "out.star").exists()


def test_a_selection_keeps_its_optics_groups_alone(folder: Path) -> None:
    predicted(folder, [1, 3])
    assert convert(folder / "predicted.star", folder / "out.star", "--images", str(folder / "original.star")) == 0
    optics = read_star(folder / "out.star")["optics"]
    assert (optics["rlnOpticsGroup"].tolist(), optics["rlnOpticsGroupName"].tolist()) == (["2"], ["old"])
    assert optics["rlnBeamTiltX"].tolist() == ["0.25"]


def test_groups_are_named_and_ordered_as_relion_expects(folder: Path) -> None:
    assert convert(folder / "original.star", folder / "out.star") == 0
    optics = read_star(folder / "out.star")["optics"]
    assert optics["rlnOpticsGroup"].tolist() == ["2", "10"]
    assert optics["rlnVoltage"].tolist() == ["200", "300"]
    # without names RELION's programs merge groups of different files; default ones are no information of their own
    p = read_particles(folder / "out.star").replace(optics_extra={})
    write_particles(p, folder / "unnamed.star")
    assert read_star(folder / "unnamed.star")["optics"]["rlnOpticsGroupName"].tolist() == [
        "opticsGroup2", "opticsGroup10",
    ]  # fmt: skip
    assert "rlnOpticsGroupName" not in read_particles(folder / "unnamed.star").optics_extra
    same = {"rlnOpticsGroupName": np.array(["one"] * 4, dtype=object)}
    write_particles(p.replace(optics_extra=same), folder / "same.star")
    assert read_star(folder / "same.star")["optics"]["rlnOpticsGroupName"].tolist() == ["one_2", "one_10"]


def test_relion_30_becomes_31(folder: Path) -> None:
    (folder / "v30.star").write_text(
        "data_\nloop_\n_rlnImageName\n_rlnVoltage\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"
        "_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnDetectorPixelSize\n_rlnMagnification\n_rlnOriginX\n"
        "_rlnOriginY\n_rlnRandomSubset\n_rlnNrOfSignificantSamples\n"
        "1@a.mrcs 300 10000 9000 30 2.7 0.1 5 50000 2 -4 1 17\n2@a.mrcs 300 10000 9000 30 2.7 0.1 5 50000 0 1 2 18\n"
    )
    assert convert(folder / "v30.star", folder / "v31.star") == 0
    blocks = read_star(folder / "v31.star")
    assert blocks["optics"]["rlnImagePixelSize"].tolist() == ["1.000000"]
    assert blocks["particles"]["rlnOriginXAngst"].tolist() == ["2", "0"]
    assert "rlnOriginX" not in blocks["particles"]
    assert blocks["particles"]["rlnNrOfSignificantSamples"].tolist() == ["17", "18"]
    assert blocks["particles"]["rlnRandomSubset"].tolist() == ["1", "2"]


def test_xmipp_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p = predicted(folder, [0, 1])
    assert convert(folder / "predicted.star", folder / "p.xmd") == 0
    assert "has no half sets and optics groups; a .star file keeps them" in capsys.readouterr().err
    assert convert(folder / "p.xmd", folder / "back.star") == 0
    back = read_particles(folder / "back.star")
    assert (back.ids.tolist(), back.mode_ids) == (p.ids.tolist(), (7, 9))
    np.testing.assert_allclose(back.require_poses("it")[1], p.shift_A, atol=1e-5)


def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, out = folder / "original.star", folder / "out.star"
    assert convert(original, original) == 2
    assert "is an input file" in capsys.readouterr().err
    assert convert(original, folder / "out.cs") == 2
    assert "expected .star (RELION) or .xmd (Xmipp)" in capsys.readouterr().err
    (folder / "out.json").write_text("{}")
    assert convert(original, out) == 2
    assert "would be overwritten by the record of the run" in capsys.readouterr().err
    (folder / "out.json").unlink()
    (folder / "few.star").write_text(OPTICS + ROWS.replace("000003@a.mrcs", "000009@a.mrcs"))
    assert convert(original, out, "--images", str(folder / "few.star")) == 2
    assert "1 of 4 particle ids are not in the other set" in capsys.readouterr().err
    assert not out.exists()


BOX, PIXEL = 32, 3.0


@pytest.fixture(scope="module")
def refinement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cryoSPARC project: 800 off-centre particles of two voltages with CTF and noise, refined at half the box."""
    project, n = tmp_path_factory.mktemp("project"), 800
    rng = np.random.default_rng(9)
    rotations, shift_A = random_rotations(n, rng), rng.uniform(-8, 8, size=(n, 2))
    table = dataset(n, BOX, PIXEL)
    table["blob/idx"] = np.arange(n)
    # voltages so far apart that the wrong one would blur the map
    table["ctf/exp_group_id"], table["ctf/accel_kv"] = (
        np.where(np.arange(n) % 3, 9, 1),
        np.where(np.arange(n) % 3, 300, 80),
    )
    table["ctf/df1_A"], table["ctf/df2_A"] = rng.uniform(1.5e4, 2.5e4, n), rng.uniform(1.5e4, 2.5e4, n)
    table["alignments3D/pose"] = Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_rotvec()
    table["alignments3D/psize_A"], table["alignments3D/shift"] = 2 * PIXEL, shift_A / (2 * PIXEL)
    ctf = Ctf(
        defocus_u_A=table["ctf/df1_A"].astype(float), defocus_v_A=table["ctf/df2_A"].astype(float),
        defocus_angle_deg=np.degrees(table["ctf/df_angle_rad"].astype(float)),
        voltage_kV=table["ctf/accel_kv"].astype(float), cs_mm=np.full(n, 2.7), amplitude_contrast=np.full(n, 0.07),
        phase_shift_deg=np.degrees(table["ctf/phase_shift_rad"].astype(float)),
    )  # fmt: skip
    ideal = torch.from_numpy(true_images(rotations, shift_A, BOX, PIXEL)).float()
    images = filter_images(ideal, ctf_2d(ctf, BOX, PIXEL, ideal.device)).numpy()
    images = images + rng.normal(size=images.shape) * images.std() / 3
    (project / "J1" / "extract").mkdir(parents=True)
    write_stack(project / "J1" / "extract" / "a.mrc", images.astype(np.float32), PIXEL)
    save(project / "J7" / "J7_009_particles.cs", table)
    return project


@pytest.mark.parametrize("half", [None, 1, 2])
def test_relion_reconstructs_what_is_exported(refinement: Path, tmp_path: Path, half: int | None) -> None:
    """A cryoSPARC refinement as RELION's file: RELION's map and half maps are ours, and the particle."""
    program = needs.program(RELION, "relion_reconstruct")
    assert convert(refinement / "J7" / "J7_009_particles.cs", tmp_path / "p.star") == 0
    command = [str(program), "--i", "p.star", "--o", "relion.mrc", "--ctf"]
    command += ["--subset", str(half)] if half else []
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs, _ = read_volume(tmp_path / "relion.mrc")
    made = reconstruct(read_particles(tmp_path / "p.star"))
    assert made.half_sets == "rlnRandomSubset"
    ours = {None: made.map, 1: made.half1, 2: made.half2}[half]
    other = {None: made.map, 1: made.half2, 2: made.half1}[half]
    mask = spherical_mask(BOX, 26, 3)
    agreement = np.corrcoef((ours * mask).ravel(), (theirs * mask).ravel())[0, 1]
    assert agreement > 0.98
    if half:
        assert agreement > np.corrcoef((other * mask).ravel(), (theirs * mask).ravel())[0, 1] + 0.002
    assert np.corrcoef((theirs * mask).ravel(), (true_map(BOX, PIXEL) * mask).ravel())[0, 1] > 0.98


def test_export_of_a_refinement_keeps_poses(refinement: Path, tmp_path: Path) -> None:
    source = refinement / "J7" / "J7_009_particles.cs"
    assert convert(source, tmp_path / "p.star") == 0
    first, back = read_particles(source), read_particles(tmp_path / "p.star")
    rotations = [euler_to_matrix(p.require_poses("it")[0]) for p in (first, back)]
    assert rotation_distance_deg(*rotations).max() < 1e-5
    np.testing.assert_allclose(back.require_poses("it")[1], first.require_poses("it")[1], atol=1e-6)
    optics = read_star(tmp_path / "p.star")["optics"]
    assert (optics["rlnOpticsGroup"].tolist(), optics["rlnVoltage"].tolist()) == (["2", "10"], ["80", "300"])


def test_modes_of_an_xmd_file_that_does_not_name_them(tmp_path: Path) -> None:
    """As of ContinuousFlex's runs: only the user knows which modes were given to it."""
    recorded = Path(__file__).parents[1] / "data" / "continuousflex_images.xmd"
    text = recorded.read_text().replace("Runs/000145_CfdProtPreprocess/extra/preprocess/particles.mrcs", "s.mrcs")
    (tmp_path / "images.xmd").write_text(text)
    write_stack(tmp_path / "s.mrcs", np.zeros((12, 8, 8), dtype=np.float32), 1.8)
    base = ["convert", "--particles", str(tmp_path / "images.xmd"), "--output", str(tmp_path / "out.star")]
    for given, expected in (([], (7, 8)), (["--xmd-modes", "9 12"], (9, 12))):
        assert main([*base, *given]) == 0
        assert read_particles(tmp_path / "out.star").mode_ids == expected
    assert main([*base, "--xmd-modes", "7-9"]) == 2


# ------------------------------------------------------------------------------------------- FREALIGN, merging, drawing
def parameters(numbers: list[int], occupancy: float = 100.0) -> str:
    """Rows of FREALIGN 9 for these images of a stack."""
    form = "%7d%8.2f%8.2f%8.2f%10.2f%10.2f%8d%6d%9.1f%9.1f%8.2f%8.2f%10d%11.4f%8.2f%8.2f\n"
    return "".join(form % (n, 30, 20, 10 * n, 1.5, -2, 5e4, 7, 1e4, 9e3, 12, occupancy, 0, 0.5, 9, 0) for n in numbers)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes of a stack of 30 images: 20 in one, 10 in the other."""
    images = np.random.default_rng(0).normal(size=(30, 8, 8)).astype(np.float32)
    write_stack(tmp_path / "stack.mrc", images, 1.05)
    one, other = [n for n in range(1, 31) if n % 3], [n for n in range(1, 31) if n % 3 == 0]
    (tmp_path / "class1.par").write_text(parameters(one) + parameters(other, 10.0))
    (tmp_path / "class2.par").write_text(parameters(one, 20.0) + parameters(other))
    return tmp_path


MICROSCOPE = ("--voltage-kV", "300", "--cs-mm", "2.7", "--amplitude-contrast", "0.07")


def test_classes_of_frealign(classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = ("--stack", str(classes / "stack.mrc"), *MICROSCOPE)
    assert convert(classes / "class1.par", classes / "one.star", *stack) == 0
    both = ("--particles", str(classes / "class2.par"), *stack)
    assert convert(classes / "class1.par", classes / "both.star", *both) == 0
    said = capsys.readouterr()
    assert "of 30 particles are left out 10 whose occupancy is below 50% (--min-occupancy-percent)" in said.err
    assert "20 particles of 8 px, 1.05 Å/px, CTF, poses" in said.out
    assert len(read_particles(classes / "one.star")) == 20
    assert sorted(read_particles(classes / "both.star").ids) == list(range(1, 31))
    everything = ("--min-occupancy-percent", "0")
    assert convert(classes / "class1.par", classes / "all.star", *stack, *everything) == 0
    assert len(read_particles(classes / "all.star")) == 30
    assert convert(classes / "class1.par", classes / "none.star", *MICROSCOPE[:2]) == 2
    assert "give --stack, --cs-mm, --amplitude-contrast" in capsys.readouterr().err


def test_a_set_is_divided_with_the_same_share_of_each_file(classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--particles", str(classes / "class2.par"), "--stack", str(classes / "stack.mrc"), *MICROSCOPE)
    divided = (*both, "--draw", "12", "--rest", str(classes / "rest.star"))
    sets = []
    for seed in ("0", "0", "1"):
        assert convert(classes / "class1.par", classes / "drawn.star", *divided, "--seed", seed) == 0
        drawn, rest = (read_particles(classes / f"{name}.star").ids for name in ("drawn", "rest"))
        assert sorted([*drawn, *rest]) == list(range(1, 31))
        assert ((drawn % 3 == 0).sum(), len(drawn)) == (4, 12)  # 10 of 30 are of the second class
        assert (np.diff(drawn[drawn % 3 != 0]) > 0).all()  # in the order of the files
        sets.append(set(drawn.tolist()))
    assert sets[0] == sets[1] != sets[2]
    assert json.loads((classes / "rest.json").read_text())["particles"] == 18
    for wrong, message in (
        ((*both, "--draw", "31"), "--draw: got 31, but there are 30 particles; draw fewer"),
        ((*both, "--rest", str(classes / "r.star")), "is for the particles that are not drawn; give --draw, too"),
        ((*both, "--draw", "3", "--rest", str(classes / "drawn.star")), "give two names"),
        ((*both, "--draw", "30", "--rest", str(classes / "r.star")), "leaves no particles for --rest"),
    ):
        assert convert(classes / "class1.par", classes / "drawn.star", *wrong) == 2
        assert message in capsys.readouterr().err
