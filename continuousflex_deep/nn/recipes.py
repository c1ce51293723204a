"""Training recipes by name. An option of the train command that is 0, -1 or 'recipe' takes its value from here."""

from dataclasses import asdict, dataclass, replace
from math import cos, pi
from typing import Any, Literal, get_type_hints

from continuousflex_deep.errors import InputError
from continuousflex_deep.options import TrainOptions, value_from_text

# fine-tuning starts from good weights, which the full learning rate would destroy at first
_FINE_TUNING_RATE = 1 / 3
# upright images are new to the network
_SECOND_PASS_RATE = 1 / 2
_NOT_NEGATIVE = (
    "epochs", "simulated_images", "weight_decay", "dropout", "warmup_percent", "shift_percent", "gradient_norm",
    "average", "patience",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """All parameters of a training.

    Which images: epochs: passes over the labelled ones, after simulated_images of the structure; batch: images a step;
    augment: labelled images are rotated and shifted (in-plane), also mirrored (mirror), or unchanged (off), shifted by
    at most shift_percent of the box; whiten: phases are flipped and noise is whitened, see data.Preprocess; copies: of
    the images of which predictions are averaged, see copies.COPIES.
    Network: head: 'perceptron' of 4 layers as in the article, or one 'linear' layer on the whole last
    feature map; dropout in the perceptron; rotation, sign_free: see targets.TargetCoder; doubt: the network also
    predicts its uncertainties; second_pass: it sees images that the network it starts from has made upright, see
    second_pass.py.
    Optimisation: optimizer: Adam, or Muon for convolutions, see optimizer.py; learning_rate: the largest; schedule:
    'step' divides it by 10 every step_epochs, 'cosine' warms up over the first warmup_percent of all steps and falls to
    zero; weight_decay, decoupled: Adam's L2 term as in the article, or AdamW's; loss: 'absolute' or 'squared' errors;
    weighted: labels are weighted by their error bars; gradient_norm: gradients are clipped to it, 0 for never;
    mixed_precision: bfloat16 where the hardware has it; average: weights are averaged over this share of the latest
    steps (exponentially), 0 for not; patience: training ends when this many epochs did not improve the validation
    loss, 0 for never.
    """

    epochs: int
    batch: int
    learning_rate: float
    schedule: Literal["step", "cosine"]
    weight_decay: float
    decoupled: bool
    dropout: float
    rotation: Literal["euler", "quaternion", "matrix"]
    sign_free: bool
    augment: Literal["off", "in-plane", "mirror"]
    targets: Literal["all", "separate", "amplitudes", "angles", "shifts"]
    head: Literal["perceptron", "linear"] = "perceptron"
    loss: Literal["absolute", "squared"] = "absolute"
    simulated_images: int = 0
    whiten: bool = False
    weighted: bool = False
    doubt: bool = False
    step_epochs: int = 80
    warmup_percent: float = 5.0
    shift_percent: float = 2.0
    gradient_norm: float = 0.0
    mixed_precision: bool = False
    average: float = 0.0
    patience: int = 0
    copies: Literal["off", "rotated", "mirrored"] = "off"
    optimizer: Literal["adam", "muon"] = "adam"
    second_pass: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    def rate(self, done: float, epoch: int) -> float:
        """The learning rate when `done`, a fraction from 0 to 1, of all steps is finished, in some epoch counted from
        0."""
        if self.schedule == "step":
            return self.learning_rate / 10 ** (epoch // self.step_epochs)
        warmup = self.warmup_percent / 100
        if done < warmup:
            return self.learning_rate * (0.01 + 0.99 * done / warmup)
        return self.learning_rate * (1 + cos(pi * (done - warmup) / (1 - warmup))) / 2


RECIPES = {
    # Hamitouche & Jonic 2022: mean absolute error, Adam, weight decay 1e-5, 1e-5 divided by 10 each 80 epochs, 400
    # epochs of batches of 2, one network for each type of parameters
    "paper": Recipe(
        epochs=400, batch=2, learning_rate=1e-5, schedule="step", weight_decay=1e-5, decoupled=False, dropout=0.5,
        rotation="quaternion", sign_free=False, augment="off", targets="separate",
    ),
    "default": Recipe(
        epochs=100, batch=128, learning_rate=2e-3, schedule="cosine", weight_decay=1e-2, decoupled=True, dropout=0.0,
        rotation="matrix", sign_free=True, augment="in-plane", targets="all", head="linear", loss="squared",
        simulated_images=500_000, whiten=True, weighted=True, doubt=True, gradient_norm=1.0, mixed_precision=True,
        average=0.02, copies="rotated", optimizer="muon",
    ),
}  # fmt: skip


def recipe_of(options: TrainOptions) -> Recipe:
    """The named recipe with the changes by the options. InputError for values of --change that it does not have."""
    recipe = RECIPES[options.recipe]
    if options.second_pass:
        if not options.start_from:
            raise InputError("--second-pass refines the predictions of a trained network: name it by --start-from")
        rate = recipe.learning_rate * _SECOND_PASS_RATE
        recipe = replace(recipe, learning_rate=rate, copies="off", second_pass=True)
    elif options.start_from:
        recipe = replace(recipe, learning_rate=recipe.learning_rate * _FINE_TUNING_RATE, simulated_images=0)
    changes: dict[str, Any] = {n: v for n in ("epochs", "batch", "learning_rate") if (v := getattr(options, n))}
    changes |= {n: v for n in ("targets", "rotation", "augment") if (v := getattr(options, n)) != "recipe"}
    if options.simulated_images >= 0:
        changes["simulated_images"] = options.simulated_images
    changes |= _parsed(options.change)
    if not replace(recipe, **changes).whiten and options.simulated_images < 0 and "simulated_images" not in changes:
        changes["simulated_images"] = 0
    if not (options.structure and options.modes):
        if changes.get("simulated_images"):
            raise InputError("simulated images need the structure and its modes: give --structure and --modes")
        changes["simulated_images"] = 0
    recipe = replace(recipe, **changes)
    _require_sensible(recipe)
    return recipe


def _require_sensible(recipe: Recipe) -> None:
    """InputError for values with which training is impossible."""
    if recipe.batch < 2:
        raise InputError(
            f"option --batch: got {recipe.batch}, expected 2 or more; batch normalisation cannot learn from one image"
        )
    if recipe.epochs + recipe.simulated_images < 1:
        raise InputError("there are no images to train on: no epochs of labelled images, and no simulated images")
    if recipe.simulated_images and not recipe.whiten:
        raise InputError(
            "simulated images have whole rings of Fourier pixels only, as whitened images have; a network could tell "
            "others apart: leave whiten=true, or --simulated-images 0 (as for the article's recipe)"
        )
    lowest = {"learning_rate": 0, "step_epochs": 1, **dict.fromkeys(_NOT_NEGATIVE, 0)}
    for name, low in lowest.items():
        if getattr(recipe, name) < low:
            raise InputError(f"option --change: got {name}={getattr(recipe, name)}, expected {low} or more")
    for name, high in {"warmup_percent": 99, "shift_percent": 50, "dropout": 0.99, "average": 1}.items():
        if getattr(recipe, name) > high:
            raise InputError(f"option --change: got {name}={getattr(recipe, name)}, expected {high} or less")


def _parsed(text: str) -> dict[str, Any]:
    """Names and values of a text such as 'schedule=step patience=20'."""
    hints, found = get_type_hints(Recipe), {}
    for part in text.replace(",", " ").split():
        name, _, value = part.partition("=")
        if name not in hints:
            raise InputError(f"option --change: got '{part}', expected NAME=VALUE with NAME of {', '.join(hints)}")
        found[name] = value_from_text(f"change {name}", value, hints[name])
    return found
