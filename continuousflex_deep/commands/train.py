"""The train command: from labelled particles to one or several networks. Reads from top to bottom."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from continuousflex_deep.devices import choose_device
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.records import write_record
from continuousflex_deep.nn.distributed import training_together
from continuousflex_deep.nn.preparation import networks_to_train, prepare, read_labelled
from continuousflex_deep.nn.training_loop import train_network
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.runs.sole_writer import writing_alone


def run(options: TrainOptions) -> None:
    """Train every requested network in its folder: curves.csv after every epoch, best.pt, last.pt and curves.png at
    intervals; and train.json at the end.
    """
    device = choose_device(options.device, options.threads)
    networks = networks_to_train(options)
    require_writable_folder(options.output)
    labelled = read_labelled(options)
    with (
        training_together(device) as team,
        _reproducible(options.deterministic),
        writing_alone(options.output) if team.leads else nullcontext(),
    ):
        # all are prepared before the first is trained, so that errors in any are reported at once
        trainings = [prepare(labelled, options, *network, team.device) for network in networks]
        for training in trainings:
            team.require_enough(min(training.recipe.batch, len(training.train_rows)))
        best = {}
        for training in trainings:
            history = train_network(training, team)
            name = str(training.folder.relative_to(options.output))
            best[name] = min(history, key=lambda row: row["validation_loss"])
        if team.leads:
            recipe = trainings[0].recipe.to_dict()
            write_record(Path(options.output) / "train.json", "train", options, recipe=recipe, best=best)


@contextmanager
def _reproducible(wanted: bool) -> Iterator[None]:
    """Within the block, if wanted, only deterministic algorithms."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as torch requires
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
