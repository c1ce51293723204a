"""Trainings of several networks, phases and starts: what each learns from, and what it leaves behind."""

import csv
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.commands import train
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.training_curves import TABLE
from continuousflex_deep.nn import learner as learning
from continuousflex_deep.nn import schedule, training_loop
from continuousflex_deep.nn.board import FOLDER, Board
from continuousflex_deep.nn.checkpoint import BEST, LAST, load_checkpoint, model_files
from continuousflex_deep.nn.checkpointing import Keeper
from continuousflex_deep.nn.data import split_halves
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.loss import Loss
from continuousflex_deep.nn.preparation import Training, networks_to_train, prepare, read_labelled
from continuousflex_deep.nn.recipes import recipe_of
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.tests.helpers.nn_toy import toy_model_files, toy_particles

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("quick")


def small(path, output, **changes):
    """Options for a training of seconds."""
    values = {
        "backbone": "resnet18", "epochs": 1, "batch": 9, "threads": 1, "device": "cpu", "particles": str(path),
        "output": str(output), "readers": 0, "checkpoint_seconds": 1000.0,
    }  # fmt: skip
    return TrainOptions(**{**values, **changes})


def prepared(options, targets="all", half=0) -> Training:
    return prepare(read_labelled(options), options, Path(options.output), targets, half, CPU)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Path of labelled particles, the particles, and options that name their structure and modes."""
    folder = tmp_path_factory.mktemp("toy")
    path, particles = toy_particles(folder, n=24, noise=0.3)
    return path, particles, toy_model_files(folder)


@pytest.fixture(scope="module")
def start(toy, tmp_path_factory):
    """A trained network to start from."""
    folder = tmp_path_factory.mktemp("start") / "m"
    train.run(small(toy[0], folder))
    return folder


def table_of(folder):
    return list(csv.DictReader((folder / TABLE).read_text().splitlines()))


def ids_of(checkpoint):
    return checkpoint.training_ids.tolist(), checkpoint.validation_ids.tolist()


def test_separate_networks_learn_one_type_each_from_the_same_particles(toy, tmp_path):
    train.run(small(toy[0], tmp_path, targets="separate"))
    networks = [load_checkpoint(path) for path in model_files(tmp_path)]
    assert [n.coder.targets for n in networks] == ["amplitudes", "angles", "shifts"]
    assert len({str(ids_of(n)) for n in networks}) == 1
    errors = [{k for k in table_of(tmp_path / n.coder.targets)[0] if "_error_" in k} for n in networks]
    assert errors == [{"amplitude_error_A"}, {"angle_error_deg"}, {"shift_error_A"}]
    assert set(json.loads((tmp_path / "train.json").read_text())["best"]) == {"amplitudes", "angles", "shifts"}


def test_halves_share_neither_particles_nor_anything_random(toy, tmp_path):
    path, particles, _ = toy
    train.run(small(path, tmp_path, half_sets=True, learning_rate=1e-12))
    whole, first, second = (load_checkpoint(tmp_path / name / BEST) for name in (".", "half1", "half2"))
    assert (whole.half, first.half, second.half) == (0, 1, 2)
    of = [[*ids_of(n)[0], *ids_of(n)[1]] for n in (whole, first, second)]
    assert sorted(of[1] + of[2]) == sorted(of[0]) == sorted(particles.ids.tolist())
    assert len(of[1]) == len(of[2]) == 12
    assert sorted(of[1]) == particles.ids[split_halves(particles.ids, 0)[0]].tolist()
    one, other = first.weights["resnet.conv1.weight"], second.weights["resnet.conv1.weight"]
    assert abs(float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])) < 0.1
    assert all(set(n.validation_ids.tolist()) <= set(ids) for n, ids in zip((first, second), of[1:], strict=True))


def test_halves_of_separate_networks_lie_beside_them(toy, tmp_path):
    options = small(toy[0], tmp_path, half_sets=True, targets="separate")
    folders = [str(folder.relative_to(tmp_path)) for folder, _, _ in networks_to_train(options)]
    types_ = ["amplitudes", "angles", "shifts"]
    assert folders == [*types_, *(f"{half}/{t}" for half in ("half1", "half2") for t in types_)]


def test_halves_can_be_trained_later(toy, tmp_path):
    """The network of all is finished and stays; what was killed between two networks goes on with the next."""
    train.run(small(toy[0], tmp_path))
    before = (tmp_path / LAST).read_bytes()
    with pytest.raises(InputError, match="already contains a training"):
        train.run(small(toy[0], tmp_path, half_sets=True))
    train.run(small(toy[0], tmp_path, half_sets=True, resume=True))
    assert (tmp_path / LAST).read_bytes() == before
    assert [load_checkpoint(tmp_path / half / BEST).half for half in ("half1", "half2")] == [1, 2]
    assert set(json.loads((tmp_path / "train.json").read_text())["best"]) == {".", "half1", "half2"}


def test_halves_need_twice_the_particles(tmp_path):
    path, _ = toy_particles(tmp_path, n=15)
    prepared(small(path, tmp_path / "m"))
    with pytest.raises(InputError, match=r"15 of 15.*expected at least 20"):
        read_labelled(small(path, tmp_path / "m", half_sets=True))


def test_simulated_images_come_before_the_labelled_ones(toy, tmp_path):
    path, _, model = toy
    train.run(small(path, tmp_path, epochs=2, simulated_images=64, **model))
    rows = table_of(tmp_path)
    assert [(row["epoch"], row["simulated"]) for row in rows] == [("1", "1"), ("2", "0"), ("3", "0")]
    assert all(np.isfinite(float(row["train_loss"])) for row in rows)


def test_without_modes_there_are_no_simulated_images(toy, tmp_path, capsys):
    path, _, model = toy
    assert prepared(small(path, tmp_path)).simulated is None
    assert "learns only from labelled images" in capsys.readouterr().err
    for alone in ("structure", "modes"):
        with pytest.raises(InputError, match=f"--{alone} is given alone"):
            read_labelled(small(path, tmp_path, **{alone: model[alone]}))
    with pytest.raises(InputError, match="simulated images need"):
        read_labelled(small(path, tmp_path, simulated_images=10))


def test_structure_and_modes_must_belong_together_and_to_the_labels(toy, tmp_path):
    path, particles, model = toy
    Path(tmp_path / "modes").mkdir()
    for atom, name in enumerate(("vec.7", "vec.8")):  # each moves three of 8 atoms
        np.savetxt(tmp_path / "modes" / name, np.eye(8, 3, k=-atom) / 3**0.5)
    with pytest.raises(InputError, match="8 atoms"):
        read_labelled(small(path, tmp_path, structure=model["structure"], modes=str(tmp_path / "modes")))
    write_particles(particles.replace(mode_ids=(7, 11)), tmp_path / "other.star")
    with pytest.raises(InputError, match=r"\[11\]"):
        read_labelled(small(tmp_path / "other.star", tmp_path, **model))


def test_simulated_images_need_whitening(toy, tmp_path):
    with pytest.raises(InputError, match="leave whiten=true"):
        prepared(small(toy[0], tmp_path, recipe="paper", simulated_images=20, **toy[2]))
    assert prepared(small(toy[0], tmp_path, recipe="paper", **toy[2])).simulated is None
    changed = small(toy[0], tmp_path, change="whiten=false", simulated_images=-1, **toy[2])
    assert prepared(changed).simulated is None


def test_a_large_seed_can_draw_simulated_images(toy, tmp_path):
    train.run(small(toy[0], tmp_path, simulated_images=10, seed=2**31 - 1, **toy[2]))
    assert len(table_of(tmp_path)) == 2


def parameters(checkpoint):
    """Weights without batch statistics, which follow the images whatever is learned."""
    names = dict(learning.new_network("resnet18", checkpoint.head, 0, checkpoint.coder, checkpoint.preprocess)
                 .named_parameters())  # fmt: skip
    return {name: checkpoint.weights[name] for name in names}


def test_fine_tuning_starts_from_the_given_weights(toy, start, tmp_path):
    """At a rate of nearly nothing it stays there, coder and preprocess too, though labels and noise are others."""
    path, _ = toy_particles(tmp_path, n=20, noise=0.5, seed=9)
    train.run(small(path, tmp_path / "m", start_from=str(start), learning_rate=1e-12))
    before, after = load_checkpoint(start / BEST), load_checkpoint(tmp_path / "m" / LAST)
    assert after.coder == before.coder
    assert after.preprocess == before.preprocess
    old, new = parameters(before), parameters(after)
    assert max(float((old[k] - new[k]).abs().max()) for k in old) < 1e-6
    assert after.recipe["simulated_images"] == 0


def test_fine_tuning_learns_further(toy, start, tmp_path):
    train.run(small(toy[0], tmp_path, start_from=str(start)))
    assert load_checkpoint(tmp_path / LAST).options["start_from"] == str(start)
    with pytest.raises(InputError, match="other network to start from"):
        train.run(small(toy[0], tmp_path, learning_rate=2e-3 / 3, resume=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targets": "angles"}, "predicts all, requested are angles; give --targets all"),
        ({"backbone": "resnet34"}, "trained with --backbone resnet18, requested is resnet34"),
        ({"change": "head=perceptron"}, "head linear, requested is perceptron"),
        ({"change": "doubt=false"}, "doubt True, requested is False"),
        ({"change": "whiten=false"}, "whiten True, requested is False"),
        ({"rotation": "quaternion"}, "rotation matrix, requested is quaternion"),
    ],
)
def test_fine_tuning_another_network_is_refused(toy, start, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        prepared(small(toy[0], tmp_path, start_from=str(start), **changes), changes.get("targets", "all"))


def test_fine_tuning_for_other_particles_is_refused(toy, start, tmp_path):
    path, _ = toy_particles(tmp_path, n=20, box_px=48, name="box")
    with pytest.raises(InputError, match=r"trained on images of 32 px.*these are 48 px"):
        prepared(small(path, tmp_path / "m", start_from=str(start)))
    with pytest.raises(InputError, match="can only be smaller"):
        prepared(small(toy[0], tmp_path / "m", start_from=str(start), box=48))
    _, particles, _ = toy
    write_stack(tmp_path / "coarse.mrcs", read_images(particles), 4.4)
    stacks = np.full(24, str(tmp_path / "coarse.mrcs"), dtype=object)
    for name, changes, words in (
        ("modes", {"mode_ids": (7, 9)}, r"trained for modes \[7, 8\]"),
        ("pixel", {"pixel_size_A": 4.4, "stacks": stacks}, r"trained at 4 Å/px"),
    ):
        write_particles(particles.replace(**changes), tmp_path / f"{name}.star")
        with pytest.raises(InputError, match=words):
            prepared(small(tmp_path / f"{name}.star", tmp_path / "m", start_from=str(start)))


def test_fine_tuning_keeps_the_reduced_box(toy, tmp_path):
    """A network that saw images reduced to 32 px goes on with these; another box is another network."""
    path, _ = toy_particles(tmp_path, n=20, box_px=48)
    train.run(small(path, tmp_path / "m", box=32))
    training = prepared(small(path, tmp_path / "n", start_from=str(tmp_path / "m")))
    assert training.preprocess.network_box_px == 32
    with pytest.raises(InputError, match="--box 32, requested is 40"):
        prepared(small(path, tmp_path / "n", start_from=str(tmp_path / "m"), box=40))


def test_training_ends_where_it_gets_no_better(toy, tmp_path, monkeypatch, capsys):
    losses = iter([5.0, 3.0, 4.0, 3.0, 2.0, 2.5, 2.1, 2.0, 1.0])
    monkeypatch.setattr(training_loop, "validate", lambda *_: {"validation_loss": next(losses)})
    monkeypatch.setattr(learning.Learner, "train_epoch", lambda self, epoch, done: 1.0)
    train.run(small(toy[0], tmp_path, epochs=20, change="patience=3"))
    assert len(table_of(tmp_path)) == 8, "three passes after the best one"
    assert len(load_checkpoint(tmp_path / BEST).history) == 8, "the later of two that are equally good"
    assert "no further improvement" in capsys.readouterr().out
    before = (tmp_path / TABLE).read_text()
    train.run(small(toy[0], tmp_path, epochs=20, change="patience=3", resume=True))
    assert (tmp_path / TABLE).read_text() == before, "nor does it go on when it is resumed"


def test_simulated_epochs_do_not_wear_out_patience(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "validate", lambda *_: {"validation_loss": 1.0})
    monkeypatch.setattr(learning.Learner, "train_epoch", lambda self, epoch, done: 1.0)
    train.run(small(toy[0], tmp_path, epochs=9, change="patience=2", simulated_images=30_001, **toy[2]))
    kinds = [row["simulated"] for row in table_of(tmp_path)]
    assert kinds[:4] == ["1"] * 4, "all of them, though they get no better"
    assert 2 <= kinds.count("0") < 9


def test_averaged_weights_are_the_mean_of_those_on_the_way(toy, tmp_path, monkeypatch):
    """Of an exponential average with a horizon of half of all steps; the network that predicts has them."""
    training = prepared(small(toy[0], tmp_path, epochs=4, change="average=0.5"))
    learner, name = learning.Learner(training, Team(0, 1)), "head.weight"
    decay = 1 - 1 / (0.5 * training.timetable.total_steps)
    last_optimizer = learner.optimizers[-1]
    seen, step = [], last_optimizer.step

    def step_seen():
        step()
        seen.append(dict(learner.network.named_parameters())[name].detach().clone())

    monkeypatch.setattr(last_optimizer, "step", step_seen)
    for number in (1, 2):
        learner.train_epoch(training.timetable.epoch(number), lambda n: None)
    expected = seen[0]
    for weights in seen[1:]:
        expected = decay * expected + (1 - decay) * weights
    averaged = dict(learner.predictor.named_parameters())[name]
    assert len(seen) == 2 * training.timetable.epoch(1).steps
    assert torch.allclose(averaged, expected, atol=1e-6)
    assert not torch.allclose(averaged, seen[-1], atol=1e-5)
    last = learner.describe([{"validation_loss": 1.0}], True)
    assert torch.equal(last.weights[name], averaged)
    assert torch.equal(last.state["weights"][name], seen[-1])


def test_interrupted_pretraining_goes_on_as_if_it_had_not_been(toy, tmp_path, monkeypatch):
    """With weights that are averaged, in the midst of simulated epochs."""
    monkeypatch.setattr(schedule, "SIMULATED_EPOCH", 20)
    common = {"simulated_images": 40, "change": "average=0.5", "epochs": 1, "checkpoint_seconds": 0.0, **toy[2]}
    train.run(small(toy[0], tmp_path / "straight", **common))
    after_epoch = Keeper.after_epoch

    def killed_after_one(self, describe, history, final):
        after_epoch(self, describe, history, final)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "after_epoch", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            train.run(small(toy[0], tmp_path / "resumed", **common))
    train.run(small(toy[0], tmp_path / "resumed", resume=True, **common))
    straight, resumed = (load_checkpoint(tmp_path / name / LAST) for name in ("straight", "resumed"))
    assert [row["simulated"] for row in resumed.history] == [1, 1, 0]
    for weights in ("weights", "state"):
        one, other = (vars(c)[weights] for c in (straight, resumed))
        one, other = (w.get("weights", w) for w in (one, other))
        assert all(torch.equal(one[k], other[k]) for k in one)
    assert straight.state["averaged"] == resumed.state["averaged"] > 1


def test_deterministic_training_repeats_itself_and_leaves_torch_as_it_was(toy, tmp_path, monkeypatch):
    asked = []
    original = torch.use_deterministic_algorithms

    def use(mode, **more):
        asked.append(mode)
        original(mode, **more)

    monkeypatch.setattr(torch, "use_deterministic_algorithms", use)
    for name in ("a", "b"):
        train.run(small(toy[0], tmp_path / name, deterministic=True, simulated_images=18, **toy[2]))
    one, other = (load_checkpoint(tmp_path / name / LAST).weights for name in ("a", "b"))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert asked == [True, False] * 2
    assert not torch.are_deterministic_algorithms_enabled()


def test_another_seed_is_another_network(toy, tmp_path):
    learners = [learning.Learner(prepared(small(toy[0], tmp_path, seed=seed)), Team(0, 1)) for seed in (0, 0, 1)]
    one, same, other = (learner.network.resnet.conv1.weight for learner in learners)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_labels_count_by_their_error_bars_if_the_recipe_says_so(toy, tmp_path):
    _, particles, _ = toy
    sd = np.where(np.arange(24) % 2, 10.0, 1.0)
    write_particles(particles.replace(angle_sd_deg=sd), tmp_path / "sd.star")
    weighted, alike = (
        prepared(small(tmp_path / "sd.star", tmp_path, change=f"weighted={on}")).labels.weights for on in (True, False)
    )
    assert set(weighted) == {"angles"}
    assert (weighted["angles"][0::2] > 3 * weighted["angles"][1::2]).all()
    assert alike == {}


def test_the_course_goes_to_tensorboard_where_it_is(toy, tmp_path, monkeypatch):
    shown = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, epoch):
            shown.append((self.folder, name, value, epoch))

        def flush(self):
            pass

    module = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train.run(small(toy[0], tmp_path, epochs=2))
    history = load_checkpoint(tmp_path / LAST).history
    expected = [(str(tmp_path / FOLDER), k, v, row["epoch"]) for row in history for k, v in row.items() if k != "epoch"]
    assert shown == expected


def test_without_tensorboard_nothing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    Board(tmp_path / "m").show({"epoch": 1, "train_loss": 0.5})
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "m").exists()


def test_a_paper_training_is_by_its_recipe(toy, tmp_path):
    training = prepared(small(toy[0], tmp_path, recipe="paper", epochs=0, batch=0), "shifts")
    assert (training.preprocess.noise, training.coder.doubts, training.labels.weights) == ((), False, {})
    learner = learning.Learner(training, Team(0, 1))
    (optimizer,) = learner.optimizers
    assert type(optimizer) is torch.optim.Adam
    assert learner.average is None
    assert optimizer.param_groups[0]["weight_decay"] == recipe_of(training.options).weight_decay


def test_doubts_do_not_change_what_is_predicted(toy, tmp_path, monkeypatch):
    """However large their gradients are, also where gradients are clipped."""

    def weights(folder):
        train.run(small(toy[0], tmp_path / folder, learning_rate=1e-3))
        return load_checkpoint(tmp_path / folder / LAST).weights

    usual, of_doubts = weights("usual"), Loss.of_doubts
    monkeypatch.setattr(Loss, "of_doubts", lambda self, *given: 1000 * of_doubts(self, *given))
    loud = weights("loud")
    others = [name for name in usual if not name.startswith("doubt.")]
    assert all(torch.equal(usual[name], loud[name]) for name in others)
    assert not torch.equal(usual["doubt.0.weight"], loud["doubt.0.weight"])
