"""Training: it learns, validates honestly, survives interruption, and refuses bad input before the work."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep.commands import train
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.figures.training import save_training
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.nn import checkpointing
from continuousflex_deep.nn import learner as learning
from continuousflex_deep.nn.checkpoint import BEST, LAST, load_checkpoint
from continuousflex_deep.nn.checkpointing import Keeper
from continuousflex_deep.nn.data import image_batches, in_batches
from continuousflex_deep.nn.distributed import Team
from continuousflex_deep.nn.doubt import DEVIATION_OF_MEAN
from continuousflex_deep.nn.predict import Predictor, load_models
from continuousflex_deep.nn.preparation import Training, prepare, read_labelled
from continuousflex_deep.nn.recipes import Recipe, recipe_of
from continuousflex_deep.nn.validate import validate
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.tests.helpers.nn_toy import toy_particles

CPU = torch.device("cpu")
ALONE = Team(0, 1)
pytestmark = pytest.mark.usefixtures("quick")


def small(path, output, **changes):
    """Options for a training of seconds."""
    values = {
        "backbone": "resnet18", "epochs": 2, "batch": 8, "threads": 1, "device": "cpu", "particles": str(path),
        "output": str(output),
    }  # fmt: skip
    return TrainOptions(**{**values, **changes})


def prepared(options, half=0) -> Training:
    return prepare(read_labelled(options), options, Path(options.output), recipe_of(options).targets, half, CPU)


@pytest.fixture
def toy(tmp_path):
    """Path of labelled particles, and the particles."""
    return toy_particles(tmp_path, n=20, noise=0.3)


def table_of(folder):
    return list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))


def rows_of(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_it_learns_by_heart(tmp_path):
    """18 images without augmentation: the loss falls by a large factor and the learned images' poses come back."""
    path, particles = toy_particles(tmp_path, n=20)
    train.run(small(path, tmp_path / "m", epochs=60, batch=18, augment="off"))
    last = load_checkpoint(tmp_path / "m" / LAST)
    assert last.history[-1]["train_loss"] < last.history[0]["train_loss"] / 10
    learned = particles.select(particles.rows_of(last.training_ids.numpy()))
    raw = torch.cat([raw for _, raw in image_batches(learned, in_batches(np.arange(18), 8), 0, CPU)])
    with torch.inference_mode():
        prediction = last.coder.decode(last.network(CPU)(last.preprocess(raw)))
    assert np.median(rotation_distance_deg(prediction.rotation, euler_to_matrix(learned.euler_deg))) < 10
    assert np.abs(prediction.amplitudes - learned.amplitudes).mean() < 0.2 * learned.amplitudes.std()
    assert np.abs(prediction.shift_A - learned.shift_A).mean() < 0.2 * learned.shift_A.std()


def test_interrupted_training_goes_on_as_if_it_had_not_been(toy, tmp_path, monkeypatch):
    path, _ = toy
    train.run(small(path, tmp_path / "straight", epochs=4))
    after_epoch = Keeper.after_epoch

    def killed_after_two(self, describe, history, final):
        after_epoch(self, describe, history, final)
        if len(history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "after_epoch", killed_after_two)
        with pytest.raises(KeyboardInterrupt):
            train.run(small(path, tmp_path / "resumed", epochs=4, checkpoint_seconds=0.0))
    assert len(load_checkpoint(tmp_path / "resumed" / LAST).history) == 2
    train.run(small(path, tmp_path / "resumed", epochs=4, resume=True))

    straight, resumed = (load_checkpoint(tmp_path / name / LAST) for name in ("straight", "resumed"))
    assert rows_of(resumed.history) == rows_of(straight.history)
    assert all(torch.equal(resumed.weights[k], straight.weights[k]) for k in straight.weights)
    tables = [table_of(tmp_path / name) for name in ("straight", "resumed")]
    assert rows_of(tables[0]) == rows_of(tables[1])
    assert len(tables[0]) == 4


def test_resuming_another_training_is_refused(toy, tmp_path):
    path, particles = toy
    train.run(small(path, tmp_path / "m"))
    with pytest.raises(InputError, match="recipe, epochs, batch"):
        train.run(small(path, tmp_path / "m", batch=4, resume=True))
    with pytest.raises(InputError, match="seed"):
        train.run(small(path, tmp_path / "m", seed=5, resume=True))
    write_particles(particles.select(np.arange(15)), tmp_path / "fewer.star")
    with pytest.raises(InputError, match="particles"):
        train.run(small(tmp_path / "fewer.star", tmp_path / "m", resume=True))


def test_resuming_a_finished_training_changes_nothing(toy, tmp_path, capsys):
    train.run(small(toy[0], tmp_path / "m"))
    before = (tmp_path / "m" / LAST).read_bytes(), (tmp_path / "m" / BEST).read_bytes()
    train.run(small(toy[0], tmp_path / "m", resume=True))
    assert ((tmp_path / "m" / LAST).read_bytes(), (tmp_path / "m" / BEST).read_bytes()) == before
    assert "resuming after epoch 2" in capsys.readouterr().out


def test_an_earlier_training_is_not_overwritten(toy, tmp_path):
    train.run(small(toy[0], tmp_path / "m"))
    with pytest.raises(InputError, match="already contains a training"):
        train.run(small(toy[0], tmp_path / "m"))


def test_what_is_written(toy, tmp_path, monkeypatch):
    path, particles = toy
    monkeypatch.setattr(checkpointing, "save_training", save_training)  # which quick trainings leave out
    train.run(small(path, tmp_path / "m", epochs=3))
    rows = table_of(tmp_path / "m")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    errors = {"amplitude_error_A", "angle_error_deg", "shift_error_A"}
    doubts = {"amplitudes_doubt", "angles_doubt", "shifts_doubt"}
    usual = {"epoch", "simulated", "train_loss", "validation_loss", "learning_rate", "seconds"}
    assert set(rows[0]) == usual | errors | doubts
    assert (tmp_path / "m" / "curves.png").stat().st_size > 5000
    assert (tmp_path / "m" / "train.json").is_file()
    best, last = load_checkpoint(tmp_path / "m" / BEST), load_checkpoint(tmp_path / "m" / LAST)
    losses = [row["validation_loss"] for row in last.history]
    assert len(best.history) == losses.index(min(losses)) + 1
    assert best.doubt_scale == {name.removesuffix("_doubt"): best.history[-1][name] for name in doubts}
    assert not best.state
    assert len(last.state["optimizers"]) == 2
    ids = best.training_ids.tolist() + best.validation_ids.tolist()
    assert sorted(ids) == sorted(particles.ids.tolist()), "training and validation are disjoint and complete"


def test_copies_are_measured_with_the_best_weights_when_the_training_ends(toy, tmp_path, capsys):
    """Errors of averaged predictions are reported, and their factor on the uncertainties is in the checkpoint; the
    weights, and everything else in it, stay."""
    train.run(small(toy[0], tmp_path / "off", epochs=2, change="copies=off"))
    train.run(small(toy[0], tmp_path / "on", epochs=2, change="copies=mirrored"))
    assert "averaged over 8 copies of each image: amplitude_error_A" in capsys.readouterr().out
    off, on = (load_checkpoint(tmp_path / name / BEST) for name in ("off", "on"))
    assert all(torch.equal(off.weights[name], on.weights[name]) for name in off.weights)
    assert (off.doubt_scale, off.copies_doubt_scale) == (on.doubt_scale, {})
    particles = toy[1].select(toy[1].rows_of(on.validation_ids.numpy()))
    (model,) = load_models(tmp_path / "on")
    found = Predictor.of([model], CPU, 4, 0).predict(particles, np.arange(len(particles))).prediction
    ratio = np.abs(found.shift_A - particles.shift_A).mean() / (found.shift_sd_A.mean() / DEVIATION_OF_MEAN)
    assert ratio == pytest.approx(1.0, rel=1e-3), "of the validation particles, errors are as expected on average"


@pytest.mark.parametrize(
    ("targets", "error"),
    [("amplitudes", "amplitude_error_A"), ("angles", "angle_error_deg"), ("shifts", "shift_error_A")],
)
def test_each_type_separately_by_the_published_recipe(toy, tmp_path, targets, error):
    train.run(small(toy[0], tmp_path / "m", recipe="paper", targets=targets, epochs=1))
    (row,) = load_checkpoint(tmp_path / "m" / LAST).history
    assert {k for k in row if "error" in k} == {error}
    assert row["learning_rate"] == pytest.approx(1e-5)


def test_validation_is_never_augmented_and_leaves_the_network_alone(toy, tmp_path, monkeypatch):
    training = prepared(small(toy[0], tmp_path / "m", change="head=perceptron dropout=0.5"))
    learner = learning.Learner(training, ALONE)
    network = learner.network
    network(torch.randn(8, 1, 32, 32))  # training mode: dropout and batch statistics are on
    before = {k: v.clone() for k, v in network.state_dict().items()}
    monkeypatch.setattr(learning, "move_images", lambda *_: pytest.fail("validation images were moved"))
    first, second = (validate(training, network, ALONE) for _ in range(2))
    assert first == second, "dropout is off and nothing is random"
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items()), "batch statistics absorbed nothing"


@pytest.fixture
def moved(monkeypatch):
    """How many images each batch had that was moved."""
    sizes, original = [], learning.move_images

    def counted(images, motion):
        sizes.append(len(images))
        return original(images, motion)

    monkeypatch.setattr(learning, "move_images", counted)
    return sizes


def test_only_training_images_are_moved(toy, tmp_path, moved):
    train.run(small(toy[0], tmp_path / "m", epochs=1))
    assert sum(moved) == 18
    moved.clear()
    train.run(small(toy[0], tmp_path / "plain", epochs=1, augment="off"))
    assert moved == []


def test_diverging_training_keeps_the_last_good_weights(toy, tmp_path, monkeypatch):
    gentle = Recipe.rate
    monkeypatch.setattr(Recipe, "rate", lambda self, done, epoch: 1e30 if epoch else gentle(self, done, epoch))
    with pytest.raises(DeepError, match=r"diverged.*epoch 2.*best weights before it are kept.*smaller --learning-rate"):
        train.run(small(toy[0], tmp_path / "m", epochs=3))
    best = load_checkpoint(tmp_path / "m" / BEST)
    assert len(best.history) == 1
    assert all(torch.isfinite(v).all() for v in best.weights.values())


def test_labels_far_from_the_others_and_ambiguous_ones_are_left_out(tmp_path):
    path, particles = toy_particles(tmp_path, n=40)
    amplitudes = particles.amplitudes.copy()
    amplitudes[4] = 2000
    ambiguous = np.zeros(40, dtype=bool)
    ambiguous[[8, 9]] = True
    write_particles(particles.replace(amplitudes=amplitudes, ambiguous=ambiguous), path)

    def kept(**changes):
        return set(prepared(small(path, tmp_path / "m", **changes)).particles.ids.tolist())

    everything = set(particles.ids.tolist())
    assert everything - kept() == set(particles.ids[[4, 8, 9]].tolist())
    assert everything - kept(keep_ambiguous=True) == {int(particles.ids[4])}
    assert kept(keep_ambiguous=True, outlier_distance=0.0) == everything
    assert kept(keep_ambiguous=True, targets="angles") == everything, (
        "amplitudes do not matter when they are not learned"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amplitudes": None, "mode_ids": ()}, "needs normal-mode amplitudes"),
        ({"euler_deg": None, "shift_A": None}, "needs angles and shifts"),
    ],
)
def test_particles_without_labels(tmp_path, changes, words):
    path, _ = toy_particles(tmp_path, n=12, **changes)
    with pytest.raises(InputError, match=words):
        train.run(small(path, tmp_path / "m"))
    assert not (tmp_path / "m").exists()


def test_too_few_particles(tmp_path):
    path, _ = toy_particles(tmp_path, n=9)
    with pytest.raises(InputError, match="9 of 9 particles can be used for training, expected at least 10"):
        train.run(small(path, tmp_path / "m"))


def test_missing_images(toy, tmp_path):
    (tmp_path / "toy.mrcs").unlink()
    with pytest.raises(InputError, match=r"toy\.mrcs"):
        train.run(small(toy[0], tmp_path / "m"))


def test_an_output_that_cannot_be_written_is_said_before_the_work(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*is a file"):
        train.run(small(toy[0], tmp_path / "file" / "m"))


def test_a_batch_of_one_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="--batch: got 1"):
        train.run(small(toy[0], tmp_path / "m", batch=1))


def test_a_rest_of_one_image_joins_the_other_batches(toy, tmp_path, moved):
    """18 training images in batches of 17 would end with a batch of one, which batch normalisation cannot take."""
    train.run(small(toy[0], tmp_path / "m", batch=17, epochs=1))
    moved.clear()
    train.run(small(toy[0], tmp_path / "n", batch=7, epochs=1))
    assert moved == [9, 9]
