"""The stand-in for `python` does what `python` does."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from continuousflex_deep.tests.helpers.processes import until
from continuousflex_deep.tests.helpers.warm_python import serve, warm_python

LOADED = "'torch' in sys.modules"
SHOWN = f"import os, sys; print(sys.argv, os.getcwd(), os.environ['SIGN'], sys.path[0], __name__, {LOADED})"


@pytest.mark.parametrize("way", ["-c", "script", "-u", "-m"])
def test_the_process_is_what_pythons_would_be(way: str, tmp_path: Path) -> None:
    script = str(tmp_path / "told.py")
    Path(script).write_text(SHOWN)
    first = {"-c": ["-c", SHOWN], "-m": ["-m", "told"], "-u": ["-u", script], "script": [script]}[way]
    environ = os.environ | {"SIGN": "a b"}
    one, other = (
        subprocess.run([program, *first, "x", "y z"], env=environ, cwd=tmp_path, capture_output=True, text=True)
        for program in (sys.executable, warm_python())
    )
    assert (one.returncode, other.returncode) == (0, 0), other.stderr
    assert one.stdout.endswith(" False\n")
    assert other.stdout == one.stdout.replace(" False\n", " True\n")


def test_streams_and_status() -> None:
    code = "import sys; sys.stderr.write(sys.stdin.read()); sys.exit(3)"
    done = subprocess.run([warm_python(), "-c", code], input="told", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "told")


@pytest.mark.parametrize("code", ["1 / 0", "import sys; sys.exit('told')", "import sys; sys.exit()"])
def test_it_ends_as_pythons_do(code: str) -> None:
    programs = (sys.executable, warm_python())
    one, other = (subprocess.run([program, "-c", code], capture_output=True, text=True) for program in programs)
    assert other.returncode == one.returncode
    assert other.stderr.splitlines()[-1:] == one.stderr.splitlines()[-1:]


def test_threads_and_what_is_to_be_done_at_the_end() -> None:
    code = "import atexit, threading, time; atexit.register(print, 'end'); print('begin')\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    done = subprocess.run([warm_python(), "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["begin", "thread", "end"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_it_ends_by_the_signal_that_ended_its_process(number: signal.Signals) -> None:
    code = f"import os; os.kill(os.getpid(), {number:d})"
    assert subprocess.run([warm_python(), "-c", code]).returncode == -number


def test_killed_it_takes_its_process_along(tmp_path: Path) -> None:
    code = f"import os, time; open({str(tmp_path / 'number')!r}, 'w').write(f'{{os.getpid()}}.'); time.sleep(600)"
    program, other = (subprocess.Popen([warm_python(), "-c", c]) for c in (code, "import time; time.sleep(600)"))
    file = tmp_path / "number"
    until(lambda: file.exists() and file.read_text().endswith("."))
    number = int(file.read_text()[:-1])
    program.kill()
    program.wait()
    until(lambda: not Path(f"/proc/{number}").exists())
    assert other.poll() is None
    other.kill()
    other.wait()


def test_it_starts_itself() -> None:
    """As Scipion's runs start commands by `sys.executable`."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {f'import sys; print({LOADED})'!r}])"
    assert subprocess.run([warm_python(), "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_a_process_with_threads_is_never_forked() -> None:
    asleep = threading.Event()
    thread = threading.Thread(target=asleep.wait)
    thread.start()
    try:
        with socket.socket(socket.AF_UNIX) as listener, pytest.raises(RuntimeError, match=r"one thread .*, got"):
            serve(listener.fileno())
    finally:
        asleep.set()
        thread.join()
