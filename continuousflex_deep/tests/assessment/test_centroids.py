"""Maps of groups against their centroids: noise-free groups of known conformation, and what must come out lower."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from continuousflex_deep.assessment.assessment import group_tables
from continuousflex_deep.assessment.centroids import (
    GroupAgreement,
    allowed_by_noise,
    assess_groups,
    centroid_map,
    centroid_of,
)
from continuousflex_deep.assessment.group_maps import read_group_maps
from continuousflex_deep.cli import main
from continuousflex_deep.commands.evaluate import remove_earlier
from continuousflex_deep.errors import DeepError, FormatError, InputError
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.fsc_table import ALLOWED, CENTROID, MASKED, OTHER, REST, TRUE_CENTROID
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.particles import Particles, concatenate
from continuousflex_deep.reconstruction.fsc import fourier_shell_correlation
from continuousflex_deep.reconstruction.reconstruct import fsc_mask
from continuousflex_deep.tests.helpers import needs
from continuousflex_deep.tests.helpers.moving_particles import ATOMS, chain, motions, write_images

BOX, PIXEL_A, N = 30, 3.0, 160
CENTRES = {"low": (-70.0, 10.0), "high": (80.0, -20.0)}  # far more than the spread of the groups
SPREAD_A = 2.0
ERROR_A = np.array([15.0, -8.0])  # of the estimated amplitudes of the group 'high'
RESOLVED = 8  # shells in which a group's map is that of its conformation


def amplitudes(name: str) -> np.ndarray:
    """Pairs on both sides of the centre, so that mean and deviation are exact."""
    step = np.random.default_rng(3).normal(size=(N // 2, 2))
    step *= SPREAD_A / np.sqrt((step**2).mean(axis=0))
    return np.array(CENTRES[name]) + np.concatenate([step, -step])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups as one reconstruction, with the truth; the second one's estimated amplitudes are off."""
    base = tmp_path_factory.mktemp("groups")
    true = [
        write_images(str(base / f"{name}.mrcs"), amplitudes(name), BOX, PIXEL_A, seed, first_id=1 + seed * N)
        for seed, name in enumerate(CENTRES)
    ]
    write_particles(concatenate(true), base / "truth.star")
    write_particles(true[0], base / "low.star")
    write_particles(true[1].replace(amplitudes=true[1].amplitudes + ERROR_A), base / "high.star")
    reconstruct(base / "both", base / "low.star", base / "high.star")
    return base


def reconstruct(output: Path, *files: Path, more: tuple[str, ...] = ()) -> None:
    named = [word for file in files for word in ("--particles", str(file))]
    assert main(["reconstruct", *named, "--output", str(output), "--no-ctf", "--threads", "1", *more]) == 0


@pytest.fixture(scope="module")
def assessed(folder: Path) -> list[GroupAgreement]:
    structure = chain()
    groups = read_group_maps([folder / "both"])
    return assess_groups(groups, structure, motions(structure), read_particles(folder / "truth.star"))


def test_a_narrow_group_is_its_centroid_and_nothing_else(assessed: list[GroupAgreement]) -> None:
    assert [a.group.name for a in assessed] == ["group_1", "group_2"]
    for a in assessed:
        assert a.curves[TRUE_CENTROID][1:RESOLVED].min() > 0.99
        assert a.curves[TRUE_CENTROID + MASKED][1:RESOLVED].min() > 0.99
        for wrong in (REST, OTHER):
            assert a.curves[wrong][1:RESOLVED].min() < 0.7
            assert a.resolutions_A()[wrong]["0.5"] > 1.5 * a.resolutions_A()[TRUE_CENTROID]["0.5"]
    assert [a.other for a in assessed] == ["group_2", "group_1"]


def test_centroid_and_spread_are_those_of_the_particles(assessed: list[GroupAgreement]) -> None:
    for a, centre in zip(assessed, CENTRES.values(), strict=True):
        np.testing.assert_allclose(a.models[TRUE_CENTROID].amplitudes, centre, atol=1e-3)
        # two modes of that deviation, each of which moves atoms by q/√N
        assert a.models[CENTROID].spread_A == pytest.approx(SPREAD_A * np.sqrt(2 / ATOMS), rel=1e-3)
        assert a.rmsd_A[REST] == pytest.approx(np.linalg.norm(a.models[CENTROID].amplitudes) / np.sqrt(ATOMS))
    right, wrong = assessed
    assert right.rmsd_A[TRUE_CENTROID] == pytest.approx(0, abs=1e-6)
    assert wrong.rmsd_A[TRUE_CENTROID] == pytest.approx(np.linalg.norm(ERROR_A) / np.sqrt(ATOMS), rel=1e-4)


def test_a_modes_net_translation_does_not_move_the_centroid(assessed: list[GroupAgreement]) -> None:
    structure, group = chain(), assessed[0].group
    drifting = NormalModes(mode_ids=(7, 8), vectors=motions(structure).vectors + 0.05)
    found = centroid_of(group.particles, structure, drifting, "the test")
    np.testing.assert_allclose(found.structure.center_A, structure.center_A, atol=1e-9)
    np.testing.assert_allclose(found.structure.coords_A, assessed[0].models[CENTROID].structure.coords_A, atol=1e-9)


def test_wrong_amplitudes_lower_the_correlation_with_the_estimated_centroid(assessed: list[GroupAgreement]) -> None:
    right, wrong = assessed
    np.testing.assert_allclose(right.curves[CENTROID], right.curves[TRUE_CENTROID], atol=1e-6)
    assert wrong.curves[CENTROID][RESOLVED] < wrong.curves[TRUE_CENTROID][RESOLVED] - 0.05


def test_the_structures_sharpness_does_not_matter_without_a_mask(folder: Path, assessed: list[GroupAgreement]) -> None:
    structure = chain()
    blurred = assess_groups(read_group_maps([folder / "both"]), structure, motions(structure), b_factor_A2=200.0)
    for a, b in zip(assessed, blurred, strict=True):
        assert TRUE_CENTROID not in b.curves
        # within a shell it still falls a little
        np.testing.assert_allclose(b.curves[CENTROID][1:RESOLVED], a.curves[CENTROID][1:RESOLVED], atol=0.01)


def test_groups_of_different_sampling_and_single_ones(folder: Path, tmp_path: Path) -> None:
    fine = write_images(str(tmp_path / "fine.mrcs"), amplitudes("low"), 45, 2.0)
    write_particles(fine, tmp_path / "fine.star")
    reconstruct(tmp_path / "a" / "map", tmp_path / "fine.star")
    reconstruct(tmp_path / "b" / "map", folder / "low.star")
    structure = chain()
    groups = read_group_maps([tmp_path / "a" / "map", tmp_path / "b" / "map"])
    found = assess_groups(groups, structure, motions(structure))
    assert [a.group.name for a in found] == ["a_map", "b_map"]  # their folders have one name
    assert [a.group.label for a in found] == ["fine", "low"]
    assert [(len(a.centroid_map), a.voxel_A) for a in found] == [(45, 2.0), (30, 3.0)]
    for a in found:
        resolved = (a.frequency > 0) & (a.frequency < RESOLVED / (BOX * PIXEL_A))
        assert a.curves[CENTROID][resolved].min() > 0.97
    alone = assess_groups(groups[:1], structure, motions(structure))[0]
    assert (alone.other, OTHER in alone.curves, REST in alone.curves) == ("", False, True)


def test_a_map_is_symmetrised_as_its_reconstruction_was() -> None:
    once, twice = (centroid_map(chain(), 31, 3.0, symmetry=group) for group in ("c1", "c2"))
    turned = once[:, ::-1, ::-1]  # by 180° about z; the centre of an odd box is its middle voxel
    np.testing.assert_allclose(twice, (once + turned) / 2, atol=1e-5 * once.max())
    np.testing.assert_allclose(once, structure_to_map(chain(), 31, 3.0), atol=1e-6 * once.max())


def test_what_noise_allows() -> None:
    # white signal and noise: half maps' F = 1/(1 + r), r the ratio of noise to signal; the mean has half the noise
    assert allowed_by_noise(np.array([1.0, *[1 / 3] * 3, *[-0.1] * 3, *[0.5] * 3]))[[1, 2, 5, 8, 9]].tolist() == (
        pytest.approx([np.sqrt(0.5), np.sqrt(0.5), 0, np.sqrt(2 / 3), np.sqrt(2 / 3)])
    )
    rng = np.random.default_rng(0)
    signal, *noise = (rng.normal(size=(40, 40, 40)).astype(np.float32) for _ in range(3))
    half1, half2 = signal + noise[0], signal + noise[1]
    expected = allowed_by_noise(fourier_shell_correlation(half1, half2))[5:].mean()
    assert fourier_shell_correlation((half1 + half2) / 2, signal)[5:].mean() == pytest.approx(expected, abs=0.02)


def test_what_noise_allows_where_half_maps_hardly_agree() -> None:
    """A shell where they do not agree by chance is not the end: a perfect reference agrees beyond it."""
    rng = np.random.default_rng(3)
    signal, *noise = (rng.normal(size=(64, 64, 64)).astype(np.float32) for _ in range(3))
    half1, half2 = signal + 4 * noise[0], signal + 4 * noise[1]
    halves = fourier_shell_correlation(half1, half2)
    assert halves[3:10].min() < 0.02
    perfect = fourier_shell_correlation((half1 + half2) / 2, signal)
    assert allowed_by_noise(halves)[10:].mean() == pytest.approx(perfect[10:].mean(), abs=0.02)


def test_what_noise_allows_is_told_where_it_can_be_read(assessed: list[GroupAgreement]) -> None:
    half, finest = group_tables(assessed)
    assert (ALLOWED in half.head, ALLOWED in finest.head) == (True, False)
    assert "not a bound" in half.text().split("\n\n")[-1]
    assert "not a bound" in half.markdown().split("\n\n")[-1]
    assert finest.note == ""
    assert all(list(a.resolutions_A()[ALLOWED]) == ["0.5"] for a in assessed)
    assert all(len(row) == len(table.head) for table in (half, finest) for row in table.rows)


def test_the_farthest_other_of_three(assessed: list[GroupAgreement]) -> None:
    """Two groups near each other and one far from both."""
    structure, first = chain(), assessed[0].group
    q = {"near": (0.0, 0.0), "between": (20.0, 0.0), "far": (90.0, 0.0)}
    groups = [
        dataclasses.replace(
            first, name=name, particles=first.particles.replace(amplitudes=np.tile(at, (len(first.particles), 1)))
        )
        for name, at in q.items()
    ]
    found = assess_groups(groups, structure, motions(structure))
    assert [a.other for a in found] == ["far", "far", "near"]
    assert [a.rmsd_A[OTHER] * np.sqrt(ATOMS) for a in found] == pytest.approx([90, 70, 90])


def test_masked_curves_are_of_masked_maps(folder: Path, assessed: list[GroupAgreement]) -> None:
    """Dense voxels outside the mask are seen by the curves without it alone."""
    one, structure = assessed[0], chain()
    half1, half2, voxel_A = one.group.halves()
    noisy = read_group_maps([folder / "both"])[0]
    lump = np.zeros_like(half1)
    lump[:3, :3, :3] = half1.max() * np.random.default_rng(1).normal(size=(3, 3, 3)) * 20
    object.__setattr__(noisy, "halves", lambda: (half1 + lump, half2 + lump, voxel_A))
    found = assess_groups([noisy], structure, motions(structure))[0]
    np.testing.assert_allclose(found.curves[CENTROID + MASKED], one.curves[CENTROID + MASKED], atol=1e-4)
    assert found.curves[CENTROID][RESOLVED - 1] < 0.2 < 0.97 < one.curves[TRUE_CENTROID][RESOLVED - 1]
    reference = centroid_map(one.models[CENTROID].structure, BOX, PIXEL_A)
    mask = fsc_mask(BOX, PIXEL_A)
    expected = fourier_shell_correlation((half1 + half2) / 2 * mask, reference * mask)
    np.testing.assert_allclose(one.curves[CENTROID + MASKED], expected, atol=1e-6)


def test_what_is_written_can_be_checked_by_others(folder: Path, tmp_path: Path) -> None:
    """The curve by another library's FSC of the files, and the centroid's atoms where the group's map is dense."""
    peer = needs.library("torch_fourier_shell_correlation", "torch-fourier-shell-correlation")
    structure_files(tmp_path)
    assert main([*command(folder, tmp_path), "--output", str(tmp_path / "out")]) == 0
    table = np.genfromtxt(tmp_path / "out" / "group_1" / "fsc.csv", delimiter=",", skip_header=1)
    names = (tmp_path / "out" / "group_1" / "fsc.csv").read_text().splitlines()[0]
    assert names.split(",")[:2] == ["frequency_per_A", CENTROID]
    halves = [read_volume(folder / "both" / "group_1" / f"half{n}.mrc")[0] for n in (1, 2)]
    reference, voxel_A = read_volume(tmp_path / "out" / "group_1" / "centroid.mrc")
    theirs = peer.fourier_shell_correlation(torch.from_numpy(sum(halves) / 2), torch.from_numpy(reference)).numpy()
    # the peer shares cells between neighbouring shells, so single shells differ a little
    np.testing.assert_allclose(table[1:RESOLVED, 1], theirs[1:RESOLVED], atol=0.05)
    atoms = read_structure(tmp_path / "out" / "group_1" / "centroid.pdb").coords_A
    x, y, z = np.rint(atoms / voxel_A).astype(int).T
    volume = read_volume(folder / "both" / "group_1" / "map.mrc")[0]
    assert volume[z, y, x].mean() > volume.mean() + 3 * volume.std()


def structure_files(folder: Path) -> None:
    write_structure(folder / "s.pdb", chain())
    write_modes(folder / "modes", motions(chain()))


def command(folder: Path, reference: Path) -> list[str]:
    return [
        "evaluate", "--particles", str(folder / "high.star"), "--truth", str(folder / "truth.star"),
        "--structure", str(reference / "s.pdb"), "--modes", str(reference / "modes"),
        "--reconstruction", str(folder / "both"), "--threads", "1",
    ]  # fmt: skip


def test_command_writes_what_it_promises(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structure_files(tmp_path)
    assert main([*command(folder, tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert "falls to 0.143" in capsys.readouterr().out
    tables = {"tables.txt", "tables.md", "distances.csv", "rmsd.csv", "resolution_0.5.csv", "resolution_0.143.csv"}
    pictures = {"errors.csv", "errors.png", "fsc.png", "record.json"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == tables | pictures | {"group_1", "group_2"}
    for name in ("group_1", "group_2"):
        files = {file.name for file in (tmp_path / "out" / name).iterdir()}
        assert files == {"fsc.csv", "centroid.pdb", "centroid.mrc"}
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["results"]["high"]["all"]["amplitude_7"]["mean"] == pytest.approx(abs(ERROR_A[0]), abs=1e-3)
    first = record["groups"][0]
    assert (first["group"], first["particles"], first["farthest_other"]) == ("group_1", N, "group_2")
    assert first["resolution_A"][ALLOWED]["0.5"] <= first["resolution_A"][CENTROID]["0.5"] + 1
    # a file holds the figures alone
    assert main([*command(folder, tmp_path), "--output", str(tmp_path / "alone.json")]) == 0
    assert json.loads((tmp_path / "alone.json").read_text())["groups"] == record["groups"]


def test_nothing_of_an_earlier_run_stays(folder: Path, tmp_path: Path) -> None:
    structure_files(tmp_path)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    assert main([*command(folder, tmp_path), "--output", str(out)]) == 0
    assert sorted(json.loads((out / "record.json").read_text())["files"]) == sorted(
        str(file.relative_to(out)) for file in out.rglob("*.*") if file.name != "record.json"
    )
    # the user's own: a file in the folder, one in a group's, and one that only a link leads to
    for own in (out / "notes.txt", out / "group_2" / "mine.cxc", elsewhere / "fsc.csv"):
        own.parent.mkdir(exist_ok=True)
        own.write_text("mine")
    rewritten(out / "record.json", lambda record: record["files"].extend(["../elsewhere/fsc.csv", "link/fsc.csv", 3]))
    (out / "link").symlink_to(elsewhere)
    words = command(folder, tmp_path)
    at = words.index("--reconstruction")
    assert main([*words[:at], *words[at + 2 :], "--output", str(out)]) == 0
    tables = {"tables.txt", "tables.md", "distances.csv", "rmsd.csv", "errors.csv", "errors.png", "record.json"}
    assert {file.name for file in out.iterdir()} == tables | {"notes.txt", "group_2", "link"}
    assert [file.name for file in (out / "group_2").iterdir()] == ["mine.cxc"]
    assert (elsewhere / "fsc.csv").read_text() == "mine"
    # of another command nothing is removed
    series = copied(folder, tmp_path / "series")
    rewritten(series / "record.json", lambda record: record.update(files=["group_1/map.mrc"]))
    remove_earlier(series)
    assert (series / "group_1" / "map.mrc").is_file()


def test_particles_that_the_truth_lacks(folder: Path, assessed: list[GroupAgreement]) -> None:
    structure, truth = chain(), read_particles(folder / "truth.star")
    groups = [a.group for a in assessed]
    with pytest.raises(InputError, match=r"3 of 160 particles of '.*group_2' are not in the truth.*\[318, 319, 320\]"):
        assess_groups(groups, structure, motions(structure), truth.select(np.arange(2 * N - 3)))
    with pytest.raises(InputError, match="the truth's centroid needs normal-mode amplitudes"):
        assess_groups(groups, structure, motions(structure), truth.replace(amplitudes=None, mode_ids=()))


def one_mode(particles: Particles) -> Particles:
    return particles.replace(mode_ids=(8,), amplitudes=particles.amplitudes[:, 1:])


def poses_only(particles: Particles) -> Particles:
    return particles.replace(mode_ids=(), amplitudes=None)


@pytest.mark.parametrize(("change", "more"), [(one_mode, ()), (poses_only, ()), (lambda p: p, ("--mode-list", "8"))])
def test_centroids_are_along_the_groups_modes_whatever_is_compared(
    change: Callable[[Particles], Particles], more: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    structure_files(tmp_path)
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    assert main([*command(folder, tmp_path), "--output", str(whole)]) == 0
    write_particles(change(read_particles(folder / "high.star")), tmp_path / "results.star")
    words = [str(tmp_path / "results.star") if w == str(folder / "high.star") else w for w in command(folder, tmp_path)]
    assert main([*words, *more, "--output", str(part)]) == 0
    records = [json.loads(path.read_text()) for path in (whole, part)]
    assert records[1]["results"] != records[0]["results"]
    assert records[1]["groups"] == records[0]["groups"]
    assert records[1]["groups"][0]["modes"] == {CENTROID: [7, 8], TRUE_CENTROID: [7, 8]}


def test_true_centroid_is_along_the_truths_modes(folder: Path, assessed: list[GroupAgreement]) -> None:
    """Images that move along two modes, aligned along one: what the other does is part of the true conformation."""
    structure, truth = chain(), read_particles(folder / "truth.star")
    groups = [dataclasses.replace(a.group, particles=one_mode(a.group.particles)) for a in assessed]
    for few, all_of_them in zip(assess_groups(groups, structure, motions(structure), truth), assessed, strict=True):
        assert (few.models[CENTROID].mode_ids, few.models[TRUE_CENTROID].mode_ids) == ((8,), (7, 8))
        np.testing.assert_allclose(few.curves[TRUE_CENTROID], all_of_them.curves[TRUE_CENTROID], atol=1e-6)
        lost_A = np.abs(few.models[TRUE_CENTROID].amplitudes - [0, few.models[CENTROID].amplitudes[0]])
        assert few.rmsd_A[TRUE_CENTROID] == pytest.approx(np.linalg.norm(lost_A) / np.sqrt(ATOMS), rel=1e-6)
    groups = [a.group for a in assessed]
    with pytest.raises(InputError, match=r"along modes \[7, 8\], but the truth has modes \[8\], without \[7\]"):
        assess_groups(groups, structure, motions(structure), one_mode(truth))


def test_groups_of_two_series_are_told_apart(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structure_files(tmp_path)
    (tmp_path / "true").symlink_to(folder / "both")
    words = [*command(folder, tmp_path), "--reconstruction", str(tmp_path / "true"), "--output", str(tmp_path / "out")]
    assert main(words) == 0
    names = ["both_group_1", "both_group_2", "true_group_1", "true_group_2"]
    groups = json.loads((tmp_path / "out" / "record.json").read_text())["groups"]
    assert [(g["group"], g["label"]) for g in groups] == list(zip(names, ["low", "high"] * 2, strict=True))
    assert all((tmp_path / "out" / name / "fsc.csv").is_file() for name in names)
    assert "true_group_2 (high)" in capsys.readouterr().out


def copied(folder: Path, to: Path) -> Path:
    """The series, to be damaged."""
    shutil.copytree(folder / "both", to)
    return to


def rewritten(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


DAMAGE: tuple[tuple[Callable[[dict[str, Any]], object], str, str], ...] = (
    (lambda record: record.update(groups=[{"x": 1}]), "", r"record.json': expected 'folder', got only 'x'; run rec"),
    (lambda record: record.update(groups=3), "", r"record.json': got groups 3, expected a list; run reconstruct again"),
    (lambda record: record.update(groups=[]), "", r"record.json': got groups \[\], expected a list"),
    (lambda record: record["options"].pop("symmetry"), "group_2", r"group_2/record.json': expected 'symmetry', got"),
    (
        lambda record: record["options"].update(mask_diameter_A="wide"), "group_1",
        r"group_1/record.json': expected 'mask_diameter_A', got 'wide'",
    ),
    (lambda record: record.pop("options"), "group_1", r"group_1/record.json' is not a record"),
)  # fmt: skip


@pytest.mark.parametrize(("change", "part", "message"), DAMAGE)
def test_damaged_records(
    change: Callable[[dict[str, Any]], object], part: str, message: str, folder: Path, tmp_path: Path
) -> None:
    damaged = copied(folder, tmp_path / "damaged")
    rewritten(damaged / part / "record.json", change)
    with pytest.raises(DeepError, match=message):
        read_group_maps([damaged])


def test_half_maps_that_are_no_pair(folder: Path, tmp_path: Path) -> None:
    damaged, structure = copied(folder, tmp_path / "damaged"), chain()
    half = read_volume(damaged / "group_1" / "half2.mrc")[0]
    for volume, voxel_A, found in ((half[2:, 2:, 2:], PIXEL_A, "28×28×28 voxels of 3 Å"), (half, 2.0, "30×30×30.*2 Å")):
        write_volume(damaged / "group_1" / "half2.mrc", volume, voxel_A)
        with pytest.raises(FormatError, match=rf"half2.mrc' with {found}, expected two cubic.*run reconstruct again"):
            assess_groups(read_group_maps([damaged]), structure, motions(structure))


def test_folders_that_hold_no_group(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record of the reconstruct command"):
        read_group_maps([tmp_path])
    for file in (folder / "both" / "group_1").iterdir():
        if file.name != "particles.star":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(InputError, match=r"no particles\.star.*run reconstruct again"):
        read_group_maps([tmp_path])
    posed: Particles = read_particles(folder / "low.star").replace(amplitudes=None, mode_ids=())
    write_particles(posed, tmp_path / "posed.star")
    reconstruct(tmp_path / "posed", tmp_path / "posed.star")
    with pytest.raises(InputError, match=r"the centroid of '.*posed' needs normal-mode amplitudes"):
        assess_groups(read_group_maps([tmp_path / "posed"]), chain(), motions(chain()))


def test_structure_must_fit_into_the_map(folder: Path) -> None:
    structure = chain()
    large = structure.replace_coords(structure.coords_A * 3)
    with pytest.raises(InputError, match="use a larger box"):
        assess_groups(read_group_maps([folder / "both"]), large, motions(structure))
