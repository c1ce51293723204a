"""The contrast transfer function against theory, torch-ctf and RELION."""

import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from continuousflex_deep.imaging.ctf import ctf_2d, ctf_at, electron_wavelength_A
from continuousflex_deep.imaging.fourier import radius_px
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.particles import Ctf
from continuousflex_deep.programs import RELION
from continuousflex_deep.tests.helpers import needs


def ctf(
    u: float = 10_000,
    v: float | None = None,
    angle: float = 0,
    kV: float = 300,
    cs: float = 2.7,
    q0: float = 0.1,
    phase: float = 0,
) -> Ctf:
    values = (u, u if v is None else v, angle, kV, cs, q0, phase)
    return Ctf(*(np.array([value], dtype=float) for value in values))


def line(parameters: Ctf, frequency: torch.Tensor, degrees: float = 0) -> torch.Tensor:
    a = np.radians(degrees)
    return ctf_at(parameters, frequency * np.cos(a), frequency * np.sin(a))[0]


@pytest.mark.parametrize(("kV", "wavelength"), [(100, 0.037014), (200, 0.025079), (300, 0.019687)])
def test_wavelength(kV: float, wavelength: float) -> None:
    assert electron_wavelength_A(torch.tensor(float(kV), dtype=torch.float64)).item() == pytest.approx(
        wavelength, rel=1e-4
    )


def test_value_at_zero_is_the_amplitude_contrast() -> None:
    assert ctf_2d(ctf(q0=0.07), 16, 2.0)[0, 0, 0].item() == pytest.approx(0.07)


def test_zeros_are_where_theory_puts_them() -> None:
    # without Cs and amplitude contrast sin(π λ z f²) vanishes at f = √(n / λz)
    wavelength = electron_wavelength_A(torch.tensor(300.0, dtype=torch.float64))
    n = torch.arange(1, 6, dtype=torch.float64)
    zeros = torch.sqrt(n / (wavelength * 10_000))
    assert line(ctf(cs=0, q0=0), zeros).abs().max() < 1e-5
    between = torch.sqrt((n - 0.5) / (wavelength * 10_000))
    np.testing.assert_allclose(line(ctf(cs=0, q0=0), between), [1, -1, 1, -1, 1], atol=1e-5)


def test_underfocus_counteracts_spherical_aberration() -> None:
    # at Scherzer's frequency f² = 2z/(Cs λ²) the two terms cancel and the CTF is back to its value at zero
    wavelength = electron_wavelength_A(torch.tensor(300.0, dtype=torch.float64)).item()
    f = torch.tensor([np.sqrt(2 * 1000 / (2.7e7 * wavelength**2))], dtype=torch.float64)
    assert line(ctf(u=1000), f).item() == pytest.approx(0.1, abs=1e-4)


def test_phase_plate_shifts_the_phase() -> None:
    assert ctf_2d(ctf(q0=0, phase=90), 8, 2.0)[0, 0, 0].item() == pytest.approx(1)


def test_astigmatism_has_u_along_its_angle() -> None:
    f = torch.linspace(0.01, 0.2, 50, dtype=torch.float64)
    astigmatic = ctf(u=12_000, v=9_000, angle=30)
    np.testing.assert_allclose(line(astigmatic, f, 30), line(ctf(u=12_000), f), atol=1e-5)
    np.testing.assert_allclose(line(astigmatic, f, 120), line(ctf(u=9_000), f), atol=1e-5)
    np.testing.assert_allclose(line(astigmatic, f, 75), line(ctf(u=10_500), f), atol=1e-5)


@pytest.mark.parametrize("box", [32, 33])
def test_grid_is_that_of_rfft2(box: int) -> None:
    parameters = ctf(u=12_000, v=9_000, angle=30)
    grid = ctf_2d(parameters, box, 2.0)[0]
    assert grid.shape == (box, box // 2 + 1)
    fx, fy = 3 / (box * 2.0), -5 / (box * 2.0)
    one = ctf_at(parameters, torch.tensor([fx]), torch.tensor([fy]))
    assert grid[-5, 3].item() == pytest.approx(one.item(), abs=1e-5)


@pytest.mark.parametrize(("kV", "cs", "q0", "phase"), [(300, 2.7, 0.1, 0), (200, 2.0, 0.07, 0), (300, 0.01, 0.1, 60)])
def test_torch_ctf_agrees(kV: float, cs: float, q0: float, phase: float) -> None:
    peer = needs.library("torch_ctf", "torch-ctf")
    u, v, angle, box, pixel = 12_000.0, 9_000.0, 30.0, 64, 1.5
    theirs = peer.calculate_ctf_2d(
        defocus=(u + v) / 2e4, astigmatism=(u - v) / 2e4, astigmatism_angle=angle, voltage=kV, spherical_aberration=cs,
        amplitude_contrast=q0, phase_shift=phase, pixel_size=pixel, image_shape=(box, box), rfft=True, fftshift=False,
    )  # fmt: skip
    ours = ctf_2d(ctf(u, v, angle, kV, cs, q0, phase), box, pixel)[0]
    np.testing.assert_allclose(ours, torch.as_tensor(theirs).reshape(ours.shape), atol=2e-3)


def test_each_particle_has_its_own() -> None:
    both = Ctf(
        *(np.concatenate([getattr(a, f), getattr(b, f)]) for a, b in [(ctf(u=9_000), ctf(u=15_000))] for f in vars(a))
    )
    grid = ctf_2d(both, 16, 1.5)
    assert torch.equal(grid[0], ctf_2d(ctf(u=9_000), 16, 1.5)[0])
    assert torch.equal(grid[1], ctf_2d(ctf(u=15_000), 16, 1.5)[0])


def test_relion_agrees(tmp_path: Path) -> None:
    program = needs.program(RELION, "relion_project")
    box, pixel = 64, 2.0
    write_volume(tmp_path / "v.mrc", np.random.default_rng(0).normal(size=(box, box, box)).astype(np.float32), pixel)
    columns = {
        "ImageName": "1@x.mrcs", "Voltage": 300, "DefocusU": 15_000, "DefocusV": 9_000, "DefocusAngle": 30,
        "SphericalAberration": 2.7, "DetectorPixelSize": 2.0, "Magnification": 10_000, "AmplitudeContrast": 0.1,
        "AngleRot": 0, "AngleTilt": 0, "AnglePsi": 0, "OriginX": 0, "OriginY": 0,
    }  # fmt: skip
    names = "\n".join(f"_rln{name}" for name in columns)
    (tmp_path / "p.star").write_text(f"data_\nloop_\n{names}\n{' '.join(map(str, columns.values()))}\n")
    transforms = []
    for out, flags in (("plain", []), ("ctf", ["--ctf"])):
        command = [program, "--i", "v.mrc", "--ang", "p.star", "--o", out, "--angpix", str(pixel), *flags]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        with mrcfile.open(tmp_path / f"{out}.mrcs") as mrc:
            transforms.append(np.fft.rfft2(mrc.data.reshape(box, box)))
    inside = radius_px(box).numpy() < 0.4 * box
    theirs = (transforms[1] / transforms[0]).real[inside]
    ours = ctf_2d(ctf(u=15_000, v=9_000, angle=30), box, pixel)[0].numpy()[inside]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
