"""What images of a microscope are like: any CTF, contrast, normalisation, box and pixel size; a map as reference."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.imaging.fourier import filter_images
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.nma.particle_mask import otsu_threshold
from continuousflex_deep.nma.pseudoatoms import map_to_pseudoatoms
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure, without_truth

RIGID = AlignOptions(device="cpu", threads=1, n_hypotheses=12, angular_step_deg=18.0, fit="pose")
PLATE = {
    "defocus_A": (30000, 60000),
    "phase_shift_deg": 90.0,
    "astigmatism_A": 4000.0,
    "defocus_angle_deg": np.linspace(0, 170, 24),
}


def aligned(particles: Particles, options: AlignOptions = RIGID, structure: Structure | None = None) -> Particles:
    return align(engine_of(options, structure), without_truth(particles))


def engine_of(options: AlignOptions = RIGID, structure: Structure | None = None) -> EmbeddedEngine:
    structure = structure or toy_structure()
    none = NormalModes(mode_ids=(), vectors=np.zeros((0, len(structure), 3)))
    return EmbeddedEngine(structure, none, options)


def angle_deg(found: Particles, truth: Particles) -> np.ndarray:
    return axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))


def near_truth(particles: Particles) -> Particles:
    """Refined from poses that are off by a few degrees."""
    euler = particles.euler_deg + np.random.default_rng(3).normal(scale=4.0, size=particles.euler_deg.shape)
    start = particles.replace(euler_deg=euler, amplitudes=None, mode_ids=())
    return align(engine_of(dataclasses.replace(RIGID, init="local")), start)


def changed(particles: Particles, path: Path, images: np.ndarray, **fields: object) -> Particles:
    """The particles with other images."""
    write_stack(path, images.astype(np.float32), particles.pixel_size_A)
    return particles.replace(stacks=np.full(len(particles), str(path), dtype=object), **fields)


def assert_found(found: Particles, truth: Particles, share: float = 0.9) -> None:
    assert (angle_deg(found, truth) < 8).mean() >= share
    assert np.median(np.abs(found.shift_A - truth.shift_A)) < 0.5


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    """Particles behind a phase plate, each with an astigmatism of its own direction."""
    return toy_particles(tmp_path_factory.mktemp("plate"), snr=2.0, amplitude_sd=0.0, **PLATE)


@pytest.fixture(scope="module")
def plate_found(plate: Particles) -> Particles:
    return aligned(plate)


def test_phase_plate_and_astigmatism(plate: Particles, plate_found: Particles) -> None:
    """Found from nothing; and each is needed: without the phase shift, or with the astigmatism turned, it fails."""
    assert_found(plate_found, plate)
    right = np.median(angle_deg(near_truth(plate), plate))
    ctf = plate.require_ctf("this test")
    wrong = {"phase_shift_deg": np.zeros(24), "defocus_angle_deg": ctf.defocus_angle_deg + 90}
    for name, value in wrong.items():
        found = near_truth(plate.replace(ctf=dataclasses.replace(ctf, **{name: value})))
        assert np.median(angle_deg(found, plate)) > 1.5 * right


def test_flipped_images_are_found_as_well(plate: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether phases are flipped is told by the images, and said where their file says something else."""
    sign = torch.sign(ctf_2d(plate.ctf, plate.box_px, plate.pixel_size_A))
    images = filter_images(torch.from_numpy(read_images(plate)), sign).numpy()
    flipped = changed(plate, tmp_path / "flipped.mrcs", images, phase_flipped=True)
    assert_found(near_truth(flipped), plate)
    assert "though" not in capsys.readouterr().err
    for particles, said, is_flipped in (
        (flipped.replace(phase_flipped=False), "are phase flipped, but their file states that they are not", True),
        (plate.replace(phase_flipped=True), "are not phase flipped, but their file states that they are", False),
    ):
        found = near_truth(particles)
        assert said in capsys.readouterr().err
        assert found.phase_flipped is is_flipped
        assert_found(found, plate)


def test_contrast_is_detected_and_said(plate: Particles, plate_found: Particles, tmp_path: Path) -> None:
    engine = engine_of()
    inverted = changed(plate, tmp_path / "inverted.mrcs", -read_images(plate))
    calibration = calibration_for(engine, inverted)
    assert engine.facts(plate_found, calibration)["contrast"] == "dark particles"
    found = engine.align_batch(Batch.read(inverted), calibration)
    np.testing.assert_allclose(angle_deg(found, plate_found), 0, atol=0.2)
    kept = calibration_for(engine, plate)
    assert engine.facts(plate_found, kept)["contrast"] == "bright particles"


def test_normalisation_of_each_image_does_not_matter(plate: Particles, plate_found: Particles, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    gain, offset = rng.uniform(0.01, 100, (24, 1, 1)), rng.normal(size=(24, 1, 1)) * 50
    found = aligned(changed(plate, tmp_path / "gains.mrcs", read_images(plate) * gain + offset))
    np.testing.assert_allclose(angle_deg(found, plate_found), 0, atol=0.2)
    np.testing.assert_allclose(found.angle_sd_deg, plate_found.angle_sd_deg, rtol=0.02)


@pytest.mark.parametrize(("box_px", "pixel_A"), [(41, 3.0), (53, 2.3), (30, 4.0)])
def test_any_box_and_pixel_size(tmp_path: Path, box_px: int, pixel_A: float) -> None:
    truth = toy_particles(tmp_path, snr=3.0, amplitude_sd=0.0, box_px=box_px, pixel_A=pixel_A)
    assert_found(aligned(truth), truth)


def test_all_at_once_in_flexible_particles(tmp_path: Path) -> None:
    """Phase plate, astigmatism, dark particles, odd box, a gain and an offset for each image."""
    truth = toy_particles(tmp_path, snr=3.0, contrast=-1.0, box_px=41, **PLATE)
    rng = np.random.default_rng(2)
    images = read_images(truth) * rng.uniform(0.1, 10, (24, 1, 1)) + rng.normal(size=(24, 1, 1)) * 50
    structure = toy_structure()
    engine = EmbeddedEngine(structure, toy_modes(structure), dataclasses.replace(RIGID, fit="both", n_hypotheses=8))
    found = align(engine, without_truth(changed(truth, tmp_path / "all.mrcs", images)))
    assert_found(found, truth, share=0.85)
    close = angle_deg(found, truth) < 8
    assert np.median(np.abs(found.amplitudes - truth.amplitudes)[close]) < 4


@pytest.mark.parametrize("off_center_A", [(0.0, 0.0, 0.0), (9.0, -6.0, 4.0)])
def test_map_of_another_voxel_size_as_reference(tmp_path: Path, off_center_A: tuple[float, float, float]) -> None:
    """The map's pseudoatoms find the poses of the atoms, wherever in its box the molecule stands; reconstructed from
    these poses it stands in the centre."""
    structure = toy_structure()
    moved = structure.replace_coords(structure.coords_A - structure.center_A + np.array(off_center_A))
    volume = structure_to_map(moved, 60, 2.0, center=False, b_factor_A2=800.0)
    found = map_to_pseudoatoms(volume, volume >= otsu_threshold(volume), 2.0, 3.0, 5.0, 2000).structure
    np.testing.assert_allclose(found.center_A, off_center_A, atol=0.7)
    truth = toy_particles(tmp_path, count=50, snr=2.0, amplitude_sd=0.0)
    poses = aligned(truth, structure=found)
    assert (angle_deg(poses, truth) < 8).mean() >= 0.85
    assert np.median(np.abs(poses.shift_A - truth.shift_A)) < 0.6
    reference = structure_to_map(structure, truth.box_px, truth.pixel_size_A, b_factor_A2=800.0)
    result = reconstruct(poses, reference=reference)
    assert result.resolutions_A()["reference"]["0.5"] < 12
