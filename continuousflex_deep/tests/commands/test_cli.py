"""Options, their JSON files and the command line derived from them."""

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from continuousflex_deep import cli
from continuousflex_deep import options as opt
from continuousflex_deep.errors import FormatError, InputError


def complete(cls: type) -> dict[str, object]:
    """Values for every option that must be given."""
    values: dict[str, object] = {f.name: "x" for f in dataclasses.fields(cls) if f.default == opt.REQUIRED}
    return values | {f.name: ["x"] for f in dataclasses.fields(cls) if f.metadata.get("required")}


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_is_described_and_present(name: str) -> None:
    cls = cli.COMMANDS[name]
    assert cls.__doc__
    for f in dataclasses.fields(cls):
        assert len(f.metadata["help"]) > 5, f.name
    assert callable(importlib.import_module(f"continuousflex_deep.commands.{name}").run)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_help_names_units_and_defaults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for f in dataclasses.fields(cli.COMMANDS[name]):
        assert f"--{f.name.replace('_', '-')}" in text
    for unit in {f.metadata["unit"] for f in dataclasses.fields(cli.COMMANDS[name])} - {""}:
        assert f"[{unit}]" in text


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_options_survive_json(name: str, tmp_path: Path) -> None:
    cls = cli.COMMANDS[name]
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


def test_options_file_and_command_line_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[opt.NmaOptions] = []
    monkeypatch.setattr("continuousflex_deep.commands.nma.run", seen.append)
    (tmp_path / "o.json").write_text(json.dumps({"structure": "s.pdb", "output": "o", "cutoff_A": 10, "n_modes": 12}))
    assert cli.main(["nma", "--options", str(tmp_path / "o.json"), "--cutoff-A", "9", "--hydrogens"]) == 0
    assert seen == [opt.NmaOptions(structure="s.pdb", output="o", cutoff_A=9.0, n_modes=12, hydrogens=True)]


def test_bad_options_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        opt.read_options_file(tmp_path / "absent.json")
    (tmp_path / "o.json").write_text("{not json")
    with pytest.raises(FormatError, match="is not JSON"):
        opt.read_options_file(tmp_path / "o.json")
    (tmp_path / "o.json").write_text("[1, 2]")
    with pytest.raises(FormatError, match="one JSON object"):
        opt.read_options_file(tmp_path / "o.json")


def test_input_errors_end_with_status_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nma", "--structure", str(tmp_path / "absent.pdb"), "--output", str(tmp_path / "m")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: structure: cannot read")
    assert "Traceback" not in error
    assert not (tmp_path / "m").exists()


def test_errors_of_the_system_end_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(options: opt.DoctorOptions) -> None:
        raise OSError(28, "No space left on device", "out.mrcs")

    monkeypatch.setattr("continuousflex_deep.commands.doctor.run", full)
    assert cli.main(["doctor"]) == 2
    assert "No space left on device: 'out.mrcs'" in capsys.readouterr().err


def test_interruption_ends_with_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: opt.NmaOptions) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("continuousflex_deep.commands.nma.run", interrupted)
    assert cli.main(["nma", "--structure", "s", "--output", "o"]) == 130


def test_doctor_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "self-check" in out


def test_output_that_cannot_be_a_folder_is_found_before_work(tmp_path, capsys) -> None:
    """Every command that writes a folder, with an existing file in its place."""
    (tmp_path / "file").write_text("here already")
    common = ["--structure", str(tmp_path / "absent.pdb"), "--output", str(tmp_path / "file")]
    for command in (["nma", *common], ["simulate", *common, "--modes", str(tmp_path)]):
        assert cli.main(command) == 2
        assert "is a file; choose a folder" in capsys.readouterr().err
