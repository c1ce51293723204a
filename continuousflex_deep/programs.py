"""Programs of other packages: where they are, how to get them, and how they are run with their own libraries."""

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from continuousflex_deep.errors import DeepError, InputError, MissingDependencyError

_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_LINES_OF_LOG = 12  # in the error, when a program fails


@dataclass(frozen=True)
class Package:
    """A package of programs: its name, the environment variable and the option for its folder, how to install it."""

    name: str
    variable: str
    option: str
    remedy: str

    def find(self, program: str, home: str = "") -> Path | None:
        """A program of the package in `home` (or its bin), else in the folder of the variable, else on PATH."""
        for folder in (home, "" if home else os.environ.get(self.variable, "")):
            for place in (Path(folder) / "bin", Path(folder)) if folder else ():
                if os.access(place / program, os.X_OK) and (place / program).is_file():
                    return (place / program).absolute()
        found = None if home else shutil.which(program)
        return Path(found).absolute() if found else None

    def require(self, programs: Iterable[str], home: str = "") -> dict[str, Path]:
        """The paths of these programs. MissingDependencyError with the remedy if one is not found."""
        found = {program: self.find(program, home) for program in programs}
        missing = [program for program, path in found.items() if path is None]
        if missing:
            searched = f"'{home}'" if home else f"the folder {self.variable} or on PATH"
            raise MissingDependencyError(
                f"{self.name} is needed for this, but {', '.join(missing)} is not in {searched}; {self.remedy}, and "
                f"give its folder by {self.option} or {self.variable}"
            )
        return {program: path for program, path in found.items() if path is not None}

    def environment(self, program: Path) -> dict[str, str]:
        """The environment for a program: its folder on PATH and the package's libraries before others."""
        environment = dict(os.environ)
        home = program.parent.parent if program.parent.name == "bin" else program.parent
        libraries = [str(folder) for folder in (home / "lib",) if folder.is_dir()]
        for variable, folders in (("PATH", [str(program.parent)]), ("LD_LIBRARY_PATH", libraries)):
            before = environment.get(variable, "")
            environment[variable] = os.pathsep.join([*folders, *([before] if before else [])])
        environment[self.variable] = str(home)
        return environment

    def version(self, program: Path) -> str:
        """The version in the names of the program's folders, such as 3.25.06 of xmipp-3.25.06; "" for none."""
        for folder in reversed(program.resolve().parts[:-1]):
            if found := re.search(r"\d+\.\d+(\.\d+)*", folder):
                return found[0]
        return ""


XMIPP = Package("Xmipp", "XMIPP_HOME", "--xmipp-home", "install it (in Scipion: the plugin scipion-em-xmipp)")
RELION = Package("RELION", "RELION_HOME", "--relion-home", "install it (in Debian: the package relion)")
ELNEMO = Package("elNemo", "NMA_HOME", "--elnemo-home", "install it (in Scipion: the binary 'nma' of ContinuousFlex)")
PACKAGES = {"xmipp": XMIPP, "relion": RELION, "elnemo": ELNEMO}  # by the name of the engine that runs them

# the programs of these packages that commands run
XMIPP_ALIGN, XMIPP_ALIGN_MPI = "xmipp_nma_alignment", "xmipp_mpi_nma_alignment"
XMIPP_PSEUDOATOMS, XMIPP_RECONSTRUCT = "xmipp_volume_to_pseudoatoms", "xmipp_reconstruct_fourier"
RELION_RECONSTRUCT = "relion_reconstruct"
ELNEMO_PDBMAT, ELNEMO_DIAGRTB, ELNEMO_ARPACK = "nma_elnemo_pdbmat", "nma_diagrtb", "nma_diag_arpack"


def mpi_command(template: str, processes: int, command: Sequence[str]) -> list[str]:
    """The command of a launcher for this number of processes.

    template: such as "mpirun -np {processes} {command}"; without {command}, the command is appended.
    """
    words = [word.replace("{processes}", str(processes)) for word in shlex.split(template)]
    if not words:
        raise InputError("the launcher of MPI processes is empty; give for example 'mpirun -np {processes}'")
    if shutil.which(words[0]) is None:
        raise MissingDependencyError(
            f"the launcher of MPI processes '{words[0]}' is not on PATH; install MPI, give another launcher, or use "
            "one process"
        )
    if "{command}" not in words:
        return [*words, *command]
    place = words.index("{command}")
    return [*words[:place], *command, *words[place + 1 :]]


def run_program(
    command: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    log: Path,
    watch: Callable[[], object] = lambda: None,
    text: str = "",
) -> None:
    """Run a program in a folder and append its output to a log; `watch` is called while it runs; text: its input.

    If this process is interrupted, the program and its children are ended; if it is killed, the program is ended.
    Raises DeepError, with the end of the log, if the program fails.
    """
    with open(log, "ab") as out:
        out.write((shlex.join(command) + "\n").encode())
        out.flush()
        began = out.tell()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # safe between fork and exec: it takes no lock
        )
        try:
            assert process.stdin is not None
            try:
                process.stdin.write(text.encode())
                process.stdin.close()
            except BrokenPipeError:  # the program ended without reading
                pass
            while process.poll() is None:
                watch()
                time.sleep(_POLL_S)
            watch()
        finally:
            if process.poll() is None:
                _end(process)
    if process.returncode:
        end = [line.strip() for line in log.read_bytes()[began:].decode(errors="replace").splitlines() if line.strip()]
        raise DeepError(
            f"{Path(command[0]).name} failed (exit {process.returncode}); the end of its log '{log}':\n"
            + "\n".join(end[-_LINES_OF_LOG:])
        )


_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In a new process: request SIGTERM at the parent's death, so that a program never runs beside its successor."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and its children, by SIGTERM, then by SIGKILL."""
    for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience_s)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
