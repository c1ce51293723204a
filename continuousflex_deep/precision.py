"""Matrix products in reduced precision, where an error of 1e-3 of the result's noise does no harm."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch


def has_fast_products(device: torch.device) -> bool:
    """Whether matrix products of float32 can be several times faster there for 10 bits of mantissa (TF32)."""
    return device.type == "cuda"


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Within the block float32 matrix products may round their factors to 10 bits, sums staying float32, where that is
    faster."""
    before = torch.get_float32_matmul_precision()
    if has_fast_products(device):
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def mixed_precision(device: torch.device, wanted: bool = True) -> torch.autocast:
    """A context in which convolutions and matrix products are computed in bfloat16 where the hardware does that."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16: GPUs from Ampere on, and CPUs that have instructions for it, about
    twice as fast as float32."""
    if device.type == "cuda":  # older ones only emulate it
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and _cpu_has_bfloat16()


@lru_cache(maxsize=1)
def _cpu_has_bfloat16() -> bool:
    flags = Path("/proc/cpuinfo")
    words = flags.read_text().split() if flags.is_file() else []
    return "avx512_bf16" in words or "amx_bf16" in words
