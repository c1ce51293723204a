"""Scipion's runs without the seconds that each of their processes takes to import its libraries."""

import importlib
import multiprocessing
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from subprocess import CalledProcessError
from typing import Any, TextIO
from unittest import mock

import pyworkflow
import pyworkflow.protocol
from pyworkflow.utils import LoggingConfigurator
from pyworkflow.utils import process as pyworkflow_process

from continuousflex_deep import cli
from continuousflex_deep.constants import PACKAGE

_PROGRAM = [sys.executable, "-m", PACKAGE]
_launch, _check_call = pyworkflow.protocol.launch, pyworkflow_process.check_call


@contextmanager
def quick_runs() -> Iterator[None]:
    """Within the block, runs that one waits for, and the commands that they start alone, are forked from this process,
    which has imported everything. Others are started as Scipion does; scheduled ones look for their inputs every few
    seconds."""
    for command in cli.COMMANDS:
        importlib.import_module(f"{PACKAGE}.commands.{command}")
    scheduler = f"{pyworkflow.getScheduleScript()} --sleep_time 1"
    with (
        mock.patch.object(pyworkflow.protocol, "launch", _launched),
        mock.patch.object(pyworkflow, "getScheduleScript", return_value=scheduler),
    ):
        yield


def _launched(protocol: Any, wait: bool = False, **streams: Any) -> None:
    """In place of pyworkflow's launch, which starts pw_protocol_run.py."""
    if not wait or protocol.useQueue():
        _launch(protocol, wait, **streams)
        return
    protocol.cleanExecutionAttributes()
    place = protocol.getProject().path, protocol.getDbPath(), int(protocol.strId())
    logs = [os.path.abspath(log) for log in (protocol.getStdoutLog(), protocol.getStderrLog())]

    def run() -> int:
        LoggingConfigurator.setUpProtocolRunLogging(*logs)
        pyworkflow_process.check_call = _called
        pyworkflow.protocol.runProtocolMain(*place)
        return 0

    _forked(run)


def _called(command: str, stdout: TextIO, stderr: TextIO, env: Mapping[str, str] | None, **more: Any) -> int:
    """In place of subprocess.check_call of a shell command."""
    words = shlex.split(command)
    if words[: len(_PROGRAM)] != _PROGRAM:
        return _check_call(command, stdout=stdout, stderr=stderr, env=env, **more)

    def run() -> int:
        for number, stream in ((1, stdout), (2, stderr)):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        return cli.main(words[len(_PROGRAM) :])

    if status := _forked(run):
        raise CalledProcessError(status, command)
    return 0


def _forked(work: Callable[[], int]) -> int:
    """Do something in a process of its own; what it returns is that process's exit status, which is returned."""
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(work()))
    process.start()
    process.join()
    return int(process.exitcode or 0)
