"""Parts in a folder: of one run, whole or not there, and whoever saves them."""

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import DiskFullError, InputError
from continuousflex_deep.runs.parts import NamedParts, PartStore

ARRAYS = {"a": np.arange(5.0), "b": np.array(["x", "y"])}


def store(folder: Path, determining: object = "same") -> PartStore:
    return PartStore(folder / "p", determining)


def leave_part(folder: Path, determining: object = "same") -> None:
    """What a run leaves that was killed after its first part."""
    made = store(folder, determining)
    with made.opened():
        made.save("part-0", ARRAYS)


def test_a_part_may_hold_nothing(tmp_path: Path) -> None:
    """Which is another answer than that there is none."""
    made = store(tmp_path)
    with made.opened():
        made.save("part-0", {})
        assert made.load("part-0") == {}
        assert made.load("part-1") is None


def test_parts_are_kept_for_the_same_run_only(tmp_path: Path) -> None:
    leave_part(tmp_path)
    again, other = store(tmp_path), store(tmp_path, "other")
    with again.opened():
        assert again.finished() == {"part-0"}
        np.testing.assert_array_equal(again.load("part-0")["b"], ARRAYS["b"])
    with pytest.raises(InputError, match="holds 1 finished or begun parts of a run with other options"), other.opened():
        pass
    assert again.finished() == {"part-0"}, "a mistyped option does not cost what is done"


def test_a_folder_without_parts_is_taken_over(tmp_path: Path) -> None:
    """As of a run that was killed during its calibration."""
    leave_part(tmp_path)
    (tmp_path / "p" / "part-0.npz").unlink()
    other = store(tmp_path, "other")
    with other.opened():
        other.save("part-1", ARRAYS)
    assert other.finished() == {"part-1"}


def test_parts_that_lost_their_label_are_not_used(tmp_path: Path) -> None:
    leave_part(tmp_path)
    (tmp_path / "p" / "run.json").unlink()
    with pytest.raises(InputError, match="remove the folder"), store(tmp_path).opened():
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


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text"])
def test_a_damaged_part_counts_as_not_done(tmp_path: Path, damage: str, capsys) -> None:
    leave_part(tmp_path)
    path = tmp_path / "p" / "part-0.npz"
    whole = path.read_bytes()
    middle = whole.index(ARRAYS["a"].tobytes()) + 8
    path.write_bytes({
        "cut": whole[:-20], "empty": b"", "flipped": whole[:middle] + b"\x55" + whole[middle + 1 :], "text": b"no zip"
    }[damage])  # fmt: skip
    with (again := store(tmp_path)).opened():
        assert again.load("part-0") is None
        assert again.finished() == set()
    assert "damaged" in capsys.readouterr().err


def test_a_part_for_which_there_is_no_space_leaves_no_half(tmp_path: Path, monkeypatch) -> None:
    def full(path: Path, **arrays: np.ndarray) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with (mine := store(tmp_path)).opened():
        mine.save("part-0", ARRAYS)
        monkeypatch.setattr(np, "savez", full)
        with pytest.raises(DiskFullError, match=r"part-1.*mounted at '/.*is kept.*run the same command again"):
            mine.save("part-1", ARRAYS)
        assert mine.finished() == {"part-0"}
        assert not [p for p in (tmp_path / "p").iterdir() if p.name.startswith(".")]


def test_a_folder_without_parts_is_not_kept(tmp_path: Path) -> None:
    """Also what a killed run left there, without parts, goes."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "run.json").write_text("of a killed run")
    with store(tmp_path).opened():
        pass
    assert not list(tmp_path.iterdir())


def test_pieces_of_equal_names_in_one_store_do_not_mix(tmp_path: Path) -> None:
    """As of an alignment that is repeated along other motions: saved and found apart from the first."""
    whole = store(tmp_path / "run.parts")
    with whole.opened():
        again = NamedParts(whole, "again-")
        whole.save("part-0", {"x": np.arange(2)})
        assert again.finished() == set()
        assert again.load("part-0") is None
        again.save("part-0", {"x": np.arange(3)})
        assert again.finished() == {"part-0"}
        assert whole.finished() == {"part-0", "again-part-0"}
        assert [len(s.load("part-0")["x"]) for s in (whole, again)] == [2, 3]


def test_a_folder_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    mine = store(tmp_path)
    with mine.opened():
        store(tmp_path).remove()
        with pytest.raises(InputError, match="removed or moved during the run; run the same command again"):
            mine.finished()
        with pytest.raises(InputError, match="removed or moved during the run"):
            mine.save("part-0", ARRAYS)
    assert not list(tmp_path.iterdir())


def test_a_worker_of_an_earlier_run_saves_nothing_in_a_later_one(tmp_path: Path) -> None:
    """As one does that has not yet noticed that its client was killed. Stores are pickled for workers."""
    early, late = store(tmp_path), store(tmp_path, "later")
    with early.opened():
        of_worker = pickle.loads(pickle.dumps(NamedParts(early, "1-")))
        of_worker.save("part-0", ARRAYS)
        assert early.finished() == {"1-part-0"}
        store(tmp_path).remove()
        with late.opened():
            late.save("part-0", ARRAYS)
            with pytest.raises(InputError, match="removed or moved during the run"):
                of_worker.save("part-1", ARRAYS)
            assert late.finished() == {"part-0"}


def test_a_part_that_is_being_written_is_none(tmp_path: Path) -> None:
    with (mine := store(tmp_path)).opened():
        (tmp_path / "p" / ".writing-1-part-0.npz").touch()
        assert mine.finished() == set()
