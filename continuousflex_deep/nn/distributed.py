"""Training on several GPUs or hosts: each worker's share of a step, and the communication between workers.

torchrun starts the workers. Each has the whole network and computes on its share of every batch. Gradients are averaged
(torch's DistributedDataParallel), so that all have the same weights after each step.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from continuousflex_deep.errors import InputError
from continuousflex_deep.launch import current_launch

_CPU = torch.device("cpu")
# longer than the slowest worker keeps the others waiting, for example while it checks a large set or writes a file
_PATIENCE = timedelta(hours=1)


@contextmanager
def training_together(device: torch.device) -> Iterator["Team"]:
    """The workers of this training, connected within the block. InputError if several were started by a launcher that
    does not provide an address to connect."""
    launch = current_launch()
    if launch.size == 1:
        yield Team(0, 1, device)
        return
    if "MASTER_ADDR" not in os.environ:
        raise InputError(
            f"{launch.size} workers were started without a connection; start training on several GPUs with "
            "torchrun --nproc-per-node=GPUS -m continuousflex_deep train …"
        )
    if device.type == "cuda":
        if launch.local_size > torch.cuda.device_count():
            raise InputError(
                f"{launch.local_size} workers on this host for {torch.cuda.device_count()} GPUs; give torchrun "
                f"--nproc-per-node={torch.cuda.device_count()}"
            )
        # one GPU each, regardless of --device, because two workers cannot share one
        device = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", rank=launch.rank, world_size=launch.size, timeout=_PATIENCE
    )
    try:
        yield Team(launch.rank, launch.size, device)
    finally:
        dist.destroy_process_group()


class Team:
    """This worker: its rank of size, and its device."""

    def __init__(self, rank: int, size: int, device: torch.device = _CPU) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def leads(self) -> bool:
        """Whether this worker writes files and reports for all."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This worker's part of `count` items of a batch; every worker gets some if there are enough."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, with gradients averaged over the workers."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def share_buffers(self, network: nn.Module) -> None:
        """Send all workers the leading worker's batch statistics, which each has from its own images."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)

    def require_enough(self, batch: int) -> None:
        """InputError where a worker's share of a batch is too small for batch normalisation."""
        if batch // self.size < 2:
            raise InputError(
                f"batches of {batch} images leave {batch // self.size} for each of {self.size} workers, expected 2 or "
                f"more; give --batch {2 * self.size} or more, or start fewer workers"
            )

    def summed(self, values: Tensor) -> Tensor:
        """The sum of all workers' values."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """All workers' rows, by rank, on the CPU."""
        if self.size == 1:
            return values.cpu()
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, values.cpu())
        return torch.cat(parts)

    def told(self, value: Any) -> Any:
        """The leading worker's value."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]
