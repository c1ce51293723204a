"""Simulated images: at their labels they are what an independent renderer draws, with the noise of the real ones, and
they are drawn from where they should be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, quaternion_to_matrix
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.nn.data import Preprocess
from continuousflex_deep.nn.simulated import Priors, measured_spectra, priors_of, simulated_images
from continuousflex_deep.tests.helpers.nn_toy import (
    coloured_noise,
    render,
    rotations_of,
    seen_through,
    toy_ctf,
    toy_model,
    toy_particles,
)

CPU = torch.device("cpu")


def made_like(particles, network_box_px=0, targets="all"):
    """Images like those of labelled particles, and the preprocess for both."""
    plain = Preprocess.for_particles(particles, network_box_px)
    preprocess = plain.with_noise_of(torch.from_numpy(read_images(particles)))
    return simulated_images(particles, *toy_model(), preprocess, targets, CPU), preprocess


def without_noise(made):
    return replace(made, spectra=replace(made.spectra, noise=torch.zeros_like(made.spectra.noise)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def colour(k):
    return 1 / (1 + (k / 6) ** 2) + 0.25


def correlations(first, second):
    first, second = (images.flatten(1).double() for images in (first, second))
    first, second = (images - images.mean(dim=1, keepdim=True) for images in (first, second))
    return ((first * second).sum(dim=1) / (first.norm(dim=1) * second.norm(dim=1))).numpy()


KINDS = {
    "no ctf": {},
    "ctf": {"through": True},
    "flipped": {"through": True, "flipped": True},
    "dark": {"dark": True},
}


@pytest.mark.parametrize("network_box_px", [0, 33, 36])
@pytest.mark.parametrize("kind", list(KINDS))
def test_an_image_is_the_picture_at_its_label(tmp_path, kind, network_box_px):
    """Drawn from the label by a renderer that shares no code, seen through the same CTF and preprocessed."""
    values: dict[str, Any] = dict(KINDS[kind])
    defocus, dark = 12_000.0, values.pop("dark", False)
    if values.pop("through", False):
        values["through"] = toy_ctf(np.full(60, defocus))
    _, particles = toy_particles(tmp_path, n=60, box_px=48, noise=0.5, **values)
    if dark:
        write_stack(tmp_path / "toy.mrcs", -read_images(particles), particles.pixel_size_A)
    made, preprocess = made_like(particles, network_box_px)
    images, labels = without_noise(made).batch(20, generator())
    drawn = render(
        quaternion_to_matrix(labels.quaternion.double().numpy()), labels.shift_A.numpy(), labels.amplitudes.numpy(),
        48, particles.pixel_size_A,
    )  # fmt: skip
    ctf = None
    if particles.ctf is not None:
        ctf = toy_ctf(np.full(20, defocus))
        drawn = seen_through(drawn, ctf, particles.pixel_size_A, particles.phase_flipped)
    expected = preprocess(torch.from_numpy(-drawn if dark else drawn), ctf)
    assert images.shape == expected.shape
    assert correlations(images, expected).min() > (0.99 if ctf is None else 0.98)
    others = correlations(images, expected.roll(1, dims=0))
    assert np.median(others) < 0.95, "particles differ, so a wrong label would be seen"
    moved = correlations(images.roll(2, dims=3), expected)
    assert np.median(moved) < 0.95, "and so would a wrong shift"


@pytest.mark.parametrize("through", [False, True])
def test_signal_and_noise_are_as_strong_as_in_the_real_images(tmp_path, through):
    """Ring by ring, images of unseen noise whose colour is not white."""
    n = 300
    ctf = toy_ctf(np.random.default_rng(5).uniform(9000, 16_000, size=n)) if through else None
    _, particles = toy_particles(tmp_path, n=n, box_px=36, noise=1.5, colour=colour, through=ctf)
    made, preprocess = made_like(particles)
    real = preprocess(torch.from_numpy(read_images(particles)), particles.ctf)
    images, _ = made.batch(1200, generator())
    disc = preprocess.disc(CPU)
    power = [disc.ring_mean(disc.gather(i.squeeze(1)).abs() ** 2)[1:] for i in (real, images)]
    ratio = (power[1] / power[0]).numpy()
    noisy, other = (8, 0.45) if through else (3, 0.12)  # where the CTF is near zero the transfer is that of neighbours
    assert ratio[noisy:] == pytest.approx(np.ones(len(ratio) - noisy), abs=0.1)
    assert ratio[:noisy] == pytest.approx(np.ones(noisy), abs=other)


def test_measured_spectra_are_those_of_the_images(tmp_path):
    """The transfer is the blobs' Gaussian, and the noise what was added, up to each image's scale."""
    _, particles = toy_particles(tmp_path, n=300, box_px=36, noise=1.5, colour=colour)
    made, _ = made_like(particles)
    spectra = measured_spectra(particles, made.model)
    k = np.arange(1, 11)
    field = particles.box_px * particles.pixel_size_A
    expected = np.exp(-2 * (np.pi * 6.0 * k / field) ** 2)
    got = spectra.transfer[1:11].numpy()
    assert got / got[1] == pytest.approx(expected / expected[1], abs=0.1)
    noise = coloured_noise((400, 36, 36), colour, np.random.default_rng(0))
    drawn = np.sqrt([
        (np.abs(np.fft.rfft2(noise))[:, ring_of(36) == r] ** 2).mean() for r in range(1, 16)
    ])  # fmt: skip
    got = spectra.noise[1:16].numpy()
    assert got / got.mean() == pytest.approx(drawn / drawn.mean(), rel=0.1)


def ring_of(d):
    return np.hypot(np.fft.fftfreq(d, 1 / d)[:, None], np.fft.rfftfreq(d, 1 / d)).round()


def priors_at(tmp_path, n):
    _, particles = toy_particles(tmp_path, n=n)
    return priors_of(particles, Preprocess.for_particles(particles, 0), CPU), particles


def one_view():
    """Priors of one view, one shift and one conformation, not widened but for the view."""
    q = torch.nn.functional.normalize(torch.tensor([[0.3, -0.5, 0.7, 0.2]]), dim=1)
    return Priors(q, torch.tensor([[3.0, -2.0]]), torch.zeros(1, 2), torch.ones(1, 7), 0.0, torch.zeros(2))


def test_a_quarter_of_the_views_is_everywhere_and_the_others_near_labels():
    quaternion, *_ = one_view().draw(20_000, generator())
    seen = quaternion_to_matrix(quaternion.double().numpy())[:, 2]
    at = quaternion_to_matrix(one_view().quaternion.double().numpy())[0, 2]
    angle = np.degrees(np.arccos((seen @ at).clip(-1, 1)))
    far = angle > 60  # of what is everywhere three quarters of the sphere; of what is widened by 10° nothing
    assert far.mean() == pytest.approx(0.25 * 0.75, abs=0.01)
    near = angle[angle < 40]
    everywhere = 0.25 * (1 - np.cos(np.radians(40))) / 2 * 20_000
    mean_square = ((near**2).sum() - everywhere * 40**2 / 2) / (len(near) - everywhere)
    assert np.sqrt(mean_square) == pytest.approx(10 * np.sqrt(2 / 3), rel=0.05), "the turn about the view is not seen"


def test_turns_in_the_plane_are_even():
    quaternion, *_ = one_view().draw(20_000, generator())
    rotation = quaternion_to_matrix(quaternion.double().numpy())
    psi = np.arctan2(rotation[:, 1, 2], -rotation[:, 0, 2])
    share = np.histogram(psi, 12, (-np.pi, np.pi))[0] / 20_000
    assert share == pytest.approx(np.full(12, 1 / 12), abs=0.01)


def test_evenly_spread_labels_stay_evenly_spread(tmp_path):
    """Entries of even rotations have the mean 0 and the mean square 1/3."""
    priors, _ = priors_at(tmp_path, n=500)
    quaternion, *_ = priors.draw(20_000, generator())
    rotation = quaternion_to_matrix(quaternion.double().numpy())
    assert np.linalg.norm(quaternion, axis=1) == pytest.approx(np.ones(20_000), abs=1e-5)
    assert np.abs(rotation.mean(axis=0)).max() < 0.05
    assert (rotation**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.04)


def test_shifts_and_amplitudes_are_those_of_labels_a_little_widened(tmp_path):
    priors, particles = priors_at(tmp_path, n=300)
    _, shift, amplitudes, _ = (values.numpy() for values in priors.draw(40_000, generator()))
    for drawn, known, width in (
        (shift, particles.shift_A, priors.shift_width_A),
        (amplitudes, particles.amplitudes, priors.amplitude_width_A.numpy()),
    ):
        assert drawn.mean(axis=0) == pytest.approx(known.mean(axis=0), abs=0.02 * known.std())
        assert drawn.std(axis=0) == pytest.approx(np.sqrt(known.var(axis=0) + width**2), rel=0.01)
    assert (priors.amplitude_width_A.numpy() > 0.05 * particles.amplitudes.std(axis=0)).all()
    assert (priors.amplitude_width_A.numpy() < 0.5 * particles.amplitudes.std(axis=0)).all()
    assert priors.shift_width_A < particles.pixel_size_A


def test_only_what_is_learned_is_told_and_draws_follow_the_generator(tmp_path):
    _, particles = toy_particles(tmp_path, n=40, noise=1.0)
    made, _ = made_like(particles, targets="shifts")
    images, labels = made.batch(6, generator(3))
    assert labels.amplitudes is None
    assert labels.quaternion is None
    again, same = made.batch(6, generator(3))
    assert torch.equal(again, images)
    assert torch.equal(same.shift_A, labels.shift_A)
    assert not torch.equal(made.batch(6, generator(4))[0], images)


def test_labels_without_poses_are_refused(tmp_path):
    _, particles = toy_particles(tmp_path, n=12)
    with pytest.raises(InputError, match="training on simulated images"):
        priors_of(particles.replace(euler_deg=None), Preprocess.for_particles(particles, 0), CPU)


def test_labels_of_real_images_mean_the_same(tmp_path):
    """The preprocessed images of labelled particles correlate with simulated ones made exactly at their labels."""
    _, particles = toy_particles(tmp_path, n=30, box_px=40, noise=0.05)
    made, preprocess = made_like(particles)
    real = preprocess(torch.from_numpy(read_images(particles)))

    class AtLabels(Priors):
        def draw(self, count, generator):
            return self.quaternion, self.shift_A, self.amplitudes, self.optics[:1].expand(count, -1)

    exact = replace(without_noise(made), priors=AtLabels(**vars(made.priors)))
    images, labels = exact.batch(30, generator())
    turned = quaternion_to_matrix(labels.quaternion.double().numpy())
    assert axes_distance_deg(turned, rotations_of(particles)).max() < 0.1
    assert correlations(images, real).min() > 0.97
