"""Parts and claims in a folder: what several workers see, and what a dead one leaves behind."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import DiskFullError, InputError
from continuousflex_deep.io.files import create_exclusively
from continuousflex_deep.runs import claims
from continuousflex_deep.runs.parts import FinishedElsewhereError, NamedParts, PartStore

ARRAYS = {"a": np.arange(5.0), "b": np.array(["x", "y"])}


def store(folder: Path, determining: object = "same") -> PartStore:
    return PartStore(folder / "p", determining)


def leave_part(folder: Path, determining: object = "same") -> None:
    """What a run leaves that was killed after its first part."""
    made = store(folder, determining)
    with made.joined():
        made.save("part-0", ARRAYS)


def test_a_part_may_hold_nothing(tmp_path: Path) -> None:
    """Which is another answer than that there is none."""
    made = store(tmp_path)
    with made.joined():
        made.save("part-0", {})
        assert made.load("part-0") == {}
        assert made.load("part-1") is None


def test_parts_are_kept_for_the_same_run_only(tmp_path: Path) -> None:
    leave_part(tmp_path)
    again, other = store(tmp_path), store(tmp_path, "other")
    with again.joined():
        assert again.finished() == {"part-0"}
        np.testing.assert_array_equal(again.load("part-0")["b"], ARRAYS["b"])
    with pytest.raises(InputError, match="holds 1 finished or begun parts of a run with other options"), other.joined():
        pass
    assert again.finished() == {"part-0"}, "a mistyped option does not cost what is done"


def test_a_folder_without_parts_is_taken_over(tmp_path: Path) -> None:
    """As of a run that was killed during its calibration."""
    leave_part(tmp_path)
    (tmp_path / "p" / "part-0.npz").unlink()
    other = store(tmp_path, "other")
    with other.joined():
        other.save("part-1", ARRAYS)
    assert other.finished() == {"part-1"}


def test_parts_that_lost_their_label_are_not_used(tmp_path: Path) -> None:
    leave_part(tmp_path)
    (tmp_path / "p" / "run.json").unlink()
    with pytest.raises(InputError, match="remove the folder"), store(tmp_path).joined():
        pass


def test_parts_left_beside_a_written_output_go(tmp_path: Path) -> None:
    """Left by a worker that was killed after it wrote the output and before it removed the parts."""
    leave_part(tmp_path)
    store(tmp_path, "other").remove_if_left()
    assert (tmp_path / "p").exists()
    store(tmp_path).remove_if_left()
    assert not (tmp_path / "p").exists()


def test_a_folder_that_was_half_removed_goes(tmp_path: Path) -> None:
    """Left by a worker that was killed while it removed the parts."""
    leave_part(tmp_path)
    (tmp_path / "p").rename(tmp_path / "p.old-0a1b")
    store(tmp_path).remove_if_left()
    assert not list(tmp_path.iterdir())


def test_a_worker_that_was_killed_keeps_no_empty_folder(tmp_path: Path) -> None:
    with store(tmp_path).joined():
        (tmp_path / "p" / "worker-gone-1-ab").write_text(json.dumps({"host": claims.host_identity(), "process": 0}))
    assert not list(tmp_path.iterdir())


def test_files_that_changed_during_the_run_are_told(tmp_path: Path) -> None:
    stack = tmp_path / "s.mrcs"
    stack.write_bytes(b"images")
    kept = PartStore(tmp_path / "p", "same", files=[stack])
    kept.require_unchanged()
    assert kept.fingerprint == PartStore(tmp_path / "p", "same", files=[str(stack)]).fingerprint
    stack.write_bytes(b"other images")
    with pytest.raises(InputError, match="was changed or removed during the run"):
        kept.require_unchanged()
    assert kept.fingerprint != PartStore(tmp_path / "p", "same", files=[stack]).fingerprint
    stack.unlink()
    with pytest.raises(InputError, match="was changed or removed during the run"):
        kept.require_unchanged()


def test_an_output_belongs_to_everything_that_it_carries() -> None:
    one, other = (PartStore("p", "same", {"rlnRandomSubset": half}) for half in (1, 2))
    assert one.fingerprint == other.fingerprint
    assert one.output_fingerprint != other.output_fingerprint


def test_a_store_that_is_not_joined_makes_no_folder(tmp_path: Path) -> None:
    store(tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_run_that_is_going_on_is_not_disturbed(tmp_path: Path) -> None:
    first = store(tmp_path)
    with first.joined():
        first.save("part-0", ARRAYS)
        with (
            pytest.raises(InputError, match=rf"options or particles: process {os.getpid()} on .*another --output"),
            store(tmp_path, "other").joined(),
        ):
            pass
        assert first.finished() == {"part-0"}


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text"])
def test_a_damaged_part_counts_as_not_done(tmp_path: Path, damage: str, capsys) -> None:
    leave_part(tmp_path)
    path = tmp_path / "p" / "part-0.npz"
    whole = path.read_bytes()
    middle = whole.index(ARRAYS["a"].tobytes()) + 8
    path.write_bytes({
        "cut": whole[:-20], "empty": b"", "flipped": whole[:middle] + b"\x55" + whole[middle + 1 :], "text": b"no zip"
    }[damage])  # fmt: skip
    with (again := store(tmp_path)).joined():
        assert again.load("part-0") is None
        assert again.finished() == set()
    assert "damaged" in capsys.readouterr().err


def test_a_claimed_piece_is_not_given_twice(tmp_path: Path) -> None:
    one, two = store(tmp_path), store(tmp_path)
    with one.joined(), two.joined():
        with one.claimed(["x", "y"]) as mine, two.claimed(["x", "y"]) as theirs:
            assert (mine, theirs) == ("x", "y")
            with one.claimed(["x", "y"]) as third:
                assert third is None
            assert one.holders() == [f"process {os.getpid()} on {os.uname().nodename}"]
        with two.claimed(["x"]) as again:
            assert again == "x", "a claim ends with its block"
        one.save("x", ARRAYS)
        with two.claimed(["x"]) as done:
            assert done is None


def test_pieces_of_equal_names_in_one_store_do_not_mix(tmp_path: Path) -> None:
    """As of an alignment that is repeated along other motions: saved, found and claimed apart from the first."""
    whole = store(tmp_path / "run.parts")
    with whole.joined():
        again = NamedParts(whole, "again-")
        whole.save("part-0", {"x": np.arange(2)})
        assert again.finished() == set()
        assert again.load("part-0") is None
        again.save("part-0", {"x": np.arange(3)})
        assert again.finished() == {"part-0"}
        assert whole.finished() == {"part-0", "again-part-0"}
        assert [len(s.load("part-0")["x"]) for s in (whole, again)] == [2, 3]
        with whole.claimed(["part-1"]) as first, again.claimed(["part-1"]) as second:
            assert (first, second) == ("part-1", "part-1")
            with again.claimed(["part-1"]) as third:
                assert third is None


def test_the_piece_of_a_process_that_died_is_claimed_at_once(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from continuousflex_deep.tests.runs.test_parts import store
s = store(Path({str(tmp_path)!r}))
with s.joined(), s.claimed(["x"]):
    print("claimed", flush=True)
    sys.stdin.read()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with (mine := store(tmp_path)).joined():
            with mine.claimed(["x"]) as name:
                assert name is None, "it is alive"
            child.kill()
            child.wait()
            with mine.claimed(["y", "x"]) as name:
                assert name == "y", "what nobody has begun comes first"
            with mine.claimed(["x"]) as name:
                assert name == "x"


def foreign_worker(folder: Path, age_s: float) -> Path:
    """A worker of another host that showed life so long ago, by the file system's clock, and has claimed x."""
    path = folder / "worker-elsewhere-77-abcd"
    path.write_text(json.dumps({"host": "elsewhere", "process": 77, "started": "1"}))
    create_exclusively(folder / "x.claim-0", path.name)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.mark.parametrize(("age_s", "dead"), [(0, False), (claims.STALE_S / 2, False), (2 * claims.STALE_S, True)])
def test_a_worker_elsewhere_is_dead_when_its_heart_stands_still(tmp_path: Path, age_s: float, dead: bool) -> None:
    with (mine := store(tmp_path)).joined():
        foreign_worker(tmp_path / "p", age_s)
        with mine.claimed(["x"]) as name:
            assert (name == "x") == dead


def test_of_two_that_take_over_one_succeeds(tmp_path: Path) -> None:
    one, two = store(tmp_path), store(tmp_path)
    with one.joined(), two.joined():
        foreign_worker(tmp_path / "p", 2 * claims.STALE_S)
        with one.claimed(["x"]) as mine, two.claimed(["x"]) as theirs:
            assert (mine, theirs) == ("x", None)


def test_clocks_of_hosts_do_not_matter(tmp_path: Path, monkeypatch) -> None:
    """Ages are differences of times that the file system gave, so a host an hour ahead sees the same."""
    with (mine := store(tmp_path)).joined():
        foreign_worker(tmp_path / "p", 1.0)
        monkeypatch.setattr(time, "time", lambda: 1e12)
        with mine.claimed(["x"]) as name:
            assert name is None


@pytest.mark.parametrize("ahead_s", [-86400.0, 86400.0])
def test_a_clock_that_jumped_does_not_end_a_worker_of_this_host(tmp_path: Path, monkeypatch, ahead_s: float) -> None:
    """Its file is a day off until it is renewed for the next time."""
    monkeypatch.setattr(claims, "BEAT_S", 0.2)
    one, two = store(tmp_path), store(tmp_path)
    with one.joined(), one.claimed(["x"]) as mine, two.joined():
        [worker] = [path for path in (tmp_path / "p").glob("worker-*") if path != two._worker.path]
        os.utime(worker, (time.time() + ahead_s,) * 2)
        with two.claimed(["x"]) as theirs:
            assert (mine, theirs) == ("x", None)


def test_a_suspended_worker_of_this_host_counts_as_dead(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    monkeypatch.setattr(claims.Worker, "_beat", lambda self: None)
    one, two = store(tmp_path), store(tmp_path)
    with one.joined(), one.claimed(["x"]), two.joined():
        [worker] = [path for path in (tmp_path / "p").glob("worker-*") if path != two._worker.path]
        os.utime(worker, (time.time() - 2 * claims.STALE_S,) * 2)
        with two.claimed(["x"]) as theirs:
            assert theirs == "x"


def test_a_dead_worker_elsewhere_whose_clock_was_ahead_is_not_waited_for(tmp_path: Path) -> None:
    with (mine := store(tmp_path)).joined():
        foreign_worker(tmp_path / "p", age_s=-86400)
        with mine.claimed(["x"]) as name:
            assert name == "x"


def test_an_eviction_that_was_killed_is_completed_by_any_clock(tmp_path: Path) -> None:
    leave_part(tmp_path)
    (tmp_path / "p" / "part-0.npz").unlink()
    (tmp_path / "p" / "evicted").write_text("")
    os.utime(tmp_path / "p" / "evicted", (time.time() + 86400,) * 2)
    with (other := store(tmp_path, "other")).joined():
        assert other.finished() == set()


def test_a_heart_beats(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    with store(tmp_path).joined():
        [worker] = (tmp_path / "p").glob("worker-*")
        os.utime(worker, (0, 0))
        end = time.monotonic() + 10
        while worker.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_folder_that_others_removed_is_not_made_again(tmp_path: Path) -> None:
    one, two = store(tmp_path), store(tmp_path)
    with one.joined(), two.joined():
        one.remove()
        with pytest.raises(FinishedElsewhereError):
            two.finished()
        with pytest.raises(FinishedElsewhereError):
            two.save("part-0", ARRAYS)
        with pytest.raises(FinishedElsewhereError), two.claimed(["x"]):
            pass
    assert not list(tmp_path.iterdir())


def test_a_later_run_in_the_same_place_is_not_taken_for_ours(tmp_path: Path) -> None:
    early, late = store(tmp_path), store(tmp_path, "later")
    with early.joined():
        store(tmp_path).remove()
        with late.joined():
            late.save("part-0", ARRAYS)
            with pytest.raises(FinishedElsewhereError):
                early.finished()
            with pytest.raises(FinishedElsewhereError):
                early.save("part-1", ARRAYS)
            assert late.finished() == {"part-0"}


def test_a_part_for_which_there_is_no_space_leaves_no_half(tmp_path: Path, monkeypatch) -> None:
    def full(path: Path, **arrays: np.ndarray) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with (mine := store(tmp_path)).joined():
        mine.save("part-0", ARRAYS)
        monkeypatch.setattr(np, "savez", full)
        with pytest.raises(DiskFullError, match=r"part-1.*mounted at '/.*is kept.*run the same command again"):
            mine.save("part-1", ARRAYS)
        assert mine.finished() == {"part-0"}
        assert not [p for p in (tmp_path / "p").iterdir() if p.name.startswith(".")]
