"""Stages computed by worker processes on this computer: same parts, whatever goes wrong in one of them."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed import Security

from continuousflex_deep.errors import DeepError, DiskFullError, InputError
from continuousflex_deep.options.shared import WorkerOptions
from continuousflex_deep.runs import clusters, dask_workers
from continuousflex_deep.runs.attempts import MOST, GivenUpError, attempt, forget_attempts
from continuousflex_deep.runs.clusters import connected, visible_gpus
from continuousflex_deep.runs.dask_workers import DaskWorkers
from continuousflex_deep.runs.part_rows import part_without
from continuousflex_deep.runs.parts import NamedParts, PartStore
from continuousflex_deep.runs.stage import Stage, Work, pieces_of
from continuousflex_deep.runs.workers import ALONE
from continuousflex_deep.tests.helpers.works import (
    DeadlySquares,
    GivenUpSquares,
    NotedSquares,
    Squares,
    SquaresOfFew,
    WrongSquares,
)

N, SIZE = 40, 4


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskWorkers]:
    options = WorkerOptions(workers=2, device="cpu")
    with DaskWorkers(partial(connected, options, tmp_path_factory.mktemp("run")), expected=2) as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartStore]:
    store = PartStore(tmp_path / "p", "same")
    with store.opened():
        yield store


def stage(work: Work, count: int = N, without: bool = True) -> Stage:
    return Stage(work, pieces_of(count, SIZE, "part"), "squaring", part_without if without else None)


def rows_and_squares(done: Stage, store: PartStore | NamedParts) -> tuple[list[int], list[int]]:
    parts = [part for name in done.pieces if (part := store.load(name)) is not None]
    assert len(parts) == len(done.pieces)
    whole = [part for part in parts if len(part["rows"])]
    return tuple(np.concatenate([part[name] for part in whole]).tolist() for name in ("rows", "squares"))


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_several_processes_make_the_same_parts(workers: DaskWorkers, store: PartStore, tmp_path: Path) -> None:
    squares = stage(Squares(), 10 * N)
    workers.complete(squares, store)
    assert rows_and_squares(squares, store) == (list(range(10 * N)), [row**2 for row in range(10 * N)])
    found = {process for name in squares.pieces for process in (store.load(name) or {})["process"]}
    assert len(found) == 2
    assert os.getpid() not in found
    other = PartStore(tmp_path / "alone", "same")
    with other.opened():
        ALONE.complete(squares, other)
        assert rows_and_squares(squares, other) == rows_and_squares(squares, store)
    assert not [path for path in store.folder.iterdir() if ".begun" in path.name]


def test_what_is_finished_is_not_done_again(workers: DaskWorkers, store: PartStore) -> None:
    apart = NamedParts(store, "second-")
    squares = stage(Squares())
    first = next(iter(squares.pieces))
    apart.save(first, squares.do(first))
    workers.complete(squares, apart)
    assert (apart.load(first) or {})["process"][0] == os.getpid()
    assert rows_and_squares(squares, apart)[0] == list(range(N))
    assert store.finished() == {"second-" + name for name in squares.pieces}


def test_few_tasks_are_under_way(workers: DaskWorkers, store: PartStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces there are; a task carries a few numbers, not the particles."""
    most, add = 0, dask_workers._UnderWay.add

    def counted(self, *arguments: object) -> None:
        nonlocal most
        add(self, *arguments)
        most = max(most, len(self))

    monkeypatch.setattr(dask_workers._UnderWay, "add", counted)
    workers.complete(stage(Squares(), 20 * N), store)
    assert 2 <= most <= 4


def test_a_worker_that_is_killed_costs_nothing(workers: DaskWorkers, store: PartStore, tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    squares = stage(DeadlySquares(row=9, times=1, folder=tmp_path / "deaths"))
    workers.complete(squares, store)
    assert rows_and_squares(squares, store)[0] == list(range(N))
    assert len(list((tmp_path / "deaths").iterdir())) == 1


def test_who_kills_three_workers_is_left_out_by_name(
    workers: DaskWorkers, store: PartStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nobody else, although tasks were on their way to the workers that died."""
    (tmp_path / "deaths").mkdir()
    squares = stage(DeadlySquares(row=9, times=100, folder=tmp_path / "deaths"))
    workers.complete(squares, store)
    assert len(list((tmp_path / "deaths").iterdir())) == 3
    assert rows_and_squares(squares, store)[0] == [*range(8), *range(12, N)]
    left = store.load("part-00000008-4")
    assert left["bad_rows"].tolist() == [8, 9, 10, 11]
    assert left["bad_reasons"][0] == "3 worker processes died while they worked on its batch"
    assert "died at rows 9 to 12, whose particles are left out" in capsys.readouterr().err


def test_a_run_that_cannot_do_without_a_part_says_so(workers: DaskWorkers, store: PartStore) -> None:
    with pytest.raises(DeepError, match=r"3 worker processes died at rows 9 to 12.*run the same command again"):
        workers.complete(stage(GivenUpSquares(row=9), without=False), store)


def test_of_one_piece_three_processes_may_die(tmp_path: Path) -> None:
    """Of any piece; the next one does not try. A run that begins again forgets."""
    for number in range(MOST):
        (tmp_path / f"a.begun-{number}").touch()
    with pytest.raises(GivenUpError), attempt(tmp_path, "a"):
        pass
    with attempt(tmp_path, "b"):
        assert (tmp_path / "b.begun-0").exists()
    forget_attempts(tmp_path)
    with attempt(tmp_path, "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_errors_of_a_worker_are_raised_here(workers: DaskWorkers, store: PartStore) -> None:
    with pytest.raises(InputError, match="row 21 is wrong; leave it out"):
        workers.complete(stage(WrongSquares(row=21)), store)
    assert store.finished() < stage(Squares()).pieces.keys()
    workers.complete(stage(Squares()), store)
    assert store.finished() == stage(Squares()).pieces.keys()


def test_too_little_memory_in_a_worker_halves(
    workers: DaskWorkers, store: PartStore, capsys: pytest.CaptureFixture[str]
) -> None:
    squares = stage(SquaresOfFew(most=2))
    workers.complete(squares, store)
    assert rows_and_squares(squares, store)[0] == list(range(N))
    assert "not sufficient for squaring 4 particles at a time; continuing with 2 (too many)" in capsys.readouterr().err


def test_notes_of_workers_reach_the_user_once(
    workers: DaskWorkers, store: PartStore, capsys: pytest.CaptureFixture[str]
) -> None:
    workers.complete(stage(NotedSquares()), store)
    assert capsys.readouterr().err.count("note: these are squares") == 1


def test_a_full_disk(workers: DaskWorkers, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root; run the tests as root in a container that may mount")
    try:
        small = PartStore(disk / "p", "same")
        with small.opened():
            with pytest.raises(DiskFullError, match=f"on the file system mounted at '{disk}'.*same command again"):
                workers.complete(stage(Squares(), 10 * N), small)
            assert small.finished()
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            workers.complete(stage(Squares(), 10 * N), small)
            assert rows_and_squares(stage(Squares(), 10 * N), small)[0] == list(range(10 * N))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # errors keep files open


def test_work_that_is_not_the_clients_is_not_executed(workers: DaskWorkers, store: PartStore) -> None:
    """A file that somebody has changed is refused before it is read as objects."""
    sent = dask_workers.SentWork.of(Squares(), store)
    Path(sent.path).write_bytes(Path(sent.path).read_bytes() + b"more")
    with pytest.raises(InputError, match="is not what was written there"):
        sent.read()
    with pytest.raises(InputError, match="workers must see the folder of the output under the same name"):
        dask_workers.SentWork(sent.path + "no", sent.sha256).read()


# ------------------------------------------------------------------------------------------------------- who may come
def test_only_who_has_the_certificate_is_let_in(workers: DaskWorkers, tmp_path: Path) -> None:
    """One who does not mind whom he talks to is refused without a certificate, and with one of his own."""
    address = workers._client.scheduler_info(n_workers=0)["address"]
    assert address.startswith("tls://127.0.0.1:")
    other = Security.temporary()
    (tmp_path / "own.pem").write_text(f"{other.tls_client_key}\n{other.tls_client_cert}")
    for certificate in ("", str(tmp_path / "own.pem")):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            answer_to_a_stranger(int(address.rpartition(":")[2]), certificate)


def answer_to_a_stranger(port: int, certificate: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
        context.wrap_socket(connection) as protected,
    ):
        answer = protected.recv(1)
        if not answer:
            raise ConnectionError("closed")
        return answer


def test_nothing_listens_beyond_this_computer(workers: DaskWorkers, store: PartStore) -> None:
    workers.complete(stage(Squares()), store)
    processes = [psutil.Process(), *worker_processes()]
    listening = [c.laddr.ip for p in processes for c in p.connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(worker_processes()) == 2
    assert len(listening) >= 4, "scheduler, dashboard and workers"
    assert set(listening) == {"127.0.0.1"}


def test_one_thread_in_each_worker(workers: DaskWorkers) -> None:
    assert list(workers._client.nthreads().values()) == [1, 1]
    assert set(workers._client.run(os.environ.get, "OMP_NUM_THREADS").values()) == {"1"}


def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7f,2")
    assert visible_gpus() == ["5", "GPU-7f"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    seen = [clusters.environment(WorkerOptions(), number, 3) for number in range(3)]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in seen] == ["0", "1", "0"]
    assert {variables["OMP_NUM_THREADS"] for variables in seen} == {"3"}
    for device in ("cpu", "cuda:1"):
        assert "CUDA_VISIBLE_DEVICES" not in clusters.environment(WorkerOptions(device=device), 0, 1)


# ------------------------------------------------------------------------------------------------ a scheduler that runs
def test_a_scheduler_that_runs_and_is_killed(tmp_path: Path, store: PartStore) -> None:
    """Found by the file that it writes, protected by the certificates that Dask's configuration names."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    security = Security.temporary()
    key.write_text(security.tls_worker_key)
    certificate.write_text(security.tls_worker_cert)
    protected = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        protected[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(certificate)
        protected[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(key)
    file = tmp_path / "scheduler.json"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from continuousflex_deep.tests.runs.test_dask_workers import compute_by_running_scheduler\n"
        "compute_by_running_scheduler(sys.argv[1], Path(sys.argv[2]))"
    )
    environ = os.environ | protected
    for ending in ("killed", "ends"):
        file.unlink(missing_ok=True)
        scheduler, worker = (
            subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{role}", *words], env=environ, stderr=-3)
            for role, words in (
                ("scheduler", ["--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                               "--scheduler-file", str(file)]),
                ("worker", ["--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard",
                            "--local-directory", str(tmp_path)]),
            )
        )  # fmt: skip
        try:
            where = str(file) if ending == "ends" else "killed:" + str(file)
            client = subprocess.run(
                [sys.executable, "-c", code, where, str(store.folder)], env=environ, capture_output=True, text=True,
                timeout=200, check=False,
            )  # fmt: skip
        finally:
            for process in (worker, scheduler):
                process.send_signal(signal.SIGKILL)
                process.wait()
        assert ("connection to the scheduler is lost" in client.stderr) == (ending == "killed"), client.stderr
        assert (client.returncode == 0) == (ending == "ends"), client.stderr
    assert store.finished() == stage(Squares(), 10 * N).pieces.keys()


def compute_by_running_scheduler(where: str, folder: Path) -> None:
    """In a process of its own, whose Dask has another configuration."""
    killed, _, file = where.rpartition(":")
    with DaskWorkers(partial(connected, WorkerOptions(scheduler=file), folder), expected=0) as running:
        store = PartStore(folder, "same")
        running.complete(stage(Squares()), store)
        if killed:
            [scheduler] = [p for p in psutil.process_iter() if _is_scheduler(p, file)]
            scheduler.kill()
        running.complete(stage(Squares(), 10 * N), store)


def _is_scheduler(process: psutil.Process, file: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "distributed.cli.dask_scheduler" in words and file in words


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuousflex_deep.runs.clusters._ANSWERS_S", 0.5)
    options = WorkerOptions(scheduler="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match=r"--scheduler tcp://127.0.0.1:1: no connection"), connected(options, tmp_path):
        pass
