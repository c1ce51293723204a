"""A command is run in a process that is forked from a server: as `python -m continuousflex_deep` would."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from continuousflex_deep.demo import write_demo_structure
from continuousflex_deep.demo.starting import MODULES, warm_run


def test_commands_run_in_their_folder_one_after_another(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = warm_run(modules=())
    write_demo_structure(tmp_path / "4ake.pdb")
    assert run(("nma", "--structure", "4ake.pdb", "--output", "modes"), tmp_path) == 0
    assert (tmp_path / "modes").is_dir()
    assert run(("nma", "--structure", "none.pdb", "--output", "others"), tmp_path) == 2
    assert "none.pdb" in capfd.readouterr().err


def test_what_is_imported_beforehand_exists() -> None:
    """The server passes over what it cannot import."""
    assert [name for name in MODULES if find_spec(name) is None] == []
