"""Devices for tensors, and reduced precision where an error of 1e-3 of the noise is negligible."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

from continuousflex_deep.errors import InputError
from continuousflex_deep.launch import cores_of_this_worker, current_launch


def choose_device(name: str, threads: int = 0) -> torch.device:
    """The torch device of an option, for this worker of the run.

    auto takes a GPU when there is one; of several, workers that a launcher started on one host take one each (auto and
    cuda; cuda:N is that one for all). Sets the CPU threads; 0: this worker's share of the cores.
    """
    torch.set_num_threads(threads or cores_of_this_worker())
    if name in ("auto", "cuda") and torch.cuda.is_available():
        device = torch.device("cuda", current_launch().local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    if name == "auto":
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device '{name}' is not known; expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"device '{name}' does not exist: {torch.cuda.device_count()} CUDA GPUs are visible; use cpu or auto"
        )
    return device


def working_bytes(device: torch.device) -> int:
    """Memory in bytes for intermediate results: on a CPU the size of its caches, on a GPU an eighth of the free
    memory."""
    if device.type != "cuda":
        return 1 << 24
    free, _ = torch.cuda.mem_get_info(device)
    kept_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1 << 26, (free + kept_by_torch) // 8)


def images_at_once(device: torch.device, box_px: int, bytes_per_px: int, most: int) -> int:
    """How many images a GPU takes at a time: `most`, or less by powers of two where their intermediate results, of so
    many bytes for each pixel, exceed the working memory. Small kernels cost a GPU their launch, whatever they do."""
    fitting = max(1, working_bytes(device) // (bytes_per_px * box_px**2))
    return int(min(most, 1 << (fitting.bit_length() - 1)))


def has_fast_products(device: torch.device) -> bool:
    """Whether float32 matrix products can be several times faster there with 10 bits of mantissa (TF32)."""
    return device.type == "cuda"


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Within the block, float32 matrix products may round their factors to 10 bits where that is faster; sums remain
    float32."""
    before = torch.get_float32_matmul_precision()
    if has_fast_products(device):
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def mixed_precision(device: torch.device, wanted: bool = True) -> torch.autocast:
    """A context in which convolutions and matrix products use bfloat16 if the hardware supports it."""
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
