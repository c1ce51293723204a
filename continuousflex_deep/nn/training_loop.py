"""The training of one network: passes over the images, validation, checkpoints, early stop."""

import time
from dataclasses import replace

from continuousflex_deep.io.training_curves import History
from continuousflex_deep.messages import say
from continuousflex_deep.nn.checkpoint import BEST, load_checkpoint, save_checkpoint
from continuousflex_deep.nn.checkpointing import Keeper
from continuousflex_deep.nn.copies import COPIES
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.learner import Learner
from continuousflex_deep.nn.preparation import Training
from continuousflex_deep.nn.validate import validate, validate_copies
from continuousflex_deep.progress import progress_bar


def train_network(training: Training, team: Team) -> History:
    """Train one network to its end, continuing from its last checkpoint if requested; returns the history of its
    epochs."""
    learner = Learner(training, team)
    history = learner.resumed() if training.options.resume else []
    timetable = training.timetable
    keeper = Keeper(training.folder, training.options.checkpoint_seconds, team.leads)
    say(_announcement(training))
    done = timetable.images_until(len(history))
    try:
        with progress_bar(_name(training), timetable.total_images, unit="image", initial=done) as bar:
            for number in range(len(history) + 1, timetable.total_epochs + 1):
                if team.told(ended_early(training, history)):
                    break
                started = time.monotonic()
                epoch = timetable.epoch(number)
                train_loss = learner.train_epoch(epoch, bar.update)
                row = {"epoch": number, "simulated": int(epoch.simulated), "train_loss": train_loss}
                team.share_buffers(learner.predictor)
                row |= validate(training, learner.whole, team) | {"learning_rate": learner.rate}
                history.append(row | {"seconds": time.monotonic() - started})
                final = number == timetable.total_epochs or ended_early(training, history)
                keeper.after_epoch(learner.describe, history, final)
                bar.set_postfix_str(
                    f"epoch {number}/{timetable.total_epochs}, loss {train_loss:.4g}, validation "
                    f"{row['validation_loss']:.4g}"
                )
    finally:
        keeper.write_best()
    say(_about_best(training, history))
    if training.recipe.copies != "off" and team.leads:
        measure_copies(training)
    return history


def measure_copies(training: Training) -> None:
    """Measure the errors of the best network's predictions averaged over copies, report them, and store in its
    checkpoint by which factor the predicted uncertainties then differ from them."""
    best = training.folder / BEST
    checkpoint = load_checkpoint(best)
    errors, ratios = validate_copies(training, checkpoint.network(training.device))
    save_checkpoint(best, replace(checkpoint, copies_doubt_scale=ratios))
    say(f"averaged over {len(COPIES[training.recipe.copies])} copies of each image: {_listed(errors)}")


def ended_early(training: Training, history: History) -> bool:
    """Whether training should stop because the last passes over the labelled images did not improve the validation
    loss."""
    losses = [row["validation_loss"] for row in history]
    passes = len(losses) - training.timetable.simulated_epochs
    patience = training.recipe.patience
    waited = 0 < patience <= passes and len(losses) > patience
    return waited and min(losses[:-patience]) <= min(losses[-patience:])


def _name(training: Training) -> str:
    """Description of a training in the progress bar."""
    of = "" if training.coder.targets == "all" else f" {training.coder.targets}"
    return f"training{of}" + (f", half {training.half}" if training.half else "")


def _announcement(training: Training) -> str:
    simulated = f"{training.recipe.simulated_images} simulated images, then on " if training.simulated else ""
    start = f", from '{training.options.start_from}'" if training.start else ""
    return (
        f"{_name(training)} on {simulated}{len(training.train_rows)} particles, validating on "
        f"{len(training.validation_rows)}, {training.device}{start}"
    )


def _about_best(training: Training, history: History) -> str:
    best = min(history, key=lambda row: row["validation_loss"])
    errors = _listed({name: value for name, value in best.items() if "error" in name})
    early = f" (of {training.timetable.total_epochs}: no further improvement)" if ended_early(training, history) else ""
    loss = f"validation loss {best['validation_loss']:.4g}"
    return f"best epoch {best['epoch']} of {len(history)}{early}: {loss}, {errors}"


def _listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in errors.items())
