"""What the network sees and learns from, on a GPU that is emulated: every tensor is where it should be, and the numbers
are the CPU's."""

import numpy as np
import pytest
import torch

from continuousflex_deep.nn.augment import draw_motion, move_images, move_labels
from continuousflex_deep.nn.copies import COPIES, outputs_for_copies
from continuousflex_deep.nn.data import ImageReader, Preprocess, ctf_of
from continuousflex_deep.nn.labels import labels_of
from continuousflex_deep.nn.loss import Loss
from continuousflex_deep.nn.optimizer import in_blocks, orthogonal_rows
from continuousflex_deep.nn.simulated import simulated_images
from continuousflex_deep.nn.targets import fit_coder
from continuousflex_deep.tests.helpers.emulated_gpu import emulated_gpu
from continuousflex_deep.tests.helpers.nn_toy import MODE_IDS, PIXEL_A, toy_ctf, toy_model, toy_particles


def learned_from(particles, device):
    """The input, the loss and the gradient of outputs, of labelled and of simulated images."""
    device = torch.device(device)
    rows = np.arange(12)
    ((_, raw, _),) = ImageReader(particles, [rows], 0, device)
    preprocess = Preprocess.for_particles(particles, 0).with_noise_of(raw.cpu())
    labels = labels_of(particles, "all").select(torch.arange(12)).to(device)
    coder = fit_coder(labels_of(particles, "all"), "all", MODE_IDS, "matrix", True, PIXEL_A, doubts=True)
    motion = draw_motion(12, 2.0, torch.Generator().manual_seed(0)).to(device)
    images = move_images(preprocess(raw, ctf_of(particles, rows)), motion)
    made = simulated_images(particles, *toy_model(), preprocess, "all", device)
    simulated, exact = made.batch(5, torch.Generator().manual_seed(1))
    copied = outputs_for_copies(lambda copies: copies.flatten(1)[:, :50], images, COPIES["mirrored"])
    found = [images, simulated, copied, orthogonal_rows(in_blocks(images))]
    for seen, true in ((images, move_labels(labels, motion, preprocess.field_A)), (simulated, exact)):
        outputs = torch.ones(len(seen), coder.outputs + sum(coder.doubt_sizes.values()), device=device)
        outputs = outputs + 0.1 * seen.flatten(1)[:, : outputs.shape[1]]
        loss = Loss(coder, "squared")
        found += [loss(outputs, true), loss.of_doubts(outputs, true)]
        assert coder.decode(outputs).amplitudes.shape == (len(seen), len(MODE_IDS))
    return [np.array(f.cpu()) for f in found]


@pytest.mark.parametrize("flipped", [True, False])
def test_on_a_gpu_as_on_a_cpu(tmp_path, monkeypatch, flipped):
    _, particles = toy_particles(tmp_path, n=20, noise=0.3, ctf=toy_ctf(np.full(20, 9000.0)), phase_flipped=flipped)
    expected = learned_from(particles, "cpu")
    with emulated_gpu(monkeypatch):
        found = learned_from(particles, "cuda:0")
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-4)
