"""Where tensors are computed."""

import os

import torch

from continuousflex_deep.errors import InputError


def choose_device(name: str, threads: int = 0) -> torch.device:
    """The torch device of an option: auto takes the GPU when there is one. Sets the CPU threads (0: all this process
    may use)."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device '{name}' is not known; expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"device '{name}' is not here: {torch.cuda.device_count()} CUDA GPUs are visible; use cpu or auto"
        )
    return device
