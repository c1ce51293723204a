"""Phase flip, reduction, normalisation and inversion of particle images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep import cli
from continuousflex_deep.commands import preprocess
from continuousflex_deep.errors import InputError
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.preprocessing import (
    Steps,
    describe_result,
    normalize,
    phase_flip,
    planned_steps,
    preprocess_images,
)
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import read_images, stack_info, write_stack
from continuousflex_deep.options import PreprocessOptions
from continuousflex_deep.particles import Ctf, Particles

BOX, PIXEL = 40, 1.5


def particles_in(folder: Path, n: int = 7, box: int = BOX) -> Particles:
    """Noise images with different defocus, ids that are not row numbers, poses and a foreign column."""
    rng = np.random.default_rng(0)
    images = rng.normal(loc=3.0, scale=2.0, size=(n, box, box)).astype(np.float32)
    write_stack(folder / "raw.mrcs", images, PIXEL)
    ctf = Ctf(*(np.full(n, v) for v in (0.0, 0.0, 20.0, 300.0, 2.7, 0.1, 0.0)))
    ctf = replace(ctf, defocus_u_A=np.linspace(9e3, 2e4, n), defocus_v_A=np.linspace(8e3, 2e4, n))
    return Particles(
        ids=np.arange(n) * 10 + 5, stacks=np.array([str(folder / "raw.mrcs")] * n, dtype=object),
        indices=np.arange(n)[::-1].copy(), pixel_size_A=PIXEL, box_px=box, ctf=ctf,
        euler_deg=rng.uniform(0, 90, (n, 3)), shift_A=rng.normal(size=(n, 2)),
        extra={"rlnMicrographName": np.array([f"m{i}.mrc" for i in range(n)], dtype=object)},
    )  # fmt: skip


def run(folder: Path, particles: Particles, **settings: object) -> Particles:
    write_particles(particles, folder / "in.star")
    options = PreprocessOptions(particles=str(folder / "in.star"), output=str(folder / "out"), **settings)
    preprocess.run(options)
    return read_particles(folder / "out" / "particles.star")


@pytest.mark.parametrize("box", [20, 21, 33])
def test_command_keeps_ids_poses_and_columns(tmp_path: Path, box: int) -> None:
    p = particles_in(tmp_path)
    done = run(tmp_path, p, box=box, phase_flip=True, normalize=True)
    assert done.ids.tolist() == p.ids.tolist()
    assert done.extra["rlnMicrographName"].tolist() == p.extra["rlnMicrographName"].tolist()
    np.testing.assert_allclose(done.euler_deg, p.euler_deg, atol=1e-6)
    np.testing.assert_allclose(done.shift_A, p.shift_A, atol=1e-6)
    assert done.phase_flipped
    assert done.box_px == box
    assert done.pixel_size_A == pytest.approx(PIXEL * BOX / box, rel=1e-5)
    info = stack_info(tmp_path / "out" / "particles.mrcs")
    assert (info.n, info.box_px) == (7, box)
    assert info.pixel_size_A == pytest.approx(done.pixel_size_A, rel=1e-5)
    expected = preprocess_images(read_images(p), p, Steps(box, phase_flip=True, normalize=True))
    np.testing.assert_allclose(read_images(done), expected, atol=1e-5)
    assert (tmp_path / "out" / "record.json").is_file()


def test_result_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    p, steps = particles_in(tmp_path), Steps(20, phase_flip=True)
    whole = preprocess_images(read_images(p), p, steps)
    done = describe_result(p, steps, str(tmp_path / "done.mrcs"))
    preprocess.write_preprocessed(p, steps, done, batch_pixels=2 * BOX**2)
    np.testing.assert_allclose(read_images(done), whole, atol=1e-6)


@pytest.mark.parametrize("box", [40, 41])
def test_flip_twice_is_no_flip_and_signs_are_right(tmp_path: Path, box: int) -> None:
    p = particles_in(tmp_path, box=box)
    images = torch.as_tensor(read_images(p))
    flipped = phase_flip(images, p)
    ctf = ctf_2d(p.require_ctf("test"), box, PIXEL)
    inside = torch.ones_like(ctf, dtype=torch.bool)
    if box % 2 == 0:  # on the Nyquist lines of an even image frequencies of opposite sign, of different CTF, are one
        inside[:, box // 2] = inside[:, :, box // 2] = False
    before, once, twice = (torch.fft.rfft2(i) for i in (images, flipped, phase_flip(flipped, p)))
    np.testing.assert_allclose(twice[inside], before[inside], atol=1e-3)
    ratio = once / before
    np.testing.assert_allclose(ratio.real[inside], torch.where(ctf < 0, -1.0, 1.0)[inside], atol=0.02)
    np.testing.assert_allclose(flipped.mean(dim=(1, 2)), images.mean(dim=(1, 2)), atol=1e-5)  # contrast is kept


def test_flip_restores_a_blob_seen_through_the_ctf() -> None:
    axis = torch.arange(65) - 32.0
    blob = torch.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / 8)[None]
    ctf = Ctf(*(np.array([v]) for v in (25_000.0, 25_000.0, 0.0, 300.0, 2.7, 0.1, 0.0)))
    p = Particles(np.array([1]), np.array(["x"], dtype=object), np.array([0]), 2.0, 65, ctf=ctf)
    seen = torch.fft.irfft2(torch.fft.rfft2(blob) * ctf_2d(ctf, 65, 2.0), s=(65, 65))

    def likeness(image: torch.Tensor) -> float:
        return float(np.corrcoef(image.flatten().numpy(), blob.flatten().numpy())[0, 1])

    assert likeness(phase_flip(seen, p)) > likeness(seen) + 0.1


def test_images_flipped_already_are_left_alone(tmp_path: Path) -> None:
    p = particles_in(tmp_path).replace(phase_flipped=True)
    done = run(tmp_path, p, phase_flip=True)
    np.testing.assert_allclose(read_images(done), read_images(p), atol=1e-6)
    assert done.phase_flipped


def test_normalised_background_and_inversion(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(5.0, 3.0, (4, 51, 51)).astype(np.float32)
    images[:, 15:36, 15:36] += 40  # a particle must not matter
    out = normalize(torch.as_tensor(images)).numpy()
    axis = np.arange(51) - 25
    outside = np.hypot(axis[:, None], axis) > 0.45 * 51
    np.testing.assert_allclose(out[:, outside].mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(out[:, outside].std(axis=1), 1, atol=1e-2)
    p = particles_in(tmp_path)
    np.testing.assert_allclose(preprocess_images(read_images(p), p, Steps(BOX, invert=True)), -read_images(p))
    flat = np.zeros((2, 20, 20), dtype=np.float32)
    flat[:, 8:12, 8:12] = 1
    with pytest.raises(InputError, match="2 of 2 images have a constant background"):
        normalize(torch.as_tensor(flat))


def test_flip_without_ctf_is_refused(tmp_path: Path) -> None:
    p = particles_in(tmp_path).replace(ctf=None)
    with pytest.raises(InputError, match="phase flipping needs CTF parameters"):
        run(tmp_path, p, phase_flip=True)
    assert not (tmp_path / "out").exists()
    options = PreprocessOptions(particles="p", output="o")
    assert planned_steps(p, options) == Steps(BOX)
    with pytest.raises(InputError, match="--box"):
        planned_steps(p, replace(options, box=1))


def test_bad_images_end_without_a_half_written_stack(tmp_path: Path) -> None:
    p = particles_in(tmp_path)
    images = read_images(p)
    images[3, 0, 0] = np.nan
    write_stack(tmp_path / "raw.mrcs", images, PIXEL)
    with pytest.raises(InputError, match=r"1 of \d+ images.*not finite \(NaN"):
        run(tmp_path, p, box=20)
    assert not (tmp_path / "out").exists()
    write_stack(tmp_path / "raw.mrcs", images[:4], PIXEL)
    with pytest.raises(InputError, match="has 4 images, but the particle file refers to image 7"):
        run(tmp_path, p, box=20)


def test_output_onto_its_own_input_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, particles_in(tmp_path), box=20)
    arguments = [
        "preprocess",
        "--particles",
        str(tmp_path / "out" / "particles.star"),
        "--output",
        str(tmp_path / "out"),
    ]
    assert cli.main([*arguments, "--box", "10"]) == 2
    assert read_images(done).shape == (7, 20, 20)


def test_xmipp_s_images_reduced(shared_data: Path, tmp_path: Path) -> None:
    options = PreprocessOptions(
        particles=str(shared_data / "ak_xmipp32" / "particles_256.star"), output=str(tmp_path), box=128, phase_flip=True
    )
    preprocess.run(options)
    done = read_particles(tmp_path / "particles.star")
    assert (len(done), done.box_px, done.phase_flipped) == (32, 128, True)
    assert done.pixel_size_A == pytest.approx(0.65)
    # protein is bright: the flipped images add up to a bright blob at the centre
    mean = read_images(done).mean(axis=0)
    assert mean[44:84, 44:84].mean() > mean[:20].mean() + 5 * mean[:20].std() / 40
