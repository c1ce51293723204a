"""Symmetric references: poses that look the same are one hypothesis; and a limit on the resolution that is used."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, random_rotations, rotation_distance_deg
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.levels import Kept, keep_best, nearest_mates
from continuousflex_deep.hemnma.refine import Quadratic, State
from continuousflex_deep.hemnma.search import ReferenceLibrary
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.reference import no_modes
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.motion import StraightMotion
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.symmetry import point_group
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure, without_truth

OPTIONS = AlignOptions(device="cpu", threads=1, n_hypotheses=12, angular_step_deg=24.0, fit="pose")


def group(name: str) -> torch.Tensor:
    return torch.as_tensor(point_group(name), dtype=torch.float32)


def rotations(count: int, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(random_rotations(count, np.random.default_rng(seed)), dtype=torch.float32)


def dimer() -> Structure:
    """The toy chain and its copy, turned by half a turn about z."""
    one = toy_structure(residues=40)
    first = one.coords_A + np.array([9.0, 4.0, 0.0])
    twice = one.select(np.tile(np.arange(len(one)), 2))
    return twice.replace_coords(np.concatenate([first, first * [-1, -1, 1]]))


def test_nearest_mate_is_the_target_itself() -> None:
    target, operations = rotations(50), group("d3")
    for operation in operations:
        torch.testing.assert_close(nearest_mates(target @ operation, target, operations), target, atol=1e-5, rtol=0)


def test_mates_are_one_hypothesis() -> None:
    here = rotations(1)[0]
    mates = here @ group("d2")
    count = len(mates)
    state = State(mates, torch.zeros(count, 2), torch.zeros(count, 0), torch.zeros(count, dtype=torch.long))
    values = torch.arange(count, dtype=torch.float32)
    matrix = 1e6 * torch.eye(5).expand(count, 5, 5)
    quadratic = Quadratic(values, values, torch.zeros(count, 5), matrix, torch.ones(count), torch.ones(count))
    kept, _, gap = keep_best(state, quadratic, Kept(8, 100.0))
    assert (len(kept), float(gap[0])) == (4, 0.5)
    kept, _, gap = keep_best(state, quadratic, Kept(8, 100.0), group("d2"))
    assert (len(kept), float(gap[0])) == (1, float("inf"))
    assert len(keep_best(state, quadratic, Kept(8, 100.0), group("c2"))[0]) == 2


@pytest.mark.parametrize(("name", "order"), [("c1", 1), ("c3", 3), ("d2", 4)])
def test_search_covers_the_asymmetric_part(name: str, order: int) -> None:
    model = PointModel(torch.ones(5) / 5, StraightMotion(torch.randn(5, 3), torch.zeros(0, 5, 3)))
    disc, none = FrequencyDisc(5), torch.zeros(1, 0)
    whole = ReferenceLibrary(model, disc, 100.0, 20.0, 5.0, none)
    part = ReferenceLibrary(model, disc, 100.0, 20.0, 5.0, none, group(name))
    assert len(part.rotation) == pytest.approx(len(whole.rotation) / order, rel=0.06)
    seen = rotations(200, seed=3)
    mates = torch.einsum("nij,sjk->nsik", seen, group(name)).numpy()
    distance = rotation_distance_deg(mates[:, :, None], part.rotation.numpy()[None, None]).min(axis=(1, 2))
    assert distance.max() < 30
    assert np.median(distance) < 15


def test_symmetric_particles_are_ambiguous_only_without_their_symmetry(tmp_path) -> None:
    structure = dimer()
    truth = toy_particles(tmp_path, count=40, snr=4.0, amplitude_sd=0.0, structure=structure)
    found = {}
    for name in ("c1", "c2"):
        engine = EmbeddedEngine(structure, no_modes(structure), dataclasses.replace(OPTIONS, symmetry=name))
        found[name] = align(engine, without_truth(truth))
        mates = np.einsum("nij,sjk->nsik", euler_to_matrix(found[name].euler_deg), point_group("c2"))
        error = rotation_distance_deg(mates, euler_to_matrix(truth.euler_deg)[:, None]).min(axis=1)
        assert (error < 10).mean() >= 0.9
    assert found["c1"].ambiguous.mean() > 0.9
    assert found["c2"].ambiguous.mean() < 0.2


def test_assessment_of_symmetric_particles_with_their_bound(tmp_path) -> None:
    """By the commands: the images are aligned, and poses compared, up to the symmetry."""
    structure = dimer()
    truth = toy_particles(tmp_path, count=60, snr=4.0, amplitude_sd=0.0, structure=structure)
    chains = np.repeat(np.array(["A", "B"], dtype=object), len(structure) // 2)
    write_structure(tmp_path / "dimer.pdb", dataclasses.replace(structure, chain_ids=chains))
    write_particles(without_truth(truth), tmp_path / "images.star")
    write_particles(truth.replace(amplitudes=None, mode_ids=()), tmp_path / "truth.star")
    files = {
        name: str(tmp_path / name) for name in ("images.star", "truth.star", "found.star", "dimer.pdb", "figures.json")
    }
    common = ["--structure", files["dimer.pdb"], "--symmetry", "c2", "--threads", "1", "--device", "cpu"]
    align = ["align", "--particles", files["images.star"], "--fit", "pose", "--angular-step-deg", "24"]
    assert main([*align, "--output", files["found.star"], *common]) == 0
    compare = ["evaluate", "--particles", files["found.star"], "--truth", files["truth.star"], "--bound", *common]
    assert main([*compare, "--output", files["figures.json"]]) == 0
    record = json.loads((tmp_path / "figures.json").read_text())
    figures = record["results"]["found"]
    assert figures["lost"] <= 3
    assert set(record["bound"]) == {"angle_deg", "shift_A", "shift_x_A", "shift_y_A"}
    for name in ("angle_deg", "shift_A"):
        assert 0.7 < figures["not_lost"][name]["mean"] / record["bound"][name] < 1.4


def test_unknown_symmetry_is_an_error() -> None:
    structure = toy_structure()
    with pytest.raises(InputError, match="symmetry 'octagon'"):
        EmbeddedEngine(structure, no_modes(structure), dataclasses.replace(OPTIONS, symmetry="octagon"))


def test_no_finer_detail_than_allowed_is_used(tmp_path) -> None:
    """The finest ring is that of the limit, and what is found is as much less certain."""
    structure = toy_structure()
    truth = toy_particles(tmp_path, snr=2.0, amplitude_sd=0.0)
    settings = dataclasses.replace(OPTIONS, fit="both", init="local", finest_resolution_A=15.0)
    engine = EmbeddedEngine(structure, toy_modes(structure), settings)
    calibration = calibration_for(engine, truth)
    found = align(engine, truth)
    field_A = truth.box_px * truth.pixel_size_A
    assert calibration.fine_px == round(field_A / 15)
    assert engine.facts(found, calibration)["finest_resolution_A"] == pytest.approx(15.0)
    free = EmbeddedEngine(structure, toy_modes(structure), dataclasses.replace(settings, finest_resolution_A=0.0))
    assert calibration_for(free, truth).fine_px > calibration.fine_px
    assert np.median(align(free, truth).angle_sd_deg) < np.median(found.angle_sd_deg)


def test_a_symmetry_that_the_structure_has_not_is_refused() -> None:
    lopsided = toy_structure()
    with pytest.raises(InputError, match="is not symmetric under the rotations of c2"):
        EmbeddedEngine(lopsided, no_modes(lopsided), dataclasses.replace(OPTIONS, symmetry="c2"))
    with pytest.raises(InputError, match="motions along modes break the symmetry"):
        EmbeddedEngine(lopsided, toy_modes(lopsided), dataclasses.replace(OPTIONS, fit="both", symmetry="c2"))
