"""The engine on a GPU that is emulated: every tensor is where it should be, and the results are the CPU's."""

import numpy as np
import pytest
import torch

from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.hemnma.alignment import align
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.imaging import projector
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.emulated_gpu import CUDA, OnGpu, emulated_gpu
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure, without_truth


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    return toy_particles(tmp_path_factory.mktemp("toy"), count=6)


def aligned(particles: Particles, device: str, **options: object) -> Particles:
    settings = {"angular_step_deg": 40.0, "n_hypotheses": 3, "motion_prior_A": 4.0, "threads": 1} | options
    structure = toy_structure()
    engine = EmbeddedEngine(structure, toy_modes(structure), AlignOptions(device=device, **settings))
    assert engine.device.type == device
    return align(engine, particles)


def test_emulation_refuses_what_a_gpu_refuses(monkeypatch):
    with emulated_gpu(monkeypatch):
        there, here = torch.arange(3.0, device="cuda"), torch.arange(3.0)
        assert (there.device, (there + 1).device, here.to("cuda:0").device) == (CUDA, CUDA, CUDA)
        assert isinstance(there[there > 1], OnGpu)
        assert (there.cpu() + here).device.type == "cpu"
        for mixed in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here[there.long()]):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        for read in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match=r"Use Tensor.cpu\(\)"):
                read()


def test_batches_are_large_where_there_are_particles_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is so large that memory, of 8 GiB, cannot hold it."""
    structure = toy_structure()

    def size(particles: int, workers: int = 1, box_px: int = 32, **options: int) -> int:
        settings = AlignOptions(device="cuda", threads=1, **options)
        engine = EmbeddedEngine(structure, toy_modes(structure), settings)
        stacks = np.full(particles, "s.mrcs", dtype=object)
        rows = np.arange(particles)
        set_of_them = Particles(ids=rows + 1, stacks=stacks, indices=rows, pixel_size_A=3.0, box_px=box_px)
        return engine.batch_size(set_of_them, workers)

    with emulated_gpu(monkeypatch):
        assert size(100) == 512
        assert size(10_000) == 4096
        assert size(10_000, workers=4) == 1024
        assert size(1_000_000, workers=4) == 4096
        assert size(1_000_000, box_px=256) < 1024
        assert size(1_000_000, n_hypotheses=1000) < 4096
        assert size(1_000_000, batch=77) == 77


@pytest.mark.parametrize(
    "options",
    [{}, {"init": "local"}, {"fit": "pose"}, {"fit": "conformation"}],
    ids=["search", "local", "pose", "conformation"],
)
def test_alignment_on_a_gpu_is_that_on_a_cpu(truth, monkeypatch, options):
    monkeypatch.setattr(projector, "has_bfloat16", lambda device: False)  # what this CPU rounds is not the matter here
    particles = truth if options else without_truth(truth)
    expected = aligned(particles, "cpu", **options)
    with emulated_gpu(monkeypatch):
        found = aligned(particles, "cuda", **options)
    turned = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(expected.euler_deg))
    same = turned < 0.5  # where two hypotheses are as good as one another rounding may choose
    assert same.mean() >= 0.9
    for name, tolerance in (("amplitudes", 0.5), ("shift_A", 0.05), ("score", 1e-3)):
        assert np.abs(getattr(found, name) - getattr(expected, name))[same].max() < tolerance
