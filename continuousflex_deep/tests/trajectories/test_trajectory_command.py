"""The files of the trajectory command, read back by other programs' readers."""

import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import gemmi
import numpy as np
import pytest
from PIL import Image

from continuousflex_deep import cli
from continuousflex_deep.errors import DeepError
from continuousflex_deep.figures import movies
from continuousflex_deep.figures.movies import to_and_fro, write_mp4
from continuousflex_deep.figures.trajectory import LandscapePlane, trajectory_pictures
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.io.trajectories import read_trajectory
from continuousflex_deep.landscape.landscape import Landscape, read_landscape, write_landscape
from continuousflex_deep.motion import motion_along
from continuousflex_deep.tests.helpers.double_well import double_well, landscape_of
from continuousflex_deep.tests.helpers.moving_map import VOXEL_A, map_of, molecule
from continuousflex_deep.trajectories.scripts import chimerax_script, vmd_script

FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape of a double well, a structure of helices with three modes, and its map."""
    made = tmp_path_factory.mktemp("trajectory")
    landscape = landscape_of(0.2 * double_well(3000, 0))
    write_stack(made / "images.mrcs", np.zeros((1, 6, 6), dtype=np.float32), 2.0)
    particles = landscape.particles.replace(stacks=np.full(3000, str(made / "images.mrcs"), dtype=object))
    write_landscape(made / "landscape", Landscape(particles, *_rest(landscape)))
    structure = molecule()
    n = len(structure)
    vectors = np.zeros((3, n, 3))
    for m in range(3):
        vectors[m, :, m] = np.cos(np.pi * (m + 1) * np.arange(n) / n)
    vectors /= np.linalg.norm(vectors, axis=(1, 2))[:, None, None]
    write_modes(made / "modes", NormalModes((7, 8, 9), vectors))
    write_structure(made / "s.pdb", structure)
    write_volume(made / "map.mrc", map_of(structure.coords_A), VOXEL_A, np.zeros(3))
    return made


def _rest(landscape: Landscape) -> list[object]:
    names = [name for name in landscape.__dataclass_fields__ if name != "particles"]
    return [getattr(landscape, name) for name in names]


def run(folder: Path, output: Path, *more: str) -> int:
    return cli.main(
        ["trajectory", "--landscape", str(folder / "landscape"), "--structure", str(folder / "s.pdb"),
         "--modes", str(folder / "modes"), "--output", str(output), "--n-frames", str(FRAMES), *more]
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    """A minimum-energy path with its map."""
    output = folder / "mep"
    assert run(folder, output, "--kind", "mep", "--map", str(folder / "map.mrc"), "--place", "middle") == 0
    return output


def test_frames_are_the_models_of_the_path(folder: Path, written: Path) -> None:
    text = (written / "frames.pdb").read_text().splitlines()
    assert sum(line.startswith("MODEL ") for line in text) == FRAMES
    assert sum(line.startswith("ENDMDL") for line in text) == FRAMES
    trajectory = read_trajectory(written / "trajectory.json")
    structure, modes = read_structure(folder / "s.pdb"), read_modes(folder / "modes")
    models = gemmi.read_structure(str(written / "frames.pdb"))
    for model, q in zip(models, trajectory.amplitudes_A, strict=True):
        found = np.array([c.atom.pos.tolist() for c in model.all()])
        np.testing.assert_allclose(found, motion_along(structure, modes).coordinates(q), atol=2e-3)


def test_table_says_what_the_trajectory_is(folder: Path, written: Path) -> None:
    trajectory = read_trajectory(written / "trajectory.json")
    with (written / "trajectory.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, values in (
        *((f"pc{i + 1}", column) for i, column in enumerate(trajectory.points.T)),
        *((f"amplitude{m}_A", column) for m, column in zip((7, 8, 9), trajectory.amplitudes_A.T, strict=True)),
        ("energy_kT", trajectory.energy_kT),
        ("energy_sd_kT", trajectory.energy_sd_kT),
        ("particles_near", trajectory.particles_near),
    ):
        np.testing.assert_allclose([float(row[name]) for row in rows], values, rtol=1e-4, atol=1e-4)
    landscape = read_landscape(folder / "landscape")
    near = np.square((landscape.coordinates[:, :2] - trajectory.points[0, :2]) / trajectory.made["bandwidth"])
    assert int(rows[0]["particles_near"]) == int((near.sum(axis=1) <= 4).sum())
    record = json.loads((written / "record.json").read_text())
    assert (record["kind"], record["frames"], record["place"]) == ("mep", FRAMES, "middle")
    assert record["made"]["barrier_kT"] > 1.5


def test_maps_move_with_the_structure(folder: Path, written: Path) -> None:
    models = gemmi.read_structure(str(written / "frames.pdb"))
    assert len(list(written.glob("frame_*.mrc"))) == FRAMES
    volume, _ = read_volume(written / f"frame_{FRAMES:03d}.mrc")
    expected = map_of(np.array([c.atom.pos.tolist() for c in models[-1].all()]))
    assert np.corrcoef(volume.ravel(), expected.ravel())[0, 1] > 0.98
    assert np.corrcoef(volume.ravel(), read_volume(folder / "map.mrc")[0].ravel())[0, 1] < 0.95


def test_scripts_name_files_that_are_there(written: Path) -> None:
    chimerax, vmd = (written / "trajectory.cxc").read_text(), (written / "trajectory.vmd").read_text()
    for script in (chimerax, vmd):
        assert "frames.pdb" in script
        assert "frame_*.mrc" in script
        assert str(written) not in script  # the folder can be moved
    assert f"coordset #1 1,{FRAMES} " in chimerax
    # voxel d//2 of the map, 20 voxels of 2 Å from its first one, is the structure's origin
    assert "origin -40.000,-40.000,-40.000" in chimerax
    assert "moveby {40.000 40.000 40.000}" in vmd
    assert vmd.count("{") == vmd.count("}")


def test_scripts_without_maps_and_of_other_structures() -> None:
    assert "mrc" not in chimerax_script("trace", 5, 10, None) + vmd_script("trace", None)
    assert "cartoon" in chimerax_script("cartoon", 5, 10, None)
    assert "VDW" in vmd_script("balls", None)


def test_gif_goes_to_and_fro(written: Path) -> None:
    with Image.open(written / "trajectory.gif") as gif:
        assert gif.n_frames == 2 * FRAMES - 2
        assert gif.info["loop"] == 0
        pictures = []
        for number in range(gif.n_frames):
            gif.seek(number)
            assert gif.info["duration"] == 100
            pictures.append(np.asarray(gif.convert("RGB")).astype(float))
    assert np.abs(pictures[1] - pictures[-1]).max() == 0  # the way back shows the same
    assert np.abs(pictures[0] - pictures[FRAMES - 1]).mean() > 1
    left = [p[:, : p.shape[1] // 2] for p in pictures]
    assert np.abs(left[0] - left[FRAMES - 1]).mean() > 0.5  # it is the molecule, too, that moves


@pytest.mark.parametrize("kind", ["pseudoatoms", "one coordinate"])
def test_pictures_of_other_kinds(written: Path, kind: str) -> None:
    structure = molecule()
    trajectory = read_trajectory(written / "trajectory.json")
    plane = LandscapePlane(np.random.default_rng(0).normal(size=(50, 3)), ["PC1", "PC2", "PC3"])
    if kind == "pseudoatoms":
        fields = {name: getattr(structure, name) for name in structure.__dataclass_fields__}
        structure = Structure(**fields | {"atom_names": np.full(len(structure), "DENS", dtype=object)})
    else:
        plane = LandscapePlane(plane.particles[:, :1], ["PC1"])
    frames = [structure.coords_A * (1 + 0.02 * i) for i in range(FRAMES)]
    pictures = trajectory_pictures(trajectory, structure, frames, plane)
    assert len(to_and_fro(pictures)) == 2 * FRAMES - 2
    assert np.abs(np.asarray(pictures[0]).astype(float) - np.asarray(pictures[-1])).max() > 50


def test_mp4_is_made_by_ffmpeg_or_said_not_to_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(folder, tmp_path / "axis") == 0
    assert "no MP4 was written: the program ffmpeg is not installed" in capsys.readouterr().out
    assert not (tmp_path / "axis" / "trajectory.mp4").exists()
    monkeypatch.setattr(movies.shutil, "which", lambda _: "ffmpeg")
    given: dict[str, bytes] = {}

    def ffmpeg(command: list[str], input: bytes, **_: object) -> SimpleNamespace:
        Path(command[-1]).write_bytes(b"a movie")
        given["input"] = input
        return SimpleNamespace(returncode=int(b"\1" in input), stderr=b"no such codec")

    monkeypatch.setattr(movies.subprocess, "run", ffmpeg)
    assert write_mp4(tmp_path / "m.mp4", [Image.new("RGB", (4, 2))] * 3, 10)
    assert len(given["input"]) == 3 * 4 * 2 * 3
    with pytest.raises(DeepError, match="no such codec"):
        write_mp4(tmp_path / "n.mp4", [Image.new("RGB", (4, 2), (1, 1, 1))], 10)
    assert not (tmp_path / "n.mp4").exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed; install it (Debian: ffmpeg)")
def test_real_mp4(tmp_path: Path) -> None:
    assert write_mp4(tmp_path / "m.mp4", [Image.new("RGB", (80, 60), (i, 0, 0)) for i in range(0, 200, 20)], 10)
    assert b"ftyp" in (tmp_path / "m.mp4").read_bytes()[:16]


def test_reloaded_trajectory_is_the_same(folder: Path, written: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path / "again", "--reload", str(written / "trajectory.json"), "--movie", "none") == 0
    for name in ("trajectory.json", "trajectory.csv", "frames.pdb"):
        assert (tmp_path / "again" / name).read_text() == (written / name).read_text(), name
    # into its own folder, without a map: what belongs to the map goes
    shutil.copytree(written, tmp_path / "own")
    assert run(folder, tmp_path / "own", "--reload", str(tmp_path / "own" / "trajectory.json"), "--movie", "none") == 0
    assert (tmp_path / "own" / "trajectory.json").read_text() == (written / "trajectory.json").read_text()
    assert not [name for name in os.listdir(tmp_path / "own") if name.endswith((".mrc", ".gif"))]


def test_other_atoms_and_files_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structure = molecule()
    write_structure(tmp_path / "part.pdb", structure.select(np.arange(5, len(structure))))
    assert run(folder, tmp_path / "o", "--structure", str(tmp_path / "part.pdb")) == 2
    assert "atoms" in capsys.readouterr().err
    write_modes(tmp_path / "two", read_modes(folder / "modes", (7, 8)))
    assert run(folder, tmp_path / "o", "--modes", str(tmp_path / "two")) == 2
    assert "9" in capsys.readouterr().err
    assert run(folder, tmp_path / "o", "--kind", "points", "--points", "0 0; 500 0") == 2
    assert "outside the particles" in capsys.readouterr().err
    assert run(folder, tmp_path / "o", "--reload", str(folder / "s.pdb")) == 2
    assert "is not a file of the trajectory command" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
