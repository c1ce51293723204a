"""Deformation-corrected reconstruction: the plain one without motion, and sharper than it with motion."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep import cli
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.particles import MOTIONS, Particles
from continuousflex_deep.reconstruction.bent_rays import MotionCorrected, VoxelMotion
from continuousflex_deep.reconstruction.fourier import SliceAccumulator
from continuousflex_deep.reconstruction.fsc import fourier_shell_correlation, spherical_mask
from continuousflex_deep.tests.helpers.engine_data import (
    BOX_PX,
    PIXEL_A,
    SIGMA_A,
    toy_modes,
    toy_particles,
    toy_structure,
)

STRUCTURE = toy_structure()
MODES = toy_modes(STRUCTURE)
MASK = spherical_mask(BOX_PX, 0.8 * BOX_PX, 2.0)


def true_map(amplitudes: np.ndarray | None = None) -> np.ndarray:
    """The toy molecule as Gaussians, about its centre, in the conformation of some amplitudes."""
    q = np.zeros(2) if amplitudes is None else amplitudes
    coords = STRUCTURE.coords_A + np.einsum("m,mad->ad", q, MODES.vectors)
    coords = coords - coords.mean(axis=0)
    axis = (np.arange(BOX_PX) - BOX_PX // 2) * PIXEL_A
    x, y, z = (np.exp(-((axis - c[:, None]) ** 2) / (2 * SIGMA_A**2)) for c in coords.T)
    return np.einsum("az,ay,ax->zyx", z, y, x)


def plain(particles: Particles, ctf: bool) -> SliceAccumulator:
    sums = SliceAccumulator(BOX_PX, PIXEL_A)
    images = torch.from_numpy(read_images(particles))
    sums.add(images, euler_to_matrix(particles.euler_deg), particles.shift_A, particles.ctf if ctf else None)
    return sums


def corrected(particles: Particles, sums: SliceAccumulator, ctf: bool, modes: NormalModes = MODES) -> np.ndarray:
    out = MotionCorrected(sums, VoxelMotion(STRUCTURE, modes, BOX_PX, PIXEL_A, "cpu"))
    out.add(particles, particles.amplitudes, ctf)
    return out.volume()


@pytest.mark.parametrize("ctf", [True, False])
def test_without_motion_it_is_the_plain_reconstruction(tmp_path: Path, ctf: bool) -> None:
    """Though few views fill Fourier space unevenly: the filter is that of these very views."""
    particles = toy_particles(tmp_path, count=60, snr=3.0, amplitude_sd=0.0, ctf=ctf)
    euler = particles.euler_deg.copy()
    sums = plain(particles.replace(euler_deg=euler), ctf)
    expected = sums.volume()
    found = corrected(particles, sums, ctf)
    inside = MASK > 0.9
    assert np.corrcoef(found[inside], expected[inside])[0, 1] > 0.99
    scale = (found[inside] @ expected[inside]) / (expected[inside] @ expected[inside])
    assert scale == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", MOTIONS)
def test_one_conformation_of_all_is_taken_back_to_rest(tmp_path: Path, kind: str) -> None:
    """All particles are bent alike: the plain map is that of the bent molecule, the corrected one of that at rest."""
    modes = replace(MODES, motion=kind, block_size=3)
    particles = toy_particles(tmp_path, count=150, snr=1e6, amplitude_sd=0.0, ctf=False)
    bent = np.array([25.0, -15.0])
    axis = (np.arange(BOX_PX) - BOX_PX // 2) * PIXEL_A
    coords = motion_along(STRUCTURE, modes).coordinates(bent)
    seen = np.einsum("nij,aj->nai", euler_to_matrix(particles.euler_deg), coords - coords.mean(axis=0))[..., :2]
    seen = seen - particles.shift_A[:, None]
    gx, gy = (np.exp(-((axis - seen[..., i, None]) ** 2) / (2 * SIGMA_A**2)) for i in (0, 1))
    write_stack(tmp_path / "bent.mrcs", np.einsum("nay,nax->nyx", gy, gx).astype(np.float32), PIXEL_A)
    stacks = np.full(len(particles), str(tmp_path / "bent.mrcs"), dtype=object)
    particles = particles.replace(stacks=stacks, ctf=None, amplitudes=np.tile(bent, (len(particles), 1)))
    sums = plain(particles, ctf=False)
    found, average = corrected(particles, sums, ctf=False, modes=modes), sums.volume()

    def like(volume: np.ndarray, truth: np.ndarray) -> float:
        return float(np.corrcoef((volume * MASK).ravel(), (truth * MASK).ravel())[0, 1])

    assert like(average, true_map(bent)) > 0.97
    assert like(average, true_map()) < 0.9
    assert like(found, true_map()) > 0.97


def test_particles_of_all_conformations_make_one_sharp_map(tmp_path: Path) -> None:
    particles = toy_particles(tmp_path, count=400, snr=2.0, amplitude_sd=25.0)
    sums = plain(particles, ctf=True)
    found, average = corrected(particles, sums, ctf=True), sums.volume()
    truth = true_map() * MASK
    shells = slice(4, 12)  # 30 to 10 Å
    sharp, blurred = (fourier_shell_correlation(v * MASK, truth)[shells] for v in (found, average))
    assert sharp.min() > 0.8
    assert (sharp >= blurred - 1e-3).all()
    assert sharp[-1] > blurred[-1] + 0.1


def test_the_field_is_linear_and_recentred() -> None:
    """At the atoms the motion of the voxels is theirs, without the translation of the whole."""
    along = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # a view along x, in which y and z are seen
    drift = MODES.vectors[1] + np.array([0.0, 0.05, 0.02])
    motion = VoxelMotion(STRUCTURE, NormalModes((8,), drift[None] / np.linalg.norm(drift)), BOX_PX, PIXEL_A, "cpu")
    still = motion.seen_A(along[None], np.zeros((1, 1)))
    np.testing.assert_allclose(still[0].T.numpy(), motion.places_A[:, 1:], atol=1e-4)
    one, two = (motion.seen_A(along[None], np.array([[q]])) - still for q in (20.0, -40.0))
    np.testing.assert_allclose(two.numpy(), -2 * one.numpy(), atol=1e-3)
    expected = 20.0 * (drift - drift.mean(axis=0))[:, 1:] / np.linalg.norm(drift)
    centred = STRUCTURE.coords_A - STRUCTURE.center_A
    nearest = np.linalg.norm(motion.places_A[None] - centred[:, None], axis=2).argmin(axis=1)
    moved = one[0].T.numpy()[nearest]
    assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.85  # a voxel is up to 2.6 Å from its atom


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All files, and the errors of its inputs."""
    particles = toy_particles(tmp_path, count=150, snr=5.0, amplitude_sd=25.0)
    write_particles(particles, tmp_path / "p.star")
    write_structure(tmp_path / "s.pdb", STRUCTURE)
    write_modes(tmp_path / "modes", MODES)
    write_volume(tmp_path / "rest.mrc", true_map(), PIXEL_A)
    base = ["unbend", "--particles", str(tmp_path / "p.star"), "--structure", str(tmp_path / "s.pdb")]
    base += ["--modes", str(tmp_path / "modes"), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert cli.main([*base, "--reference", str(tmp_path / "rest.mrc")]) == 0
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made >= {"map.mrc", "half1.mrc", "half2.mrc", "average.mrc", "fsc.csv", "record.json"}
    with open(tmp_path / "out" / "fsc.csv", newline="") as file:
        names, *rows = csv.reader(file)
    curves = dict(zip(names, np.array(rows, dtype=float).T, strict=True))
    unbent, average = curves["reference, masked"], curves["average and reference, masked"]
    assert unbent[4:11].mean() > average[4:11].mean() + 0.02
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["modes"] == [7, 8]
    assert record["particles"] == 150
    volume, voxel_A = read_volume(tmp_path / "out" / "map.mrc")
    assert voxel_A == pytest.approx(PIXEL_A)
    assert np.corrcoef((volume * MASK).ravel(), (true_map() * MASK).ravel())[0, 1] > 0.9
    assert cli.main([*base, "--mode-list", "9"]) == 2
    assert "no amplitudes along modes [9]" in capsys.readouterr().err
    write_particles(particles.replace(amplitudes=None, mode_ids=()), tmp_path / "p.star")
    assert cli.main(base) == 2
    assert "needs normal-mode amplitudes" in capsys.readouterr().err
