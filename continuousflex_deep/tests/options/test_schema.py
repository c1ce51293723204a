"""What the traits of options say, and that it fits together."""

import ast
import sys
from pathlib import Path
from typing import get_args

import pytest

from continuousflex_deep.options import (
    AlignOptions,
    CompareOptions,
    NmaOptions,
    SimulateOptions,
    TrainOptions,
    foreign_options,
    from_mapping,
    options_of,
    result_options,
)
from continuousflex_deep.options.schema import Level, Role
from continuousflex_deep.tests.helpers.options_of_commands import CLASSES, another_value, complete

PACKAGE = Path(__file__).resolve().parents[2] / "options"
every_command = pytest.mark.parametrize("cls", CLASSES)


@every_command
def test_commands_and_options_are_described_in_sentences(cls: type) -> None:
    assert cls.__doc__
    assert cls.__doc__[0].isupper()
    assert cls.__doc__.endswith(".")
    for option in options_of(cls).values():
        text = option.traits.help
        assert len(text) > 10, option
        assert text[0].isupper(), option
        assert text.endswith("."), option
        assert "  " not in text, option


@every_command
def test_roles_and_levels_are_known_and_fit_together(cls: type) -> None:
    for option in options_of(cls).values():
        traits = option.traits
        assert traits.role in get_args(Role), option
        assert traits.level in get_args(Level), option
        assert option.changes_result is (traits.role in ("setting", "input"))
        assert not traits.required or traits.role in ("input", "output"), option
        assert traits.role not in ("output", "installation") or traits.level == "hidden", option


@every_command
def test_what_an_option_counts_with_is_there(cls: type) -> None:
    # compare runs both engines of align
    others = options_of(AlignOptions if cls is CompareOptions else cls)
    for option in options_of(cls).values():
        for name, values in option.traits.counts_with.items():
            assert set(values) < set(others[name].choices or (True, False)), option


@every_command
def test_defaults_and_other_values_are_valid(cls: type) -> None:
    for option in options_of(cls).values():
        other = another_value(option)
        engine = {"engine": option.traits.engine} if option.traits.engine and "engine" in options_of(cls) else {}
        values = complete(cls) | engine
        assert other != option.default
        assert getattr(from_mapping(cls, values | {option.name: other}), option.name) == other
        if not option.traits.required:
            assert from_mapping(cls, values | {option.name: option.default}) == from_mapping(cls, values)


def test_programs_of_other_packages_can_be_named() -> None:
    """An engine that is not embedded has an option for where its programs are."""
    for cls in CLASSES:
        options = options_of(cls)
        if "engine" in options:
            homes = {o.traits.engine for o in options.values() if o.traits.role == "installation"}
            assert homes == set(options["engine"].choices) - {"embedded"}


def test_settings_are_what_determines_a_result() -> None:
    nma = NmaOptions(structure="s", output="o", elnemo_home="e", n_modes=12)
    assert result_options(nma) == {
        "select": "", "models": "first", "cutoff_A": 0.0, "cutoff_percent": 0.0, "block_size": -1, "n_modes": 12,
        "motion": NmaOptions.motion, "collectivity_threshold": 0.15, "hydrogens": False, "engine": "embedded",
    }  # fmt: skip
    assert {"seed", "batch", "half_sets"} <= result_options(TrainOptions()).keys()
    assert not {"device", "threads", "readers", "resume", "particles"} & result_options(TrainOptions()).keys()


def test_foreign_options() -> None:
    options = AlignOptions(xmipp_step_deg=5.0, xmipp_home="here", fit="pose", batch=3)
    assert [option.flag for option in foreign_options(options, "embedded")] == ["--xmipp-step-deg"]
    assert [option.flag for option in foreign_options(options, "xmipp")] == ["--fit"]


def test_kinds_of_values() -> None:
    options = options_of(TrainOptions)
    assert options["backbone"].choices == ("resnet18", "resnet34", "resnet50", "resnet101")
    assert not options["epochs"].choices
    assert options["validation_percent"].flag == "--validation-percent"
    conformations = options_of(SimulateOptions)["conformations"]
    assert conformations.may_be_a_path
    assert conformations.choices == ("trajectory", "uniform", "gaussian", "linear")
    assert [name for name, option in options_of(AlignOptions).items() if option.is_list or option.is_range] == []


def test_options_need_nothing_and_are_written_for_scipion_s_python() -> None:
    """Scipion's side reads them, by Python 3.8 and without what the commands compute with."""
    allowed = {f"continuousflex_deep.{name}" for name in ("errors", "io.files", "io.texts")}
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 8))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules = {name for name in modules if not name.startswith("continuousflex_deep.options")}
        assert {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names} <= allowed
