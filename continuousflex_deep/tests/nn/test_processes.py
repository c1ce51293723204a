"""Training as processes: killed and resumed, and by several workers together."""

import csv
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from continuousflex_deep.cli import main
from continuousflex_deep.commands import train
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.training_curves import TABLE
from continuousflex_deep.nn import learner as learning
from continuousflex_deep.nn.checkpoint import BEST, LAST, load_checkpoint
from continuousflex_deep.nn.distributed import Team, training_together
from continuousflex_deep.nn.preparation import prepare, read_labelled
from continuousflex_deep.nn.validate import validate
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.tests.helpers.nn_toy import toy_model_files, toy_particles
from continuousflex_deep.tests.helpers.processes import HANG_S, Running, until
from continuousflex_deep.tests.helpers.quick_trainings import quick_trainings
from continuousflex_deep.tests.helpers.warm_python import warm_python

CPU = torch.device("cpu")
_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def train_command(path, output, **changes):
    """The words of a training of seconds, after the program."""
    values = {
        "particles": path, "output": output, "backbone": "resnet18", "batch": 8, "device": "cpu", "threads": 1,
        "readers": 1, "checkpoint_seconds": 0, **changes,
    }  # fmt: skip
    return ["train", *(word for k, v in values.items() for word in (f"--{k.replace('_', '-')}", str(v)))]


def environ(**more):
    return {k: v for k, v in os.environ.items() if k not in _LAUNCH} | {"OMP_NUM_THREADS": "1"} | more


def courses(*folders):
    """Tables of trainings without what every run has of its own."""
    tables = [list(csv.DictReader((folder / TABLE).read_text().splitlines())) for folder in folders]
    return [[{k: v for k, v in row.items() if k != "seconds"} for row in table] for table in tables]


def test_killed_training_is_resumed_to_the_same_end(tmp_path, monkeypatch, capsys):
    """kill -9 in the midst of its third epoch; with simulated images, averaged weights and copies of images."""
    path, _ = toy_particles(tmp_path, n=20, noise=0.3)
    options = {"epochs": 4, "simulated_images": 16, "change": "average=0.3", **toy_model_files(tmp_path)}
    straight, killed = (train_command(path, tmp_path / name, **options) for name in ("straight", "killed"))
    reached, train_epoch = tmp_path / "reached", learning.Learner.train_epoch

    def stops_in_the_third(self, epoch, seen):
        def seen_until(images):
            seen(images)
            if epoch.number == 3:
                reached.touch()
                signal.pause()

        return train_epoch(self, epoch, seen_until)

    with quick_trainings():
        with monkeypatch.context() as patch:
            patch.setattr(learning.Learner, "train_epoch", stops_in_the_third)
            victim = Running(killed, environ(), patched=True)
        until(reached.exists)
        victim.kill()
        assert victim.wait() == -signal.SIGKILL
        assert len(load_checkpoint(tmp_path / "killed" / LAST).history) == 2
        assert main([*killed, "--resume"]) == 0
        assert "resuming after epoch 2" in capsys.readouterr().out
        assert main(straight) == 0
    one, other = courses(tmp_path / "straight", tmp_path / "killed")
    assert one == other
    assert len(one) == 5
    weights = [load_checkpoint(tmp_path / name / BEST).weights for name in ("straight", "killed")]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not list((tmp_path / "killed").glob("*.tmp*")), "nothing half-written is left"


def test_two_workers_train_one_network(tmp_path):
    """Once by torchrun and once alone: the same weights in both workers, all particles validated, one record."""
    path, particles = toy_particles(tmp_path, n=20, noise=0.3)
    common = {"epochs": 3, "augment": "off", "validation_percent": 25, "batch": 15, "checkpoint_seconds": 1000}
    together = tmp_path / "together"
    launcher = [warm_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*launcher, "-m", "continuousflex_deep", *train_command(path, together, **common)]
    done = subprocess.run(words, env=environ(), capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("best epoch") == 1, "only one of them speaks"
    options = TrainOptions(
        particles=path, output=str(tmp_path / "alone"), backbone="resnet18", device="cpu", threads=1, **common
    )
    train.run(options)
    one, other = courses(tmp_path / "alone", together)
    assert [row["epoch"] for row in other] == ["1", "2", "3"]
    # the first step's loss is of the same weights and images, whose batch statistics are those of 7 and 8
    assert float(other[0]["train_loss"]) == pytest.approx(float(one[0]["train_loss"]), rel=0.1)
    assert [row["learning_rate"] for row in other] == [row["learning_rate"] for row in one]
    last = load_checkpoint(together / LAST)
    ids = last.training_ids.tolist() + last.validation_ids.tolist()
    assert sorted(ids) == sorted(particles.ids.tolist())
    assert json.loads((together / "train.json").read_text())["best"]["."]["epoch"] in (1, 2, 3)
    training = prepare(read_labelled(options), options, Path(options.output), "all", 0, CPU)
    again = validate(training, last.network(CPU), Team(0, 1))
    assert len(training.validation_rows) == 5
    assert again["validation_loss"] == pytest.approx(last.history[-1]["validation_loss"], rel=0.1)
    assert again["shift_error_A"] == pytest.approx(last.history[-1]["shift_error_A"], rel=0.1)


def test_workers_share_each_batch(tmp_path):
    """Together they see the same images with the same labels as one alone, each a part; simulated ones are their
    own."""
    path, _ = toy_particles(tmp_path, n=23, noise=0.3)
    options = TrainOptions(
        particles=path, output=str(tmp_path / "m"), backbone="resnet18", device="cpu", threads=1, batch=9,
        simulated_images=18, **toy_model_files(tmp_path),
    )  # fmt: skip
    training = prepare(read_labelled(options), options, Path(options.output), "all", 0, CPU)
    learner = learning.Learner(training, Team(0, 1))

    def batches(number, rank, size):
        learner.team = Team(rank, size)
        epoch = training.timetable.epoch(number)
        return list(learner._simulated(epoch) if epoch.simulated else learner._labelled(epoch))

    alone, first, second = batches(2, 0, 1), batches(2, 0, 2), batches(2, 1, 2)
    assert len(alone) == len(first) == len(second) == training.timetable.epoch(2).steps
    for whole, one, other in zip(alone, first, second, strict=True):
        assert len(one[0]) < len(whole[0])
        assert torch.allclose(torch.cat([one[0], other[0]]), whole[0], atol=1e-4)
        for name in ("quaternion", "shift_A", "amplitudes"):
            parts = torch.cat([getattr(one[1], name), getattr(other[1], name)])
            assert torch.allclose(parts, getattr(whole[1], name), atol=1e-4)
        assert one[2] == other[2] == whole[2] == len(whole[0])
    made = [batches(1, rank, 2)[0] for rank in (0, 1)]
    assert [len(images) for images, *_ in made] == [4, 5]
    assert not torch.isclose(made[0][1].shift_A[:4], made[1][1].shift_A[:4]).any()


def test_workers_that_cannot_meet_are_refused(tmp_path, monkeypatch):
    path, _ = toy_particles(tmp_path, n=12)
    for name in _LAUNCH:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(InputError, match=r"2 workers were started without a connection.*torchrun"):
        train.run(TrainOptions(particles=path, output=str(tmp_path / "m"), device="cpu", threads=1))
    assert not (tmp_path / "m" / LAST).exists()


def test_alone_there_is_nobody_to_wait_for(monkeypatch):
    for name in _LAUNCH:
        monkeypatch.delenv(name, raising=False)
    with training_together(CPU) as team:
        assert team.leads
        values = torch.arange(3.0)
        assert torch.equal(team.summed(values), values)
        assert torch.equal(team.gathered(values), values)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 7, 64])
def test_shares_are_all_of_a_batch_and_nearly_alike(size, count):
    shares = [list(range(count))[Team(rank, size).share(count)] for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("batch", "size"), [(2, 2), (5, 3), (7, 4)])
def test_batches_too_small_for_the_workers_are_refused_with_what_is_enough(batch, size):
    with pytest.raises(InputError, match=f"batches of {batch} images leave 1 for each of {size} workers") as refused:
        Team(0, size).require_enough(batch)
    [enough] = map(int, re.findall(r"give --batch (\d+) or more", str(refused.value)))
    Team(0, size).require_enough(enough)
    Team(0, batch // 2).require_enough(batch)  # fewer workers
