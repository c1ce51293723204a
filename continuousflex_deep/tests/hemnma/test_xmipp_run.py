"""The folder of a run of Xmipp's program: what a killed one leaves, and what is made of it."""

from pathlib import Path

import pytest

from continuousflex_deep.errors import DeepError, FormatError
from continuousflex_deep.hemnma.engines.xmipp_run import XmippRun
from continuousflex_deep.tests.helpers.xmipp_replay import DATA, METHODS


@pytest.fixture
def text() -> str:
    recorded = (DATA / METHODS["wavelets"]).read_text()
    assert recorded.count("@") == 12
    return recorded


def rows(text: str) -> tuple[str, list[str]]:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if "@" not in line), [line for line in lines if "@" in line]


@pytest.mark.parametrize("cut", [0, 1, 40, 95, 120])
def test_a_row_that_was_cut_off_is_done_again(text: str, tmp_path: Path, cut: int) -> None:
    header, lines = rows(text)
    (tmp_path / "nmaDone.xmd").write_text(header + "".join(lines[:3]) + lines[3][:cut])
    assert XmippRun(tmp_path, 12).clear_scratch() == 3
    assert (tmp_path / "nmaDone.xmd").read_text() == header + "".join(lines[:3])


def test_a_cut_row_in_the_middle_is_dropped(text: str, tmp_path: Path) -> None:
    """As after a first kill and a resumption by the program alone."""
    header, lines = rows(text)
    (tmp_path / "nmaDone.xmd").write_text(header + lines[0] + lines[1][:60] + "\n" + lines[2])
    assert XmippRun(tmp_path, 12).clear_scratch() == 2
    assert (tmp_path / "nmaDone.xmd").read_text() == header + lines[0] + lines[2]


def test_images_are_counted_not_rows(text: str, tmp_path: Path) -> None:
    header, lines = rows(text)
    (tmp_path / "nmaDone.xmd").write_text(header + "".join(lines[:11]) + lines[0])
    run = XmippRun(tmp_path, 12)
    assert run.clear_scratch() == 11
    assert not run.is_done


def test_an_empty_list_is_removed(text: str, tmp_path: Path) -> None:
    (tmp_path / "nmaDone.xmd").write_text(rows(text)[0])
    assert XmippRun(tmp_path, 12).clear_scratch() == 0
    assert not (tmp_path / "nmaDone.xmd").exists()


def test_missing_results_are_named(text: str, tmp_path: Path) -> None:
    header, lines = rows(text)
    kept = [line for line in lines if "000005@" not in line]
    (tmp_path / "result.xmd").write_text(header + "".join(kept))
    with pytest.raises(DeepError, match=r"for 11 of 12 images.*image 5"):
        XmippRun(tmp_path, 12).found()
    (tmp_path / "result.xmd").unlink()
    with pytest.raises(DeepError, match=r"without writing .*log.txt"):
        XmippRun(tmp_path, 12).found()


def test_another_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.xmd").write_text(text.replace("_nmaDisplacements", "_other"))
    with pytest.raises(FormatError, match=r"no columns .'nmaDisplacements'."):
        XmippRun(tmp_path, 12).found()
