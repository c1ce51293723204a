"""Images for the network: one preprocess with white noise, reading ahead, and splits that keep particles apart."""

import json
import threading
import time
from collections.abc import Generator

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.io.stacks import read_images, require_usable_images, write_stack
from continuousflex_deep.nn import data
from continuousflex_deep.nn.data import (
    ImageReader,
    Preprocess,
    ctf_of,
    image_batches,
    in_batches,
    split_halves,
    split_particles,
)
from continuousflex_deep.nn.preparation import scan_images
from continuousflex_deep.tests.helpers.nn_toy import (
    coloured_noise,
    render,
    rotations_of,
    seen_through,
    toy_ctf,
    toy_particles,
)

CPU = torch.device("cpu")


def colour(k):
    """Noise that falls to a quarter at the toy's edge."""
    return 1 / (1 + (k / 6) ** 2) + 0.25


def ring_power(images):
    """Power by ring of Fourier pixels (d/2,) of images (n, d, d)."""
    d = images.shape[-1]
    power = np.abs(np.fft.rfft2(images)) ** 2
    ring = np.hypot(np.fft.fftfreq(d, 1 / d)[:, None], np.fft.rfftfreq(d, 1 / d)).round()
    return np.array([power[:, ring == r].mean() for r in range(1, (d - 1) // 2)])


def whitening(noise_images, network_box_px=0, particles=None, **changes):
    """The preprocess that these images (n, d, d) of noise give."""
    box = noise_images.shape[-1]
    plain = Preprocess(**{
        "box_px": box, "pixel_size_A": 4.0, "phase_flipped": False, "network_box_px": network_box_px or box,
        "with_ctf": True, **changes,
    })  # fmt: skip
    return plain.with_noise_of(torch.from_numpy(noise_images))


def test_preprocess_normalises_each_image_on_its_own(tmp_path):
    _, particles = toy_particles(tmp_path, n=6, noise=1.0)
    preprocess = Preprocess.for_particles(particles, 0)
    raw = torch.from_numpy(read_images(particles))
    images = preprocess(raw)
    assert images.shape == (6, 1, 32, 32)
    assert images.mean(dim=(1, 2, 3)).numpy() == pytest.approx(np.zeros(6), abs=1e-5)
    assert images.std(dim=(1, 2, 3)).numpy() == pytest.approx(np.ones(6), abs=1e-4)
    assert torch.allclose(preprocess(raw[2:3] * 500 + 30), images[2:3], atol=1e-4), (
        "brightness and contrast do not matter"
    )
    assert torch.allclose(preprocess(raw[2:3]), images[2:3]), "nor do the other images"


def test_reduction_shows_the_same_particle(tmp_path):
    """The reduced image is the projection at the larger pixel: same field of view, same centre, for odd boxes too."""
    _, particles = toy_particles(tmp_path, n=4, box_px=65)
    preprocess = Preprocess.for_particles(particles, 33)
    small = preprocess(torch.from_numpy(read_images(particles))).squeeze(1).numpy()
    direct = render(
        rotations_of(particles), particles.shift_A, particles.amplitudes, 33, preprocess.network_pixel_size_A
    )
    direct = (direct - direct.mean(axis=(1, 2), keepdims=True)) / direct.std(axis=(1, 2), keepdims=True)
    assert preprocess.network_pixel_size_A == pytest.approx(particles.pixel_size_A * 65 / 33)
    assert np.abs(small - direct).max() < 0.02 * direct.max()


@pytest.mark.parametrize(("box", "words"), [(64, "can only be smaller"), (16, "at least 32 px")])
def test_impossible_network_box(tmp_path, box, words):
    _, particles = toy_particles(tmp_path, n=2)
    with pytest.raises(InputError, match=words):
        Preprocess.for_particles(particles, box)


def test_images_come_by_particle_across_stacks(tmp_path):
    """Rows of two stacks in any order: every row gets its own image."""
    _, particles = toy_particles(tmp_path, n=10, noise=0.5)
    images = read_images(particles)
    write_stack(tmp_path / "other.mrcs", images[::-1].copy(), particles.pixel_size_A)
    stacks, indices = particles.stacks.copy(), particles.indices.copy()
    stacks[5:], indices[5:] = str(tmp_path / "other.mrcs"), 9 - indices[5:]
    mixed = particles.replace(stacks=stacks, indices=indices)
    order = np.random.default_rng(0).permutation(10)
    seen = list(image_batches(mixed, in_batches(order, 3), 0, CPU))
    assert [len(rows) for rows, _ in seen] == [3, 3, 3, 1]
    assert np.array_equal(np.concatenate([rows for rows, _ in seen]), order)
    assert np.array_equal(torch.cat([batch for _, batch in seen]).numpy(), images[order])


def everything(reader):
    """Rows, images and reasons of all batches."""
    rows, images, reasons = zip(*reader, strict=True)
    return np.concatenate(rows), torch.cat(images), np.concatenate(reasons)


@pytest.mark.parametrize("readers", [1, 3])
def test_threads_read_the_same_images_in_the_same_order(tmp_path, readers):
    _, particles = toy_particles(tmp_path, n=23, noise=0.5)
    batches = in_batches(np.random.default_rng(0).permutation(23), 2)
    here, there = (everything(ImageReader(particles, batches, w, CPU)) for w in (0, readers))
    assert np.array_equal(here[0], np.concatenate(batches))
    assert np.array_equal(there[0], here[0])
    assert torch.equal(there[1], here[1])


@pytest.mark.parametrize("readers", [0, 2])
def test_bad_images_come_with_the_reason(tmp_path, readers):
    _, particles = toy_particles(tmp_path, n=9)
    images = read_images(particles)
    images[4, 3, 3], images[7] = np.nan, 2.0
    write_stack(tmp_path / "toy.mrcs", images, particles.pixel_size_A)
    rows, _, reasons = everything(ImageReader(particles, in_batches(np.arange(9), 4), readers, CPU))
    assert rows[reasons != ""].tolist() == [4, 7]
    assert "finite" in reasons[4]
    with pytest.raises(InputError, match=rf"{particles.ids[4]} \("):
        list(image_batches(particles, in_batches(np.arange(9), 4), readers, CPU))


def reading_threads():
    return [t for t in threading.enumerate() if t.name.startswith("images")]


def test_reading_that_is_given_up_leaves_no_threads(tmp_path):
    _, particles = toy_particles(tmp_path, n=30)
    reading = iter(ImageReader(particles, in_batches(np.arange(30), 2), 3, CPU))
    next(reading)
    assert reading_threads()
    assert isinstance(reading, Generator)
    reading.close()
    assert not reading_threads()
    list(ImageReader(particles, in_batches(np.arange(30), 2), 3, CPU))
    assert not reading_threads()


def test_what_goes_wrong_in_a_thread_is_said(tmp_path):
    _, particles = toy_particles(tmp_path, n=6)
    (tmp_path / "toy.mrcs").unlink()
    with pytest.raises(InputError, match=r"toy\.mrcs"):
        list(ImageReader(particles, in_batches(np.arange(6), 2), 2, CPU))
    assert not reading_threads()


def test_split_is_by_particle_disjoint_and_independent_of_row_order():
    ids = np.random.default_rng(0).permutation(5000)[:200]
    train, validation = split_particles(ids, 10, seed=3)
    assert len(validation) == 20
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(200))
    shuffled = np.random.default_rng(1).permutation(200)
    train_again, validation_again = split_particles(ids[shuffled], 10, seed=3)
    assert np.array_equal(ids[shuffled][validation_again], ids[validation])
    assert np.array_equal(ids[shuffled][train_again], ids[train])
    assert not np.array_equal(split_particles(ids, 10, seed=4)[1], validation)


@pytest.mark.parametrize("count", [200, 201])
def test_halves_are_disjoint_complete_and_independent_of_row_order(count):
    ids = np.random.default_rng(0).permutation(5000)[:count]
    first, second = split_halves(ids, seed=3)
    assert len(first) == count // 2
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(count))
    shuffled = np.random.default_rng(1).permutation(count)
    assert np.array_equal(ids[shuffled][split_halves(ids[shuffled], seed=3)[0]], ids[first])
    assert not np.array_equal(split_halves(ids, seed=4)[0], first)
    validation = split_particles(ids, 50, seed=3)[1]
    assert 0.3 < np.isin(first, validation).mean() < 0.7, "halves are not those of validation"


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_images_without_content_are_named(tmp_path, value):
    _, particles = toy_particles(tmp_path, n=8)
    images = read_images(particles)
    images[5] = value
    write_stack(tmp_path / "toy.mrcs", images, particles.pixel_size_A)
    reasons = scan_images(particles, batch=3)
    assert np.flatnonzero(reasons != "").tolist() == [5]
    with pytest.raises(InputError, match=rf"1 of 8 images.* {particles.ids[5]} \(\w"):
        require_usable_images(particles.ids, reasons)


def test_other_images_are_refused_with_what_to_do(tmp_path):
    _, particles = toy_particles(tmp_path, n=2)
    trained = Preprocess.for_particles(particles, 0)
    trained.require_same_images(particles.replace(pixel_size_A=particles.pixel_size_A * 1.005), "M")
    with pytest.raises(InputError, match=r"trained on images of 32 px.*these are 64 px.*--box 32"):
        trained.require_same_images(particles.replace(box_px=64), "M")
    with pytest.raises(InputError, match=r"trained at 4 Å/px, these images have 4\.2"):
        trained.require_same_images(particles.replace(pixel_size_A=4.2), "M")
    with pytest.raises(InputError, match="not phase flipped, these are phase flipped"):
        trained.require_same_images(particles.replace(phase_flipped=True), "M")


@pytest.mark.parametrize("readers", [0, 2])
def test_only_a_few_batches_are_read_ahead(tmp_path, monkeypatch, readers):
    _, particles = toy_particles(tmp_path, n=40)
    sizes, original = [], data.read_images_with_reasons

    def counted(particles, rows):
        sizes.append(len(rows))
        return original(particles, rows)

    monkeypatch.setattr(data, "read_images_with_reasons", counted)
    batches = image_batches(particles, in_batches(np.arange(40), 4), readers, CPU)
    for _ in range(3):
        next(batches)
    time.sleep(0.1)  # the threads have time to go too far
    assert 3 <= len(sizes) <= 3 + readers + 1
    assert len(list(batches)) == 7
    assert sizes == [4] * 10


@pytest.mark.parametrize("box_px", [48, 49])
@pytest.mark.parametrize("network_box_px", [0, 33, 36])
def test_coloured_noise_becomes_white(box_px, network_box_px):
    rng = np.random.default_rng(0)
    known, fresh = (coloured_noise((300, box_px, box_px), colour, rng) for _ in range(2))
    preprocess = whitening(known, network_box_px)
    white = preprocess(torch.from_numpy(fresh)).squeeze(1)
    power = ring_power(white.numpy())
    power = power[: preprocess.disc(CPU).radius_px]
    before = ring_power(fresh)[: len(power)]
    assert before[1:].max() / before.min() > 2, "it was not white before"
    power = power / np.median(power)
    assert power[3:] == pytest.approx(np.ones(len(power) - 3), abs=0.1)
    assert ((power[:3] > 0.5) & (power[:3] < 2)).all(), "long waves are hardly measured in the corners, less their mean"


def test_noise_is_measured_beside_the_particle(tmp_path):
    """Its level by ring is that of the images' noise, as if there were no particle in the middle."""
    rng = np.random.default_rng(1)
    noise = coloured_noise((600, 48, 48), colour, rng)
    grid = np.hypot(*np.meshgrid(np.arange(48) - 24, np.arange(48) - 24))
    with_particle = noise + 5 * np.exp(-(grid**2) / (2 * 5.0**2)).astype(np.float32)
    alone, beside = (np.array(whitening(images).noise) for images in (noise, with_particle))
    assert beside / beside.mean() == pytest.approx(alone / alone.mean(), rel=0.08)
    rings = np.arange(1, len(beside))
    expected = colour(rings.astype(float))
    ratio = beside[3:] / expected[2:]
    assert ratio / ratio.mean() == pytest.approx(np.ones(len(ratio)), abs=0.08)


def toy_through_ctf(tmp_path, flipped=False, n=5):
    _, particles = toy_particles(
        tmp_path, n=n, box_px=48, through=toy_ctf(np.linspace(9000, 16000, n)), flipped=flipped
    )
    return particles, torch.from_numpy(read_images(particles))


def test_phases_are_flipped_where_the_ctf_is_negative(tmp_path):
    """Against the multiplication, by hand, of each image's transform by the CTF's sign."""
    particles, images = toy_through_ctf(tmp_path)
    white = np.random.default_rng(0).normal(size=(500, 48, 48)).astype(np.float32)
    preprocess = whitening(white, pixel_size_A=particles.pixel_size_A)
    sign = np.sign(ctf_2d(particles.ctf, 48, particles.pixel_size_A).numpy())
    assert (sign < 0).mean() > 0.2
    ring = np.hypot(np.fft.fftfreq(48, 1 / 48)[:, None], np.fft.rfftfreq(48, 1 / 48))
    level = np.array(preprocess.noise)[ring.round().astype(int).clip(max=23)]
    inside = (ring <= 23) & (ring > 0)
    expected = np.fft.irfft2(np.fft.rfft2(images.numpy()) * sign * inside / level, s=(48, 48))
    expected /= expected.std(axis=(1, 2), keepdims=True, ddof=1)
    got = preprocess(images, particles.ctf).squeeze(1).numpy()
    assert np.abs(got - expected).max() < 1e-3 * expected.max()
    unflipped = preprocess(images).squeeze(1).numpy()
    assert np.abs(got - unflipped).max() > 0.1 * expected.max()


def test_images_flipped_before_give_the_same(tmp_path):
    particles, images = toy_through_ctf(tmp_path)
    white = np.random.default_rng(0).normal(size=(500, 48, 48)).astype(np.float32)
    here, before = (whitening(white, 40, pixel_size_A=particles.pixel_size_A, phase_flipped=f) for f in (False, True))
    clean = render(rotations_of(particles), particles.shift_A, particles.amplitudes, 48, particles.pixel_size_A)
    flipped = torch.from_numpy(seen_through(clean, particles.ctf, particles.pixel_size_A, flipped=True))
    got, expected = here(images, particles.ctf), before(flipped, particles.ctf)
    assert torch.allclose(got, expected, atol=1e-3 * float(expected.max()))
    assert torch.equal(before(flipped), expected), "what is flipped is not flipped again"


def test_each_particle_has_its_own_ctf(tmp_path):
    particles, images = toy_through_ctf(tmp_path)
    preprocess = whitening(np.random.default_rng(0).normal(size=(100, 48, 48)).astype(np.float32))
    together, rows = preprocess(images, particles.ctf), np.array([4, 1])
    assert torch.allclose(preprocess(images[[4, 1]], ctf_of(particles, rows)), together[[4, 1]], atol=1e-5)
    assert ctf_of(particles.replace(ctf=None), rows) is None


def test_a_network_that_knew_no_ctf_leaves_phases_alone(tmp_path):
    particles, images = toy_through_ctf(tmp_path)
    white = np.random.default_rng(0).normal(size=(100, 48, 48)).astype(np.float32)
    preprocess = whitening(white, pixel_size_A=particles.pixel_size_A, with_ctf=False)
    assert torch.equal(preprocess(images, particles.ctf), preprocess(images))


def test_splits_hardly_change_as_a_set_grows():
    """What a network has learned from must not validate the one that goes on from it, nor get into the other half."""
    ids = np.arange(1200) * 3 + 7
    few, many = (split_particles(ids[:n], 10, seed=3) for n in (1000, 1200))
    assert len(set(ids[many[1]]) & set(ids[few[0]])) < 15, "by chance it would be 90"
    known = split_particles(ids, 10, seed=3, seen=ids[few[0]])
    assert len(known[1]) == 120
    assert not set(ids[known[1]]) & set(ids[few[0]])
    halves = split_halves(ids[:1000], seed=3)
    grown = split_halves(ids, 5, tuple(ids[h] for h in halves))
    assert [len(h) for h in grown] == [600, 600]
    assert all(set(ids[old]) <= set(ids[new]) for old, new in zip(halves, grown, strict=True))
    with pytest.raises(InputError, match="trained on all 1200 particles"):
        split_particles(ids, 10, seed=3, seen=ids)


def test_whitened_images_do_not_depend_on_brightness_and_contrast(tmp_path):
    particles, images = toy_through_ctf(tmp_path)
    preprocess = whitening(coloured_noise((100, 48, 48), colour, np.random.default_rng(0)))
    whole = preprocess(images, particles.ctf)
    assert torch.allclose(preprocess(images * 40 - 7, particles.ctf), whole, atol=1e-3)
    assert whole.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert whole.std(dim=(1, 2, 3)).numpy() == pytest.approx(np.ones(5), abs=1e-4)


def test_preprocess_survives_plain_values(tmp_path):
    whiten = whitening(coloured_noise((50, 48, 48), colour, np.random.default_rng(0)), 36)
    again = Preprocess.from_dict(json.loads(json.dumps(whiten.to_dict())))
    assert again == whiten
    assert hash(again) == hash(whiten)
