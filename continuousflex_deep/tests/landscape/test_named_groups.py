"""The group command with a file of groups: what each group's files hold, and what is refused before any is written."""

import json
from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.cli import main
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.groups import COLOURS, NamedGroup, read_groups, write_groups
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.landscape.landscape import Landscape, make_landscape, read_landscape
from continuousflex_deep.landscape.named_groups import select_named
from continuousflex_deep.tests.helpers.landscape_data import make_particles

N, FIRST = 120, 1001
OUTLIER = FIRST + 9


def group(name: str, *ids: int) -> NamedGroup:
    return NamedGroup(name, COLOURS[0], np.array(ids, dtype=np.int64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    particles = make_particles(tmp_path, N, first_id=FIRST)
    amplitudes = particles.amplitudes.copy()
    amplitudes[OUTLIER - FIRST] = [5000, 5000, 5000]
    write_particles(particles.replace(amplitudes=amplitudes), tmp_path / "p.star")
    assert main(["landscape", "--particles", str(tmp_path / "p.star"), "--output", str(tmp_path / "l")]) == 0
    return tmp_path


def asked(folder: Path, *groups: NamedGroup) -> list[str]:
    write_groups(folder / "groups.json", groups)
    return ["group", "--landscape", str(folder / "l"), "--groups", str(folder / "groups.json")]


def test_each_group_gets_what_a_single_one_gets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same files as by a list of ids; the second group overlaps the first, and both names have one file name."""
    groups = [group("a/b", OUTLIER, 1003, 1002, 1100), group("a b", *range(1100, 1110)), group("β", 1001, 1119)]
    command = asked(folder, *groups)
    assert main([*command, "--output", str(folder / "out")]) == 0
    printed = capsys.readouterr().out.splitlines()
    files = ["1_a_b", "2_a_b", "3"]
    assert sorted(p.name for p in (folder / "out").iterdir()) == sorted(
        [f"{name}{suffix}" for name in files for suffix in (".star", ".json")] + ["groups.json"]
    )
    selected = read_groups(folder / "out" / "groups.json")
    assert [g.ids.tolist() for g in selected] == [[1002, 1003, 1100], list(range(1100, 1110)), [1001, 1119]]
    assert [(g.name, g.colour) for g in selected] == [(g.name, g.colour) for g in groups]
    for name, of_it, left_out, shared in zip(files, selected, (1, 0, 0), (1, 1, 0), strict=True):
        (folder / "ids.txt").write_text("\n".join(map(str, of_it.ids)))
        single = ["group", "--landscape", str(folder / "l"), "--ids", str(folder / "ids.txt")]
        assert main([*single, "--output", str(folder / "out" / "single.star")]) == 0
        assert (folder / "out" / f"{name}.star").read_text() == (folder / "out" / "single.star").read_text()
        facts = json.loads((folder / "out" / f"{name}.json").read_text())
        expected = json.loads((folder / "out" / "single.json").read_text())
        assert {k: facts[k] for k in expected if k not in ("options", "finished")} == {
            k: v for k, v in expected.items() if k not in ("options", "finished")
        }
        assert (facts["name"], facts["outliers_left_out"]) == (of_it.name, left_out)
        assert facts["shared_with_other_groups"] == shared
        q7 = f"{facts['centroid_amplitudes'][0]:.1f} ± {facts['sd_amplitudes'][0]:.1f}"
        row = next(line for line in printed if line.startswith(f"{of_it.name} "))
        assert row.split(maxsplit=len(of_it.name.split()))[-1].split()[:4] == [
            str(len(of_it)), f"{100 * len(of_it) / N:.1f}", str(left_out), str(shared)
        ]  # fmt: skip
        assert q7 in row


def test_outliers_are_kept_where_asked_for(folder: Path) -> None:
    command = asked(folder, group("one", OUTLIER, 1002))
    assert main([*command, "--keep-outliers", "--output", str(folder / "out")]) == 0
    assert read_particles(folder / "out" / "1_one.star").ids.tolist() == [1002, OUTLIER]


def test_images_of_another_size(folder: Path) -> None:
    write_stack(folder / "big.mrcs", np.random.default_rng(0).normal(size=(N, 12, 12)).astype(np.float32), 1.0)
    originals = make_particles(folder, N, first_id=FIRST).replace(
        stacks=np.full(N, str(folder / "big.mrcs"), dtype=object), box_px=12, pixel_size_A=1.0, amplitudes=None,
        mode_ids=(), euler_deg=None, shift_A=None, score=None,
    )  # fmt: skip
    write_particles(originals, folder / "big.star")
    command = [*asked(folder, group("one", 1002, 1050), group("two", 1050)), "--images", str(folder / "big.star")]
    assert main([*command, "--output", str(folder / "out")]) == 0
    landscape = read_landscape(folder / "l")
    for name, ids in (("1_one", [1002, 1050]), ("2_two", [1050])):
        found = read_particles(folder / "out" / f"{name}.star")
        rows = landscape.particles.rows_of(ids)
        assert (found.ids.tolist(), found.box_px, found.pixel_size_A) == (ids, 12, 1.0)
        np.testing.assert_allclose(found.shift_A, landscape.particles.shift_A[rows], atol=1e-5)
        coordinates = np.array(found.extra["cfdPC1"], dtype=np.float64)
        np.testing.assert_allclose(coordinates, landscape.coordinates[rows, 0], atol=1e-5)


def test_command_says_what_is_wrong_before_it_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = group("good", 1002)
    write_particles(make_particles(folder, 5, first_id=FIRST, name="few"), folder / "few.star")
    for groups, arguments, message in [
        ([good, group("far", 1003, 5)], [], "group 'far' belongs to another landscape: 1 of 2 particle ids"),
        ([good, group("none")], [], "group 'none' has no particles"),
        ([good, group("out", OUTLIER)], [], "group 'out': all 1 particles are outliers; add --keep-outliers"),
        ([], [], "contains no groups"),
        ([good], ["--expression", "pc1 > 0", "--ids", "ids.txt"], "give either --groups or --expression and --ids"),
        ([good], ["--box", "pc1:0:1"], "give either --groups or --box"),
        ([good], ["--output", str(folder / "g.star")], "expected a folder"),
        ([good], ["--output", str(folder / "p.star")], "is a file"),
        ([good, group("other", 1110)], ["--images", str(folder / "few.star")], "1 of 1 particle ids"),
    ]:
        command = [*asked(folder, *groups), "--output", str(folder / "out")]
        assert main([*command, *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (folder / "out").exists()
        assert not (folder / "g.star").exists()


def test_shared_particles_are_counted_once(tmp_path: Path) -> None:
    """One in three groups counts once in each; those left out as outliers count in none."""
    particles = make_particles(tmp_path, 50)
    landscape: Landscape = make_landscape(particles, np.ones(50, dtype=np.int64), outlier_distance=0.0)
    landscape.outlier[3] = True  # id 4
    groups = [group("a", 1, 2, 4), group("b", 1, 4, 3), group("c", 1)]
    assert [s.shared for s in select_named(landscape, groups)] == [1, 1, 1]
    assert [s.shared for s in select_named(landscape, groups, keep_outliers=True)] == [2, 2, 1]
    assert [s.outliers for s in select_named(landscape, groups)] == [1, 1, 0]
    assert [landscape.particles.ids[s.rows].tolist() for s in select_named(landscape, groups)] == [[1, 2], [1, 3], [1]]
    with pytest.raises(InputError, match="contains no groups"):
        select_named(landscape, [])


def test_groups_of_an_earlier_run_do_not_stay_beside(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.star").write_text("of the user")
    for names in (["old", "both"], ["new", "both"]):
        groups = [group(name, 1002, 1003 + i) for i, name in enumerate(names)]
        assert main([*asked(folder, *groups), "--output", str(folder / "out")]) == 0
    found = sorted(path.name for path in (folder / "out").iterdir())
    assert found == ["1_new.json", "1_new.star", "2_both.json", "2_both.star", "groups.json", "mine.star"]


def test_the_file_of_groups_itself_is_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = asked(folder, group("a", 1002, OUTLIER))
    before = (folder / "groups.json").read_bytes()
    assert main([*command, "--output", str(folder)]) == 2
    assert "contains the file of groups itself" in capsys.readouterr().err
    assert (folder / "groups.json").read_bytes() == before
