"""Options from names and values, their files, and what is refused."""

from pathlib import Path

import pytest

from continuousflex_deep import options as opt
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.tests.helpers.options_of_commands import CLASSES, another_value, complete

WITH_ENGINES = [cls for cls in CLASSES if "engine" in opt.options_of(cls)]
OF_AN_ENGINE = [
    (cls, option, engine)
    for cls in WITH_ENGINES
    for option in opt.options_of(cls).values()
    for engine in opt.options_of(cls)["engine"].choices
    if not option.is_followed_by(engine)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_options_survive_json(cls: type, tmp_path: Path) -> None:
    options: object = opt.from_mapping(cls, complete(cls))
    opt.write_options_file(tmp_path / "o.json", options)
    assert opt.from_mapping(cls, opt.read_options_file(tmp_path / "o.json")) == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutof_A": 8}, r"unknown options \['cutof_A'\]"),
        ({"cutoff_A": "wide"}, "--cutoff-A: got 'wide', expected a number"),
        ({"cutoff_A": float("nan")}, "expected a number"),
        ({"cutoff_A": float("inf")}, "expected a number"),
        ({"cutoff_A": -1}, "--cutoff-A: got -1.0, expected 0.0 to 100.0 Å"),
        ({"n_modes": 7.5}, "--n-modes: got 7.5, expected a whole number"),
        ({"n_modes": 6}, "expected 7 to"),
        ({"n_modes": True}, "expected a whole number"),
        ({"hydrogens": "yes"}, "expected true or false"),
        ({"structure": 5}, "expected text"),
        ({"structure": opt.REQUIRED}, "--structure is required"),
    ],
)
def test_wrong_values_are_explained(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opt.from_mapping(opt.NmaOptions, {"structure": "s", "output": "o"} | changes)


def test_choices_pairs_and_lists() -> None:
    base = complete(opt.SimulateOptions)
    made = opt.from_mapping(opt.SimulateOptions, base | {"tilt_range_deg": [10, 20], "conformations": "linear"})
    assert made.tilt_range_deg == (10.0, 20.0)
    for wrong in ({"tilt_range_deg": [1, 2, 3]}, {"tilt_range_deg": "12"}, {"conformations": "spiral"}):
        with pytest.raises(InputError, match="expected"):
            opt.from_mapping(opt.SimulateOptions, base | wrong)
    with pytest.raises(InputError, match="--particles is required"):
        opt.from_mapping(opt.LandscapeOptions, {"output": "o"})


def test_bad_options_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        opt.read_options_file(tmp_path / "absent.json")
    (tmp_path / "o.json").write_text("{not json")
    with pytest.raises(FormatError, match="is not JSON"):
        opt.read_options_file(tmp_path / "o.json")
    (tmp_path / "o.json").write_text("[1, 2]")
    with pytest.raises(FormatError, match="one JSON object"):
        opt.read_options_file(tmp_path / "o.json")


@pytest.mark.parametrize(
    ("cls", "option", "engine"), OF_AN_ENGINE, ids=[f"{cls.__name__}-{o.name}-{e}" for cls, o, e in OF_AN_ENGINE]
)
def test_options_of_another_engine_are_refused(cls: type, option: opt.Option, engine: str) -> None:
    """But for where programs are, which may be said at any time."""
    values = complete(cls) | {"engine": engine, option.name: another_value(option)}
    if option.traits.role == "installation":
        assert opt.from_mapping(cls, values)
        return
    message = f"--engine {engine} does not support {option.flag}; leave .* --engine {option.traits.engine}"
    with pytest.raises(InputError, match=message):
        opt.from_mapping(cls, values)
    assert opt.from_mapping(cls, values | {"engine": option.traits.engine})
    assert opt.from_mapping(cls, values | {option.name: option.default})


def test_all_options_of_another_engine_are_named() -> None:
    values = complete(opt.AlignOptions) | {"engine": "xmipp", "fit": "pose", "symmetry": "c2"}
    with pytest.raises(InputError, match=r"does not support --fit, --symmetry; leave these out"):
        opt.from_mapping(opt.AlignOptions, values)
