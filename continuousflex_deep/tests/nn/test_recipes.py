"""Recipes: the article's to the letter, ours, and what options change of them."""

from typing import get_args, get_type_hints

import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.nn.model import HEADS
from continuousflex_deep.nn.recipes import RECIPES, Recipe, recipe_of
from continuousflex_deep.options import TrainOptions


def options(**changes):
    return TrainOptions(**{"particles": "p", "output": "o", **changes})


def test_paper_recipe_to_the_letter():
    """Hamitouche & Jonic 2022: mean absolute error by Adam (weight decay 1e-5) at 1e-5, divided by 10 each 80 epochs,
    400 epochs of batches of 2, dropout 0.5, quaternions, one network for each type of parameters, nothing added."""
    recipe = recipe_of(options(recipe="paper"))
    assert (recipe.epochs, recipe.batch, recipe.weight_decay, recipe.dropout) == (400, 2, 1e-5, 0.5)
    assert (recipe.rotation, recipe.sign_free, recipe.augment, recipe.decoupled) == ("quaternion", False, "off", False)
    assert (recipe.loss, recipe.targets, recipe.head) == ("absolute", "separate", "perceptron")
    assert (recipe.simulated_images, recipe.whiten, recipe.weighted, recipe.doubt) == (0, False, False, False)
    assert (recipe.gradient_norm, recipe.mixed_precision, recipe.average, recipe.patience) == (0, False, 0, 0)
    rates = [recipe.rate(epoch / 400, epoch) for epoch in (0, 79, 80, 159, 160, 399)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-6, 1e-6, 1e-7, 1e-9])


def test_default_schedule_warms_up_and_falls_to_zero():
    recipe = RECIPES["default"]
    rates = [recipe.rate(s / 1000, s // 10) for s in range(1000)]
    assert rates[0] < 0.1 * recipe.learning_rate
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[-1] < 1e-3 * recipe.learning_rate
    peak = rates.index(max(rates))
    assert peak == pytest.approx(50, abs=1)
    assert sorted(rates[: peak + 1]) == rates[: peak + 1]
    assert sorted(rates[peak:], reverse=True) == rates[peak:]


def test_heads_are_those_of_the_network():
    assert get_args(get_type_hints(Recipe)["head"]) == HEADS


def test_options_overrule_the_recipe():
    recipe = recipe_of(
        options(epochs=3, batch=5, learning_rate=0.5, rotation="quaternion", augment="off", targets="angles")
    )
    assert (recipe.epochs, recipe.batch, recipe.learning_rate) == (3, 5, 0.5)
    assert (recipe.rotation, recipe.augment, recipe.targets) == ("quaternion", "off", "angles")
    assert recipe_of(options()) == recipe_of(options(structure="", modes=""))


def test_simulated_images_need_structure_and_modes():
    both = {"structure": "s", "modes": "m"}
    assert recipe_of(options(**both)).simulated_images == RECIPES["default"].simulated_images > 0
    assert recipe_of(options()).simulated_images == recipe_of(options(structure="s")).simulated_images == 0
    assert recipe_of(options(**both, simulated_images=64)).simulated_images == 64
    assert recipe_of(options(**both, simulated_images=0)).simulated_images == 0
    assert recipe_of(options(recipe="paper", **both)).simulated_images == 0


def test_anything_can_be_changed_by_name():
    """Whole numbers, numbers, switches and words, divided by blanks or commas."""
    recipe = recipe_of(options(change="schedule=step patience=20,average=0.5 whiten=false doubt=True head=perceptron"))
    assert (recipe.schedule, recipe.patience, recipe.average) == ("step", 20, 0.5)
    assert (recipe.whiten, recipe.doubt, recipe.head) == (False, True, "perceptron")
    assert recipe_of(options(recipe="paper", change="dropout=0")).dropout == 0
    assert type(recipe.patience) is int
    assert recipe_of(options(change="epochs=7", epochs=3)).epochs == 7, "what is changed by name is the last word"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("speed=3", r"--change: got 'speed=3', expected NAME=VALUE with NAME of epochs"),
        ("patience", "--change patience: got ''.*whole number"),
        ("patience=often", "--change patience: got 'often'.*whole number"),
        ("patience=2.5", "--change patience"),
        ("average=nan", "--change average.*a number"),
        ("whiten=perhaps", "--change whiten.*true or false"),
        ("head=long", "--change head.*perceptron, linear"),
    ],
)
def test_changes_that_cannot_be_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        recipe_of(options(change=text))


def test_fine_tuning_goes_gently_and_on_real_images_only():
    both = {"structure": "s", "modes": "m"}
    fresh, fine = recipe_of(options(**both)), recipe_of(options(start_from="model", **both))
    assert fine.learning_rate == pytest.approx(fresh.learning_rate / 3)
    assert fine.simulated_images == 0
    asked = recipe_of(options(start_from="model", learning_rate=0.1, simulated_images=50, **both))
    assert (asked.learning_rate, asked.simulated_images) == (0.1, 50)
