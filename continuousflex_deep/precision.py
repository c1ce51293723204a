"""Matrix products in the reduced precision of GPUs, where an error of 1e-3 of the result's noise does no harm."""

from collections.abc import Iterator
from contextlib import contextmanager

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
