"""The command line, derived from the options."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from continuousflex_deep import cli
from continuousflex_deep import options as opt


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_is_present(name: str) -> None:
    assert callable(importlib.import_module(f"continuousflex_deep.commands.{name}").run)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_help_names_units_and_defaults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in opt.options_of(cli.COMMANDS[name]).values():
        assert option.flag in text
        if option.traits.unit and not option.is_range:
            assert f"(default {option.default} {option.traits.unit}" in text


def test_help_tells_what_an_option_counts_with(capsys: pytest.CaptureFixture[str]) -> None:
    def help_of(command: str) -> str:
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        return " ".join(capsys.readouterr().out.split())

    landscape, align = help_of("landscape"), help_of("align")
    assert "(default 30.0; with --method tsne)" in landscape
    assert "(default 3000; not with --method pca)" in landscape
    assert "(default 10.0 °; with --engine xmipp)" in align
    assert "--engine" not in help_of("compare")
    assert "(default 20.0 °; with --polish)" in help_of("infer")
    usual, _, advanced = align.partition("advanced options:")
    assert "--n-hypotheses INT Orientations" in advanced
    assert "--fit {both,pose,conformation} Parameters" in usual


def test_options_file_and_command_line_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[opt.NmaOptions] = []
    monkeypatch.setattr("continuousflex_deep.commands.nma.run", seen.append)
    (tmp_path / "o.json").write_text(json.dumps({"structure": "s.pdb", "output": "o", "cutoff_A": 10, "n_modes": 12}))
    assert cli.main(["nma", "--options", str(tmp_path / "o.json"), "--cutoff-A", "9", "--hydrogens"]) == 0
    assert seen == [opt.NmaOptions(structure="s.pdb", output="o", cutoff_A=9.0, n_modes=12, hydrogens=True)]


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
        assert "is a file; select a folder" in capsys.readouterr().err


TORCH_FREE = ("nma", "modes", "pseudoatoms", "landscape", "clusters", "group", "convert", "evaluate", "report")


@pytest.mark.parametrize("name", TORCH_FREE)
def test_commands_that_start_without_torch(name: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import continuousflex_deep.commands.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
