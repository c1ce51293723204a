"""Where tensors are computed."""

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
            f"device '{name}' is not here: {torch.cuda.device_count()} CUDA GPUs are visible; use cpu or auto"
        )
    return device


def working_bytes(device: torch.device) -> int:
    """Memory for intermediate results: on a CPU what its caches hold, on a GPU an eighth of what is free."""
    if device.type != "cuda":
        return 1 << 24
    free, _ = torch.cuda.mem_get_info(device)
    kept_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1 << 26, (free + kept_by_torch) // 8)
