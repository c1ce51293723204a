"""Motions learned from images of a small molecule that moves along combinations of many modes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.alignment import align
from continuousflex_deep.hemnma.covariance import PrincipalMotions
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.mode_learning import FIRST_MODES, ModeLearning
from continuousflex_deep.io.mode_table import mode_list_text
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.motion_table import motion_numbers
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import HELICAL, Particles
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.parts import MemoryParts
from continuousflex_deep.tests.helpers.engine_data import (
    hinged_modes,
    hinged_particles,
    hinged_structure,
    rmsd_A,
    toy_modes,
    toy_particles,
    toy_structure,
    without_truth,
)

OPTIONS = AlignOptions(device="cpu", threads=1, init="local", local_step_deg=0.0, motion_prior_A=4.0)
MANY = 9  # modes, of which particles are aligned along six at first


def many_modes() -> tuple[NormalModes, np.ndarray]:
    """Smooth orthonormal modes that contain the toy's two motions, none of them alone; and these motions (2, M) in
    terms of them."""
    structure, s = toy_structure(), np.linspace(-1, 1, len(toy_structure()))
    phases = [(k, phase) for k in (1, 2, 3) for phase in (0, 0.7)]
    waves = [np.outer(np.cos(np.pi * k * s + phase), axis) for k, phase in phases for axis in np.eye(3)]
    centred = [wave - wave.mean(axis=0) for wave in waves]
    moving = toy_modes(structure).vectors.reshape(2, -1)
    basis = np.linalg.qr(np.concatenate([moving, np.reshape(centred, (len(waves), -1))]).T)[0].T[:MANY]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(MANY, MANY)))[0]
    vectors = turn @ basis
    return NormalModes(tuple(range(7, 7 + MANY)), vectors.reshape(MANY, -1, 3)), moving @ vectors.T


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Particles:
    return toy_particles(tmp_path_factory.mktemp("toy"), count=48)


def halfway(truth: Particles) -> Particles:
    """The particles at their true poses, half as far as they have moved, along the first modes only: the alignment
    starts there."""
    amplitudes = 0.5 * truth.require_amplitudes("test") @ many_modes()[1][:, :FIRST_MODES]
    return truth.replace(amplitudes=amplitudes, mode_ids=tuple(range(7, 7 + FIRST_MODES)))


@pytest.fixture(scope="module")
def learned(truth: Particles) -> tuple[PrincipalMotions, MemoryParts]:
    store = MemoryParts()
    return ModeLearning(toy_structure(), many_modes()[0], OPTIONS, store).run(halfway(truth)).motions, store


def test_the_motions_are_those_of_the_molecule(
    learned: tuple[PrincipalMotions, MemoryParts], truth: Particles
) -> None:
    motions, (_, moving) = learned[0], many_modes()
    assert np.flatnonzero(motions.significant).tolist() == [0, 1]
    # cosines of the angles between the planes of the motions found and of the true ones
    cosines = np.linalg.svd(motions.axes[:2] @ moving.T, compute_uv=False)
    assert cosines.min() > 0.95
    assert np.square(motions.sd_A[:2]).sum() == pytest.approx(np.square(truth.amplitudes).mean(axis=0).sum(), rel=0.25)
    assert motions.share[:2].sum() > 0.9
    assert (motions.noise[:2] < 0.1).all()


def test_all_are_aligned_again_where_many_were_not_learned_from(
    learned: tuple[PrincipalMotions, MemoryParts], truth: Particles, tmp_path: Path
) -> None:
    """Along the motions that the others show: those of the molecule, though a quarter of the images show nothing."""
    assert not [name for name in learned[1] if name.startswith("pass-")]
    images = Batch.read(truth, np.arange(len(truth))).images
    noise = np.random.default_rng(3).normal(scale=images.std(), size=images.shape)
    empty = np.arange(len(truth)) % 4 == 0
    write_stack(tmp_path / "some.mrcs", np.where(empty[:, None, None], noise, images).astype(np.float32), 3.0)
    store = MemoryParts()
    options = dataclasses.replace(OPTIONS, init="global", n_hypotheses=6, angular_step_deg=30.0)
    some = without_truth(truth.replace(stacks=np.full(len(truth), str(tmp_path / "some.mrcs"), dtype=object)))
    found = ModeLearning(toy_structure(), many_modes()[0], options, store).run(some)
    motions = found.motions
    rounds = {name.split("part-")[0] for name in store if "part-" in name}
    assert rounds >= {"", "pass-2-", "density-1-1-"}
    # empty images stay ambiguous, and a density is tried, but one Gaussian tells as much of the others
    assert found.density is None
    assert found.used.tolist() == motions.significant.tolist()
    cosines = np.linalg.svd(motions.axes[:2] @ many_modes()[1].T, compute_uv=False)
    assert cosines.min() > 0.9, cosines


def test_a_run_that_is_continued_finds_the_same(
    learned: tuple[PrincipalMotions, MemoryParts], truth: Particles
) -> None:
    """And computes only what is missing."""
    motions, store = learned
    kept = MemoryParts(store)
    for name in [name for name in store if name.startswith(("round-3", "motions-3"))]:
        del kept[name]
    again = ModeLearning(toy_structure(), many_modes()[0], OPTIONS, kept).run(halfway(truth)).motions
    np.testing.assert_array_equal(again.axes, motions.axes)
    assert store.keys() == kept.keys()
    assert all(store[name] is kept[name] for name in store if "-3" not in name)


def test_another_device_continues_with_the_same_batches(
    learned: tuple[PrincipalMotions, MemoryParts], truth: Particles
) -> None:
    """Whose batches would be smaller or larger."""
    motions, store = learned
    kept = MemoryParts({name: part for name, part in store.items() if not name.startswith("motions-")})
    options = dataclasses.replace(OPTIONS, batch=7)
    again = ModeLearning(toy_structure(), many_modes()[0], options, kept).run(halfway(truth)).motions
    np.testing.assert_array_equal(again.axes, motions.axes)
    assert store.keys() == kept.keys()


def test_what_cannot_be_learned_from_is_refused(truth: Particles) -> None:
    modes = many_modes()[0]
    with pytest.raises(InputError, match="chooses among many modes, but the folder has 1"):
        ModeLearning(toy_structure(), modes.select((7,)), OPTIONS).run(truth)
    leaning = dataclasses.replace(modes, vectors=modes.vectors + 0.1 * modes.vectors[:1])
    with pytest.raises(InputError, match="needs orthogonal modes; modes 7 and"):
        ModeLearning(toy_structure(), leaning, OPTIONS).run(truth)
    with pytest.raises(InputError, match=r"are aligned unambiguously along modes .*, expected 20 or more"):
        ModeLearning(toy_structure(), modes, OPTIONS).run(halfway(truth.select(np.arange(8))))


@pytest.fixture
def folder(tmp_path: Path, truth: Particles) -> Path:
    write_structure(tmp_path / "toy.cif", toy_structure())
    write_modes(tmp_path / "modes", many_modes()[0])
    write_particles(halfway(truth.select(np.arange(24))), tmp_path / "particles.star")
    return tmp_path


def words(folder: Path, *more: str) -> list[str]:
    given = ["--particles", "particles.star", "--structure", "toy.cif", "--modes", "modes", "--output", "found.star"]
    given = [str(folder / word) if not word.startswith("--") else word for word in given]
    local = ["--init", "local", "--local-step-deg", "0", "--motion-prior-A", "4"]
    return ["align", *given, *local, "--device", "cpu", "--threads", "1", *more]


def test_the_command_aligns_along_what_it_learned(
    folder: Path, truth: Particles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words(folder, "--mode-list", "auto")) == 0
    said = capsys.readouterr().err
    assert "found_modes: 2 motions learned from" in said
    assert "along 9 modes" in said
    found, modes = read_particles(folder / "found.star"), read_modes(folder / "found_modes")
    assert found.mode_ids == modes.mode_ids
    assert len(found.mode_ids) == 2
    assert found.mode_ids[0] % 1000 == 1
    assert found.mode_ids[0] > 1000
    assert modes.prior_sd_A is not None
    assert modes.prior_sd_A[0] > modes.prior_sd_A[1] > 0
    # the amplitudes are those of the truth, in other coordinates
    true_A = np.einsum("nm,mad->nad", truth.amplitudes[:24], toy_modes(toy_structure()).vectors)
    found_A = np.einsum("nm,mad->nad", found.require_amplitudes("test"), modes.vectors)
    error_A = np.sqrt(np.square(found_A - true_A).sum(axis=2).mean(axis=1))
    assert np.median(error_A) < 0.25 * np.sqrt(np.square(true_A).sum(axis=2).mean())
    head = (folder / "found_modes" / "motions.csv").read_text().splitlines()[0]
    assert head.startswith("motion,used,rmsd_A,share,noise,evidence,mode_7,")
    assert len((folder / "found_modes" / "learned_from.csv").read_text().splitlines()) == 1 + MANY
    assert cli.main(words(folder, "--mode-list", "auto")) == 0
    said = capsys.readouterr().err
    assert "motions.csv' exists already" in said
    assert "found.star' exists already" in said
    # and they serve by their folder
    again = words(folder, "--mode-list", mode_list_text(modes.mode_ids), "--output", str(folder / "again.star"))
    again[again.index(str(folder / "modes"))] = str(folder / "found_modes")
    capsys.readouterr()
    assert cli.main(again) == 0
    assert "--motion-prior-A is not used" in capsys.readouterr().err
    np.testing.assert_array_equal(read_particles(folder / "again.star").amplitudes, found.amplitudes)


def test_a_run_that_was_killed_while_it_wrote_its_modes_continues(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nobody takes them for complete, nor another run's table for theirs."""
    learned = folder / "found_modes"
    learned.mkdir()
    (learned / "motions.csv").write_text("of an earlier run")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("continuousflex_deep.hemnma.learned_modes.write_motion_tables", killed)
        assert cli.main(words(folder, "--mode-list", "auto")) != 0
    assert read_modes(learned).mode_ids
    assert not (learned / "motions.csv").exists()
    monkeypatch.setattr("continuousflex_deep.commands.align.make_engine", killed)  # what follows is not of interest
    assert cli.main(words(folder, "--mode-list", "auto")) != 0
    assert "motions learned from" in capsys.readouterr().err
    assert (learned / "motions.csv").exists()


def test_the_numbers_of_motions_are_their_own() -> None:
    vectors = many_modes()[0].vectors
    first, other = (motion_numbers(v) for v in (vectors, vectors[::-1]))
    assert not set(first) & set(other)
    assert min(first) > 1000


def test_learned_deviations_are_of_one_motion() -> None:
    modes = many_modes()[0].combined(np.eye(MANY), many_modes()[0].mode_ids, np.ones(MANY))
    assert modes.moving("straight").prior_sd_A is not None
    assert modes.moving("helical").prior_sd_A is None


def test_other_commands_learn_no_modes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["simulate", "--structure", folder / "toy.cif", "--modes", folder / "modes", "--mode-list", "auto"]
    assert cli.main([*map(str, line), "--output", str(folder / "s")]) == 2
    assert "only align learns modes" in capsys.readouterr().err


def test_learned_modes_replace_no_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_modes(folder / "found_modes", many_modes()[0])
    assert cli.main(words(folder, "--mode-list", "auto")) == 2
    assert "has modes already, which those that --mode-list auto learns would replace" in capsys.readouterr().err
    assert read_modes(folder / "found_modes").mode_ids == tuple(range(7, 7 + MANY))


def test_only_the_embedded_engine_learns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words(folder, "--mode-list", "auto", "--fit", "pose")) == 2
    assert "learns the modes by the embedded engine" in capsys.readouterr().err
    plain = list(words(folder, "--mode-list", "auto", "--engine", "xmipp"))
    for name in ("--init", "--local-step-deg", "--motion-prior-A"):
        del plain[plain.index(name) : plain.index(name) + 2]
    assert cli.main(plain) == 2
    assert "learns the modes by the embedded engine" in capsys.readouterr().err


def hinge_modes() -> NormalModes:
    """Helical modes of a body with an arm: rotations of the arm about its hinge, and smooth bends of the whole."""
    structure, hinge = hinged_structure(), hinged_modes()
    s = np.linspace(-1, 1, len(structure))
    bends = [np.outer(np.cos(np.pi * k * s), axis) for k in (1, 2) for axis in np.eye(3)]
    x = structure.coords_A - structure.coords_A.mean(axis=0)
    rigid = [np.broadcast_to(axis, x.shape) for axis in np.eye(3)] + [np.cross(axis, x) for axis in np.eye(3)]
    flat = np.reshape([*rigid, *hinge.vectors, *bends], (15, -1))
    vectors = np.linalg.qr(flat.T)[0].T[6:].reshape(9, *x.shape)
    return NormalModes(tuple(range(7, 16)), vectors, motion=HELICAL, block_size=16)


@pytest.mark.slow
def test_a_way_that_bends_is_found_by_a_density_of_its_places(tmp_path: Path) -> None:
    """An arm that turns far, in images so noisy that many are ambiguous under one Gaussian: under the density
    conformations are nearer to the truth."""
    given, coords_A = hinged_particles(tmp_path, angle_deg=100.0, count=96, snr=0.03)
    structure, modes, store = hinged_structure(), hinge_modes(), MemoryParts()
    options = dataclasses.replace(OPTIONS, motion_prior_A=8.0, given_pose_sd_A=1.0)
    learned = ModeLearning(structure, modes, options, store).run(given.replace(amplitudes=None, mode_ids=()))
    assert learned.density is not None
    assert {name.split("part-")[0] for name in store} >= {"density-1-1-", "density-1-2-", "density-2-1-"}
    assert learned.used.sum() >= learned.motions.significant.sum() >= 1
    along = modes.combined(learned.motions.axes[learned.used], tuple(range(1001, 1001 + int(learned.used.sum()))),
                           learned.motions.sd_A[learned.used])  # fmt: skip
    off_A = []
    for density in (None, learned.density):
        engine = EmbeddedEngine(structure, dataclasses.replace(along, density=density), options)
        found = align(engine, given.replace(amplitudes=None, mode_ids=()))
        motion = motion_along(structure, along)
        off_A.append([rmsd_A(motion.coordinates(q), x) for q, x in zip(found.amplitudes, coords_A, strict=True)])
    assert np.mean(off_A[1]) < 0.9 * np.mean(off_A[0])
