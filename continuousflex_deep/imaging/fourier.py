"""Discrete Fourier transforms of images with even and odd boxes: filtering, resampling by cropping or padding."""

import torch
from torch import Tensor

from continuousflex_deep.errors import InputError


def radius_px(box_px: int, device: torch.device | str = "cpu") -> Tensor:
    """Distance from the origin (d, d//2+1) of the rfft2 grid, in Fourier pixels (1/(box·pixel size))."""
    kx = torch.fft.rfftfreq(box_px, 1 / box_px, device=device)
    ky = torch.fft.fftfreq(box_px, 1 / box_px, device=device)
    return torch.hypot(ky[:, None], kx[None, :])


def resize(images: Tensor, box_px: int) -> Tensor:
    """Images (..., d, d) to (..., box_px, box_px) over the same field of view by cropping or padding their transform.

    Mean and amplitudes are kept; cropping is an ideal low-pass filter at the new Nyquist frequency. The image centre
    moves exactly from pixel d//2 to box_px//2, also between even and odd boxes.
    """
    old = images.shape[-1]
    if images.shape[-2] != old or box_px < 2:
        raise InputError(
            f"resize: got images of shape {tuple(images.shape)} to box {box_px}; expected square images and a box of 2 "
            "or more"
        )
    if old == box_px:
        return images
    transform = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
    half = (min(old, box_px) - 1) // 2  # without the Nyquist line of an even box, which has no Friedel mates
    out = transform.new_zeros(*images.shape[:-2], box_px, box_px // 2 + 1)
    out[..., : half + 1, : half + 1] = transform[..., : half + 1, : half + 1]
    out[..., -half:, : half + 1] = transform[..., -half:, : half + 1]
    out *= (box_px / old) ** 2
    return torch.fft.fftshift(torch.fft.irfft2(out, s=(box_px, box_px)), dim=(-2, -1))


def filter_images(images: Tensor, transfer: Tensor) -> Tensor:
    """Images (..., d, d) multiplied in Fourier space by a real transfer (..., d, d//2+1) of the rfft2 grid."""
    d = images.shape[-1]
    return torch.fft.irfft2(torch.fft.rfft2(images) * transfer, s=(d, d))
