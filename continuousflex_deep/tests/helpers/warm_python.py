"""A stand-in for `python` that has imported everything already: for tests that start many processes.

Most of the time of a small command, and of each of Scipion's runs, goes into imports. Here a server imports once, and
each process is forked from it. The server never has more than one thread, so that no process inherits a lock that only
another thread would release; it refuses to serve otherwise.

The program is started as `python` is: [-u] SCRIPT …, -m MODULE … or -c CODE. Its process gets the program's arguments,
environment, working directory and standard streams; the program ends as the process does, with its exit status or by
its signal, and when the program is killed, so is the process. Only variables of the environment that libraries read
while they are imported are those of the server.

The program is this file, too; it imports nothing but a few modules of the standard library.
"""

import atexit
import json
import os
import selectors
import shlex
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

_HERE = Path(__file__).resolve()
_NUMBER_BYTES = 4
# what commands and Scipion's runs import late
_LATE = ("matplotlib.backends.backend_agg", "sklearn.manifold", "sklearn.mixture")


# ------------------------------------------------------------------------------------------------------ for the tests
@cache
def warm_python() -> str:
    """The path of the program. The first call starts its server, which ends with the process of the tests."""
    import subprocess
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="cfd_python_")  # a short path: those of sockets are
    atexit.register(folder.cleanup)
    program, place = Path(folder.name, "python"), Path(folder.name, "server")
    asking = shlex.join([sys.executable, "-I", "-S", str(_HERE), str(place)])
    program.write_text(f'#!/bin/sh\nexec {asking} "$0" "$@"\n')
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(64)  # whoever connects waits until the server has imported everything
        number = listener.fileno()
        server = subprocess.Popen(
            [sys.executable, "-c", f"import {__name__} as warm\nwarm.import_everything()\nwarm.serve({number})"],
            stdin=subprocess.PIPE,  # which ends with this process
            cwd=_HERE.parents[3],
            pass_fds=[number],
        )
    atexit.register(server.communicate)
    return str(program)


# ----------------------------------------------------------------------------------------------------- in the program
@dataclass(frozen=True)
class Start:
    """How the program was started; words: its arguments, the first being the program."""

    words: list[str]
    folder: str
    environ: dict[str, str]


def ask(place: str, start: Start) -> int:
    """Have the server start a process and wait for it; its exit status, or minus the number of its signal."""
    request = json.dumps(vars(start)).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        socket.send_fds(server, [len(request).to_bytes(_NUMBER_BYTES)], [0, 1, 2])
        server.sendall(request)
        status = server.recv(_NUMBER_BYTES)
    if not status:
        sys.exit(f"error: the server at '{place}' ended before the process did")
    return int.from_bytes(status, signed=True)


def end_as(status: int) -> None:
    """End as another process did."""
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


# ------------------------------------------------------------------------------------------------------ in the server
def import_everything() -> None:
    """What the commands and, where Scipion is installed, its runs import."""
    from importlib import import_module

    from continuousflex_deep.cli import COMMANDS
    from continuousflex_deep.nn._torchvision import resnet_models
    from continuousflex_deep.scipion_env import scipion_missing

    for name in (*_LATE, *(f"continuousflex_deep.commands.{command}" for command in COMMANDS)):
        import_module(name)
    resnet_models()
    if not scipion_missing():
        import pwem

        pwem.Domain.getMapperDict()  # of the protocols and objects of all plugins


def serve(listening: int) -> None:
    """Start a process for every program that connects to a socket, until the standard input ends.

    RuntimeError where this process has more than one thread.
    """
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        raise RuntimeError(f"expected one thread in a process that is forked, got {threads}")
    with socket.socket(fileno=listening) as listener, selectors.DefaultSelector() as events:
        start = _Server(listener, events).next_start()
    if start is not None:
        _run_to_the_end(start)


@dataclass(frozen=True)
class _Running:
    """A process: its number, a descriptor that can be read when it has ended, and the connection to its program,
    which can be read when the program has ended."""

    number: int
    ended: int
    program: socket.socket


class _Server:
    """Forks, and tells programs how their processes ended."""

    def __init__(self, listener: socket.socket, events: selectors.BaseSelector) -> None:
        self._listener, self._events, self._running = listener, events, list[_Running]()

    def next_start(self) -> Start | None:
        """In each forked process, what it is to do; None in the server, at its end."""
        self._events.register(0, selectors.EVENT_READ)
        self._events.register(self._listener, selectors.EVENT_READ)
        while True:
            key, _ = self._events.select()[0]
            if key.fd == 0:
                for process in self._running:
                    os.kill(process.number, signal.SIGKILL)
                return None
            if key.data is None:
                start = self._fork()
                if start is not None:
                    return start
            elif key.fd == key.data.ended:
                self._report(key.data)
            else:  # the program was killed
                os.kill(key.data.number, signal.SIGKILL)
                self._events.unregister(key.fileobj)

    def _fork(self) -> Start | None:
        program, _ = self._listener.accept()
        length, streams, _, _ = socket.recv_fds(program, _NUMBER_BYTES, 3)
        with program.makefile("rb") as file:
            start = Start(**json.loads(file.read(int.from_bytes(length))))
        number = os.fork()
        if number == 0:
            program.close()
            for other in self._running:
                other.program.close()
                os.close(other.ended)
            _become(start, streams)
            return start
        for stream in streams:
            os.close(stream)
        process = _Running(number, os.pidfd_open(number), program)
        self._running.append(process)
        self._events.register(process.ended, selectors.EVENT_READ, process)
        self._events.register(process.program, selectors.EVENT_READ, process)
        return None

    def _report(self, process: _Running) -> None:
        _, status = os.waitpid(process.number, 0)
        with suppress(OSError):  # where the program was killed
            process.program.sendall(os.waitstatus_to_exitcode(status).to_bytes(_NUMBER_BYTES, signed=True))
        with suppress(KeyError):
            self._events.unregister(process.program)
        self._events.unregister(process.ended)
        self._running.remove(process)
        process.program.close()
        os.close(process.ended)


# ----------------------------------------------------------------------------------------------------- in its processes
def _become(start: Start, streams: list[int]) -> None:
    """Take the place of the program."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout.reconfigure(line_buffering=True)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environ)
    sys.executable = start.words[0]  # what it starts is started in this way, too


def _run_to_the_end(start: Start) -> NoReturn:
    """Run it and end the process as the interpreter does, but without taking all modules apart, which takes long."""
    status: object = 0
    try:
        _run(start)
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter shows it
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # of one that is closed
            stream.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def _run(start: Start) -> None:
    """As the interpreter runs a script, a module or code."""
    import runpy

    first, *words = start.words[1:]
    if first == "-u":
        sys.stdout.reconfigure(write_through=True)
        first, *words = words
    if first == "-m":
        sys.argv, sys.path[0] = words, start.folder
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[0] = ["-c", *words[1:]], ""
        exec(words[0], {"__name__": "__main__"})
    elif first.startswith("-"):
        sys.exit(f"error: this program does not know the option {first} of python")
    else:
        sys.argv, sys.path[0] = [first, *words], str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    end_as(ask(sys.argv[1], Start(sys.argv[2:], os.getcwd(), dict(os.environ))))
