"""A trained network in one self-describing file. It loads on any device, and loading runs no code from the file."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.files import atomic_path, require_file
from continuousflex_deep.nn.copies import COPIES
from continuousflex_deep.nn.data import Preprocess
from continuousflex_deep.nn.labels import TARGETS
from continuousflex_deep.nn.model import PoseNetwork
from continuousflex_deep.nn.second_pass import TwoPasses
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.particles import Particles

Weights = dict[str, Tensor]
BEST, LAST = "best.pt", "last.pt"
# what torch's reader raises for damaged and foreign files
UNREADABLE = (
    pickle.UnpicklingError, struct.error, zipfile.BadZipFile, ArithmeticError, AssertionError, AttributeError, EOFError,
    LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("backbone", "head", "reference"), str),
    **dict.fromkeys(("weights", "first", "doubt_scale", "copies_doubt_scale", "recipe", "options", "state"), Mapping),
    **dict.fromkeys(("training_ids", "validation_ids"), Tensor),
    "dropout": (int, float),
    "half": int,
    "history": list,
}
_FORMAT, _FORMAT_VERSION = "continuousflex_deep network", 2


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network after some epoch of its training.

    preprocess and coder: the required input and the meaning of the output; backbone, head, dropout: the architecture;
    weights: state_dict, averaged if the recipe averages; doubt_scale: factor on the predicted uncertainties of each
    type; recipe, options: of the training; half: of the labelled particles, 1 or 2, or 0 for all; reference: identifies
    the structure that images were simulated from, '' if none were; history: one row an epoch (curves.py); training_ids,
    validation_ids: the particles; state: latest weights and optimiser, only in checkpoints to resume from;
    copies_doubt_scale: as doubt_scale, of predictions averaged over the recipe's copies, empty until the training ends;
    first: of a second pass, the weights of the first network, otherwise empty.
    """

    preprocess: Preprocess
    coder: TargetCoder
    backbone: str
    head: str
    dropout: float
    weights: Weights
    doubt_scale: dict[str, float]
    recipe: dict[str, Any]
    options: dict[str, Any]
    half: int
    history: list[dict[str, float]]
    training_ids: Tensor
    validation_ids: Tensor
    reference: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    copies_doubt_scale: dict[str, float] = field(default_factory=dict)
    first: Weights = field(default_factory=dict)

    @property
    def copies(self) -> str:
        """The copies of each image that the network was validated with, a name in COPIES."""
        return str(self.recipe.get("copies", "off"))  # networks of earlier versions had none

    def network(self, device: torch.device) -> nn.Module:
        """The network with these weights, ready to predict; with the first one, if this is of a second pass."""
        network = self._with(self.weights, device)
        if not self.first:
            return network
        return TwoPasses(self._with(self.first, device), network, self.coder, self.preprocess.field_A).eval()

    def _with(self, weights: Weights, device: torch.device) -> PoseNetwork:
        network = new_network(self.backbone, self.head, self.dropout, self.coder, self.preprocess)
        network.load_state_dict(weights)
        return network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def new_network(backbone: str, head: str, dropout: float, coder: TargetCoder, preprocess: Preprocess) -> PoseNetwork:
    """A network with random weights for the images of a preprocess and the outputs of a coder."""
    doubts = sum(coder.doubt_sizes.values())
    return PoseNetwork(backbone, coder.outputs, doubts, head, preprocess.network_box_px, dropout)


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically."""
    content = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "program_version": __version__,
        **{name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__},
        "preprocess": checkpoint.preprocess.to_dict(),
        "coder": checkpoint.coder.to_dict(),
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as file, _errors_of_the_disk():
        torch.save(content, file)


@contextmanager
def _errors_of_the_disk() -> Iterator[None]:
    """Raise what the disk reported, a full one for example, where torch raises errors of its archive because of it."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cause or error from None


def load_checkpoint(path: str | Path) -> Checkpoint:
    """A checkpoint with its tensors on the CPU.

    InputError if it is missing, FormatError if it is not a checkpoint of this program.
    """
    file = require_file(path, "trained network")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)  # of a damaged file
            content = torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        # torch's message advises loading it unsafely, which must not be done with a damaged or foreign file
        raise FormatError(
            f"'{file}' is not a checkpoint that can be read safely: it is damaged, or of another program; train "
            "again or copy it again"
        ) from error
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
        raise FormatError(
            f"'{file}' is not a network of this program; give the folder that the train command wrote"
        )
    if content.get("format_version") != _FORMAT_VERSION:
        raise FormatError(
            f"'{file}' has checkpoint format {content.get('format_version')} (of version "
            f"{content.get('program_version')}), this is version "
            f"{__version__}, which reads format {_FORMAT_VERSION}; use that version or train again"
        )
    content = {"reference": "", "copies_doubt_scale": {}, "first": {}, **content}
    missing = sorted(set(Checkpoint.__dataclass_fields__) - set(content))
    if missing:
        raise FormatError(f"'{file}' is incomplete: {missing} missing; copy it again or train again")
    values = {name: content[name] for name in Checkpoint.__dataclass_fields__}
    try:
        values["preprocess"] = Preprocess.from_dict(content["preprocess"])
        values["coder"] = TargetCoder.from_dict(content["coder"])
        _require_types(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"'{file}' is damaged ({error!r}); copy it again or train again") from error
    return Checkpoint(**values)


def _require_types(values: Mapping[str, Any]) -> None:
    """ValueError for a value of another type than the field of a Checkpoint has."""
    coder, preprocess = values["coder"], values["preprocess"]
    numbers = (*coder.amplitude_mean, *coder.amplitude_sd, coder.shift_scale_A, preprocess.pixel_size_A)
    whole = (*coder.mode_ids, preprocess.box_px, preprocess.network_box_px)
    if not all(map(_is_number, (*numbers, *preprocess.noise))) or not all(type(n) is int for n in whole):
        raise ValueError("the images or the modes of the network are not described by numbers")
    if min(preprocess.box_px, preprocess.network_box_px) < 1 or not coder.outputs:
        raise ValueError("the network has no input or no output")
    for name, types in _TYPES.items():
        if not isinstance(values[name], types) or isinstance(values[name], bool):
            raise ValueError(f"{name} is {values[name]!r:.40}")
    scales = (*values["doubt_scale"].values(), *values["copies_doubt_scale"].values())
    weights = (*values["weights"].values(), *values["first"].values())
    if not all(isinstance(w, Tensor) for w in weights) or not all(map(_is_number, scales)):
        raise ValueError("weights or doubt_scale do not hold numbers")
    if (copies := values["recipe"].get("copies", "off")) not in COPIES:
        raise ValueError(f"copies is {copies!r:.40}")
    if not all(isinstance(row, Mapping) for row in values["history"]):
        raise ValueError("history has rows of another kind")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def model_files(folder: str | Path) -> list[Path]:
    """The best checkpoints in a folder of the train command: of its joint network, or one for each type; or a
    checkpoint file itself. InputError if there is none."""
    path = Path(folder)
    if not path.is_dir():
        return [require_file(path, "trained network")]
    found = [p for p in (path / BEST, *(path / name / BEST for name in TARGETS["all"])) if p.is_file()]
    if not found:
        raise InputError(
            f"model: '{path}' has no {BEST}; give a folder that the train command wrote, after its first epoch"
        )
    return found[:1] if found[0].parent == path else found


def require_same_modes(checkpoint: Checkpoint, model: str, particles: Particles, requested: tuple[int, ...]) -> None:
    """InputError, with advice, if a network for amplitudes was trained for other modes than are wanted.

    The requested modes are wanted; without a request, those for which the particles have amplitudes, if any.
    """
    trained, wanted = checkpoint.coder.mode_ids, requested or particles.mode_ids
    if not trained or not wanted or trained == wanted:
        return
    if requested:
        raise InputError(
            f"network '{model}' was trained for modes {list(trained)}, requested are {list(wanted)}; train a network "
            "on labels for those modes"
        )
    raise InputError(
        f"network '{model}' was trained for modes {list(trained)}, but the particles have amplitudes of modes "
        f"{list(wanted)}; train a network for "
        f"those modes, or give --mode-list '{' '.join(map(str, trained))}' to replace the particles' amplitudes"
    )
