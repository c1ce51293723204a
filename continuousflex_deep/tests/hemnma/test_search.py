"""The search's result is that of trying everything."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import random_rotations
from continuousflex_deep.hemnma import search
from continuousflex_deep.hemnma.refine import Whitened
from continuousflex_deep.hemnma.search import ReferenceLibrary, prior_conformations
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project
from continuousflex_deep.tests.helpers.engine_data import in_double, toy_modes, toy_structure

FIELD_A, COUNT = 120.0, 5


@pytest.fixture(scope="module")
def library() -> ReferenceLibrary:
    structure = toy_structure()
    model = PointModel.from_structure(structure, toy_modes(structure))
    conformations = prior_conformations(torch.full((2,), 20.0), 2)
    return ReferenceLibrary(model, FrequencyDisc(5), FIELD_A, 25.0, 10.0, conformations)


@pytest.fixture(scope="module")
def images(library: ReferenceLibrary) -> Whitened:
    structure, rng, disc = toy_structure(), np.random.default_rng(0), library.disc
    model = PointModel.from_structure(structure, toy_modes(structure))
    rotation = torch.as_tensor(random_rotations(COUNT, rng), dtype=torch.float32)
    shift, q = (torch.as_tensor(rng.normal(scale=s, size=(COUNT, 2)), dtype=torch.float32) for s in (4, 20))
    w = torch.as_tensor(rng.uniform(0.5, 2, (COUNT, len(disc))), dtype=torch.float32)
    noise = torch.view_as_complex(torch.as_tensor(rng.normal(size=(COUNT, len(disc), 2)), dtype=torch.float32))
    return Whitened(project(model, disc, FIELD_A, rotation, shift, q) * w + 0.1 * noise, w)


def all_gains(library: ReferenceLibrary, images: Whitened) -> np.ndarray:
    """(particles, conformations, orientations, shifts), one at a time in double precision."""
    structure, disc = toy_structure(), library.disc
    model = in_double(PointModel.from_structure(structure, toy_modes(structure)))
    gains = np.empty((COUNT, len(library.amplitudes), len(library.rotation), len(library.shifts_A)))
    for c, q in enumerate(library.amplitudes.double()):
        for s, shift in enumerate(library.shifts_A.double()):
            many = len(library.rotation)
            p = project(
                model, disc, FIELD_A, library.rotation.double(), shift.expand(many, -1), q.expand(many, -1)
            ).numpy()
            for k, (y, w) in enumerate(zip(images.data.numpy(), images.filter.numpy(), strict=True)):
                product = np.maximum((y * (p * w).conj()).real.sum(axis=1), 0)
                gains[k, c, :, s] = product**2 / (np.abs(p * w) ** 2).sum(axis=1)
    return gains


@pytest.mark.parametrize("at_a_time", [1, 1 << 21])
def test_finds_what_trying_everything_finds(library, images, at_a_time, monkeypatch):
    monkeypatch.setitem(search._CORRELATIONS, "cpu", at_a_time)
    found, gains = library.best(images, 3, 30.0), all_gains(library, images)
    assert found.particle.tolist() == np.repeat(np.arange(COUNT), 3).tolist()
    for k in range(COUNT):
        c, r, s = np.unravel_index(gains[k].argmax(), gains[k].shape)
        torch.testing.assert_close(found.rotation[3 * k], library.rotation[r])
        torch.testing.assert_close(found.displacement_A[3 * k], library.shifts_A[s])
        torch.testing.assert_close(found.amplitudes[3 * k], library.amplitudes[c])


def test_in_known_conformations_only_the_nearest_is_tried(library, images):
    known = library.amplitudes[torch.tensor([1, 2, 3, 0, 1])] + 0.5
    found, gains = library.best(images, 1, 30.0, known), all_gains(library, images)
    for k, c in enumerate([1, 2, 3, 0, 1]):
        r, s = np.unravel_index(gains[k, c].argmax(), gains[k, c].shape)
        torch.testing.assert_close(found.rotation[k], library.rotation[r])
        torch.testing.assert_close(found.displacement_A[k], library.shifts_A[s])
    torch.testing.assert_close(found.amplitudes, known)
