"""Names of results in files and pictures."""

from types import SimpleNamespace

import pytest

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    pytest.skip(scipion_missing(), allow_module_level=True)

from continuousflex_deep.protocols.result_names import result_names

pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("scipion_home")]


def pointer(label: str, run: str) -> SimpleNamespace:
    """To a result of that label, made by a run of that one."""
    result, made_by = SimpleNamespace(getObjLabel=lambda: label), SimpleNamespace(getRunName=lambda: run)
    return SimpleNamespace(get=lambda: result, getObjValue=lambda: made_by)


def test_a_results_own_label_comes_first() -> None:
    pointers = [pointer("", "HEMNMA of set 1"), pointer("open", "groups: open, β"), pointer("β", "groups: open, β")]
    assert result_names(pointers) == ["HEMNMA of set 1", "open", "β"]


def test_names_can_be_those_of_files() -> None:
    assert result_names([pointer("", "../a/b: c"), pointer("...", "x")]) == ["_a_b_ c", "result"]


def test_results_of_one_name_are_numbered() -> None:
    assert result_names([pointer("", "a"), pointer("a", "b"), pointer("", "b")]) == ["a", "a (2)", "b"]
