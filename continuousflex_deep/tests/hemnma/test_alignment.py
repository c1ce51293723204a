"""A set of particles in batches: kept, resumed, with bad images among them and too little memory. The engine is a cheap
one that returns what can be checked, each image's mean."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from continuousflex_deep.errors import InputError, OutOfMemoryError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.hemnma.results import BatchResult
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs import left_out
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.left_out import ImageScreen, calibration_rows
from continuousflex_deep.runs.parts import Arrays, MemoryParts, PartStore
from continuousflex_deep.runs.smaller_batches import is_out_of_memory

N, BOX = 30, 8


class MeansEngine:
    """Finds as first amplitude the mean of each image; its calibration is how many images it learned from."""

    mode_ids = (7,)
    motion = "straight"

    def __init__(self, batch: int = 7, fits: int = 1000, learns: int = 10) -> None:
        self.batch, self.fits, self.done = batch, fits, []  # type: int, int, list[list[int]]
        self.options = SimpleNamespace(calibration_particles=learns, fit="both")

    def batch_size(self, particles: Particles, workers: int) -> int:
        return self.batch

    def calibrate(self, batch: Batch) -> SimpleNamespace:
        self._needs_memory_for(len(batch))
        return self.calibration_of({"learned_from": np.array(len(batch))})

    def calibration_of(self, arrays: Arrays) -> SimpleNamespace:
        learned = int(arrays["learned_from"])
        arrays_of = lambda: {"learned_from": np.array(learned)}  # noqa: E731
        return SimpleNamespace(learned_from=learned, phase_flipped=False, arrays=arrays_of)

    def align_batch(self, batch: Batch, calibration: SimpleNamespace) -> BatchResult:
        self._needs_memory_for(len(batch))
        self.done.append(batch.rows.tolist())
        found = batch.images.mean(axis=(1, 2), dtype=np.float64)
        k, one = len(batch), np.ones(len(batch))
        of_modes = ("amplitudes_sd", "free_amplitudes", "free_amplitudes_sd")
        shapes = {"euler_deg": (k, 3), "shift_A": (k, 2), **dict.fromkeys(of_modes, (k, 1))}
        known = {name: np.zeros(shape) for name, shape in shapes.items()} | {"amplitudes": found[:, None]}
        return BatchResult(**{name: known.get(name, one) for name in BatchResult.__dataclass_fields__})

    def _needs_memory_for(self, count: int) -> None:
        if count > self.fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    images = np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)
    write_stack(tmp_path / "s.mrcs", images, 1.0)
    return Particles(
        ids=np.arange(N) * 3 + 1,
        stacks=np.full(N, str(tmp_path / "s.mrcs"), dtype=object),
        indices=np.arange(N)[::-1].copy(),
        pixel_size_A=1.0,
        box_px=BOX,
    )


def learned_from(alignment: Alignment) -> int:
    """With how many particles it was calibrated."""
    calibration: Any = alignment.calibration()[0]
    return calibration.learned_from


def means(particles: Particles) -> np.ndarray:
    return read_images(particles).mean(axis=(1, 2), dtype=np.float64)


def spoilt(particles: Particles, images: np.ndarray) -> Particles:
    """The particles with other images."""
    path = Path(particles.stacks[0]).with_name("spoilt.mrcs")
    write_stack(path, images, 1.0)
    return particles.replace(stacks=np.full(N, str(path), dtype=object), indices=np.arange(N))


def test_results_belong_to_their_particles(particles: Particles) -> None:
    found, left_out = Alignment(MeansEngine(), particles).run()
    assert found.ids.tolist() == particles.ids.tolist()
    assert len(left_out) == 0
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(particles))


def test_a_given_calibration_is_not_learned_again_even_if_its_part_is_lost(particles: Particles) -> None:
    earlier: Alignment[Any] = Alignment(MeansEngine(batch=4, learns=10), particles)
    earlier.run()
    engine, store = MeansEngine(batch=9, learns=20), MemoryParts()
    alignment: Alignment[Any] = Alignment(engine, particles, store)
    alignment.begin_with(engine.calibration_of({"learned_from": np.array(5)}), earlier)
    alignment.run()
    assert (learned_from(alignment), alignment.batch_size()) == (5, 4)
    assert {len(rows) for rows in engine.done[:-1]} == {4}
    del store["calibration"]
    assert (learned_from(alignment), alignment.batch_size()) == (5, 4)


def test_killed_run_goes_on_where_it_was(particles: Particles, tmp_path: Path) -> None:
    class Killed(MeansEngine):
        def align_batch(self, batch: Batch, calibration: SimpleNamespace) -> BatchResult:
            if len(self.done) == 2:
                raise KeyboardInterrupt
            return super().align_batch(batch, calibration)

    store = PartStore(tmp_path / "p", "same")
    with pytest.raises(KeyboardInterrupt), store.opened():
        Alignment(Killed(), particles, store).run()
    engine = MeansEngine(batch=5, learns=3)
    with store.opened():
        found, _ = Alignment(engine, particles, store).run()
        assert learned_from(Alignment(engine, particles, store)) == 10, "calibrated once"
    assert [rows[0] for rows in engine.done] == [14, 21, 28], "the other batches are those of the killed run, too"
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(particles))


def test_a_damaged_part_is_done_again(particles: Particles, tmp_path: Path) -> None:
    store = PartStore(tmp_path / "p", "same")
    with store.opened():
        Alignment(MeansEngine(), particles, store).complete()
    for name in ("part-00000007-7.npz", "calibration.npz"):
        path = tmp_path / "p" / name
        path.write_bytes(path.read_bytes()[:-30])
    engine = MeansEngine()
    with store.opened():
        found, _ = Alignment(engine, particles, store).run()
    assert engine.done == [list(range(7, 14))]
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(particles))


def test_bad_images_are_left_out_and_named(particles: Particles, tmp_path: Path) -> None:
    images = read_images(particles)
    images[2, 1, 1], images[3, 0, 0], images[7:14] = np.inf, np.nan, 4.0
    images[20, 3, 3], images[21], images[22] = 1e38, 1e10 * images[21], 1e-10 * images[22]
    bad = [2, 3, *range(7, 14), 20, 21, 22]
    broken = spoilt(particles, images)
    found, left_out = Alignment(MeansEngine(), broken).run()
    assert found.ids.tolist() == np.delete(particles.ids, bad).tolist()
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(broken.select(np.delete(np.arange(N), bad))))
    assert left_out.particles.ids.tolist() == particles.ids[bad].tolist()
    reasons = [reason.partition(" ")[0] for reason in left_out.reasons]
    assert reasons == ["not", "not", *["constant"] * 7, "grey", "grey", "grey"]
    assert left_out.lines(most=1) == [
        f"particle 7 (image 3 of {broken.stacks[0]}): not finite (NaN or infinite)", "and 11 more"
    ]  # fmt: skip
    written = read_particles(left_out.write(tmp_path / "out.star"))
    assert written.ids.tolist() == particles.ids[bad].tolist()
    assert written.extra["cfdReason"].tolist() == left_out.reasons.tolist()
    nothing_bad = Alignment(MeansEngine(), particles).run()[1]
    assert not nothing_bad.write(tmp_path / "out.star").exists(), "the list of an earlier run does not outlive it"


def test_calibration_looks_for_good_images(particles: Particles) -> None:
    images = read_images(particles)
    images[np.arange(N) % 6 != 3] = 0
    rows, screen = calibration_rows(spoilt(particles, images), 5)
    assert rows.tolist() == [3, 9, 15, 21, 27]
    assert screen.lowest < 1 < screen.highest
    with pytest.raises(InputError, match=r"none of the 30 images can be used \(constant\)"):
        Alignment(MeansEngine(), spoilt(particles, np.zeros_like(images))).run()


def test_images_of_quite_different_gain_are_all_fit() -> None:
    spans = np.exp(np.random.default_rng(0).normal(scale=2.0, size=1000))
    assert (ImageScreen.of(spans).reasons(spans, np.full(1000, "", dtype=object)) == "").all()


@pytest.mark.parametrize("fits", [1, 3, 6])
def test_batches_are_halved_until_they_fit(particles: Particles, tmp_path: Path, fits: int, capsys) -> None:
    store, engine = PartStore(tmp_path / "p", "same"), MeansEngine(fits=fits, learns=fits)
    with store.opened():
        found, _ = Alignment(engine, particles, store).run()
        assert store.finished() == {"calibration", *(f"part-{i:08d}-{min(7, N - i)}" for i in range(0, N, 7))}
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(particles))
    assert max(len(rows) for rows in engine.done) <= fits
    assert [row for rows in engine.done for row in rows] == list(range(N))
    said = capsys.readouterr().err
    assert said.count("memory is not sufficient") == {1: 2, 3: 1, 6: 1}[fits], "the smaller number is remembered"
    assert "7 particles at a time; continuing with 3" in said


def test_calibration_takes_fewer_particles_where_memory_is_small(particles: Particles) -> None:
    alignment: Alignment[Any] = Alignment(MeansEngine(fits=6), particles)
    alignment.run()
    assert learned_from(alignment) == 5


def test_memory_too_small_for_one_particle_is_an_error(particles: Particles) -> None:
    with pytest.raises(OutOfMemoryError, match=r"one particle at a time \(CUDA out of memory.*--device cpu"):
        Alignment(MeansEngine(fits=0), particles).run()


def test_what_counts_as_too_little_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_a_batch_whose_images_do_not_fit_is_halved(particles: Particles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the engine but the reading of the images runs out of memory."""
    read = left_out.read_images_with_reasons

    def too_many(particles: Particles, rows: np.ndarray) -> Any:
        if len(rows) > 3:
            raise MemoryError("cannot allocate the images")
        return read(particles, rows)

    engine = MeansEngine()
    alignment: Alignment[Any] = Alignment(engine, particles)
    alignment.calibration()
    monkeypatch.setattr(left_out, "read_images_with_reasons", too_many)
    found, _ = alignment.run()
    assert max(len(rows) for rows in engine.done) == 3
    np.testing.assert_array_equal(found.amplitudes[:, 0], means(particles))
