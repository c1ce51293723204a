"""A real Slurm on this computer, of two nodes, for tests: starts and stops its daemons in a folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
_NODES = ("n1", "n2")
_STARTS_S = 60
_KEY_BYTES = 128


def require_slurm() -> None:
    """Skip the test where Slurm's programs are missing, or may not be started."""
    missing = [name for name in _PROGRAMS if _program(name) is None]
    if missing:
        pytest.skip(
            f"Slurm is not installed ({', '.join(missing)} missing); "
            "apt-get install slurmctld slurmd slurm-client munge"
        )
    if os.geteuid() != 0:
        pytest.skip("slurmd and munged are started as root; run the tests as root in a container")


@dataclass(frozen=True)
class Slurm:
    """A running one: its folder, and the variables that its commands need."""

    folder: Path
    environ: dict[str, str]

    def run(self, *command: str, **named: object) -> "subprocess.CompletedProcess[str]":
        """A command of Slurm to its end; its output."""
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=300, check=False, cwd=self.folder
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def submit(self, script: str, *options: str) -> int:
        """The number of a job that runs a script of the shell."""
        path = self.folder / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/bash\n{script}\n")
        return int(self.run("sbatch", "--parsable", *options, str(path)).stdout.split(";")[0])

    def state(self, job: int) -> str:
        """Of a job: PENDING, RUNNING, COMPLETED, …"""
        shown = self.run("scontrol", "show", "job", str(job), "--oneliner").stdout.splitlines()[0]
        return next(word for word in shown.split() if word.startswith("JobState=")).partition("=")[2]

    def output(self, job: int) -> str:
        """What a job has written so far."""
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"slurm-{job}*.out")))


@contextmanager
def slurm(folder: Path, cpus: int = 2) -> Iterator[Slurm]:
    """Within the block, a Slurm of two nodes runs, with everything under a folder; cpus: of each node."""
    require_slurm()
    run = folder / "run"
    run.mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(_KEY_BYTES))
    key.chmod(0o400)
    folder.chmod(0o755)
    conf = folder / "slurm.conf"
    conf.write_text(_configuration(folder, cpus))
    environ = os.environ | {"SLURM_CONF": str(conf)}
    environ = {name: value for name, value in environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"}
    started: list[Path] = []
    try:
        munge = [
            f"--socket={run}/munge.sock", f"--key-file={key}", f"--pid-file={run}/munged.pid",
            f"--log-file={run}/munged.log", f"--seed-file={run}/munged.seed", "--force",
        ]  # fmt: skip
        _daemon("munged", munge, run / "munged.pid", environ, started)
        _daemon("slurmctld", ["-f", str(conf)], run / "slurmctld.pid", environ, started)
        for node in _NODES:
            (folder / f"d_{node}").mkdir()
            _daemon("slurmd", ["-N", node, "-f", str(conf)], run / f"slurmd_{node}.pid", environ, started)
        here = Slurm(folder, environ)
        _until_idle(here)
        yield here
    finally:
        for pid_file in reversed(started):
            _end(pid_file)


def _until_idle(here: Slurm) -> None:
    end = time.monotonic() + _STARTS_S
    while time.monotonic() < end:
        shown = subprocess.run(
            ["sinfo", "-h", "-o", "%T %D"], env=here.environ, capture_output=True, text=True, check=False
        ).stdout.split()
        if shown == ["idle", str(len(_NODES))]:
            return
        time.sleep(0.2)
    logs = "".join(path.read_text()[-2000:] for path in (here.folder / "run").glob("*.log"))
    raise AssertionError(f"Slurm did not start in {_STARTS_S} s: {logs}")


def _configuration(folder: Path, cpus: int) -> str:
    host = socket.gethostname()
    ports = _free_ports(1 + len(_NODES))
    lines = [
        "ClusterName=test", f"SlurmctldHost={host}(127.0.0.1)", "SlurmUser=root", f"SlurmctldPort={ports[0]}",
        "AuthType=auth/munge", f"AuthInfo=socket={folder}/run/munge.sock", "CryptoType=crypto/munge",
        "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core", "JobAcctGatherType=jobacct_gather/none", "ReturnToService=2", "MpiDefault=none",
        f"StateSaveLocation={folder}/state", f"SlurmdSpoolDir={folder}/d_%n",
        f"SlurmctldPidFile={folder}/run/slurmctld.pid",
        f"SlurmdPidFile={folder}/run/slurmd_%n.pid", f"SlurmctldLogFile={folder}/run/slurmctld.log",
        f"SlurmdLogFile={folder}/run/slurmd_%n.log", "KillWait=5", "JobRequeue=1", "SlurmctldTimeout=30",
        "SlurmdTimeout=30", "MinJobAge=300", "SchedulerParameters=sched_interval=1,sched_min_interval=0",
        *(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000"
            for node, port in zip(_NODES, ports[1:], strict=True)
        ),
        f"PartitionName=main Nodes={','.join(_NODES)} Default=YES MaxTime=INFINITE State=UP",
    ]  # fmt: skip
    (folder / "state").mkdir()
    return "\n".join(lines) + "\n"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _daemon(name: str, words: list[str], pid_file: Path, environ: dict[str, str], started: list[Path]) -> None:
    program = _program(name)
    assert program is not None
    subprocess.run([program, *words], env=environ, check=True, capture_output=True)
    end = time.monotonic() + _STARTS_S
    while not (pid_file.is_file() and pid_file.read_text().strip()):
        assert time.monotonic() < end, f"{name} did not start"
        time.sleep(0.05)
    started.append(pid_file)


def _end(pid_file: Path) -> None:
    """End a daemon by its number, and wait until it is gone."""
    try:
        number = int(pid_file.read_text())
        os.kill(number, 15)
    except (OSError, ValueError):
        return
    end = time.monotonic() + 10
    while Path(f"/proc/{number}").exists():
        if time.monotonic() > end:
            os.kill(number, 9)
            return
        time.sleep(0.05)
