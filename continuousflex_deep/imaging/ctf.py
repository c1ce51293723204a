"""The contrast transfer function of the microscope.

CTF(f) = sin(χ(f) + w), χ = π λ z(θ) f² − π/2 Cs λ³ f⁴ + phase shift with defocus z positive for underfocus and w =
asin(amplitude contrast) (Mindell & Grigorieff, J Struct Biol 2003, 142:334, with the overall sign of RELION and Xmipp,
for which particles are bright: CTF(0) = amplitude contrast). Whether the particles of a data set are bright or dark is
a separate contrast sign, which the engine detects.
"""

from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from continuousflex_deep.particles import Ctf


def electron_wavelength_A(voltage_kV: Tensor) -> Tensor:
    """Relativistic de Broglie wavelength in Å: 0.01969 at 300 kV (Reimer & Kohl, Transmission Electron Microscopy)."""
    volts = voltage_kV * 1e3
    return 12.2642598 / torch.sqrt(volts * (1 + 0.978475598e-6 * volts))


def ctf_at(ctf: Ctf, frequency_x: Tensor, frequency_y: Tensor) -> Tensor:
    """CTF values (n, ...) of n particles at spatial frequencies (...) in 1/Å (x along columns, y along rows).

    The defocus angle is measured from the x axis towards y, as in RELION. Computed in double precision, returned as
    float32.
    """
    names = [f.name for f in fields(ctf)]
    # one copy to the device for all
    values = torch.from_numpy(np.stack([np.asarray(getattr(ctf, name), dtype=np.float64) for name in names]))
    values = values.to(frequency_x.device).reshape(len(names), -1, *([1] * frequency_x.ndim))
    u = dict(zip(names, values, strict=True))
    fx, fy = frequency_x.double(), frequency_y.double()
    f2 = fx**2 + fy**2
    angle = torch.atan2(fy, fx) - torch.deg2rad(u["defocus_angle_deg"])
    mean, half = (u["defocus_u_A"] + u["defocus_v_A"]) / 2, (u["defocus_u_A"] - u["defocus_v_A"]) / 2
    defocus = mean + half * torch.cos(2 * angle)
    wavelength = electron_wavelength_A(u["voltage_kV"])
    chi = torch.pi * wavelength * f2 * defocus - torch.pi / 2 * u["cs_mm"] * 1e7 * wavelength**3 * f2**2
    chi = chi + torch.deg2rad(u["phase_shift_deg"]) + torch.asin(u["amplitude_contrast"])
    return torch.sin(chi).float()


def ctf_2d(ctf: Ctf, box_px: int, pixel_size_A: float, device: torch.device | str = "cpu") -> Tensor:
    """CTF (n, d, d//2+1) on the grid of torch.fft.rfft2 for images of d pixels."""
    fx = torch.fft.rfftfreq(box_px, pixel_size_A, dtype=torch.float64, device=device)
    fy = torch.fft.fftfreq(box_px, pixel_size_A, dtype=torch.float64, device=device)
    return ctf_at(ctf, fx[None, :].expand(box_px, -1), fy[:, None].expand(-1, len(fx)))
