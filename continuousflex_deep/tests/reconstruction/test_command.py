"""The reconstruct command: its files, half sets, options and errors."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.particles import Ctf, Particles
from continuousflex_deep.reconstruction.fsc import spherical_mask
from continuousflex_deep.reconstruction.halves import half_sets
from continuousflex_deep.reconstruction.maps import contrast_sign, read_reference_map
from continuousflex_deep.reconstruction.reconstruct import reconstruct
from continuousflex_deep.tests.helpers.gaussian_particles import true_images, true_map

BOX, PIXEL_A, N = 24, 4.0, 80


def write_images(path: Path, particles: Particles, box: int, pixel_A: float, sign: int = 1) -> Particles:
    """Particles on a new stack of bright (sign 1) or dark Gaussians with a little noise."""
    images = sign * true_images(euler_matrices(particles), particles.shift_A, box, pixel_A)
    images += np.random.default_rng(1).normal(size=images.shape) * images.std() * 0.3
    write_stack(path, images.astype(np.float32), pixel_A)
    n = len(particles)
    return particles.replace(
        stacks=np.full(n, str(path), dtype=object), indices=np.arange(n), box_px=box, pixel_size_A=pixel_A
    )


def euler_matrices(particles: Particles) -> np.ndarray:
    return euler_to_matrix(particles.euler_deg)


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    rng = np.random.default_rng(0)
    bare = Particles(
        ids=np.arange(1, N + 1),
        stacks=np.full(N, "", dtype=object),
        indices=np.arange(N),
        pixel_size_A=PIXEL_A,
        box_px=BOX,
        euler_deg=matrix_to_euler(random_rotations(N, rng)),
        shift_A=rng.normal(size=(N, 2)) * 3,
    )
    return write_images(tmp_path / "images.mrcs", bare, BOX, PIXEL_A)


def arguments(tmp_path: Path, particles: Particles, *more: str) -> list[str]:
    write_particles(particles, tmp_path / "p.star")
    return [
        "reconstruct",
        "--particles",
        str(tmp_path / "p.star"),
        "--output",
        str(tmp_path / "out"),
        "--threads",
        "1",
        *more,
    ]


def test_command_writes_what_it_promises(
    particles: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "true.mrc", true_map(32, 3.0).astype(np.float32), 3.0)  # same width, finer voxels
    assert main(arguments(tmp_path, particles, "--no-ctf", "--reference", str(tmp_path / "true.mrc"))) == 0
    out, true = tmp_path / "out", true_map(BOX, PIXEL_A)
    for name in ("map", "half1", "half2"):
        volume, voxel = read_volume(out / f"{name}.mrc")
        assert volume.shape == (BOX,) * 3
        assert voxel == pytest.approx(PIXEL_A)
        assert np.corrcoef(volume.ravel(), true.ravel())[0, 1] > (0.95 if name == "map" else 0.85)
    with open(out / "fsc.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == BOX // 2 + 1
    assert float(rows[4]["reference"]) > 0.95
    resolution = json.loads((out / "fsc.json").read_text())["resolution_A"]
    assert resolution["reference"]["0.5"] >= resolution["reference"]["0.143"] >= 2 * PIXEL_A - 1e-6
    assert resolution["half maps"]["0.143"] < 14
    record = json.loads((out / "record.json").read_text())
    assert (record["particles"], record["half_sets"], record["maps_inverted"]) == (N, "every other id", False)
    for name in ("fsc.png", "slices.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"
    assert "FSC 0.143" in capsys.readouterr().out


def test_local_filter_of_the_command(particles: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path, particles, "--no-ctf", "--local-filter", "--local-window-A", "36")) == 0
    volume, voxel = read_volume(tmp_path / "out" / "local.mrc")
    found, _ = read_volume(tmp_path / "out" / "local_resolution.mrc")
    assert voxel == pytest.approx(PIXEL_A)
    assert np.corrcoef(volume.ravel(), true_map(BOX, PIXEL_A).ravel())[0, 1] > 0.95
    assert 2 * PIXEL_A <= np.median(found[found > 0]) < 20
    assert "(window of 36 Å)" in capsys.readouterr().out
    assert main(arguments(tmp_path, particles, "--no-ctf", "--local-filter", "--local-window-A", "20")) == 2
    assert "expected 32 to 48 Å" in capsys.readouterr().err


def test_density_is_positive_for_bright_and_dark_images(particles: Particles, tmp_path: Path) -> None:
    dark = write_images(tmp_path / "dark.mrcs", particles, BOX, PIXEL_A, sign=-1)
    bright_result, dark_result = reconstruct(particles, ctf=False), reconstruct(dark, ctf=False)
    assert (bright_result.sign, dark_result.sign) == (1, -1)
    for result in (bright_result, dark_result):
        for volume in (result.map, result.half1, result.half2):
            assert np.corrcoef(volume.ravel(), true_map(BOX, PIXEL_A).ravel())[0, 1] > 0.85
    np.testing.assert_allclose(bright_result.curves["half maps"][:8], dark_result.curves["half maps"][:8], atol=0.1)


def test_poses_go_to_images_of_another_size(particles: Particles, tmp_path: Path) -> None:
    big = write_images(tmp_path / "big.mrcs", particles, 40, 2.4)
    order = np.random.default_rng(3).permutation(N)
    write_particles(big.select(order).replace(euler_deg=None, shift_A=None), tmp_path / "big.star")
    with_halves = particles.replace(half=np.array([2, 1, 1, 1] * (N // 4)))
    assert main(arguments(tmp_path, with_halves, "--no-ctf", "--images", str(tmp_path / "big.star"))) == 0
    assert json.loads((tmp_path / "out" / "record.json").read_text())["half_sets"] == "rlnRandomSubset"
    volume, voxel = read_volume(tmp_path / "out" / "map.mrc")
    assert volume.shape == (40,) * 3
    assert voxel == pytest.approx(2.4)
    assert np.corrcoef(volume.ravel(), true_map(40, 2.4).ravel())[0, 1] > 0.95


def test_half_sets_are_the_particles_own(particles: Particles) -> None:
    half = np.array([1, 1, 1, 2] * (N // 4))
    first, second, how = half_sets(particles.replace(half=half))
    assert how == "rlnRandomSubset"
    assert first.tolist() == np.flatnonzero(half == 1).tolist()
    assert second.tolist() == np.flatnonzero(half == 2).tolist()


def test_half_sets_do_not_depend_on_the_order_of_rows(particles: Particles) -> None:
    first, second, _ = half_sets(particles)
    shuffled = particles.select(np.random.default_rng(0).permutation(N))
    again, other, _ = half_sets(shuffled)
    assert set(particles.ids[first]) == set(shuffled.ids[again])
    assert set(particles.ids[second]) == set(shuffled.ids[other])
    assert abs(len(first) - len(second)) <= 1


def test_half_sets_need_particles(particles: Particles) -> None:
    with pytest.raises(InputError, match="got 2 and 1 of 3"):
        half_sets(particles.select(np.arange(3)))
    few = np.array([1] * (N - 1) + [2])
    with pytest.raises(InputError, match=f"got {N - 1} and 1 of {N}"):
        half_sets(particles.replace(half=few))
    with pytest.raises(InputError, match="expected 1 and 2"):
        half_sets(particles.replace(half=np.array([0, 1] * (N // 2))))


def test_command_says_what_is_wrong(particles: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_volume(tmp_path / "small.mrc", np.zeros((10, 10, 10), dtype=np.float32), 1.0)
    bad = true_images(euler_matrices(particles), particles.shift_A, BOX, PIXEL_A).astype(np.float32)
    bad[5] = np.nan
    write_stack(tmp_path / "bad.mrcs", bad, PIXEL_A)
    ctf = Ctf(*(np.full(N, v) for v in (9000.0, 9000.0, 0.0, 300.0, 2.7, 0.1, 0.0)))
    damaged = particles.replace(stacks=np.full(N, str(tmp_path / "bad.mrcs"), dtype=object))
    beyond = particles.replace(indices=np.arange(N) + 1)
    for case, more, message in [
        (particles.replace(euler_deg=None), [], "needs angles and shifts"),
        (particles, [], "--no-ctf"),
        (particles.select([0, 1, 2]), ["--no-ctf"], "at least 2 particles each"),
        (particles.replace(ctf=ctf), ["--symmetry", "q5"], "expected c1"),
        (particles, ["--no-ctf", "--reference", str(tmp_path / "small.mrc")], "10 voxels of 1 Å"),
        (particles, ["--no-ctf", "--mask-diameter-A", "500"], "only 96 Å wide"),
        (beyond, ["--no-ctf"], f"has {N} images"),
        (damaged, ["--no-ctf"], "images cannot be used, for example of particles 6 (not finite"),
    ]:
        assert main(arguments(tmp_path, case, *more)) == 2, message
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_output_is_checked_before_any_work(
    particles: Particles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    assert main(arguments(tmp_path, particles, "--no-ctf")) == 2
    assert "is a file; select a folder" in capsys.readouterr().err


def test_real_particles_agree_with_the_known_map(shared_data: Path) -> None:
    """133 β-galactosidase particles with RELION's poses; its gold-standard resolution was 16.4 Å."""
    folder = shared_data / "betagal133"
    particles = read_particles(folder / "particles.star")
    reference = read_reference_map(folder / "betaGal_ref_2.561A_96.mrc", particles.box_px, particles.pixel_size_A)
    result = reconstruct(particles, symmetry="d2", mask_diameter_A=190, reference=reference)
    resolution = result.resolutions_A()
    assert result.half_sets == "rlnRandomSubset"
    assert resolution["half maps, corrected"]["0.143"] < 17
    assert resolution["reference"]["0.143"] < 17
    assert resolution["reference"]["0.5"] < 22
    # the images were inverted, so their particles are bright, as the reference and the map itself both say
    assert result.sign == 1
    assert contrast_sign(result.map, spherical_mask(96, 70, 5))[0] == 1
    assert contrast_sign(-result.map, spherical_mask(96, 70, 5))[0] == -1
