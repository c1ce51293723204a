"""Tests by mutated files find what they look for: tracebacks, warnings, hangs, memory; their cases are repeatable."""

import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.errors import InputError
from continuousflex_deep.tests.helpers import mutation
from continuousflex_deep.tests.helpers.mutation import BYTES, TEXT, Case, mutated, survives, words

FILES = {"a": b"data_\n\nloop_\n_x #1\n1 2 3\n" * 20, "b": bytes(range(256)) * 8, "empty": b""}
CASE = Case(7, "a", b"x", ("cut_out",))


def test_cases_are_the_same_whatever_their_number() -> None:
    few, many = (list(mutated(FILES, [*BYTES, *TEXT, words(1024)], count, seed=3)) for count in (20, 300))
    assert few == many[:20]
    assert sum(case.content == FILES[case.name] for case in many) < 100
    assert few != list(mutated(FILES, [*BYTES, *TEXT, words(1024)], 20, seed=4))


@pytest.mark.parametrize("made", [*BYTES, *TEXT, words(1024)], ids=lambda made: made.__name__)
def test_every_mutation_changes_files_and_takes_empty_ones(made: mutation.Mutation) -> None:
    rng = np.random.default_rng(0)
    assert any(made(FILES["a"], rng) != FILES["a"] for _ in range(20))
    made(b"", rng)


def test_the_environment_sets_the_number_of_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CFD_FUZZ_CASES", raising=False)
    assert mutation.cases(300) == 300
    monkeypatch.setenv("CFD_FUZZ_CASES", "12")
    assert mutation.cases(300) == 12


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (lambda path: {}["key"], "case 7: 'a' after cut_out: KeyError"),
        (lambda path: warnings.warn("odd", RuntimeWarning, stacklevel=1), "RuntimeWarning: odd"),
        (lambda path: time.sleep(5), "TimeoutError: not read within 0.2 s"),
        (lambda path: np.zeros(3 * 10**6), "MemoryError"),
        (lambda path: _raise(InputError("")), "an error without a text"),
    ],
)
def test_what_must_not_happen_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read, found: str) -> None:
    monkeypatch.setattr(mutation, "SECONDS", 0.2)
    monkeypatch.setattr(mutation, "BYTES_OF_MEMORY", 2 * 10**7)
    with pytest.raises(AssertionError, match=found):
        survives(CASE, tmp_path / "f", read)
    assert (tmp_path / "f").read_bytes() == b"x"


def test_errors_for_the_user_and_results_pass(tmp_path: Path) -> None:
    assert survives(CASE, tmp_path / "f", lambda path: path.read_bytes()) == "read"
    assert survives(CASE, tmp_path / "f", lambda path: _raise(InputError("no"))) == "no"
    assert not (tmp_path / "f").exists()
