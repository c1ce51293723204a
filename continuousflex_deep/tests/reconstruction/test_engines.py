"""Reconstruction by RELION's and Xmipp's programs, compared with the embedded engine and with the known particle."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.errors import DeepError, MissingDependencyError
from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.programs import RELION, XMIPP
from continuousflex_deep.reconstruction.external import map_program
from continuousflex_deep.reconstruction.fsc import shell_filter, spherical_mask
from continuousflex_deep.reconstruction.reconstruct import Reconstruction, reconstruct
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map
from continuousflex_deep.tests.helpers.image_dialects import write_mrc

BOX, PIXEL_A, N = 40, 2.4, 240
MASK = spherical_mask(BOX, 30, 4)
needed = {
    "relion": needs.marked(RELION, "relion_reconstruct"),
    "xmipp": needs.marked(XMIPP, "xmipp_reconstruct_fourier"),
}
engines = pytest.mark.parametrize("engine", [pytest.param(name, marks=mark) for name, mark in needed.items()])


def make_particles(folder: Path, astigmatism_A: float = 0.0, flipped: bool = False) -> Particles:
    """Particles with shifts, noise and, where astigmatism is given, a CTF of different defoci."""
    rng = np.random.default_rng(4)
    rotations, shift_A = random_rotations(N, rng), rng.normal(size=(N, 2)) * 4
    images = true_images(rotations, shift_A, BOX, PIXEL_A)
    ctf = None
    if astigmatism_A:
        defocus_A = rng.uniform(6000, 14000, size=N)
        ctf = Ctf(
            defocus_A + astigmatism_A, defocus_A - astigmatism_A, rng.uniform(0, 180, size=N),
            *(np.full(N, v) for v in (300.0, 2.7, 0.1, 0.0)),
        )  # fmt: skip
        transfer = ctf_2d(ctf, BOX, PIXEL_A, torch.device("cpu"))
        transfer = transfer.abs() if flipped else transfer
        images = filter_images(torch.from_numpy(images).float(), transfer).numpy()
    images = images + rng.normal(size=images.shape) * images.std() / 2
    write_stack(folder / "images.mrcs", images.astype(np.float32), PIXEL_A)
    particles = Particles(
        ids=np.arange(1, N + 1),
        stacks=np.full(N, str(folder / "images.mrcs"), dtype=object),
        indices=np.arange(N),
        pixel_size_A=PIXEL_A,
        box_px=BOX,
        ctf=ctf,
        phase_flipped=flipped,
        euler_deg=matrix_to_euler(rotations),
        shift_A=shift_A,
    )
    write_particles(particles, folder / "p.star")
    return read_particles(folder / "p.star")


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef((first * MASK).ravel(), (second * MASK).ravel())[0, 1])


def assert_same_map(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal up to interpolation and noise, with the same origin and scale."""
    assert correlation(ours, theirs) >= 0.98
    for axis in range(3):  # no voxel's shift fits as well
        for step in (-1, 1):
            assert correlation(ours, np.roll(theirs, step, axis)) < correlation(ours, theirs) - 0.02
    a, b = (ours * MASK).ravel().astype(float), (theirs * MASK).ravel().astype(float)
    assert (a @ b) / (a @ a) == pytest.approx(1, abs=0.05)


@engines
@pytest.mark.parametrize(
    ("astigmatism_A", "flipped"), [(0.0, False), (600.0, False), (600.0, True)], ids=["plain", "ctf", "flipped"]
)
def test_maps_of_other_engines_are_ours(tmp_path: Path, engine: str, astigmatism_A: float, flipped: bool) -> None:
    particles = make_particles(tmp_path, astigmatism_A, flipped)
    ctf = astigmatism_A > 0
    ours = reconstruct(particles, ctf=ctf)
    theirs = reconstruct(particles, ctf=ctf, program=map_program(engine, "", tmp_path / "log"))
    assert_same_map(ours.map, theirs.map)
    assert correlation(theirs.map, true_map(BOX, PIXEL_A)) > 0.99
    # beyond, half maps are noise, which each engine weights in its own way
    signal = (np.arange(BOX // 2 + 1) <= 10).astype(float)
    for name in ("half1", "half2"):
        assert_same_map(*(shell_filter(getattr(made, name), signal) for made in (ours, theirs)))
    near = slice(1, 8)
    np.testing.assert_allclose(ours.curves["half maps"][near], theirs.curves["half maps"][near], atol=0.1)


@engines
def test_other_engines_get_stacks_that_they_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    """RELION would take unsigned bytes for signed ones."""
    particles = make_particles(tmp_path)
    images = read_images(particles)
    low, high = float(images.min()), float(images.max())
    data = np.rint((images - low) / (high - low) * 255).astype(np.uint8)
    path = write_mrc(tmp_path / "bytes.mrcs", data, voxel_A=PIXEL_A, ispg=0, dmin=0, dmax=255)
    as_bytes = particles.replace(stacks=np.full(N, str(path), dtype=object))
    program = map_program(engine, "", tmp_path / "log")
    plain, ours = program.map(particles, False, "c1"), program.map(as_bytes, False, "c1")
    assert correlation(plain, ours) > 0.999
    assert capsys.readouterr().err.count("they are given a copy") == 1


@engines
def test_symmetry_axes_are_those_of_other_engines(tmp_path: Path, engine: str) -> None:
    particles = make_particles(tmp_path)
    for symmetry in ("c3", "d2"):
        ours = reconstruct(particles, ctf=False, symmetry=symmetry)
        theirs = reconstruct(particles, ctf=False, symmetry=symmetry, program=map_program(engine, "", tmp_path / "log"))
        assert_same_map(ours.map, theirs.map)


@needed["relion"]
def test_command_with_relion(tmp_path: Path) -> None:
    make_particles(tmp_path, 600.0)
    base = ["reconstruct", "--particles", str(tmp_path / "p.star"), "--threads", "1"]
    for engine in ("embedded", "relion"):
        assert main([*base, "--engine", engine, "--output", str(tmp_path / engine)]) == 0
    ours, theirs = (read_volume(tmp_path / engine / "map.mrc") for engine in ("embedded", "relion"))
    assert theirs[1] == pytest.approx(ours[1])
    assert_same_map(ours[0], theirs[0])
    assert "relion_reconstruct --i particles.star" in (tmp_path / "relion" / "relion.log").read_text()
    assert json.loads((tmp_path / "relion" / "record.json").read_text())["options"]["engine"] == "relion"


def stand_in(folder: Path, name: str, lines: str) -> None:
    """A program of this name that runs lines of Python, with its arguments as `words`."""
    folder.mkdir(exist_ok=True)
    head = f"#!{sys.executable}\nimport sys, shutil\nwords = sys.argv[1:]\n"
    (folder / name).write_text(head + lines)
    (folder / name).chmod(0o755)


@pytest.mark.slow
@needed["relion"]
def test_real_particles_give_relions_map(shared_data: Path, tmp_path: Path) -> None:
    """133 β-galactosidase particles with RELION's poses and CTF, in the half sets of RELION."""
    particles = read_particles(shared_data / "betagal133" / "particles.star")
    ours = reconstruct(particles, symmetry="d2", mask_diameter_A=190)
    program = map_program("relion", "", tmp_path / "log")
    theirs = reconstruct(particles, symmetry="d2", mask_diameter_A=190, program=program)
    assert ours.mask is not None
    a, b = ((made.map * ours.mask).ravel().astype(float) for made in (ours, theirs))
    assert np.corrcoef(a, b)[0, 1] > 0.99
    assert (a @ b) / (a @ a) == pytest.approx(1, abs=0.05)
    resolutions = [made.resolutions_A()["half maps, corrected"]["0.143"] for made in (ours, theirs)]
    assert resolutions[0] == pytest.approx(resolutions[1], abs=0.3)


XMIPP_LINES = """
open({told!r}, "a").write(" ".join(words) + "\\n")
rows = open(words[words.index("-i") + 1]).read()
assert all(column in rows for column in ("_angleRot", "_shiftX", "_ctfDefocusU", "_image"))
shutil.copy({map!r}, words[words.index("-o") + 1])
"""


def test_xmipp_is_told_what_its_options_mean(tmp_path: Path) -> None:
    """By a stand-in for Xmipp's program that returns a map."""
    particles = make_particles(tmp_path, 600.0, flipped=True)
    made: Reconstruction = reconstruct(particles)
    write_volume(tmp_path / "map.mrc", made.map, PIXEL_A)
    lines = XMIPP_LINES.format(told=str(tmp_path / "told"), map=str(tmp_path / "map.mrc"))
    stand_in(tmp_path / "bin", "xmipp_reconstruct_fourier", lines)
    program = map_program("xmipp", str(tmp_path), tmp_path / "log", threads=3)
    theirs = reconstruct(particles, symmetry="D2", program=program)
    np.testing.assert_array_equal(theirs.half1, made.map)
    told = (tmp_path / "told").read_text().splitlines()
    expected = "-i particles.xmd -o map.mrc --sym d2 --max_resolution 0.5 --thr 3 --useCTF --sampling 2.400000"
    assert told == [f"{expected} --phaseFlipped"] * 3


def test_programs_that_are_absent_or_fail_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    particles = make_particles(tmp_path)
    for engine in ("relion", "xmipp"):
        with pytest.raises(MissingDependencyError, match=f"{engine}_reconstruct.* is not in .*--{engine}-home"):
            map_program(engine, str(tmp_path / "nothing"), tmp_path / "log")
    words = ["reconstruct", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "out"), "--no-ctf"]
    assert main([*words, "--engine", "xmipp", "--xmipp-home", str(tmp_path / "nothing")]) == 2
    assert "install it (in Scipion: the plugin scipion-em-xmipp)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for lines, message in (("sys.exit('no memory left')", "no memory left"), ("", "wrote no map; see its log")):
        stand_in(tmp_path / "bin", "relion_reconstruct", lines)
        with pytest.raises(DeepError, match=message):
            reconstruct(particles, ctf=False, program=map_program("relion", str(tmp_path), tmp_path / "log"))
