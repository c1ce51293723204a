"""The training of one network: passes over the images, validation, checkpoints, early stop."""

import time

from continuousflex_deep.io.training_curves import History
from continuousflex_deep.messages import say
from continuousflex_deep.nn.checkpointing import Keeper
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.learner import Learner
from continuousflex_deep.nn.preparation import Training
from continuousflex_deep.nn.validate import validate
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
                row |= validate(training, learner.predictor, team) | {"learning_rate": learner.rate}
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
    return history


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
    errors = ", ".join(f"{name} {value:.3g}" for name, value in best.items() if "error" in name)
    early = f" (of {training.timetable.total_epochs}: no further improvement)" if ended_early(training, history) else ""
    loss = f"validation loss {best['validation_loss']:.4g}"
    return f"best epoch {best['epoch']} of {len(history)}{early}: {loss}, {errors}"
