"""Programs of other packages: where they are found, what they see, and what becomes of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from continuousflex_deep.errors import DeepError, InputError, MissingDependencyError
from continuousflex_deep.programs import XMIPP, Package, mpi_command, run_program


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.delenv("TOOLS_HOME", raising=False)
    return Package("Tools", "TOOLS_HOME", "--tools-home", "buy it")


class TestFinding:
    def test_home_goes_before_variable_and_path(
        self, tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        places = [program(tmp_path / name / "bin", "tool", "true") for name in ("given", "named", "path")]
        monkeypatch.setenv("PATH", str(places[2].parent), prepend=os.pathsep)
        assert package.find("tool") == places[2]
        monkeypatch.setenv("TOOLS_HOME", str(tmp_path / "named"))
        assert package.find("tool") == places[1]
        assert package.find("tool", str(tmp_path / "given")) == places[0]

    def test_a_home_without_bin(self, tmp_path: Path, package: Package) -> None:
        assert package.find("tool", str(program(tmp_path, "tool", "true").parent)) == tmp_path / "tool"

    def test_a_named_home_is_not_replaced_by_another(
        self, tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOOLS_HOME", str(program(tmp_path / "b" / "bin", "tool", "true").parents[1]))
        assert package.find("tool", str(tmp_path / "empty")) is None

    def test_what_is_missing_is_said_with_a_remedy(self, tmp_path: Path, package: Package) -> None:
        program(tmp_path, "tool", "true")
        with pytest.raises(MissingDependencyError, match=r"Tools is needed.*other.*buy it.*--tools-home") as error:
            package.require(["tool", "other"], str(tmp_path))
        assert "tool," not in str(error.value)

    def test_version_of_a_folder(self, tmp_path: Path) -> None:
        inside = program(tmp_path / "xmippSrc-v3.25.06.0-Rhea" / "bin", "xmipp_tool", "true")
        (tmp_path / "xmipp").symlink_to(inside.parents[1])
        assert XMIPP.version(tmp_path / "xmipp" / "bin" / "xmipp_tool") == "3.25.06.0"
        assert XMIPP.version(Path("/usr/bin/tool")) == ""


class TestRunning:
    def test_own_libraries_and_input(self, tmp_path: Path, package: Package) -> None:
        tool = program(tmp_path / "home" / "bin", "tool", 'echo "$LD_LIBRARY_PATH|$TOOLS_HOME"; cat; pwd')
        (tmp_path / "home" / "lib").mkdir()
        work = tmp_path / "work"
        work.mkdir()
        run_program([str(tool)], package.environment(tool), work, tmp_path / "log", text="hello\n")
        lines = (tmp_path / "log").read_text().splitlines()
        assert lines[0] == str(tool)
        assert lines[1].startswith(str(tmp_path / "home" / "lib"))
        assert lines[1].endswith(f"|{tmp_path / 'home'}")
        assert lines[2:] == ["hello", str(work)]

    def test_failure_shows_the_end_of_this_runs_log(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("what an earlier run said\n")
        tool = program(tmp_path, "tool", "echo bad atom in line 7 >&2; exit 3")
        with pytest.raises(DeepError, match=r"(?s)tool failed .exit 3.*bad atom in line 7") as error:
            run_program([str(tool)], dict(os.environ), tmp_path, log)
        assert "earlier" not in str(error.value)
        assert "earlier" in log.read_text()

    def test_a_program_that_does_not_read_its_input(self, tmp_path: Path) -> None:
        run_program(["true"], dict(os.environ), tmp_path, tmp_path / "log", text="x" * 1_000_000)
        assert (tmp_path / "log").read_text() == "true\n", "the command alone: it ended well and said nothing"

    def test_watched_while_it_runs(self, tmp_path: Path) -> None:
        seen: list[bool] = []
        tool = program(tmp_path, "tool", "sleep 1; touch done")
        watch = lambda: seen.append((tmp_path / "done").exists())  # noqa: E731
        run_program([str(tool)], dict(os.environ), tmp_path, tmp_path / "log", watch)
        assert seen[0] is False
        assert seen[-1] is True

    @pytest.mark.parametrize(("number", "script"), [
        (signal.SIGTERM, "sleep 300 & echo $! > child; wait"),
        (signal.SIGKILL, "echo $$ > child; exec sleep 300"),
    ])  # fmt: skip
    def test_programs_end_with_us(self, tmp_path: Path, number: signal.Signals, script: str) -> None:
        tool = program(tmp_path, "tool", script)
        code = (
            "import sys, os, signal; from pathlib import Path\n"
            "from continuousflex_deep.programs import run_program\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
            f"run_program([{str(tool)!r}], dict(os.environ), Path({str(tmp_path)!r}), Path({str(tmp_path / 'log')!r}))"
        )
        ours = subprocess.Popen([sys.executable, "-c", code])
        child = tmp_path / "child"
        until = time.monotonic() + 60
        while not (child.exists() and child.read_text().strip()) and time.monotonic() < until:
            time.sleep(0.05)
        ours.send_signal(number)
        assert ours.wait(30) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
        started = int(child.read_text())
        until = time.monotonic() + 10
        while _alive(started) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _alive(started)


def _alive(number: int) -> bool:
    try:
        return (Path("/proc") / str(number) / "stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestLauncher:
    def test_command_follows(self) -> None:
        assert mpi_command("env -u X{processes}", 4, ["a", "b c"]) == ["env", "-u", "X4", "a", "b c"]

    def test_command_in_the_middle(self) -> None:
        assert mpi_command("env {command} --last", 2, ["a"]) == ["env", "a", "--last"]

    def test_missing_launcher(self) -> None:
        with pytest.raises(MissingDependencyError, match="no-such-mpirun"):
            mpi_command("no-such-mpirun -np {processes}", 2, ["a"])
        with pytest.raises(InputError, match="empty"):
            mpi_command(" ", 2, ["a"])
