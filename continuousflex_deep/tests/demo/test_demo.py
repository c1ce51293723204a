"""The demonstration at its smallest: by commands alone where Scipion cannot be imported, and then with its project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from continuousflex_deep.constants import COMPUTE_PYTHON
from continuousflex_deep.demo.pipeline import DemoSize, Step, run_pipeline, steps_of
from continuousflex_deep.errors import InputError
from continuousflex_deep.tests.helpers.warm_python import warm_python

SIZE = (
    "--images", "16", "--labelled", "10", "--box-px", "32", "--angular-step-deg", "30", "--simulated", "64",
    "--epochs", "1",
)  # fmt: skip


def run_demo(folder: Path, **environment: str) -> str:
    """What the demonstration prints; it must end well."""
    command = [sys.executable, "-m", "continuousflex_deep.demo", "--output", str(folder), *SIZE]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def without_tk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demonstration's folder and output in a Python without tkinter, as Debian's is."""
    folder = tmp_path_factory.mktemp("demo")
    blocker = folder / "no_tk"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text('import sys\nsys.modules["tkinter"] = None\n')
    path = os.pathsep.join([str(blocker), *filter(None, [os.environ.get("PYTHONPATH")])])
    return folder / "out", run_demo(folder / "out", PYTHONPATH=path)


def test_every_step_runs_without_scipion(without_tk: tuple[Path, str]) -> None:
    folder, said = without_tk
    commands = re.findall(r"^  python -m continuousflex_deep (\w+)", said, re.MULTILINE)
    assert commands == [s.arguments[0] for s in steps_of(DemoSize()) if s.instead is None]
    for name in ("report.html", "assessment/tables.txt", "assessment/errors.png", "map_low/map.mrc", "trajectory.gif"):
        assert list(folder.glob(name)) or list(folder.rglob(name)), name
    assert re.search(r"^No Scipion project was made: Scipion needs tkinter.*python3-tk", said, re.MULTILINE)
    assert (folder / "assessment" / "tables.txt").read_text(encoding="utf-8").strip() in said


def test_a_second_run_keeps_what_is_finished_and_makes_the_project(
    without_tk: tuple[Path, str], scipion_home: Path
) -> None:
    folder, _ = without_tk
    written = (folder / "hemnma.star").stat().st_mtime_ns
    said = run_demo(folder, **{COMPUTE_PYTHON: warm_python(), "SCIPION_PYTHON": warm_python()})
    assert said.count("finished by an earlier run; kept") == len(steps_of(DemoSize()))
    assert (folder / "hemnma.star").stat().st_mtime_ns == written
    assert "Scipion project: " in said
    projects = list(folder.glob("scipion/**/deephemnma_demo/Runs"))
    ran = [run for run in projects[0].iterdir() if (run / "logs" / "run.stdout").is_file()]
    assert len(ran) == 8, "all but the training, which is prepared"


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--labelled: got 9 of 10 images, expected 2 to 8"):
        run_pipeline(tmp_path, DemoSize(images=10, labelled=9))


def test_other_sizes_and_lost_results_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With commands that only leave their files."""
    ran: list[str] = []
    current: list[Step] = []

    def leave_files(arguments: tuple[str, ...], folder: Path) -> int:
        step = next(s for s in current if s.arguments == arguments)
        ran.append(step.title)
        for name in step.writes:
            (folder / name).write_text("")
        return 0

    def run(size: DemoSize) -> list[str]:
        nonlocal current
        current = [s for s in steps_of(size) if s.instead is None]
        ran.clear()
        run_pipeline(tmp_path, size, leave_files)
        return list(ran)

    monkeypatch.setattr("continuousflex_deep.demo.pipeline.read_particles", lambda path: FewParticles())
    monkeypatch.setattr("continuousflex_deep.demo.pipeline.write_particles", lambda p, path: path.write_text(""))
    small = DemoSize(images=10, labelled=6)
    everything = [s.title for s in steps_of(small) if s.instead is None]
    assert run(small) == everything
    assert run(small) == []
    (tmp_path / "landscape").unlink()
    assert run(small) == everything[everything.index("landscape of both sets") :], "and all that follows from it"
    longer = run(DemoSize(images=10, labelled=6, epochs=9))
    assert longer == everything[everything.index("network trained on the labels") :]


class FewParticles:
    """Stands for ten particles that are split."""

    def __len__(self) -> int:
        return 10

    def select(self, rows: object) -> "FewParticles":
        return self
