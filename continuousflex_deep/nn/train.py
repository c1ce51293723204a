"""The train command: from labelled particles to a network. Reads from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from continuousflex_deep.analysis.outliers import is_outlier
from continuousflex_deep.devices import choose_device
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.stacks import check_images, require_usable_images, scan_images
from continuousflex_deep.nn.augment import draw_motion, move_images, move_labels
from continuousflex_deep.nn.checkpoint import LAST, Checkpoint, Weights, load_checkpoint
from continuousflex_deep.nn.curves import History
from continuousflex_deep.nn.data import Preprocess, image_batches, split_particles
from continuousflex_deep.nn.keeper import Keeper
from continuousflex_deep.nn.labels import Labels, labels_of
from continuousflex_deep.nn.model import PoseNetwork
from continuousflex_deep.nn.recipes import Recipe, recipe_of
from continuousflex_deep.nn.targets import Prediction, TargetCoder, fit_coder
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar

_FEWEST_PARTICLES = 10
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Training:
    """What does not change while the network learns. Rows and labels belong to `particles`."""

    options: TrainOptions
    recipe: Recipe
    particles: Particles
    labels: Labels
    train_rows: Rows
    validation_rows: Rows
    preprocess: Preprocess
    coder: TargetCoder
    device: torch.device

    @property
    def batches_per_epoch(self) -> int:
        """Steps an epoch; a last batch of one image is left out, for batch normalisation has nothing to normalise it
        by.
        """
        whole, rest = divmod(len(self.train_rows), self.recipe.batch)
        return whole + (rest > 1)


def run(options: TrainOptions) -> None:
    """Train, writing curves.csv after every epoch, best.pt, last.pt and curves.png now and then, and train.json at the
    end.
    """
    training = prepare(options)
    torch.manual_seed(options.seed)
    network = PoseNetwork(options.backbone, training.coder.outputs, training.recipe.dropout)
    network = network.to(training.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(network, training.recipe)
    history = _resume(training, network, optimizer) if options.resume else []
    print(
        f"training on {len(training.train_rows)} particles, validating on {len(training.validation_rows)}, "
        f"{training.device}"
    )

    keeper = Keeper(Path(options.output), partial(describe, training), options.checkpoint_seconds)
    epochs = training.recipe.epochs
    try:
        with progress_bar("Training", (epochs - len(history)) * len(training.train_rows), unit="image") as bar:
            for epoch in range(len(history) + 1, epochs + 1):
                started = time.monotonic()
                train_loss = train_epoch(training, network, optimizer, epoch, bar.update)
                row = {"epoch": epoch, "train_loss": train_loss, **validate(training, network)}
                row |= {"learning_rate": optimizer.param_groups[0]["lr"], "seconds": time.monotonic() - started}
                history.append(row)
                keeper.after_epoch(network, optimizer, history, final=epoch == epochs)
                bar.set_postfix_str(
                    f"epoch {epoch}/{epochs}, loss {train_loss:.4g}, validation {row['validation_loss']:.4g}"
                )
    finally:
        keeper.write_best()

    best = min(history, key=lambda r: r["validation_loss"])
    write_record(Path(options.output) / "train.json", "train", options, recipe=training.recipe.to_dict(), best=best)
    errors = ", ".join(f"{name} {value:.3g}" for name, value in best.items() if "error" in name)
    print(f"best epoch {best['epoch']} of {len(history)}: validation loss {best['validation_loss']:.4g}, {errors}")


def prepare(options: TrainOptions) -> Training:
    """Read and check everything that training needs, so that what is wrong is said before the long work."""
    device, recipe = choose_device(options.device, options.threads), recipe_of(options)
    output = require_writable_folder(options.output)
    if (output / LAST).is_file() and not options.resume:
        raise InputError(f"'{output}' already holds a training; go on with it by --resume, or give another folder")
    everything = read_particles(options.particles, options.pixel_size_A or None)
    check_images(everything)
    preprocess = Preprocess.for_particles(everything, options.box)
    labels_of(everything, options.targets)  # says what is missing or not finite before outliers are looked for
    particles = trustworthy(everything, options)
    labels = labels_of(particles, options.targets)
    train_rows, validation_rows = split_particles(particles.ids, options.validation_percent, options.seed)
    if recipe.batch < 2:
        raise InputError(
            f"option --batch: got {recipe.batch}, expected 2 or more; batch normalisation cannot learn from one image"
        )
    require_usable_images(particles.ids, scan_images(particles))
    added_shift_A = preprocess.field_A * recipe.shift_percent / 100 if recipe.augment != "off" else 0.0
    coder = fit_coder(
        labels.select(torch.from_numpy(train_rows)),
        options.targets, particles.mode_ids, recipe.rotation, recipe.sign_free, preprocess.network_pixel_size_A,
        added_shift_A,
    )  # fmt: skip
    return Training(options, recipe, particles, labels, train_rows, validation_rows, preprocess, coder, device)


def trustworthy(particles: Particles, options: TrainOptions) -> Particles:
    """The particles without those whose labels are ambiguous or whose amplitudes lie far from the others'."""
    keep = np.ones(len(particles), dtype=bool)
    if particles.ambiguous is not None and not options.keep_ambiguous:
        keep &= ~particles.ambiguous
        print(f"{int((~keep).sum())} of {len(particles)} particles have ambiguous labels and are left out")
    if options.targets in ("all", "amplitudes") and options.outlier_distance > 0 and keep.any():
        amplitudes = particles.require_amplitudes("training")
        far = np.zeros(len(particles), dtype=bool)
        far[keep] = is_outlier(amplitudes[keep], options.outlier_distance)
        print(
            f"{int(far.sum())} of {len(particles)} particles are outliers in amplitude (Mahalanobis > "
            f"{options.outlier_distance:g}) and are left out"
        )
        keep &= ~far
    if keep.sum() < _FEWEST_PARTICLES:
        raise InputError(
            f"'{options.particles}': {int(keep.sum())} of {len(particles)} particles can be used for training, "
            "expected at least "
            f"{_FEWEST_PARTICLES} (and hundreds for a useful network); label more particles"
        )
    return particles.select(keep)


def train_epoch(
    training: Training,
    network: PoseNetwork,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    done: Callable[[int], object],
) -> float:
    """One pass over the training particles in random order; returns their mean loss.

    All that is random follows from the seed and the epoch, so a training that was interrupted goes on as if it had not
    been.
    """
    recipe, device = training.recipe, training.device
    torch.manual_seed(training.options.seed * 1_000_003 + epoch)
    generator = torch.Generator().manual_seed(training.options.seed * 1_000_003 + epoch)
    order = training.train_rows[torch.randperm(len(training.train_rows), generator=generator).numpy()]
    steps = training.batches_per_epoch
    total, seen = 0.0, 0
    network.train()
    batches = image_batches(
        training.particles, order[: steps * recipe.batch], recipe.batch, training.options.workers, device
    )
    for step, (rows, raw) in enumerate(batches):
        images, labels = training.preprocess(raw), training.labels.select(rows).to(device)
        if recipe.augment != "off":
            motion = draw_motion(len(rows), recipe.shift_percent, generator, recipe.augment == "mirror").to(device)
            images, labels = move_images(images, motion), move_labels(labels, motion, training.preprocess.field_A)
        optimizer.param_groups[0]["lr"] = recipe.rate((epoch - 1) * steps + step, steps)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"):
            outputs = network(images.contiguous(memory_format=torch.channels_last))
        loss = training.coder.loss(outputs, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.gradient_norm:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)
        optimizer.step()
        value = loss.item()
        if not math.isfinite(value):
            raise DeepError(
                f"training diverged: the loss is {value} in epoch {epoch}, step {step + 1}; the best weights before it "
                f"are kept in '{training.options.output}'. Train again with a smaller --learning-rate than "
                f"{recipe.learning_rate:g}"
            )
        total, seen = total + value * len(rows), seen + len(rows)
        done(len(rows))
    return total / seen


@torch.no_grad()
def validate(training: Training, network: PoseNetwork) -> dict[str, float]:
    """Loss and errors in physical units on the validation particles as they are, the network as in inference."""
    network.eval()
    rows = training.validation_rows
    outputs = [
        network(training.preprocess(raw).contiguous(memory_format=torch.channels_last)).float().cpu()
        for _, raw in image_batches(
            training.particles, rows, max(training.recipe.batch, 32), training.options.workers, training.device
        )
    ]
    together = torch.cat(outputs)
    loss = training.coder.loss(together, training.labels.select(torch.from_numpy(rows)))
    return {
        "validation_loss": float(loss),
        **prediction_errors(training.coder.decode(together), training.particles.select(rows)),
    }


def prediction_errors(prediction: Prediction, truth: Particles) -> dict[str, float]:
    """The article's measures: mean absolute error of amplitudes and shifts (Å), mean distance of rotated axes (°)."""
    errors = {}
    if prediction.amplitudes is not None:
        errors["amplitude_error_A"] = float(
            np.abs(prediction.amplitudes - truth.require_amplitudes("validation")).mean()
        )
    if prediction.rotation is not None:
        errors["angle_error_deg"] = float(
            axes_distance_deg(prediction.rotation, euler_to_matrix(truth.require_poses("validation")[0])).mean()
        )
    if prediction.shift_A is not None:
        errors["shift_error_A"] = float(np.abs(prediction.shift_A - truth.require_poses("validation")[1]).mean())
    return errors


def describe(
    training: Training, weights: Weights, history: History, optimizer: dict[str, Any] | None = None
) -> Checkpoint:
    """The checkpoint of a state of this training."""
    return Checkpoint(
        preprocess=training.preprocess,
        coder=training.coder,
        backbone=training.options.backbone,
        dropout=training.recipe.dropout,
        weights=weights,
        recipe=training.recipe.to_dict(),
        options=asdict(training.options),
        history=history,
        training_ids=torch.from_numpy(training.particles.ids[training.train_rows]),
        validation_ids=torch.from_numpy(training.particles.ids[training.validation_rows]),
        optimizer=optimizer or {},
    )


def _optimizer(network: PoseNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if recipe.decoupled else torch.optim.Adam
    return kind(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def _resume(training: Training, network: PoseNetwork, optimizer: torch.optim.Optimizer) -> History:
    """Take weights, optimiser and history from the last checkpoint, if there is one and it is of this very training."""
    path = Path(training.options.output) / LAST
    if not path.is_file():
        return []
    last = load_checkpoint(path)
    same = {
        "recipe, epochs, batch, learning rate or rotation": last.recipe == training.recipe.to_dict(),
        "seed": last.options["seed"] == training.options.seed,
        "backbone": last.backbone == training.options.backbone,
        "box, pixel size or phase flipping": last.preprocess == training.preprocess,
        "particles": np.array_equal(last.training_ids.numpy(), training.particles.ids[training.train_rows]),
        "targets or labels": last.coder == training.coder,
    }
    different = [name for name, equal in same.items() if not equal]
    if different:
        raise InputError(
            f"cannot resume '{path}': it was trained with other {'; other '.join(different)}. Give the same options "
            "and particles, or train "
            "into another folder"
        )
    network.load_state_dict(last.weights)
    optimizer.load_state_dict(last.optimizer)
    print(f"resuming after epoch {len(last.history)}")
    return last.history
