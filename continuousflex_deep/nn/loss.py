"""The loss of the network's outputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from continuousflex_deep.nn.doubt import doubt_loss
from continuousflex_deep.nn.labels import Labels, quaternion_to_matrix
from continuousflex_deep.nn.targets import TargetCoder


@dataclass(frozen=True)
class Loss:
    """The loss of outputs, for a kind of error: 'absolute' or 'squared'.

    Absolute: mean absolute error over a type's columns; for rotation matrices half the chordal distance |R − R'|
    (Frobenius), √2·sin(angle/2) between rotations. Squared: half the mean square over the columns; for rotation
    matrices half the squared chordal distance. When the network knows nothing yet, the squared error of a matrix points
    to the mean of the possible rotations, from which it learns at once. The absolute error does not, and such trainings
    can make no progress for a long time.
    """

    coder: TargetCoder
    kind: str

    def __call__(self, outputs: Tensor, labels: Labels) -> Tensor:
        """Weighted mean over the particles of each type's error, summed over the types."""
        total = outputs.new_zeros(())
        wanted, got = self.coder.encode(labels), self.coder.split(outputs.float())
        for name, target in wanted.items():
            errors = self._errors(name, got[name], target)
            if name == "angles" and self.coder.rotation == "quaternion" and self.coder.sign_free:
                errors = torch.minimum(errors, self._errors(name, got[name], -target))
            if name in labels.weights:
                errors = errors * labels.weights[name]
            total = total + errors.mean()
        return total

    def of_doubts(self, outputs: Tensor, labels: Labels) -> Tensor:
        """The loss of the predicted uncertainties; 0 if the network predicts none."""
        if not self.coder.doubts:
            return outputs.new_zeros(())
        errors = absolute_errors(self.coder, outputs, labels, roughly=True)
        doubts = self.coder.split_doubts(outputs.float())
        return sum((doubt_loss(logs, errors[name]) for name, logs in doubts.items()), outputs.new_zeros(()))

    def _errors(self, name: str, got: Tensor, target: Tensor) -> Tensor:
        whole = name == "angles" and self.coder.rotation == "matrix"
        squares = (got - target).square()
        if self.kind == "squared":
            return (squares.sum(dim=1) if whole else squares.mean(dim=1)) / 2
        if whole:
            return ((squares.sum(dim=1) + 1e-4).sqrt() - 1e-2) / 2  # smooth at zero
        return (got - target).abs().mean(dim=1)


@torch.no_grad()
def absolute_errors(coder: TargetCoder, outputs: Tensor, labels: Labels, roughly: bool = False) -> dict[str, Tensor]:
    """Errors (n, k) of each type that the uncertainties refer to, in units of targets: of each amplitude, of the
    rotation as angle in radians, and the mean of those of the two shifts; roughly: see TargetCoder.rotations."""
    wanted, got = coder.encode(labels), coder.split(outputs.float())
    errors = {}
    for name, target in wanted.items():
        if name == "angles":
            true = quaternion_to_matrix(labels.quaternion)  # type: ignore[arg-type]
            chord = (coder.rotations(got[name], roughly) - true).flatten(1).norm(dim=1, keepdim=True) / 8**0.5
            errors[name] = 2 * torch.arcsin(chord.clamp(max=1))
        else:
            errors[name] = (got[name] - target).abs()
            if name == "shifts":
                errors[name] = errors[name].mean(dim=1, keepdim=True)
    return errors
