"""What all tests share: the test data outside the repository, one thread per worker, a Scipion of their own."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from continuousflex_deep.messages import note_once
from continuousflex_deep.scipion_env import prepare_scipion_environment, scipion_missing, scipion_variables
from continuousflex_deep.tests.helpers.skipped import table_of_skipped

REPOSITORY = Path(__file__).resolve().parents[2]
_SCIPION_TESTS = f"{__package__}.protocols."  # they run without pytest, by Scipion, too
_SLOW_S = 3 * 3600
# folders and files whose tests take longest for their number
_LONG = ("demo", "benchmarks", "faults", "protocols", "fuzz", "test_report_browser.py", "test_engine_contract.py")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# pyworkflow reads its home when it is imported, which test modules do; the folder goes when the tests end
_SCIPION_HOME = tempfile.TemporaryDirectory(prefix="cfd_scipion_", ignore_cleanup_errors=True)
os.environ.update(scipion_variables(Path(_SCIPION_HOME.name).resolve()))


@pytest.fixture(autouse=True)
def notes_of_its_own() -> None:
    """What another test was told once is told again."""
    note_once.cache_clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data that the repository does not carry; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CFD_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"test data are not at {folder}; set CFD_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands write of a small molecule, by the option that names it, for tests that leave it as it is."""
    from continuousflex_deep.tests.helpers.report_inputs import write_inputs  # needs gemmi

    base = tmp_path_factory.mktemp("inputs") / "plain"
    base.mkdir()
    return write_inputs(base)


@pytest.fixture(scope="session")
def scipion_home() -> Path:
    """A configured SCIPION_HOME of these tests; the test is skipped where Scipion is not installed."""
    if scipion_missing():
        pytest.skip(scipion_missing())
    return prepare_scipion_environment(_SCIPION_HOME.name)


@pytest.fixture(scope="module")
def screen() -> Iterator[None]:
    """A display: the user's own, or a virtual one; without either, and without Tk, the test is skipped."""
    pytest.importorskip("_tkinter", reason="tkinter is not installed; install it (Debian: python3-tk)")
    from continuousflex_deep.tests.helpers.windows import virtual_screen  # needs Tk

    with virtual_screen():
        yield


@pytest.fixture(scope="module", autouse=True)
def _scipion_for_its_own_tests(request: pytest.FixtureRequest) -> None:
    """Scipion's test classes, which Scipion runs without pytest, cannot ask for the fixture themselves."""
    if request.module.__name__.startswith(_SCIPION_TESTS):
        request.getfixturevalue("scipion_home")


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and tests stay: else they are searched for garbage again and again, which takes some percent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # a long file that comes last keeps one of two workers busy while the other waits; the order within files stays
    items.sort(key=lambda item: not any(name in item.path.parts[:-1] or name == item.path.name for name in _LONG))
    for item in items:
        if isinstance(item, pytest.Function) and item.module.__name__.startswith(_SCIPION_TESTS):
            item.add_marker("scipion")
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(_SLOW_S))


@pytest.hookimpl(trylast=True)  # after the slowest tests
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last lines: what was skipped, why, and what to do."""
    lines = table_of_skipped(terminalreporter.stats.get("skipped", []), config.rootpath)
    if lines:
        terminalreporter.section("skipped tests, and what they need")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Workers that each take all cores slow each other down."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
