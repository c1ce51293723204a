"""The kind of motion travels with modes, particles, landscapes and networks, and two kinds are never mixed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.assessment.evaluation import evaluate
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.errors import FormatError, InputError
from continuousflex_deep.io.frames import read_frames
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.modes import MOTION_JSON, read_modes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.landscape.merging import merge_sets
from continuousflex_deep.motion import motion_along
from continuousflex_deep.nn.checkpoint import load_checkpoint
from continuousflex_deep.particles import HELICAL, JOINTED, STRAIGHT, concatenate, join
from continuousflex_deep.tests.helpers.engine_data import toy_modes, toy_particles, toy_structure
from continuousflex_deep.tests.helpers.quick_trainings import quick_trainings

CPU = ("--device", "cpu", "--threads", "1")
SMALL = ("--box-px", "32", "--pixel-size-A", "3", "--final-box-px", "0", "--shift-range-px", "0.5", "--snr", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Helical modes of adenylate kinase's atoms CA and C, a quarter of all, and 24 images along them, aligned from the
    truth, with their landscape."""
    base = tmp_path_factory.mktemp("helical")
    whole = read_structure(ADENYLATE_KINASE)
    write_structure(base / "ak.cif", whole.select(np.isin(whole.atom_names, ["CA", "C"])))
    structure = ("--structure", base / "ak.cif")
    command("nma", *structure, "--output", base / "modes", "--n-modes", "9", "--motion", "helical")
    reference = (*structure, "--modes", base / "modes")
    many = ("--conformations", "uniform", "--amplitude-range", "75", "--count", "24")
    command("simulate", *reference, *many, *SMALL, "--output", base / "images")
    found = ("--particles", base / "images" / "truth.star", "--output", base / "aligned.star", "--init", "local")
    command("align", *reference, *found, "--local-step-deg", "0", "--device", "cpu", "--threads", "1")
    command("landscape", "--particles", base / "aligned.star", "--output", base / "landscape")
    return base


def command(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main([str(word) for word in words]) == 2
    return capsys.readouterr().err


def test_from_the_modes_to_the_landscape(folder: Path) -> None:
    assert json.loads((folder / "modes" / MOTION_JSON).read_text()) == {"motion": "helical", "block_size": 10}
    assert read_modes(folder / "modes").motion == HELICAL
    for name in ("images/truth.star", "aligned.star", "landscape/landscape.star"):
        assert read_particles(folder / name).motion == HELICAL, name
    assert read_particles(folder / "images" / "particles.star").motion == STRAIGHT  # without amplitudes
    assert read_landscape_table(folder / "landscape").motion == HELICAL


@pytest.mark.parametrize(
    ("words", "kind"),
    [((), JOINTED), (("--block-size", "0"), STRAIGHT), (("--block-size", "0", "--motion", "helical"), HELICAL)],
)
def test_networks_without_blocks_move_straight_unless_asked(tmp_path: Path, words: tuple[str, ...], kind: str) -> None:
    write_structure(tmp_path / "toy.pdb", toy_structure())
    network = ("--cutoff-A", "15", "--n-modes", "8", *words)
    command("nma", "--structure", tmp_path / "toy.pdb", "--output", tmp_path, *network)
    assert read_modes(tmp_path).motion == kind


def test_the_alignment_finds_helical_amplitudes(folder: Path) -> None:
    """Without noise, to a fraction of an Å, where straight motion would be off."""
    structure, modes = read_reference(folder / "ak.cif", folder / "modes")
    errors = evaluate(
        read_particles(folder / "aligned.star"), read_particles(folder / "images" / "truth.star"), structure, modes
    ).errors
    assert np.median(errors["rmsd_amplitude_A"]) < 0.1
    assert np.median(errors["angle_deg"]) < 0.2


def test_what_comes_from_particles_moves_as_they_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Although the folder of the modes is now straight."""
    write_modes(tmp_path / "modes", read_modes(folder / "modes").moving(STRAIGHT))
    assert not (tmp_path / "modes" / MOTION_JSON).exists()
    reference = ("--structure", folder / "ak.cif", "--modes", tmp_path / "modes")
    command("deform", *reference, "--particles", folder / "aligned.star", "--n-frames", "2", "--output", tmp_path / "d")
    structure, modes = read_reference(folder / "ak.cif", folder / "modes")
    mean = read_particles(folder / "aligned.star").require_amplitudes("test").mean(axis=0)
    expected = motion_along(structure, modes).coordinates(mean)
    np.testing.assert_allclose(read_frames(tmp_path / "d" / "frames.pdb")[1][-1], expected, atol=1e-3)
    ends = ("--landscape", folder / "landscape", "--kind", "axis", "--n-frames", "3", "--movie", "none")
    command("trajectory", *reference, *ends, "--output", tmp_path / "t")
    path = json.loads((tmp_path / "t" / "trajectory.json").read_text())
    expected = motion_along(structure, modes).coordinates(np.array(path["amplitudes_A"][0]))
    np.testing.assert_allclose(read_frames(tmp_path / "t" / "frames.pdb")[1][0], expected, atol=1e-3)
    assert path["motion"] == HELICAL
    shown = ("report", *reference, "--trajectory", tmp_path / "t", "--output", tmp_path / "r.html")
    told = fails(capsys, *shown)
    assert "it is of helical motion, but the structure is shown with straight motion" in told
    command(*shown, "--landscape", folder / "landscape")  # as the message advises


def test_unbending_takes_the_particles_motion(folder: Path, tmp_path: Path) -> None:
    write_modes(tmp_path / "modes", read_modes(folder / "modes").moving(STRAIGHT))
    maps = []
    for name, modes in (("a", folder / "modes"), ("b", tmp_path / "modes")):
        command("unbend", "--particles", folder / "aligned.star", "--structure", folder / "ak.cif", "--modes", modes,
                *CPU, "--output", tmp_path / name)  # fmt: skip
        maps.append(read_volume(tmp_path / name / "map.mrc")[0])
    np.testing.assert_array_equal(*maps)
    write_particles(read_particles(folder / "aligned.star").replace(motion=STRAIGHT), tmp_path / "straight.star")
    command("unbend", "--particles", tmp_path / "straight.star", "--structure", folder / "ak.cif",
            "--modes", tmp_path / "modes", *CPU, "--output", tmp_path / "c")  # fmt: skip
    assert np.abs(read_volume(tmp_path / "c" / "map.mrc")[0] - maps[0]).max() > 1e-3 * np.abs(maps[0]).max()


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    with quick_trainings():
        yield


@pytest.mark.usefixtures("quick")
def test_a_network_predicts_the_motion_of_its_labels(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From images that are simulated along the same motion, and polished along it."""
    reference = ("--structure", folder / "ak.cif", "--modes", folder / "modes")
    short = ("--backbone", "resnet18", "--epochs", "1", "--batch", "10", "--readers", "1", *CPU)
    labels = ("--particles", folder / "aligned.star", "--keep-ambiguous", "--simulated-images", "20")
    command("train", *labels, *reference, *short, "--output", tmp_path / "model")
    assert load_checkpoint(tmp_path / "model" / "best.pt").coder.motion == HELICAL
    asked = ("infer", "--particles", folder / "images" / "particles.star", "--model", tmp_path / "model", *CPU)
    command(*asked, "--readers", "1", "--output", tmp_path / "found.star")
    assert read_particles(tmp_path / "found.star").motion == HELICAL
    few = read_particles(folder / "images" / "particles.star").select(np.arange(4))
    write_particles(few, tmp_path / "few.star")
    polish = ("infer", "--particles", tmp_path / "few.star", "--model", tmp_path / "model", "--polish", *reference)
    command(*polish, *CPU, "--readers", "1", "--search-above-deg", "0", "--output", tmp_path / "polished.star")
    assert read_particles(tmp_path / "polished.star").motion == HELICAL
    straight = read_particles(folder / "aligned.star").replace(motion=STRAIGHT)
    write_particles(straight, tmp_path / "straight.star")
    words = ("train", "--particles", tmp_path / "straight.star", "--keep-ambiguous", "--start-from", tmp_path / "model")
    told = fails(capsys, *words, *short, "--output", tmp_path / "again")
    assert "the particles have amplitudes of straight motion, but the network" in told


def test_the_bound_is_that_of_the_true_motion(folder: Path, tmp_path: Path) -> None:
    """Whatever the folder of the modes says now."""
    write_modes(tmp_path / "modes", read_modes(folder / "modes").moving(STRAIGHT))
    found = {}
    for modes in (folder / "modes", tmp_path / "modes"):
        record = tmp_path / f"{modes.parent.name}.json"
        command("evaluate", "--particles", folder / "aligned.star", "--truth", folder / "images" / "truth.star",
                "--structure", folder / "ak.cif", "--modes", modes, "--bound", "--threads", "1", "--device", "cpu",
                "--output", record)  # fmt: skip
        found[modes] = json.loads(record.read_text())["bound"]
    assert found[folder / "modes"] == found[tmp_path / "modes"]


def test_an_option_names_another_motion(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = ("--structure", folder / "ak.cif", "--modes", folder / "modes", "--mode-list", "7")
    for kind in ("modes", "helical", "straight"):
        command("deform", *reference, "--amplitudes", "100", "--motion", kind, "--output", tmp_path / kind)
    ends = {kind: read_frames(tmp_path / kind / "frames.pdb")[1][-1] for kind in ("modes", "helical", "straight")}
    np.testing.assert_array_equal(ends["modes"], ends["helical"])
    assert np.abs(ends["helical"] - ends["straight"]).max() > 1
    words = ("deform", *reference, "--particles", folder / "aligned.star", "--output", tmp_path / "d")
    assert "of different motions, helical and straight" in fails(capsys, *words, "--motion", "straight")


def test_a_start_of_another_motion_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["align", "--particles", folder / "aligned.star", "--structure", folder / "ak.cif", "--init", "local"]
    words += ["--modes", folder / "modes", "--motion", "straight", "--output", folder / "again.star"]
    told = fails(capsys, *words)
    assert "the particles have amplitudes of helical motion, but the alignment of straight motion" in told
    assert "align the particles again with --motion straight" in told


@pytest.mark.parametrize("suffix", [".star", ".xmd"])
def test_particle_files_keep_it(tmp_path: Path, suffix: str) -> None:
    particles = replace(toy_particles(tmp_path, count=4), motion=HELICAL)
    write_particles(particles, tmp_path / f"p{suffix}")
    assert read_particles(tmp_path / f"p{suffix}").motion == HELICAL
    text = (tmp_path / f"p{suffix}").read_text()
    (tmp_path / f"p{suffix}").write_text(text.replace(HELICAL, "curly"))
    with pytest.raises(FormatError, match="column cfdMotion: got 'curly', expected straight, helical or jointed"):
        read_particles(tmp_path / f"p{suffix}")
    write_particles(replace(particles, motion=STRAIGHT), tmp_path / f"s{suffix}")
    assert "cfdMotion" not in (tmp_path / f"s{suffix}").read_text()  # as files always were


def test_sets_of_two_motions_do_not_merge(tmp_path: Path) -> None:
    particles = toy_particles(tmp_path, count=6)
    first, second = particles.select(np.arange(3)), replace(particles.select(np.arange(3, 6)), motion=HELICAL)
    with pytest.raises(InputError, match="motion is straight in one and helical in another"):
        merge_sets([first, second], ["a", "b"])
    bare = replace(second, amplitudes=None)
    assert concatenate([bare, first]).motion == STRAIGHT
    assert join(first.replace(amplitudes=None, mode_ids=()), replace(particles, motion=HELICAL)).motion == HELICAL


def test_results_of_two_motions_are_not_compared(tmp_path: Path) -> None:
    particles = toy_particles(tmp_path, count=4)
    with pytest.raises(InputError, match="amplitudes of helical motion, but those to compare with of straight motion"):
        evaluate(replace(particles, motion=HELICAL), particles, toy_structure(), toy_modes(toy_structure()))
    rest = particles.replace(amplitudes=0 * particles.require_amplitudes("test"))
    rest = replace(rest, motion=HELICAL)  # at rest the motion does not matter
    assert evaluate(rest, particles, toy_structure(), toy_modes(toy_structure())).errors


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"motion": "bent", "block_size": 10}', '{"motion": "helical", "block_size": -1}']
)
def test_a_damaged_choice_is_told(tmp_path: Path, text: str) -> None:
    write_modes(tmp_path, toy_modes(toy_structure()))
    (tmp_path / MOTION_JSON).write_text(text)
    with pytest.raises(FormatError, match=r"motion\.json' does not say how atoms move"):
        read_modes(tmp_path)


def test_modes_and_swings_follow_it(folder: Path, tmp_path: Path) -> None:
    """Animations keep residues whole."""
    structure = read_structure(folder / "ak.cif")
    command("modes", "--structure", folder / "ak.cif", "--modes", folder / "modes", "--swing-rmsd-A", "6",
            "--output", tmp_path / "choice")  # fmt: skip
    frames = read_frames(tmp_path / "choice" / "mode_7.pdb")[1]
    first = np.flatnonzero(structure.residue_index == 5)
    lengths = [np.linalg.norm(f[first][:, None] - f[first], axis=-1) for f in (structure.coords_A, *frames)]
    assert max(np.abs(one - lengths[0]).max() for one in lengths) < 5e-3
