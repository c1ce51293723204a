"""Simulated images: physics of the projection, statistics of truth and noise, and Xmipp's own images."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch

from continuousflex_deep import cli
from continuousflex_deep.commands.simulate import run
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.imaging import simulated_images, simulation
from continuousflex_deep.imaging.ctf import ctf_2d
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.imaging.fourier import radius_px
from continuousflex_deep.imaging.scattering import project, scatterers
from continuousflex_deep.imaging.simulated_images import images_in_order, noise_level, signal_transform, simulate_image
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, stack_info
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.emulated_gpu import emulated_gpu


def molecule(n: int = 40, seed: int = 0) -> Structure:
    rng = np.random.default_rng(seed)
    number = rng.choice([6, 7, 8, 16], n)
    name = np.array([gemmi.Element(int(z)).name for z in number], dtype=object)
    return Structure(
        coords_A=rng.normal(scale=5.0, size=(n, 3)), atomic_number=number, weights=number.astype(float),
        atom_names=name, residue_names=np.array(["ALA"] * n, dtype=object), residue_numbers=np.arange(1, n + 1),
        chain_ids=np.array(["A"] * n, dtype=object),
    )  # fmt: skip


def random_modes(n: int, ids: tuple[int, ...] = (7, 8, 9)) -> NormalModes:
    vectors = np.random.default_rng(5).normal(size=(len(ids), n, 3))
    return NormalModes(ids, vectors / np.linalg.norm(vectors, axis=(1, 2), keepdims=True))


@pytest.fixture
def base(tmp_path: Path) -> SimulateOptions:
    """A small, quick simulation of a small molecule."""
    write_structure(tmp_path / "s.pdb", molecule())
    write_modes(tmp_path / "modes", random_modes(40))
    return SimulateOptions(
        structure=str(tmp_path / "s.pdb"), modes=str(tmp_path / "modes"), output=str(tmp_path / "out"), count=6,
        amplitude_range=10.0, box_px=64, pixel_size_A=1.0, final_box_px=32, b_factor_A2=20.0,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- projection


@pytest.mark.parametrize("box", [48, 49])
def test_an_atom_is_seen_at_the_first_two_components_from_the_centre_pixel(box: int) -> None:
    carbon = molecule(1).select(np.array([0]))
    image = project(scatterers(carbon), torch.tensor([[6.0, -4.0]]), box, 2.0)
    assert np.unravel_index(int(image.argmax()), image.shape) == (box // 2 - 2, box // 2 + 3)


def test_total_scattering_and_profile_are_peng_s() -> None:
    structure, pixel = molecule(), 0.5
    image = project(scatterers(structure), torch.as_tensor(structure.coords_A[:, :2]), 128, pixel).double()
    total = sum(gemmi.Element(int(z)).c4322.calculate_sf(0.0) for z in structure.atomic_number)
    assert image.sum().item() * pixel**2 == pytest.approx(total, rel=1e-4)
    # one atom in real space: f(k) = Σ a exp(−b k²/4) projects to Σ a 4π/b exp(−4π² r²/b)
    one = structure.select(np.array([0]))
    table = gemmi.Element(int(one.atomic_number[0])).c4322
    r = np.arange(2, 60) * 0.05  # fine enough for the narrowest of the five
    seen = project(scatterers(one), torch.zeros(1, 2), 256, 0.05)[128, 130:188]
    expected = sum(a * 4 * np.pi / b * np.exp(-4 * np.pi**2 * r**2 / b) for a, b in zip(table.a, table.b, strict=True))
    np.testing.assert_allclose(seen, expected, atol=2e-3 * expected.max())


@pytest.mark.parametrize("box", [32, 33])
def test_movement_by_whole_pixels_rolls_the_image(box: int) -> None:
    structure, atoms = molecule(), scatterers(molecule())
    xy = torch.as_tensor(structure.coords_A[:, :2])
    still, moved = (project(atoms, xy + 1.5 * torch.tensor(t), box, 1.5) for t in ([0.0, 0.0], [3.0, -2.0]))
    np.testing.assert_allclose(moved, still.roll((-2, 3), dims=(0, 1)), atol=1e-5)


def test_projection_is_the_central_slice_of_the_map() -> None:
    structure = molecule()
    structure = structure.replace_coords(structure.coords_A - structure.center_A)
    volume = structure_to_map(structure, 48, 1.0)
    along_z = project(scatterers(structure), torch.as_tensor(structure.coords_A[:, :2]), 48, 1.0)
    np.testing.assert_allclose(volume.sum(axis=0) * 1.0, along_z, atol=1e-4 * along_z.max().item())
    # tilt 90 looks along x: R's rows say which model axes are seen
    rotation = euler_to_matrix([0, 90, 0])
    along_x = project(scatterers(structure), torch.as_tensor(structure.coords_A @ rotation[:2].T), 48, 1.0)
    seen = volume.sum(axis=2)  # [z, y]; the image has y down its rows and −z along its columns
    np.testing.assert_allclose(np.roll(seen.T[:, ::-1], 1, axis=1), along_x, atol=1e-4 * along_x.max().item())


def test_map_is_centred_limited_and_must_fit() -> None:
    structure = molecule()
    moved = structure.replace_coords(structure.coords_A + np.array([5.0, -3.0, 7.0]))
    np.testing.assert_allclose(structure_to_map(moved, 40, 1.0), structure_to_map(structure, 40, 1.0), atol=1e-4)
    low = np.fft.rfftn(structure_to_map(structure, 40, 1.0, resolution_A=5.0))
    full = np.fft.rfftn(structure_to_map(structure, 40, 1.0))
    f = np.fft.fftfreq(40)
    radius = np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + np.fft.rfftfreq(40) ** 2)
    assert np.abs(low[radius > 0.2001]).max() < 1e-3 * np.abs(full).max()
    np.testing.assert_allclose(low[radius < 0.1999], full[radius < 0.1999], atol=1e-4 * np.abs(full).max())
    with pytest.raises(InputError, match=r"extends .* Å from its centre, a box of 10 px"):
        structure_to_map(structure, 10, 1.0)


def test_unknown_elements_are_refused() -> None:
    structure = molecule(2)
    with pytest.raises(InputError, match=r"no electron scattering factors for element Og \(Z = 118\)"):
        scatterers(replace(structure, atomic_number=np.array([6, 118])))


# --------------------------------------------------------------------------------------------------------------- truth


def truth_of(options: SimulateOptions, **changes: object) -> Particles:
    settings = replace(options, **changes)
    return simulation.draw_truth(settings, simulation.prepare(settings), "stack")


def test_trajectory_is_the_article_s_equation_1(base: SimulateOptions) -> None:
    q = truth_of(base, count=2000, amplitude_range=200.0).amplitudes
    assert q is not None
    r = -q[:, 0] / 200
    assert r.min() >= 0
    assert r.max() <= 1
    np.testing.assert_allclose(q[:, 1], 200 * np.sin(np.pi * r))
    np.testing.assert_allclose(q[:, 2], 200 * np.cos(np.pi * r))
    assert np.abs(np.sort(r) - np.linspace(0, 1, 2000)).max() < 0.04  # uniform


def test_other_distributions(base: SimulateOptions) -> None:
    n = 4000
    uniform = truth_of(base, count=n, conformations="uniform", amplitude_range=100.0).amplitudes
    gaussian = truth_of(base, count=n, conformations="gaussian", amplitude_range=100.0).amplitudes
    linear = truth_of(base, count=n, conformations="linear", amplitude_range=100.0).amplitudes
    assert uniform is not None
    assert gaussian is not None
    assert linear is not None
    np.testing.assert_allclose(uniform.std(axis=0), 100 / np.sqrt(3), rtol=0.05)
    assert np.abs(uniform).max() <= 100
    np.testing.assert_allclose(gaussian.std(axis=0), 50, rtol=0.05)
    np.testing.assert_allclose(np.cov(gaussian.T)[np.triu_indices(3, 1)], 0, atol=200)
    assert np.ptp(linear, axis=1).max() == 0
    np.testing.assert_allclose(linear.std(axis=0), 100 / np.sqrt(3), rtol=0.05)


def test_poses_cover_their_ranges(base: SimulateOptions) -> None:
    p = truth_of(base, count=4000, shift_range_px=5.0, pixel_size_A=0.5, box_px=96, rot_range_deg=(10.0, 50.0))
    euler, shift = p.require_poses("test")
    assert euler[:, 0].min() > 10
    assert euler[:, 0].max() < 50
    assert np.abs(euler[:, 1].mean() - 90) < 3
    assert euler[:, 1].std() == pytest.approx(180 / np.sqrt(12), rel=0.05)  # uniform in angle, as in the article
    assert np.abs(shift).max() <= 2.5
    assert shift.std() == pytest.approx(2.5 / np.sqrt(3), rel=0.05)
    sphere = truth_of(base, count=4000, tilt_sampling="uniform-sphere").require_poses("test")[0]
    assert np.cos(np.radians(sphere[:, 1])).std() == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_astigmatism_and_defocus_ranges(base: SimulateOptions) -> None:
    p = truth_of(base, count=500, defocus_A=(5000.0, 15000.0), astigmatism_A=600.0)
    ctf = p.require_ctf("test")
    difference = ctf.defocus_u_A - ctf.defocus_v_A
    assert difference.min() >= 0
    assert difference.max() <= 600
    mean = (ctf.defocus_u_A + ctf.defocus_v_A) / 2
    assert mean.min() > 5000
    assert mean.max() < 15000
    assert np.ptp(ctf.defocus_angle_deg) > 150


def test_an_image_depends_on_its_number_only(base: SimulateOptions) -> None:
    few, many = truth_of(base, count=3), truth_of(base, count=6)
    assert few.euler_deg is not None
    assert many.euler_deg is not None
    np.testing.assert_array_equal(few.euler_deg, many.euler_deg[:3])
    cli_run(replace(base, output=base.output + "_few", count=3))
    cli_run(base)
    first, all_ = (read_images(read_particles(Path(o) / "particles.star")) for o in (base.output + "_few", base.output))
    np.testing.assert_array_equal(first, all_[:3])
    cli_run(replace(base, output=base.output + "_other", seed=1, count=3))
    other = read_images(read_particles(Path(base.output + "_other") / "particles.star"))
    assert np.abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.5


# -------------------------------------------------------------------------------------------------------------- images


def cli_run(options: SimulateOptions) -> None:
    run(options)


def image_of(
    options: SimulateOptions, level: float, row: int = 0
) -> tuple[torch.Tensor, simulation.Simulator, Particles]:
    simulator = simulation.prepare(options)
    truth = simulation.draw_truth(options, simulator, "stack")
    return simulate_image(simulator, truth, row, level, options), simulator, truth


def test_noise_free_image_is_the_deformed_rotated_shifted_structure(base: SimulateOptions) -> None:
    clean = replace(base, ctf=False, snr=0.0, final_box_px=0)
    image, simulator, truth = image_of(clean, 0.0, row=2)
    q, (euler, shift) = truth.require_amplitudes("test")[2], truth.require_poses("test")
    coords = simulator.structure.coords_A + np.einsum("m,mni->ni", q, simulator.modes.vectors)
    z = simulator.structure.atomic_number
    coords = coords - (z[:, None] * coords).sum(axis=0) / z.sum()
    seen = (coords @ euler_to_matrix(euler[2]).T)[:, :2]
    # moved by the shift, the particle is back at the centre
    expected = project(simulator.atoms, torch.as_tensor(seen - shift[2]), 64, 1.0)
    np.testing.assert_allclose(image, expected, atol=1e-5 * expected.max().item())


def test_protein_is_bright_with_and_without_ctf_and_flip(base: SimulateOptions) -> None:
    plain, *_ = image_of(replace(base, ctf=False), 0.0)
    for changes in ({"phase_flip": True}, {"phase_flip": False}):
        image, *_ = image_of(replace(base, **changes), 0.0)
        smooth = [torch.fft.rfft2(i)[:3, :3] for i in (plain, image)]
        assert (smooth[0] * smooth[1].conj()).sum().real > 0


def test_phase_flip_leaves_no_negative_transfer(base: SimulateOptions) -> None:
    settings = replace(base, final_box_px=0, defocus_A=(20_000.0, 20_000.0))
    plain, *_ = image_of(replace(settings, ctf=False), 0.0)
    flipped, *_ = image_of(settings, 0.0)
    raw, *_ = image_of(replace(settings, phase_flip=False), 0.0)
    ctf = ctf_2d(truth_of(settings).require_ctf("test"), 64, 1.0)[0]
    transforms = [torch.fft.rfft2(i) for i in (plain, flipped, raw)]
    np.testing.assert_allclose(transforms[2], ctf * transforms[0], atol=2e-3)
    np.testing.assert_allclose(transforms[1], ctf.abs() * transforms[0], atol=2e-3)
    assert (ctf < 0).float().mean() > 0.3  # the flip had something to do


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_snr_and_the_two_noises(base: SimulateOptions, share: float) -> None:
    settings = replace(base, snr=0.25, noise_before_ctf=share, final_box_px=0, phase_flip=False, count=24)
    simulator = simulation.prepare(settings)
    truth = simulation.draw_truth(settings, simulator, "stack")
    level = noise_level(simulator, settings)
    pairs = [[simulate_image(simulator, truth, row, s, settings) for s in (0.0, level)] for row in range(24)]
    signal, noise = torch.stack([p[0] for p in pairs]), torch.stack([p[1] - p[0] for p in pairs])
    assert (signal.var(dim=(1, 2)).mean() / noise.var()).item() == pytest.approx(0.25, rel=0.15)
    # both parts were white where they were added; the one from before the CTF now has the CTF's power
    power = torch.fft.rfft2(noise).abs().square().mean(dim=0)
    ctf2 = ctf_2d(truth.require_ctf("test"), 64, 1.0)[0].square()
    weights = torch.stack([torch.ones_like(ctf2).flatten(), ctf2.flatten()], dim=1)
    white, filtered = torch.linalg.lstsq(weights, power.flatten()[:, None]).solution[:, 0]
    assert (filtered / (white + filtered)).item() == pytest.approx(share, abs=0.05)


def test_what_leaves_the_box_does_not_come_back(base: SimulateOptions) -> None:
    settings = replace(base, ctf=False, final_box_px=0)
    simulator = simulation.prepare(settings)
    truth = simulation.draw_truth(settings, simulator, "s").replace(shift_A=np.full((6, 2), -28.0))
    image = simulate_image(simulator, truth, 0, 0.0, settings)
    assert image[:8, :8].abs().max() < 0.02 * image.abs().max()
    assert image[50:, 50:].max() == image.max()


@pytest.mark.parametrize(("phase_flip", "ctf", "shift_px"), [(True, True, 0.0), (False, False, -28.0)])
def test_a_gpu_makes_the_same_images_many_at_once(
    base: SimulateOptions, monkeypatch: pytest.MonkeyPatch, phase_flip: bool, ctf: bool, shift_px: float
) -> None:
    """In batches, of which the last is smaller; with atoms that leave the box in some images."""
    settings = replace(base, phase_flip=phase_flip, ctf=ctf, snr=0.2)
    simulator = simulation.prepare(settings)
    truth = simulation.draw_truth(settings, simulator, "s")
    truth = truth.replace(shift_A=truth.shift_A + np.where(np.arange(6) % 2, shift_px, 0)[:, None])
    level = noise_level(simulator, settings)
    expected = torch.cat(list(images_in_order(simulator, truth, level, settings, torch.device("cpu"))))
    monkeypatch.setattr(simulated_images, "working_bytes", lambda device: 1_800_000)
    with emulated_gpu(monkeypatch):
        batches = list(images_in_order(simulator, truth, level, settings, torch.device("cuda")))
    assert len({len(batch) for batch in batches}) == 2
    found = torch.cat([torch.as_tensor(batch.numpy()) for batch in batches])
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std().item())


def test_command_writes_images_optics_and_truth(base: SimulateOptions) -> None:
    arguments = ["simulate"]
    for name in ("structure", "modes", "output"):
        arguments += [f"--{name}", getattr(base, name)]
    settings = {"count": 5, "amplitude-range": 10, "box-px": 64, "pixel-size-A": 1.0, "final-box-px": 33, "snr": 0.5}
    for key, value in settings.items():
        arguments += [f"--{key}", str(value)]
    assert cli.main(arguments) == 0
    folder = Path(base.output)
    assert sorted(p.name for p in folder.iterdir()) == ["particles.mrcs", "particles.star", "record.json", "truth.star"]
    info = stack_info(folder / "particles.mrcs")
    assert (info.n, info.box_px) == (5, 33)
    assert info.pixel_size_A == pytest.approx(64 / 33, rel=1e-5)
    particles, truth = read_particles(folder / "particles.star"), read_particles(folder / "truth.star")
    assert (particles.euler_deg, particles.amplitudes, particles.shift_A) == (None, None, None)
    assert particles.ids.tolist() == truth.ids.tolist() == [1, 2, 3, 4, 5]
    assert particles.phase_flipped
    assert truth.mode_ids == (7, 8, 9)
    assert np.isfinite(read_images(particles)).all()
    assert json.loads((folder / "record.json").read_text())["options"]["snr"] == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode_list": "7-8"}, "needs three modes"),
        ({"mode_list": "6-8"}, "rigid-body"),
        ({"mode_list": "7-9 12"}, r"no file vec.N for modes \[12\]"),
        ({"final_box_px": 128}, "the final box is 128 px, expected 2 to 64"),
        ({"tilt_range_deg": (90.0, 10.0)}, "expected low to high"),
        ({"box_px": 20, "final_box_px": 0}, "a box of 20 px of .* only"),
        ({"structure": "absent.pdb"}, "no such file"),
    ],
)
def test_bad_requests_end_before_any_work(base: SimulateOptions, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(replace(base, **changes))
    assert not Path(base.output).exists()


def test_modes_of_another_structure_are_refused(base: SimulateOptions, tmp_path: Path) -> None:
    write_structure(tmp_path / "t.pdb", molecule(39))
    with pytest.raises(InputError, match="have 40 atoms"):
        simulation.prepare(replace(base, structure=str(tmp_path / "t.pdb")))


# --------------------------------------------------------------------------------------------------------------- Xmipp


@pytest.fixture(scope="module")
def xmipp_images(shared_data: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Transforms (32, d, d//2+1) of Xmipp's images and of our noise-free ones for the same truth; squared CTF."""
    particles = read_particles(shared_data / "ak_xmipp32" / "particles_256.star")
    columns = np.loadtxt(shared_data / "ak_xmipp32" / "ground_truth.txt")
    box, pixel = particles.box_px, particles.pixel_size_A
    truth = particles.replace(
        euler_deg=columns[:, 4:7], shift_A=columns[:, 7:9] * pixel, amplitudes=columns[:, 1:4], mode_ids=(7, 8, 9)
    )
    settings = SimulateOptions(
        structure=str(shared_data / "gold10" / "AK.pdb"), modes=str(shared_data / "elnemo_ak"), output="unused"
    )
    simulator = simulation.prepare(settings)
    ctf = ctf_2d(truth.require_ctf("test"), box, pixel)
    ours = [signal_transform(simulator, truth, row, box, pixel) * ctf[row] for row in range(len(truth))]
    theirs = torch.fft.rfft2(torch.fft.ifftshift(torch.as_tensor(read_images(truth)), dim=(-2, -1)))
    return theirs, torch.stack(ours), ctf[0].square()


def test_xmipp_s_images_are_where_ours_are(xmipp_images: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    """Poses, shifts, amplitudes, re-centring and contrast sign in one: the peak of the mean cross-correlation."""
    theirs, ours, _ = (t.clone() for t in xmipp_images)
    theirs[:, 0, 0] = ours[:, 0, 0] = 0
    box = theirs.shape[1]
    power = [torch.fft.irfft2(t, s=(box, box)).square().sum(dim=(1, 2)) for t in (theirs, ours)]
    correlation = torch.fft.irfft2(theirs * ours.conj(), s=(box, box)) / (power[0] * power[1]).sqrt()[:, None, None]
    mean = torch.fft.fftshift(correlation.mean(dim=0))
    y, x = np.unravel_index(int(mean.argmax()), mean.shape)
    assert (int(y), int(x)) == (box // 2, box // 2)
    for before, peak, after in (mean[y - 1 : y + 2, x], mean[y, x - 1 : x + 2]):
        assert abs(0.5 * (before - after) / (before - 2 * peak + after)) < 0.1  # vertex of a parabola, px of 0.325 Å
    # at a signal-to-noise ratio s a perfect template correlates by √(s/(1 + s)), 0.30 for 0.1
    assert correlation[:, 0, 0].mean() > 0.27
    assert correlation[:, 0, 0].min() > 0.2


def test_xmipp_s_noise_is_what_snr_and_split_mean_here(
    xmipp_images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    theirs, ours, ctf2 = xmipp_images
    box = theirs.shape[1]
    ring = radius_px(box).round().long().clamp(max=box // 2).flatten()

    def ring_sum(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros(box // 2 + 1).index_add(0, ring, values.sum(dim=0).flatten())

    transfer = ring_sum((theirs * ours.conj()).real) / ring_sum(ours.abs().square()).clamp(min=1e-12)
    transfer[box // 3 :] = 0  # no signal left
    fitted = ours * transfer[ring].reshape(box, -1)
    signal, noise = (torch.fft.irfft2(t, s=(box, box)).var(dim=(1, 2)).mean() for t in (fitted, theirs - fitted))
    assert (signal / noise).item() == pytest.approx(0.1, abs=0.005)  # made at a nominal SNR of 0.1
    power = (theirs - fitted).abs().square().mean(dim=0).flatten() / box**2
    inside = (ring > 2) & (ring < box // 2 - 8)
    weights = torch.stack([torch.ones_like(power), ctf2.flatten()], dim=1)[inside]
    after, before = torch.linalg.lstsq(weights, power[inside][:, None]).solution[:, 0]
    assert (before / (before + after)).item() == pytest.approx(0.5, abs=0.03)
    # blur: their images are nowhere much sharper or softer than ours where there is information, to 2 Å
    level = transfer[2:42].reshape(-1, 5).mean(dim=1)
    assert (level / level.mean() - 1).abs().max() < 0.35


# ------------------------------------------------------------------------------------------- conformations from files


def conformations(folder: Path, count: int = 12) -> np.ndarray:
    """(count, 40, 3) of the molecule, none of them centred."""
    bent = np.random.default_rng(4).normal(scale=0.5, size=(count, 40, 3)) + np.array([3.0, -2, 1])
    return np.asarray(read_structure(folder / "s.pdb").coords_A + bent.round(3))


@pytest.mark.parametrize("kind", ["folder", "models", "compressed"])
def test_images_show_conformations_of_files(base: SimulateOptions, tmp_path: Path, kind: str) -> None:
    """In the order of the files' numbers, each image one of them, about its weighted centre; without any modes."""
    structure, found = read_structure(tmp_path / "s.pdb"), conformations(tmp_path)
    place = tmp_path / "conformations"
    if kind == "models":
        place = tmp_path / "models.pdb"
        write_structure(place, structure, list(found))
    else:
        place.mkdir()
        (place / "notes.txt").write_text("not a structure")
        for number, coords_A in enumerate(found, start=1):
            write_structure(place / f"state{number}.cif", structure.replace_coords(coords_A))
            if kind == "compressed":
                file = place / f"state{number}.cif"
                (place / f"state{number}.cif.gz").write_bytes(gzip.compress(file.read_bytes()))
                file.unlink()
    settings = replace(base, modes="", conformations=str(place), count=30, ctf=False, snr=0.0, final_box_px=0)
    image, simulator, truth = image_of(settings, 0.0, row=3)
    shows = truth.extra[simulation.CONFORMATION].astype(int)
    assert set(shows) <= set(range(1, 13))
    assert len(set(shows)) > 6
    assert truth.amplitudes is None
    shown = structure.replace_coords(found[shows[3] - 1]).centred().coords_A
    euler, shift = truth.require_poses("test")
    seen = (shown @ euler_to_matrix(euler[3]).T)[:, :2] - shift[3]
    expected = project(simulator.atoms, torch.as_tensor(seen), 64, 1.0)
    np.testing.assert_allclose(image, expected, atol=1e-4 * expected.max().item())


def test_the_command_tells_which_conformation_an_image_shows(base: SimulateOptions, tmp_path: Path) -> None:
    write_structure(tmp_path / "m.pdb", read_structure(tmp_path / "s.pdb"), list(conformations(tmp_path, 3)))
    cli_run(replace(base, modes="", conformations=str(tmp_path / "m.pdb")))
    told = read_particles(tmp_path / "out" / "truth.star").extra[simulation.CONFORMATION]
    assert set(told) <= {"1", "2", "3"}
    assert simulation.CONFORMATION not in read_particles(tmp_path / "out" / "particles.star").extra


def test_conformations_of_other_atoms_are_refused(base: SimulateOptions, tmp_path: Path) -> None:
    structure = read_structure(tmp_path / "s.pdb")
    folder = tmp_path / "conformations"
    folder.mkdir()
    settings = replace(base, modes="", conformations=str(folder))
    with pytest.raises(InputError, match=r"has no structures; expected \.pdb"):
        simulation.prepare(settings)
    write_structure(folder / "a.pdb", structure.select(np.arange(39)))
    with pytest.raises(InputError, match=r"a\.pdb has 39 atoms, the structure has 40"):
        simulation.prepare(settings)
    write_structure(folder / "a.pdb", structure.select(np.arange(40)[::-1]))
    with pytest.raises(InputError, match="other elements than the structure, or another order of atoms"):
        simulation.prepare(settings)
    with pytest.raises(InputError, match="option --modes is required"):
        simulation.prepare(replace(settings, conformations="uniform"))
