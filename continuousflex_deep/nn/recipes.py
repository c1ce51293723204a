"""Ways to train, by name. An option of the train command that is 0 or 'recipe' takes its value from here."""

from dataclasses import asdict, dataclass, replace
from math import cos, pi
from typing import Any

from continuousflex_deep.options import TrainOptions


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how weights change.

    epochs; batch: images a step; learning_rate: the largest; schedule: 'step' divides it by 10 every step_epochs,
    'cosine' warms up over the first warmup_percent of all steps and falls to zero; weight_decay, decoupled: Adam's L2
    term as in the article, or AdamW's; dropout in the perceptron; rotation, sign_free: see targets.TargetCoder;
    augment: train on copies that are turned and displaced (in-plane), mirrored too (mirror), or not at all (off);
    shift_percent: their largest displacement, in percent of the box; gradient_norm:
    gradients are clipped to it, 0 for never; mixed_precision: bfloat16 on a GPU.
    """

    epochs: int
    batch: int
    learning_rate: float
    schedule: str
    weight_decay: float
    decoupled: bool
    dropout: float
    rotation: str
    sign_free: bool
    augment: str
    step_epochs: int = 80
    warmup_percent: float = 5.0
    shift_percent: float = 2.0
    gradient_norm: float = 0.0
    mixed_precision: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0 over the whole training."""
        if self.schedule == "step":
            return self.learning_rate / 10 ** (step // steps_per_epoch // self.step_epochs)
        total = self.epochs * steps_per_epoch
        warmup = max(1, round(total * self.warmup_percent / 100))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (1 + cos(pi * (step - warmup) / max(1, total - warmup))) / 2


RECIPES = {
    # Hamitouche & Jonic 2022: mean absolute error, Adam, weight decay 1e-5, 1e-5 divided by 10 each 80 epochs, 400
    # epochs of batches of 2
    "paper": Recipe(
        epochs=400, batch=2, learning_rate=1e-5, schedule="step", weight_decay=1e-5, decoupled=False, dropout=0.5,
        rotation="quaternion", sign_free=False, augment="off",
    ),
    "default": Recipe(
        epochs=100, batch=32, learning_rate=3e-4, schedule="cosine", weight_decay=1e-2, decoupled=True, dropout=0.0,
        rotation="matrix", sign_free=True, augment="in-plane", gradient_norm=1.0, mixed_precision=True,
    ),
}  # fmt: skip


def recipe_of(options: TrainOptions) -> Recipe:
    """The named recipe with what the options say otherwise."""
    given = {"epochs": options.epochs, "batch": options.batch, "learning_rate": options.learning_rate}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value}
    if options.rotation != "recipe":
        changes["rotation"] = options.rotation
    if options.augment != "recipe":
        changes["augment"] = options.augment
    return replace(RECIPES[options.recipe], **changes)
