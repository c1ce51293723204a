"""Starts the package's commands in processes that have imported everything.

Imports of the libraries take some seconds, on one core, and the demonstration has more than ten commands. A server
imports once, and the process of each command is forked from it.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from continuousflex_deep.launch import limit_spinning

# runs a command with these arguments in a folder; its exit status, or minus the number of the signal that ended it
Run = Callable[[tuple[str, ...], Path], int]
# what the steps' commands import, at once or late
_COMMANDS = ("simulate", "align", "train", "infer", "landscape", "reconstruct", "trajectory", "evaluate", "report")
MODULES = (
    *(f"continuousflex_deep.commands.{name}" for name in _COMMANDS),
    "matplotlib.backends.backend_agg",
    "sklearn.manifold",
    "sklearn.mixture",
)


def warm_run(modules: Sequence[str] = MODULES) -> Run:
    """The way to run a command by a server that has imported these modules. It starts with the first command and ends
    with this process."""
    limit_spinning()  # the server imports torch, which reads this
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(list(modules))

    def run(arguments: tuple[str, ...], folder: Path) -> int:
        process = processes.Process(target=_command, args=(arguments, folder))
        process.start()
        process.join()
        return process.exitcode or 0

    return run


def _command(arguments: tuple[str, ...], folder: Path) -> None:
    """As `python -m continuousflex_deep ARGUMENTS` in that folder."""
    os.chdir(folder)
    sys.argv[1:] = arguments
    runpy.run_module("continuousflex_deep", run_name="__main__", alter_sys=True)
