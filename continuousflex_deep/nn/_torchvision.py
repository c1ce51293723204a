"""torchvision's ResNets, also with a CPU-only torch.

The usual torchvision wheel registers fake kernels for its operators nms and qnms during import. With a CPU-only torch
its compiled operators cannot be loaded, and the import fails with "operator torchvision::nms does not exist". Declaring
the schemas of the two operators before the import is sufficient: the ResNets use neither.
"""

import importlib
import sys
from types import ModuleType

import torch

from continuousflex_deep.errors import MissingDependencyError

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # the operators exist as long as this object


def resnet_models() -> ModuleType:
    """The module torchvision.models.resnet. MissingDependencyError if torchvision is not installed."""
    try:
        return importlib.import_module("torchvision.models.resnet")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise MissingDependencyError(
            "the network needs torchvision, which is not installed; pip install torchvision"
        ) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error) or _declared:
            raise
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    return importlib.import_module("torchvision.models.resnet")
