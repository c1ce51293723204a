"""Advice in errors is right: the options that it names exist, and a command that follows it gets past the error."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from continuousflex_deep.assessment import comparisons
from continuousflex_deep.cli import COMMANDS, main
from continuousflex_deep.commands import pseudoatoms, train
from continuousflex_deep.errors import DeepError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.nn.inference import Inference
from continuousflex_deep.reconstruction import reconstruct as reconstruction
from continuousflex_deep.runs.parts import PartStore
from continuousflex_deep.runs.sole_writer import writing_alone
from continuousflex_deep.tests.helpers.advice import (
    GAP,
    Advice,
    all_advice,
    all_sentences,
    commands_with,
    flags_of,
    sentences,
)
from continuousflex_deep.tests.helpers.advice_inputs import write_inputs
from continuousflex_deep.tests.helpers.advice_scenarios import NOT_FOLLOWED, PAST, SCENARIOS, Scenario
from continuousflex_deep.tests.helpers.imports import project_files
from continuousflex_deep.tests.helpers.quick_trainings import quick_trainings

_COMMAND = (r"\bthe (?!same\b)([a-z]+) command\b", r"\brun (?!it\b)([a-z]+) again\b")
LAUNCHERS = {"--nproc-per-node"}  # of torchrun
# texts of tables, not of errors: they name options of the commands that they are about
ABOUT_OTHERS = {("commands.doctor", "--engine"), ("commands.doctor", "--xmipp-processes"),
                ("assessment.assessment", "--finest-resolution-A")}  # fmt: skip


def test_every_advice_is_followed_or_listed() -> None:
    pieces = [advised.piece for advised in SCENARIOS] + [piece for listed in NOT_FOLLOWED.values() for piece in listed]
    texts = [advice.text for advice in all_advice()]
    new = [text for text in texts if not any(piece in text for piece in pieces)]
    assert not new, "follow these in a scenario"
    said = [sentence.text for sentence in all_sentences()]
    assert not [piece for piece in pieces if not any(piece in text for text in said)], "no error says so any more"


@pytest.mark.parametrize("advice", all_advice(), ids=lambda advice: f"{advice.module}: {advice.text[:50]}")
def test_advice_names_options_of_the_commands_that_give_it(advice: Advice) -> None:
    """Or of a command that it names."""
    named = {command for command in COMMANDS if re.search(rf"\b{command}\b", advice.text)}
    for flag in advice.flags - LAUNCHERS - {flag for module, flag in ABOUT_OTHERS if module == advice.module}:
        assert any(flag in flags_of(command) for command in commands_with(advice.module) | named), flag


def test_errors_name_commands_that_exist() -> None:
    """As in "the nma command" and "run landscape again"."""
    texts = [text for path in project_files() for text in sentences(path.read_text(encoding="utf-8"))]
    named = {name for text in texts for pattern in _COMMAND for name in re.findall(pattern, text)}
    assert len(named) > 5
    assert not named - set(COMMANDS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise InputError(f"{x}: got {y}, give it by --one or " "--two")', ["…: got …, give it by --one or --two"]),
        ('"""Give --one to all of them."""', []),
        ('words = ["--one", "x"]', []),
    ],
)
def test_sentences_are_found(source: str, found: list[str]) -> None:
    assert list(sentences(source)) == found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("advice")
    with quick_trainings():
        write_inputs(folder)
        with PartStore(folder / "begun.parts", "another run").opened():
            (folder / "begun.parts" / "part-0.npz").touch()
        with writing_alone(folder / "busy.parts"), writing_alone(folder / "busy"):
            yield folder


def _end_before_long_work(patch: pytest.MonkeyPatch) -> None:
    """Past all checks the long work would begin."""

    def past(*_: object) -> None:
        raise DeepError(PAST)

    for place, name in (
        (Alignment, "complete"), (Inference, "complete"), (train, "train_network"), (comparisons, "_bound"),
        (reconstruction, "_EmbeddedSums"), (pseudoatoms, "map_to_pseudoatoms"),
    ):  # fmt: skip
        patch.setattr(place, name, past)
    patch.setattr("sklearn.manifold.TSNE.fit_transform", past)


@pytest.mark.parametrize("advised", SCENARIOS, ids=lambda s: s.piece[:40])
def test_who_follows_an_advice_gets_past_the_error(
    advised: Scenario, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not advised.to_the_end:
        _end_before_long_work(monkeypatch)
    if advised.around is not None:
        advised.around(monkeypatch)
    [advice] = {found.text for found in all_sentences() if advised.piece in found.text}
    pattern = re.compile(".*".join(map(re.escape, advice.split(GAP))), re.DOTALL)

    def said(line: str, name: str) -> tuple[int, str]:
        words = [word.replace("@", f"{inputs}/").replace("^", str(tmp_path / name)) for word in shlex.split(line)]
        status = main(words)
        return status, capsys.readouterr().err

    _, wrong = said(advised.wrong, "wrong")
    assert pattern.search(wrong), f"{advised.piece}: {wrong}"
    status, followed = said(advised.followed, "followed")
    assert not pattern.search(followed), f"{advised.piece}: {followed}"
    assert status == 0 or PAST in followed, f"{advised.piece}: {followed}"
