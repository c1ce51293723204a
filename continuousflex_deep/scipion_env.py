"""Runs Scipion without its launcher: the variables it needs, its configuration, and a project by the Python interface.

Call `prepare_scipion_environment` before anything imports pyworkflow, which reads its configuration once, at import.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import InputError, MissingDependencyError

# the user's own choice wins over these
_DEFAULTS = {
    "SCIPION_DOMAIN": "pwem",
    "SCIPION_NOTIFY": "False",  # otherwise Scipion reports its usage over the network
    "SCIPION_TEST_NOSYNC": "True",  # otherwise tests download pwem's data
}


def scipion_variables(home: Path) -> dict[str, str]:
    """The environment variables of a Scipion whose configuration, projects and logs all lie under ``home``.

    Only the domain and the two network settings are the user's, where the environment has them.
    """
    config = home / "config" / "scipion.conf"
    return {
        "SCIPION_HOME": str(home),
        "SCIPION_CONFIG": str(config),
        "SCIPION_LOCAL_CONFIG": str(config),
        "SCIPION_HOSTS": str(config.with_name("hosts.conf")),
        "SCIPION_USER_DATA": str(home / "user_data"),
        "SCIPION_TESTS_OUTPUT": str(home / "user_data" / "Tests"),
        **{name: os.environ.get(name, value) for name, value in _DEFAULTS.items()},
    }


def scipion_missing() -> str:
    """Why Scipion cannot run in this Python and what to do about it; empty where it can.

    Scipion's own modules import tkinter also where no window is ever opened, and Debian's Python comes without it.
    """
    if importlib.util.find_spec("tkinter") is None:
        return f"Scipion needs tkinter, which '{sys.executable}' lacks; install it (Debian: python3-tk)"
    if importlib.util.find_spec("pyworkflow") is None or importlib.util.find_spec("pwem") is None:
        return "Scipion is not installed; install this package with its extra 'scipion'"
    return ""


def prepare_scipion_environment(home: str | Path) -> Path:
    """Make ``home`` a working SCIPION_HOME and point this process and its children to it; returns its absolute path.

    Writes the configuration where there is none. Raises MissingDependencyError where Scipion cannot run, InputError
    where pyworkflow was imported with another home before, since it keeps the first one.
    """
    if reason := scipion_missing():
        raise MissingDependencyError(reason)
    folder = Path(home).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    loaded = sys.modules.get("pyworkflow")
    if loaded is not None and str(folder) != loaded.Config.SCIPION_HOME:
        raise InputError(
            f"Scipion was already loaded with SCIPION_HOME={loaded.Config.SCIPION_HOME or '(empty)'}, "
            f"expected {folder}; prepare the environment before anything imports pyworkflow, or set SCIPION_HOME to it"
        )
    os.environ.update(scipion_variables(folder))
    # Scipion calls bare `python` and `emprogram`
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ.pop("PYTHONPATH", None)
    Path(os.environ["SCIPION_USER_DATA"]).mkdir(parents=True, exist_ok=True)
    if not Path(os.environ["SCIPION_CONFIG"]).exists():
        _write_configuration(folder)
    return folder


def _write_configuration(home: Path) -> None:
    command = [sys.executable, "-m", "scipion", "config", "--unattended"]
    finished = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    config = Path(os.environ["SCIPION_CONFIG"])
    if finished.returncode != 0 or not config.exists():
        raise InputError(
            f"'{shlex.join(command)}' ended with status {finished.returncode} and wrote no '{config}'; "
            "its last words:\n" + (finished.stdout + finished.stderr)[-2000:]
        )
    text = config.read_text(encoding="utf-8")  # an unattended configuration agrees to usage reports; nobody was asked
    config.write_text(text.replace("SCIPION_NOTIFY = True", "SCIPION_NOTIFY = False"), encoding="utf-8")


def create_project(name: str) -> Any:
    """A new pyworkflow Project of that name, its folder being the working directory from now on.

    A project of the same name is deleted first.
    """
    from pyworkflow.project import Manager

    manager = Manager()
    if manager.hasProject(name):
        manager.deleteProject(name)
    project = manager.createProject(name)
    os.chdir(project.path)
    return project


def open_command(home: Path, project_name: str) -> str:
    """The shell command with which a user opens the project in Scipion's window."""
    variables = scipion_variables(home)
    settings = [f"{name}={shlex.quote(value)}" for name, value in variables.items() if "TEST" not in name]
    settings.append(f'PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return " ".join([*settings, shlex.quote(sys.executable), "-m", "scipion", "project", shlex.quote(project_name)])


class ProjectDriver:
    """Runs protocols in a project one after another, as a user would at the forms."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self.threads = len(os.sched_getaffinity(0))

    def run(self, label: str, protocol_class: type, **values: Any) -> Any:
        """Launch a protocol and wait for it. Values are parameters; outputs of other runs (or lists of them) are its
        inputs.

        Raises InputError with the protocol's own message when it fails.
        """
        print(f"▸ {label}", flush=True)
        protocol = self.make(protocol_class, **values)
        protocol.setObjLabel(label)
        self.project.saveProtocol(protocol)  # gives it its folder, so that its log can be followed
        with _progress_shown(Path(protocol.getStderrLog()).resolve()):
            self.project.launchProtocol(protocol, wait=True)
        if not protocol.isFinished():
            raise InputError(
                f"run '{label}' failed: {protocol.getErrorMessage()}; its log is {protocol.getStderrLog()}"
            )
        return protocol

    def make(self, protocol_class: type, **values: Any) -> Any:
        """The protocol with its parameters, not launched. A name that the form does not have is an InputError."""
        form = self.project.newProtocol(protocol_class)
        unknown = [name for name in values if form.getParam(name) is None and not hasattr(form, name)]
        if unknown:
            raise InputError(f"{protocol_class.__name__} has no parameters {unknown}; see its form")
        plain = {name: value for name, value in values.items() if isinstance(value, int | float | str)}
        protocol = self.project.newProtocol(protocol_class, **plain)
        if hasattr(protocol, "numberOfThreads"):
            protocol.numberOfThreads.set(self.threads)
        for name, value in values.items():
            if isinstance(value, list):
                getattr(protocol, name).set([self.pointer(item) for item in value])
            elif name not in plain:
                getattr(protocol, name).copy(self.pointer(value), copyId=False)
        return protocol

    def pointer(self, output: Any) -> Any:
        """What the form's input selector makes of an output: a pointer to its protocol, and the output's name; or of a
        run itself."""
        from pyworkflow.object import Pointer
        from pyworkflow.protocol import Protocol

        if isinstance(output, Protocol):
            return Pointer(output)
        return Pointer(self.owner(output), extended=output.getLastName())

    def owner(self, output: Any) -> Any:
        """The protocol that made an output."""
        return self.project.getProtocol(output.getObjParentId())


@contextmanager
def _progress_shown(log: Path, every_s: float = 1.0) -> Iterator[None]:
    """While the block runs, repeat on stderr the last progress line that a run writes to its log."""
    done = threading.Event()

    def follow() -> None:
        shown = ""
        while not done.wait(every_s):
            line = last_progress(log)
            if line and line != shown:
                shown = line
                print(f"\r\033[K  {line}", end="", file=sys.stderr, flush=True)
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def last_progress(log: Path, tail_bytes: int = 2000) -> str:
    """The last line with a progress bar at the end of a log, or nothing."""
    if not log.is_file():
        return ""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - tail_bytes))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    bars = [line.strip() for line in lines[1:] if "%|" in line]
    return bars[-1] if bars else ""
