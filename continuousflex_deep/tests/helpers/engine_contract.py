"""What every engine must do: same inputs, same outputs, same errors. The tests of each engine inherit it."""

import dataclasses
import json
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from continuousflex_deep import cli
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import InputError
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.hemnma.alignment import align
from continuousflex_deep.hemnma.engines.choice import make_engine
from continuousflex_deep.imaging.preprocessing import phase_flip
from continuousflex_deep.io.modes import NormalModes, read_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.parts import PartStore
from continuousflex_deep.tests.helpers.engine_data import without_truth

COUNT = 12


def make_inputs(folder: Path) -> None:
    """Adenylate kinase (4AKE), two of its modes, and a dozen images of it with their truth."""
    common = ["--structure", str(ADENYLATE_KINASE)]
    modes = ["nma", *common, "--output", str(folder / "modes"), "--n-modes", "9", "--motion", "straight"]  # as Xmipp
    assert cli.main(modes) == 0
    simulated = ["simulate", *common, "--modes", str(folder / "modes"), "--mode-list", "7 8", "--count", str(COUNT)]
    simulated += ["--conformations", "gaussian", "--amplitude-range", "150", "--box-px", "64", "--pixel-size-A", "1.8"]
    simulated += ["--final-box-px", "0", "--shift-range-px", "2", "--snr", "0.5", "--no-phase-flip", "--seed", "1"]
    simulated += ["--defocus-A", "6000", "12000", "--tilt-sampling", "uniform-sphere"]
    assert cli.main([*simulated, "--output", str(folder / "images")]) == 0


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with modes/, images/particles.star and images/truth.star."""
    folder = tmp_path_factory.mktemp("contract")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def found_by() -> dict[type, Particles]:
    """Results by the class that tests an engine."""
    return {}


@lru_cache
def reference(inputs: Path) -> tuple[Structure, NormalModes]:
    return read_structure(ADENYLATE_KINASE), read_modes(inputs / "modes", (7, 8))


def with_images(particles: Particles, images: np.ndarray, path: Path) -> Particles:
    """The particles with other images, in the order of their rows."""
    write_stack(path, images.astype(np.float32), particles.pixel_size_A)
    stacks = np.full(len(particles), str(path), dtype=object)
    return particles.replace(stacks=stacks, indices=np.arange(len(particles)))


def angle_deg(found: Particles, truth: Particles) -> np.ndarray:
    matched = truth.select(truth.rows_of(found.ids))
    return axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(matched.euler_deg))


class EngineContract(ABC):
    """Same inputs, same outputs, same errors."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The options of `align` by which this engine aligns the test's particles."""

    @pytest.fixture(autouse=True)
    def _given(self, inputs: Path) -> None:
        self.inputs = inputs
        self.truth = read_particles(inputs / "images" / "truth.star")
        self.blank = read_particles(inputs / "images" / "particles.star")

    def options(self, **changes: object) -> AlignOptions:
        return dataclasses.replace(AlignOptions(modes="given"), **{**self.settings(), **changes})

    def align(self, particles: Particles, **changes: object) -> Particles:
        return align(make_engine(*reference(self.inputs), self.options(**changes)), particles)

    @pytest.fixture
    def aligned(self, found_by: dict[type, Particles]) -> Particles:
        """What this engine finds, computed once."""
        if type(self) not in found_by:
            found_by[type(self)] = self.align(self.blank)
        return found_by[type(self)]

    def require_right(self, found: Particles) -> None:
        """Poses within 3°, shifts within 0.3 Å, and amplitudes (of a deviation of 75 Å) within 60 Å of the truth."""
        truth = self.truth.select(self.truth.rows_of(found.ids))
        assert found.amplitudes is not None
        assert angle_deg(found, self.truth).max() < 3
        assert np.abs(found.shift_A - truth.shift_A).max() < 0.3
        assert np.abs(found.amplitudes - truth.amplitudes).max() < 60
        assert np.median(np.abs(found.amplitudes - truth.amplitudes)) < 15

    # ------------------------------------------------------------------------------------------------- outputs
    def test_finds_pose_and_conformation(self, aligned: Particles) -> None:
        self.require_right(aligned)

    def test_results_carry_ids_modes_and_everything_else(self, aligned: Particles) -> None:
        assert aligned.ids.tolist() == self.truth.ids.tolist()
        assert aligned.mode_ids == (7, 8)
        assert aligned.score is not None
        assert ((aligned.score > 0.4) & (aligned.score < 0.9)).all()
        assert np.abs(aligned.euler_deg).max() <= 360
        assert aligned.stacks.tolist() == self.truth.stacks.tolist()
        assert aligned.ctf is not None
        assert aligned.phase_flipped is False, "the images that the result names are not flipped"
        assert aligned.ambiguous is not None
        assert not aligned.ambiguous.any()

    def test_results_go_by_id_not_by_row(self) -> None:
        few = self.blank.select([9, 2, 5]).replace(ids=np.array([900, 20, 5000]))
        found = self.align(few)
        assert found.ids.tolist() == [900, 20, 5000]
        truth = self.truth.select([9, 2, 5]).replace(ids=few.ids)
        assert angle_deg(found, truth).max() < 3

    def test_dark_particles_and_flipped_phases(self, tmp_path: Path) -> None:
        images = read_images(self.blank)
        flipped = -phase_flip(torch.as_tensor(images), self.blank).numpy()
        dark = with_images(self.blank, flipped, tmp_path / "dark.mrcs").replace(phase_flipped=True)
        found = self.align(dark)
        self.require_right(found)
        assert found.phase_flipped is True

    def test_normalisation_of_images_does_not_matter(self, tmp_path: Path, aligned: Particles) -> None:
        other = with_images(self.blank, read_images(self.blank) * 37 + 1000, tmp_path / "other.mrcs")
        found = self.align(other)
        np.testing.assert_allclose(found.amplitudes, aligned.amplitudes, atol=5)
        self.require_right(found)

    def test_bad_images_are_left_out_and_the_others_aligned(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        images = read_images(self.blank)
        images[3, 5, 5], images[7], images[9] = np.nan, 2.0, images[9] * 1e10
        found = self.align(with_images(self.blank, images, tmp_path / "bad.mrcs"))
        assert found.ids.tolist() == np.delete(self.truth.ids, [3, 7, 9]).tolist()
        self.require_right(found)
        said = capsys.readouterr().err
        assert all(f"left out: particle {self.truth.ids[row]} " in said for row in (3, 7, 9))

    # ------------------------------------------------------------------------------------------------- errors
    def test_no_good_image_at_all(self, tmp_path: Path) -> None:
        images = np.full((COUNT, 64, 64), np.nan)
        with pytest.raises(InputError, match=rf"none of the {COUNT} images can be used \(not finite"):
            self.align(with_images(self.blank, images, tmp_path / "nan.mrcs"))

    def test_short_stack_is_found_before_work(self) -> None:
        with pytest.raises(InputError, match="refers to image"):
            self.align(self.blank.replace(indices=self.blank.indices + 1))

    def test_box_smaller_than_the_structure(self, tmp_path: Path) -> None:
        fine = self.blank.replace(pixel_size_A=0.5)
        with pytest.raises(InputError, match="does not hold the structure"):
            self.align(with_images(fine, read_images(self.blank), tmp_path / "fine.mrcs"))

    def test_modes_of_another_structure(self) -> None:
        structure, modes = reference(self.inputs)
        with pytest.raises(InputError, match="modes have 1656 atoms, the structure has 1655"):
            make_engine(structure.select(np.arange(1655)), modes, self.options())

    def test_local_start_without_poses(self) -> None:
        with pytest.raises(InputError, match=r"needs angles and shifts|--engine xmipp does not support --init"):
            self.align(without_truth(self.blank), init="local")

    # ------------------------------------------------------------------------------------------------- runs
    def test_finished_batches_are_kept_by_a_killed_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        few = self.blank.select(np.arange(8))
        store = lambda: PartStore(tmp_path / "out.parts", "these", None)  # noqa: E731
        engine = make_engine(*reference(self.inputs), self.options(batch=4), tmp_path / "out.parts")
        real, done = type(engine).align_batch, []

        def killed_at_the_second(self, batch, calibration):
            done.append(batch.rows[0])
            if len(done) == 2:
                raise KeyboardInterrupt
            return real(self, batch, calibration)

        monkeypatch.setattr(type(engine), "align_batch", killed_at_the_second)
        first = store()
        with pytest.raises(KeyboardInterrupt), first.opened():
            align(engine, few, first)
        second = store()
        with second.opened():
            assert {name for name in second.finished() if name.startswith("part-")} == {"part-00000000-4"}
            found = align(engine, few, second)
        assert done == [0, 4, 4]
        self.require_right(found)

    @pytest.mark.parametrize("suffix", ["star", "xmd"])
    def test_command(self, suffix: str, tmp_path: Path) -> None:
        few = tmp_path / "few.json"
        values = {
            "particles": str(self.inputs / "images" / "particles.star"),
            "structure": str(ADENYLATE_KINASE),
            "modes": str(self.inputs / "modes"),
            "mode_list": "7 8",
            "output": str(tmp_path / f"out.{suffix}"),
        }
        few.write_text(json.dumps(self.settings() | values))
        assert cli.main(["align", "--options", str(few)]) == 0
        found = read_particles(tmp_path / f"out.{suffix}")
        self.require_right(found)
        assert found.mode_ids == (7, 8)
        record = json.loads((tmp_path / "out.json").read_text())
        assert record["options"]["engine"] == self.settings()["engine"]
        assert record["contrast"] == "bright particles"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["few.json", "out.json", f"out.{suffix}"]
