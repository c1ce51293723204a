"""Xmipp's engine on public and published-like images, with what the real program was recorded to find for them."""

from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.commands.preprocess import run as preprocess
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.hemnma.alignment import align
from continuousflex_deep.hemnma.engines.choice import make_engine
from continuousflex_deep.imaging.fourier import resize
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.options import AlignOptions, PreprocessOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.xmipp_replay import install


def aligned_by_xmipp(
    shared_data: Path, home: Path, particles: Particles, modes: tuple[int, ...], method: str
) -> Particles:
    structure = read_structure(shared_data / "gold10" / "AK.pdb")
    options = AlignOptions(engine="xmipp", xmipp_method=method, xmipp_home=str(home), modes="given", batch=4)
    return align(make_engine(structure, read_modes(shared_data / "elnemo_ak", modes), options), particles)


def test_images_made_by_xmipp(shared_data: Path, tmp_path: Path) -> None:
    """The figures that Xmipp 3.25.06 was measured to reach: 4.7, 0.67° and 0.039 Å on the first 16 by projection
    matching, 4.4, 0.64° and 0.042 Å on the first 10 by wavelets."""
    data = shared_data / "ak_xmipp32"
    source = PreprocessOptions(
        particles=str(data / "particles_256.star"), output=str(tmp_path / "p"), box=128, phase_flip=True
    )
    preprocess(source)
    particles = read_particles(tmp_path / "p" / "particles.star")
    recordings = {
        "projections": data / "hemnma_xmipp_projmatch.xmd",
        "wavelets": data / "hemnma_xmipp_wavelet.xmd",
    }
    home = install(tmp_path / "xmipp", read_images(particles), recordings)
    truth = np.loadtxt(data / "ground_truth.txt")
    for method, count, figures in (("projections", 16, (4.7, 0.67, 0.039)), ("wavelets", 10, (4.4, 0.64, 0.042))):
        order = np.random.default_rng(0).permutation(count)
        found = aligned_by_xmipp(shared_data, home, particles.select(order), (7, 8, 9), method)
        assert found.ids.tolist() == particles.ids[order].tolist()
        true = truth[order]
        amplitude = np.abs(found.amplitudes - true[:, 1:4]).mean()
        angle = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(true[:, 4:7])).mean()
        shift = np.abs(found.shift_A - 0.325 * true[:, 7:9]).mean()
        np.testing.assert_allclose((amplitude, angle, shift), figures, rtol=0.02)


def test_public_stack(shared_data: Path, tmp_path: Path) -> None:
    """The gold file lists images in another order than the stack; each result reaches its own particle."""
    data = shared_data / "gold10"
    stack = data / "smallstack_img.stk"
    whole = Particles(np.arange(1, 11), np.full(10, str(stack), dtype=object), np.arange(10), 1.0, box_px=128)
    images = resize(torch.as_tensor(read_images(whole)), 64).numpy()
    write_stack(tmp_path / "half.mrcs", images, 2.0)
    stacks = np.full(10, str(tmp_path / "half.mrcs"), dtype=object)
    particles = whole.replace(stacks=stacks, pixel_size_A=2.0, box_px=64, ids=np.arange(10, 0, -1) * 7)
    gold_file = data / "gold_projmatch_modes7-8.xmd"
    home = install(tmp_path / "xmipp", images, {"projections": gold_file})
    found = aligned_by_xmipp(shared_data, home, particles, (7, 8), "projections")
    gold = next(iter(read_star(gold_file).values()))
    row = {int(name.partition("@")[0]): i for i, name in enumerate(gold["image"])}
    order = [row[image] for image in range(1, 11)]
    assert order != list(range(10))
    amplitudes = np.array([text.split() for text in gold["nmaDisplacements"][order]], dtype=float)
    np.testing.assert_allclose(found.amplitudes, amplitudes)
    np.testing.assert_allclose(found.shift_A[:, 1], 2.0 * gold["shiftY"][order].astype(float))
    assert found.ids.tolist() == particles.ids.tolist()
    assert found.score[3] == found.score.min(), "its failed fit is that of the least score"
