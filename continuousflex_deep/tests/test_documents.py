"""README and docs say nothing of commands, options, files, labels and errors that the program has not, and the README's
first steps lead to their end."""

from pathlib import Path

import pytest

from continuousflex_deep import cli
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.tests.helpers.documents import (
    REPOSITORY,
    command_lines,
    documents,
    extras_of_the_installation,
    problems_of_command_lines,
    problems_of_files,
    problems_of_formats,
    problems_of_labels,
    problems_of_links,
    problems_of_quotations,
    problems_of_the_flow,
    problems_of_the_tree,
    programs_of,
    quotations,
)
from continuousflex_deep.tests.helpers.engine_data import toy_structure

ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)


@PAGES
def test_command_lines_can_be_run(page: Path) -> None:
    assert problems_of_command_lines(page.read_text(encoding="utf-8")) == []


@PAGES
def test_links_and_pictures_exist(page: Path) -> None:
    assert problems_of_links(page.read_text(encoding="utf-8"), page) == []


@PAGES
def test_named_files_and_columns_exist(page: Path) -> None:
    assert problems_of_files(page.read_text(encoding="utf-8")) == []


@PAGES
def test_named_labels_exist(page: Path) -> None:
    assert problems_of_labels(page.read_text(encoding="utf-8")) == []


@PAGES
def test_quoted_errors_are_raised(page: Path) -> None:
    assert problems_of_quotations(page.read_text(encoding="utf-8")) == []


def test_troubleshooting_quotes_errors() -> None:
    assert len(quotations((REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))) > 50


def test_files_of_the_formats_page_are_those_of_the_code() -> None:
    assert problems_of_formats((REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")) == []


def test_the_architecture_page_names_every_package() -> None:
    assert problems_of_the_tree(ARCHITECTURE) == []


def test_the_architecture_page_follows_the_code() -> None:
    assert problems_of_the_flow(ARCHITECTURE) == []


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in documents() if page.parent.name == "docs" and f"docs/{page.name}" not in readme] == []


def test_every_picture_is_shown() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in documents())
    assert [p.name for p in (REPOSITORY / "docs" / "images").iterdir() if f"images/{p.name})" not in pages] == []


def test_every_command_is_documented() -> None:
    table = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in cli.COMMANDS if f"\n| `{name}` |" not in table] == []


def test_every_extra_is_documented() -> None:
    table = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in sorted(extras_of_the_installation()) if f"\n| `{name}` |" not in table] == []


# ---------------------------------------------------------------------------------------------- the tests themselves
@pytest.mark.parametrize(
    "line",
    [
        "$CFD nma --structure s.pdb --output modes --cutof-A 8",  # no such option
        "$CFD nma --structure s.pdb --output modes --cutoff 8",  # abbreviations are not taken
        "$CFD nma --output modes",  # a required option is missing
        "$CFD nma --structure s.pdb --output modes --n-modes 3",  # out of bounds
        "$CFD reconstruct --particles a.star --output m --engine relon",  # no such choice
        "$CFD alline …",
        "torchrun --nproc-per-node=4 -m continuousflex_deep align … --fitt pose",
        "for i in 1 2; do python -m continuousflex_deep infer … --thread 2 & done; wait",
        "python benchmarks/network.py --sise article",
        "python benchmarks/networks.py",
        "make demos",
        'pip install -e ".[computing]"',
        "scipion3 template continuousflex_deep-deephemnma_synthetic structur=s.pdb",
        "scipion3 template continuousflex_deep-deephemnma structure=s.pdb",
        "$CDF nma --structure s.pdb --output modes",
    ],
)
def test_wrong_command_lines_are_found(line: str) -> None:
    assert len(problems_of_command_lines(f"text\n\n    {line}\n")) == 1


@pytest.mark.parametrize("code", ["align --fitt pose", "--no-such-option", "python benchmarks/scale.py --row 3"])
def test_wrong_options_within_sentences_are_found(code: str) -> None:
    assert len(problems_of_command_lines(f"Say `{code}` instead.")) == 1


def test_right_command_lines_pass() -> None:
    page = """
text

    $CFD nma   --structure s.pdb --output modes --cutoff-A 8   # a comment with --no-option
    $CFD align … --engine xmipp \\
               --no-such-thing
    make test

1. A list
    goes on here.

```text
F(k) = no command
```
"""
    assert command_lines(page)[1] == "$CFD align … --engine xmipp  --no-such-thing"
    assert problems_of_command_lines(page.replace("--no-such-thing", "--fit pose")) == []
    assert len(problems_of_command_lines(page)) == 1


def test_wrong_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# One heading's end\n[a](other.md) ![b](images/b.png) [c](#two) [d](#one-headings-end) [e](page.md)"
    page.write_text(text)
    assert len(problems_of_links(text, page)) == 3


def test_wrong_files_columns_and_labels_are_found() -> None:
    right = "`test_geometry.py` `io/star.py` `benchmarks/scale.py` `cfdAmplitude7Sd` `rlnAngleRot`"
    assert problems_of_files(right) == []
    wrong = "`test_no_such.py` `io/stars.py` `benchmarks/scales.py` `cfdAmplitudes7` `rlnAngleRoll`"
    assert len(problems_of_files(wrong)) == 5
    assert problems_of_labels("*normal modes*, **not a label**, 2 * 3 * 4") == []
    assert len(problems_of_labels("*abnormal modes*")) == 1


def test_wrong_file_names_are_found() -> None:
    assert problems_of_formats("`landscape.npz` `frame_NNN.mrc` `OUTPUT_bad.star` `1_open.star`") == []
    assert len(problems_of_formats("`landscapes.npz` `frames_NNN.mrc` `OUTPUT_worse.star`")) == 3


def test_a_wrong_tree_is_found() -> None:
    assert len(problems_of_the_tree(ARCHITECTURE.replace("\nhemnma/  ", "\nhemna/  "))) == 2
    assert len(problems_of_the_flow(ARCHITECTURE.replace("with_workers   ", "with_machines  "))) == 1


def test_errors_that_are_not_raised_are_found() -> None:
    page = "> particle ids must be unique: …\n\ntext\n\n> images have different pixel sizes (… to … Å)\n"
    assert quotations(page)[0] == "particle ids must be unique: …"
    assert problems_of_quotations(page) == []
    assert len(problems_of_quotations(page.replace("unique", "singular").replace("different", "other"))) == 2


# --------------------------------------------------------------------------------------------------- the first steps
def test_first_steps_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The five minutes at a terminal, line for line, on a few small images of a toy molecule."""
    monkeypatch.chdir(tmp_path)
    write_structure(tmp_path / "structure.pdb", toy_structure())
    steps = [
        words[1:]
        for line in command_lines((REPOSITORY / "README.md").read_text(encoding="utf-8"))
        for words in programs_of(line)
        if words[0] == "$CFD"
    ]
    assert [words[0] for words in steps] == ["nma", "align", "landscape", "group", "reconstruct", "report"]
    images = "--structure structure.pdb --modes modes --count 12 --box-px 32 --pixel-size-A 2.5 --final-box-px 0"
    images += " --shift-range-px 1 --amplitude-range 30 --snr 1 --threads 1 --output simulated"
    quicker = {"align": ["--n-hypotheses", "2", "--angular-step-deg", "30", "--device", "cpu", "--threads", "1"]}
    for words in steps:
        assert cli.main([*words, *quicker.get(words[0], [])]) == 0, words
        if words[0] == "nma":  # the user's particles
            assert cli.main(["simulate", *images.split()]) == 0
            particles = Path("simulated/particles.star").read_text(encoding="utf-8")
            Path("particles.star").write_text(particles)
            Path("particles.mrcs").symlink_to("simulated/particles.mrcs")
    assert (tmp_path / "report.html").stat().st_size > 1e6
