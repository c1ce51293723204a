"""Images for the network: one preprocess, lazy reading, and a split that keeps training and validation apart."""

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.io.stacks import read_images, require_usable_images, scan_images, write_stack
from continuousflex_deep.nn import data
from continuousflex_deep.nn.data import Preprocess, image_batches, split_particles
from continuousflex_deep.tests.nn_toy import render, toy_particles

CPU = torch.device("cpu")


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
    from continuousflex_deep.tests.nn_toy import rotations_of

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
    seen = list(image_batches(mixed, order, 3, 0, CPU))
    assert [len(rows) for rows, _ in seen] == [3, 3, 3, 1]
    assert np.array_equal(torch.cat([rows for rows, _ in seen]).numpy(), order)
    assert np.array_equal(torch.cat([batch for _, batch in seen]).numpy(), images[order])


def test_workers_read_the_same_images(tmp_path):
    _, particles = toy_particles(tmp_path, n=9, noise=0.5)
    here = [images for _, images in image_batches(particles, np.arange(9), 4, 0, CPU)]
    there = [images for _, images in image_batches(particles, np.arange(9), 4, 2, CPU)]
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


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


def test_never_more_than_a_batch_is_read_at_once(tmp_path, monkeypatch):
    _, particles = toy_particles(tmp_path, n=20)
    sizes = []

    def counted(particles, rows):
        sizes.append(len(rows))
        return read_images(particles, rows)

    monkeypatch.setattr(data, "read_images", counted)
    batches = image_batches(particles, np.arange(20), 6, 0, CPU)
    next(batches)
    assert sizes == [6], "the second batch is not read before it is asked for"
    assert len(list(batches)) == 3
    assert sizes == [6, 6, 6, 2]
