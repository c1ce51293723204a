"""Names of files, folders and groups in any script and with any marks, through every command."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.cli import main
from continuousflex_deep.io.groups import NamedGroup, read_groups, write_groups
from continuousflex_deep.io.landscape_table import read_landscape_table
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.tests.helpers.report_inputs import write_inputs

AWKWARD = "データ d'Arc \"q\" $HOME #1 [x] & <b>;user@host 100% {a} `id` (1) data_"
NAMES = (
    "../../climbs", "/etc/passwd", "a/b", "$(id)", "`id`", "<script>", "開いた", "q'\"", "x" * 300, "~", "..", "%s {}",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain(inputs: dict[str, str]) -> Path:
    return Path(inputs["structure"]).parent


@pytest.fixture(scope="module")
def awkward(plain: Path) -> Path:
    """The same commands in a folder whose name has everything in it."""
    base = plain.parent / AWKWARD
    base.mkdir()
    write_inputs(base)
    return base


def test_every_command_in_a_folder_of_any_name(plain: Path, awkward: Path) -> None:
    one, other = (read_landscape_table(base / "landscape") for base in (plain, awkward))
    np.testing.assert_array_equal(one.coordinates, other.coordinates)
    assert other.image(0).stacks[0] == str(awkward / "sim" / "particles.mrcs")
    for name in ("map/map.mrc", "series/group_2/half1.mrc", "unbent/average.mrc"):
        np.testing.assert_array_equal(read_volume(plain / name)[0], read_volume(awkward / name)[0])
    for name in ("path/frames.pdb", "path/trajectory.csv", "evaluation.json"):
        assert (awkward / name).stat().st_size > 0
    assert sorted(p.name for p in plain.parent.iterdir()) == sorted(["plain", AWKWARD])


@pytest.mark.parametrize("suffix", ["star", "xmd"])
def test_particles_elsewhere_name_their_images(awkward: Path, tmp_path: Path, suffix: str) -> None:
    """By absolute names, since the file is not above the images."""
    out = tmp_path / f"out.{suffix}"
    assert main(["convert", "--particles", str(awkward / "sim" / "truth.star"), "--output", str(out)]) == 0
    assert set(read_particles(out).stacks) == {str(awkward / "sim" / "particles.mrcs")}


def test_names_in_columns_are_kept(plain: Path, tmp_path: Path) -> None:
    particles = read_particles(plain / "sim" / "truth.star").select(np.arange(len(NAMES)))
    named = particles.replace(extra=particles.extra | {"rlnMicrographName": np.array(NAMES, dtype=object)})
    write_particles(named, tmp_path / "named.star")
    assert main(["landscape", "--particles", str(tmp_path / "named.star"), "--output", str(tmp_path / "land")]) == 0
    assert read_particles(tmp_path / "land" / "landscape.star").extra["rlnMicrographName"].tolist() == list(NAMES)


def test_groups_of_any_name_stay_in_the_folder(plain: Path, tmp_path: Path) -> None:
    ids = read_landscape_table(plain / "landscape").ids
    write_groups(tmp_path / "groups.json", [NamedGroup(name, "#4477aa", ids[:8]) for name in NAMES])
    inside = tmp_path / "deep" / "er"
    words = ["group", "--landscape", str(plain / "landscape"), "--groups", str(tmp_path / "groups.json")]
    assert main([*words, "--output", str(inside / "sets")]) == 0
    assert [group.name for group in read_groups(tmp_path / "groups.json")] == list(NAMES)
    assert len(list((inside / "sets").glob("*.star"))) == len(NAMES)
    assert [p.name for p in inside.iterdir()] == ["sets"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "groups.json"]
    assert all(p.parent == inside / "sets" for p in (inside / "sets").rglob("*"))
