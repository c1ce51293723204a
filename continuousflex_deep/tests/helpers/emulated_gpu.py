"""A GPU without a GPU: tensors that say they are on `cuda`, are computed on the CPU, and refuse what a GPU's refuse: to
be mixed with tensors that are elsewhere, or to be taken for numpy arrays.

So a device that is forgotten in some line is found on any machine. Speed, memory and kernels are not emulated.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda", 0)
_INDEXING = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}
_TO_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}


class OnGpu(torch.Tensor):
    """A tensor on the emulated GPU."""


class EmulatedGpu(TorchFunctionMode):
    """Sees every call of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        tensors = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
        here = [t for t in tensors if isinstance(t, OnGpu)]
        if here and getattr(func, "__self__", None) is torch.Tensor.device:
            return CUDA
        if here and func in _TO_NUMPY:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        self._require_one_place(func, args, here, tensors)
        wanted = [v for v in tree_leaves((args, kwargs)) if _is_device(v)]
        target = torch.device(wanted[-1]).type == "cuda" if wanted else bool(here) and func is not torch.Tensor.cpu
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*tree_map(_as_cpu, args), **tree_map(_as_cpu, kwargs))
        return tree_map(lambda v: _placed(v, target), result)

    @staticmethod
    def _require_one_place(func: Any, args: Any, here: list[Any], tensors: list[Any]) -> None:
        elsewhere = [t for t in tensors if not isinstance(t, OnGpu) and t.ndim > 0]  # single numbers may be
        moved = func in (torch.Tensor.to, torch.Tensor.copy_)
        if not here or not elsewhere or moved or (func in _INDEXING and isinstance(args[0], OnGpu)):
            return
        name = getattr(func, "__name__", str(func))
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, found at least two, cuda:0 and cpu")


def _is_device(value: Any) -> bool:
    return isinstance(value, torch.device) or (isinstance(value, str) and value.partition(":")[0] in ("cuda", "cpu"))


def _as_cpu(value: Any) -> Any:
    return torch.device("cpu") if _is_device(value) else value


def _placed(value: Any, on_gpu: bool) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.as_subclass(OnGpu if on_gpu else torch.Tensor)


@contextmanager
def emulated_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block there is one GPU, cuda:0."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 0))  # one without bfloat16
        patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1 << 33, 1 << 33))
        for name in ("set_device", "synchronize"):
            patch.setattr(torch.cuda, name, lambda device=None: None)
        patch.setattr(torch.Tensor, "pin_memory", lambda self: self)
        for name in ("memory_reserved", "memory_allocated"):
            patch.setattr(torch.cuda, name, lambda device=None: 0)
        with EmulatedGpu():
            yield
