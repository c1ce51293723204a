"""The contract of engines, kept by the embedded one and by Xmipp's: recorded always, the real one where it is."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import DeepError, InputError, MissingDependencyError
from continuousflex_deep.hemnma.alignment import calibration_for
from continuousflex_deep.hemnma.engines.choice import make_engine
from continuousflex_deep.hemnma.engines.xmipp import XmippEngine
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images
from continuousflex_deep.io.star import read_star
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.programs import XMIPP
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.tests.helpers import needs, xmipp_replay
from continuousflex_deep.tests.helpers.engine_contract import (
    EngineContract,
    found_by,
    inputs,
    reference,
    with_images,
)
from continuousflex_deep.tests.helpers.warm_python import warm_python

__all__ = ["found_by", "inputs"]
_SLOW_RANGE = {"local_step_deg": 8.0, "n_hypotheses": 16, "symmetry": "c2", "max_shift_percent": 15.0, "fit": "pose"}


class TestEmbeddedEngine(EngineContract):
    def settings(self) -> dict[str, object]:
        return {
            "engine": "embedded", "device": "cpu", "threads": 1, "n_hypotheses": 8, "angular_step_deg": 24.0,
            "motion_prior_A": 2.0,
        }  # fmt: skip

    def test_xmipps_options_are_refused(self) -> None:
        with pytest.raises(InputError, match="--engine embedded does not support --xmipp-step-deg"):
            make_engine(*reference(self.inputs), self.options(xmipp_step_deg=5.0))


@pytest.fixture(scope="session")
def recorded(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of Xmipp whose program knows the contract's images."""
    return xmipp_replay.install_for(inputs, tmp_path_factory.mktemp("xmipp-3.25.6"))


class TestRecordedXmippEngine(EngineContract):
    """What the real program found, through everything that is ours."""

    @pytest.fixture(autouse=True)
    def _home(self, recorded: Path) -> None:
        self.home = recorded

    def settings(self) -> dict[str, object]:
        return {"engine": "xmipp", "xmipp_home": str(self.home)}

    def test_projection_matching(self) -> None:
        self.require_right(self.align(self.blank, xmipp_method="projections"))

    def test_amplitudes_shifts_and_scores_are_xmipps(self, aligned: Any) -> None:
        table = next(iter(read_star(xmipp_replay.DATA / xmipp_replay.METHODS["wavelets"]).values()))
        place = {int(name.partition("@")[0]): row for row, name in enumerate(table["image"])}
        order = [place[i + 1] for i in range(len(aligned))]
        amplitudes = np.array([text.split() for text in table["nmaDisplacements"][order]], dtype=float)
        np.testing.assert_allclose(aligned.amplitudes, amplitudes)
        np.testing.assert_allclose(aligned.shift_A[:, 0], 1.8 * table["shiftX"][order].astype(float))
        np.testing.assert_allclose(1 - aligned.score, table["cost"][order].astype(float))

    def test_mpi_program_by_the_given_launcher(self, tmp_path: Path) -> None:
        launcher = tmp_path / "launch"
        launcher.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\nshift; exec "$@"\n')
        launcher.chmod(0o755)
        self.require_right(
            self.align(self.blank, xmipp_processes=3, xmipp_launcher=f"{launcher} -np={{processes}} {{command}}")
        )
        tried, ran = (tmp_path / "said").read_text().splitlines()
        assert tried == f"-np=3 {self.home}/bin/xmipp_mpi_nma_alignment --help"
        assert ran.startswith(f"-np=3 {self.home}/bin/xmipp_mpi_nma_alignment -i images.xmd")

    def test_launchers_that_do_not_start_are_found_before_work(self) -> None:
        with pytest.raises(MissingDependencyError, match="'nolaunch' is not on PATH"):
            make_engine(*reference(self.inputs), self.options(xmipp_processes=2, xmipp_launcher="nolaunch"))
        with pytest.raises(MissingDependencyError, match=r"does not start on 2 processes.*exit 1"):
            make_engine(*reference(self.inputs), self.options(xmipp_processes=2, xmipp_launcher="false"))

    def test_killed_in_the_middle_of_a_batch(self, tmp_path: Path) -> None:
        """After kill -9 of all while the program writes a row, only what was not finished is done again."""
        base = [warm_python(), "-m", "continuousflex_deep", "align", "--engine", "xmipp", "--mode-list", "7 8"]
        base += ["--particles", str(self.inputs / "images" / "particles.star"), "--structure", str(ADENYLATE_KINASE)]
        base += ["--modes", str(self.inputs / "modes"), "--output", str(tmp_path / "out.star")]
        base += ["--xmipp-home", str(self.home)]
        killed = subprocess.run(base, env=os.environ | {"REPLAY_DIES_AFTER": "5"}, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL
        done = next((tmp_path / "out.parts").glob("xmipp-*/nmaDone.xmd"))
        assert not done.read_text().endswith("\n")
        assert sum("@" in line for line in done.read_text().splitlines(keepends=True) if line.endswith("\n")) == 5
        refused = subprocess.run([*base, "--xmipp-step-deg", "5"], capture_output=True, text=True)
        assert refused.returncode == 2
        assert "begun parts of a run with other options" in refused.stderr
        again = subprocess.run(base, env=os.environ | {"REPLAY_DIES_AFTER": "7"}, capture_output=True, text=True)
        assert again.returncode == 0, "seven images were left, and all of them were done"
        self.require_right(read_particles(tmp_path / "out.star"))
        assert not (tmp_path / "out.parts").exists()

    def test_an_image_at_which_the_program_fails_does_not_hold_up_the_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("REPLAY_DIES_AT", "000005")
        found = self.align(self.blank)
        assert found.ids.tolist() == self.truth.ids.tolist()
        assert np.flatnonzero(found.ambiguous).tolist() == [4]
        assert found.score[4] == 0
        self.require_right(found.select(np.delete(np.arange(12), 4)))
        assert f"particle {self.truth.ids[4]}: Xmipp fails at its image" in capsys.readouterr().err
        monkeypatch.setenv("REPLAY_DIES_AT", "000001")
        with pytest.raises(DeepError, match="no shift was found"):
            self.align(self.blank)  # a program that did not do a single image is not to be trusted

    def test_numbers_that_are_none(self, tmp_path: Path) -> None:
        engine = make_engine(*reference(self.inputs), self.options(), tmp_path)
        batch = Batch.read(self.blank)
        learned = engine.calibrate(batch)
        engine.align_batch(batch, learned)
        (result,) = tmp_path.glob("xmipp-*/result.xmd")
        lines = result.read_text().splitlines(keepends=True)
        place = next(i for i, line in enumerate(lines) if "000003@" in line)
        for spoilt in ("nan", "-1", "1000000"):
            words = lines[place].split()
            words[3] = spoilt  # the cost
            lines[place] = " ".join(words) + "\n"
            result.write_text("".join(lines))
            found = engine.align_batch(batch, learned)
            assert found.score[2] == 0
            assert np.isinf(found.weakness).nonzero()[0].tolist() == [2]

    def test_results_of_a_program_killed_at_its_last_step(self, tmp_path: Path) -> None:
        """All images done, but the file not renamed yet: nothing is done again."""
        engine = make_engine(*reference(self.inputs), self.options(), tmp_path)
        batch = Batch.read(self.blank)
        learned = engine.calibrate(batch)
        first = engine.align_batch(batch, learned)
        (result,) = tmp_path.glob("xmipp-*/result.xmd")
        result.rename(result.with_name("nmaDone.xmd"))
        (result.parent / "_node0_img1_ab_ref").mkdir()
        (result.parent / "log.txt").unlink()
        again = engine.align_batch(batch, learned)
        np.testing.assert_array_equal(again.amplitudes, first.amplitudes)
        assert not (result.parent / "log.txt").exists(), "the program did not run"
        assert not list(result.parent.glob("_node*"))
        assert not list(result.parent.glob("*.mrcs")), "copies of images are not kept"

    def test_boxes(self, tmp_path: Path) -> None:
        images = read_images(self.blank)
        for box, method, message in (
            (60, "wavelets", "power of two, got 60 px; bring it to 64"),
            (100, "wavelets", "power of two, got 100 px; bring it to 128"),
            (63, "projections", "even box, got 63 px"),
        ):
            padded = np.pad(images, ((0, 0), (0, max(0, box - 64)), (0, max(0, box - 64))))[:, :box, :box]
            particles = with_images(self.blank.replace(box_px=box), padded, tmp_path / f"{box}.mrcs")
            with pytest.raises(InputError, match=message):
                self.align(particles, xmipp_method=method)
            if box == 60:  # even: projection matching takes it, and says so by trying
                make_engine(*reference(self.inputs), self.options(xmipp_method="projections")).check(particles)

    @pytest.mark.parametrize("name", list(_SLOW_RANGE))
    def test_options_that_it_cannot_follow_are_refused(self, name: str) -> None:
        with pytest.raises(InputError, match=f"--engine xmipp does not support --{name.replace('_', '-')}"):
            make_engine(*reference(self.inputs), self.options(**{name: _SLOW_RANGE[name]}))

    def test_pseudoatoms_are_fixed_gaussians(self, tmp_path: Path) -> None:
        import dataclasses

        structure, modes = reference(self.inputs)
        names = np.full(len(structure), "DENS", dtype=object)
        pseudo = dataclasses.replace(structure, atom_names=names, sigma_A=2.5)
        engine = make_engine(pseudo, modes, self.options(), tmp_path)
        batch = Batch.read(self.blank)
        engine.align_batch(batch[:3], engine.calibrate(batch))
        said = next(tmp_path.glob("xmipp-*/log.txt")).read_text().splitlines()[0]
        assert "--fixed_Gaussian 2.5000" in said
        atoms = [a for a in next(tmp_path.glob("xmipp-*/atoms.pdb")).read_text().splitlines() if a.startswith("ATOM")]
        assert {line[12:16] for line in atoms} == {" EN "}  # by this name Xmipp finds their centre
        weights = np.array([float(line[60:66]) for line in atoms])
        np.testing.assert_allclose(weights, structure.weights, atol=0.01)
        with pytest.raises(InputError, match="REMARK fixedGaussian"):
            make_engine(dataclasses.replace(pseudo, sigma_A=None), modes, self.options())

    def test_filter(self, tmp_path: Path) -> None:
        engine = make_engine(*reference(self.inputs), self.options(finest_resolution_A=12.0), tmp_path)
        batch = Batch.read(self.blank)
        engine.align_batch(batch[:2], engine.calibrate(batch))
        assert "--filterVol 12" in next(tmp_path.glob("xmipp-*/log.txt")).read_text()

    def test_facts(self, aligned: Any) -> None:
        engine = make_engine(*reference(self.inputs), self.options())
        facts = engine.facts(aligned, calibration_for(engine, self.blank))
        assert facts["contrast"] == "bright particles"
        assert facts["failed_fits"] == 0
        assert str(facts["aligned_by"]).startswith("xmipp_nma_alignment 3.25.6")

    def test_without_xmipp(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("XMIPP_HOME", raising=False)
        with pytest.raises(MissingDependencyError, match=r"Xmipp is needed.*xmipp_nma_alignment.*--xmipp-home"):
            make_engine(*reference(self.inputs), self.options(xmipp_home=""))

    def test_a_program_of_another_time(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        for text, message in (
            ("echo --modes --resume", "does not offer --centerPDB"),
            ("echo >&2 no lib; exit 127", "no lib"),
        ):
            program = tmp_path / "bin" / "xmipp_nma_alignment"
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
            with pytest.raises(MissingDependencyError, match=message):
                make_engine(*reference(self.inputs), self.options(xmipp_home=str(tmp_path)))

    def test_a_failing_program(self, tmp_path: Path) -> None:
        """Images that it does not know: its words reach the user, and what it had done stays."""
        images = read_images(self.blank)[:, ::-1]
        strange = with_images(self.blank, images, tmp_path / "strange.mrcs")
        assert isinstance(make_engine(*reference(self.inputs), self.options()), XmippEngine)
        with pytest.raises(Exception, match="was not recorded"):
            self.align(strange)


@pytest.mark.slow
@needs.marked(XMIPP, "xmipp_nma_alignment")
class TestRealXmippEngine(EngineContract):
    """The real program, in the faster of its ways; a minute a test."""

    def settings(self) -> dict[str, object]:
        return {"engine": "xmipp", "xmipp_method": "projections"}

    @needs.marked(XMIPP, "xmipp_mpi_nma_alignment")
    def test_mpi(self, aligned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
            monkeypatch.setenv(name, "1")
        found = self.align(self.blank, xmipp_processes=2)
        np.testing.assert_allclose(found.amplitudes, aligned.amplitudes, atol=0.01)


def test_version_and_home_come_from_the_variable(
    recorded: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XMIPP_HOME", str(recorded))
    engine = make_engine(*reference(inputs), AlignOptions(engine="xmipp", modes="given"))
    assert isinstance(engine, XmippEngine)
    assert engine.program == recorded / "bin" / "xmipp_nma_alignment"
    assert cli.main(["doctor"]) == 0
    assert "xmipp_nma_alignment" in capsys.readouterr().out


def test_comparison_of_both_engines(
    recorded: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ["compare", "--particles", str(inputs / "images" / "particles.star"), "--structure", str(ADENYLATE_KINASE)]
    base += ["--modes", str(inputs / "modes"), "--mode-list", "7 8", "--xmipp-home", str(recorded), "--threads", "1"]
    base += ["--output", str(tmp_path / "both"), "--count", "6", "--truth", str(inputs / "images" / "truth.star")]
    monkeypatch.setenv("REPLAY_DIES_AT", "000001")
    assert cli.main(base) == 2
    monkeypatch.delenv("REPLAY_DIES_AT")
    assert cli.main(base) == 0
    assert json.loads((tmp_path / "both" / "record.json").read_text())["times"]["xmipp"] is None
    assert "was interrupted" in capsys.readouterr().err
    for path in (tmp_path / "both").glob("xmipp*"):  # Xmipp's part is done anew, and ours is kept
        path.unlink()
    assert cli.main(base) == 0
    said = capsys.readouterr().out
    assert [line.split()[:2] for line in said.splitlines() if line.startswith(("embedded  ", "xmipp  "))] == [
        ["embedded", "6"],
        ["xmipp", "6"],
    ]
    record = json.loads((tmp_path / "both" / "record.json").read_text())
    first = record["times"]["xmipp"]
    assert first["wall_s"] > first["cpu_s"] / 2 > 0
    differences = record["differences"]
    assert set(differences) == {"xmipp - embedded", "embedded - truth", "xmipp - truth"}
    assert differences["xmipp - embedded"]["all"]["angle_deg"]["mean"] < 2
    assert (
        differences["embedded - truth"]["all"]["amplitude"]["mean"]
        < differences["xmipp - truth"]["all"]["amplitude"]["mean"]
    )
    assert cli.main([*base[:-4], "--count", "5"]) == 2
    assert "contains other particles" in capsys.readouterr().err
    assert cli.main(base) == 0, "what is finished is not done again, and keeps its time"
    assert json.loads((tmp_path / "both" / "record.json").read_text())["times"]["xmipp"] == first
    assert cli.main([*base, "--xmipp-step-deg", "20"]) == 0
    changed = json.loads((tmp_path / "both" / "record.json").read_text())["times"]
    assert changed["xmipp"] != first, "the time is that of these options alone"
    assert changed["embedded"] == record["times"]["embedded"]
