"""Maps that move with their atoms, and the command that animates them."""

import csv
import json
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from continuousflex_deep import cli
from continuousflex_deep.geometry import euler_to_matrix
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import NormalModes, read_modes, write_modes
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion import StraightMotion, motion_along
from continuousflex_deep.nma.warp import displacement_field, warp_map
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.maps import correlation
from continuousflex_deep.tests.helpers.moving_map import BOX, VOXEL_A, map_of, molecule
from continuousflex_deep.trajectories.frames import path_frames


class TestWarp:
    @pytest.mark.parametrize("box", [40, 41])
    def test_rigid_motions_move_the_map_exactly(self, box: int) -> None:
        """Far beyond the molecule's own place; the solvent, wherever it comes from, stays what it is."""
        coords = molecule().coords_A
        rotation = euler_to_matrix(np.array([[40.0, 25.0, -10.0]]))[0]
        for moved in (
            coords + np.array([9.0, -6.0, 11.0]),
            coords @ rotation.T,
            coords @ rotation.T + np.array([5.0, 0.0, -8.0]),
        ):
            expected = map_of(moved, box, solvent=0.5)
            assert correlation(map_of(coords, box), expected) < 0.9
            found = warp_map(map_of(coords, box, solvent=0.5), VOXEL_A, coords, moved)
            assert correlation(found, expected) > 0.9995
            assert found[0, 0, 0] == pytest.approx(0.5, abs=1e-3)

    def test_nothing_moves_without_displacement(self) -> None:
        noise = np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32)
        coords = molecule().coords_A
        np.testing.assert_array_equal(warp_map(noise, VOXEL_A, coords, coords), noise)
        np.testing.assert_allclose(warp_map(noise, VOXEL_A, coords, coords + 1e-6), noise, atol=1e-4)

    def test_bent_molecule(self) -> None:
        """One end bends by as much as the molecule is thick."""
        coords = molecule().coords_A
        moved = coords.copy()
        moved[:, 0] += 0.02 * np.clip(coords[:, 2], 0, None) ** 2
        assert np.abs(moved - coords).max() > 9
        expected = map_of(moved)
        before, after = map_of(coords), warp_map(map_of(coords), VOXEL_A, coords, moved)
        assert 1 - correlation(after, expected) < 0.05 * (1 - correlation(before, expected))

    def test_field_meets_the_atoms_and_is_smooth_beyond(self) -> None:
        coords = molecule().coords_A
        moved = coords + np.stack([np.sin(coords[:, 2] / 10), np.cos(coords[:, 2] / 12), 0 * coords[:, 2]], axis=1)
        field = displacement_field(coords, moved)
        assert np.abs(field.at(coords) - (moved - coords)).max() < 0.15
        outward = field.at(np.linspace([0.0, 0, 0], [300.0, 0, 0], 301))
        assert np.linalg.norm(np.diff(outward, axis=0), axis=1).max() < 0.15
        assert np.linalg.norm(outward, axis=1).max() <= np.linalg.norm(moved - coords, axis=1).max()

    def test_what_cannot_be_followed_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        coords = molecule().coords_A
        shuffled = coords + np.random.default_rng(0).normal(size=coords.shape) * 12
        warp_map(map_of(coords), VOXEL_A, coords, shuffled)
        assert "the motion folds space" in capsys.readouterr().err

    @pytest.mark.parametrize(("mode", "kept"), [(7, "all atoms"), (7, "CA"), (8, "CA"), (9, "CA")])
    def test_ak_along_its_modes(self, shared_data: Path, mode: int, kept: str) -> None:
        """100 Å along a mode (2.5 Å RMSD): the moved map is that of the moved atoms, the map at rest is not."""
        whole = read_structure(shared_data / "gold10" / "AK.pdb")
        rows = np.flatnonzero((whole.atom_names == kept) | (kept == "all atoms"))
        atoms = whole.select(rows)
        atoms = atoms.replace_coords(atoms.coords_A - whole.center_A)
        modes = read_modes(shared_data / "elnemo_ak", (mode,))
        moved = motion_along(atoms, NormalModes(modes.mode_ids, modes.vectors[:, rows])).coordinates(np.array([100.0]))
        rest, expected = (
            structure_to_map(atoms.replace_coords(c), 48, 2.0, b_factor_A2=250.0, center=False)
            for c in (atoms.coords_A, moved)
        )
        assert correlation(rest, expected) < 0.95
        assert correlation(warp_map(rest, 2.0, atoms.coords_A, moved), expected) > 0.99


def test_frames_at_equal_steps_of_a_path() -> None:
    atoms = molecule().coords_A
    vectors = np.zeros((2, len(atoms), 3))
    vectors[0, :, 0] = np.linspace(-1, 1, len(atoms))
    vectors[1, :, 1] = np.linspace(1, -1, len(atoms))
    motion = StraightMotion(atoms, vectors)
    amplitudes, frames = path_frames(motion, np.array([[0.0, 0], [3, 0], [3, 1]]), 5)
    np.testing.assert_allclose(amplitudes, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])
    np.testing.assert_allclose(frames[4], motion.coordinates(np.array([3.0, 1.0])))
    assert len(path_frames(motion, np.array([[2.0, 1.0]]), 5)[1]) == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A structure, two modes that bend it, and its map; run `deform` in it."""
    structure = molecule()
    z = structure.coords_A[:, 2]
    vectors = np.zeros((2, len(structure), 3))
    vectors[0, :, 0], vectors[1, :, 1] = z**2 - (z**2).mean(), z**2 - (z**2).mean()
    vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    write_structure(tmp_path / "s.pdb", structure)
    write_modes(tmp_path / "modes", NormalModes((7, 8), vectors))
    write_volume(tmp_path / "map.mrc", map_of(structure.coords_A), VOXEL_A)
    return tmp_path


def deform(folder: Path, *more: str) -> int:
    arguments = ["--structure", str(folder / "s.pdb"), "--modes", str(folder / "modes"), "--output", str(folder / "o")]
    return cli.main(["deform", *arguments, *more])


def table(folder: Path) -> tuple[list[str], np.ndarray]:
    with (folder / "o" / "frames.csv").open() as file:
        head, *rows = list(csv.reader(file))
    return head, np.array(rows, dtype=float)


class TestCommand:
    def test_to_a_conformation_with_the_map(self, folder: Path) -> None:
        more = ["--amplitudes", "30 -15", "--n-frames", "4", "--map", str(folder / "map.mrc")]
        assert deform(folder, "--mode-list", "7-8", *more) == 0
        head, rows = table(folder)
        assert head == ["frame", "amplitude7_A", "amplitude8_A", "rmsd_A"]
        np.testing.assert_allclose(rows[:, 1:3], [[0, 0], [10, -5], [20, -10], [30, -15]])
        models = gemmi.read_structure(str(folder / "o" / "frames.pdb"))
        assert len(models) == 4
        rest, voxel_A = read_volume(folder / "map.mrc")
        first, _ = read_volume(folder / "o" / "frame_001.mrc")
        np.testing.assert_array_equal(first, rest)
        last, last_voxel_A = read_volume(folder / "o" / "frame_004.mrc")
        assert last_voxel_A == pytest.approx(voxel_A)
        moved = np.array([c.atom.pos.tolist() for c in models[3].all()])
        assert correlation(last, map_of(moved)) > 0.99 > correlation(rest, map_of(moved))
        record = json.loads((folder / "o" / "record.json").read_text())
        assert (record["modes"], record["frames"]) == ([7, 8], 4)

    def test_swing_is_the_default(self, folder: Path) -> None:
        assert deform(folder, "--swing-rmsd-A", "1.5", "--n-frames", "8") == 0
        head, rows = table(folder)
        assert head == ["frame", "amplitude7_A", "rmsd_A"]
        assert rows[0, 1] == 0
        np.testing.assert_allclose(rows[[2, 6], 2], 1.5, atol=0.01)
        assert rows[2, 1] == -rows[6, 1]
        assert not list((folder / "o").glob("*.mrc"))

    def test_one_frame_is_the_conformation_itself(self, folder: Path) -> None:
        assert deform(folder, "--amplitudes", "50", "--n-frames", "1") == 0
        assert table(folder)[1][:, 1].tolist() == [50.0]

    def test_from_group_to_group(self, folder: Path) -> None:
        for name, q in (("a", [-10.0, 4.0]), ("b", [30.0, 0.0])):
            particles = Particles(
                ids=np.array([1, 2]), stacks=np.full(2, str(folder / "s.mrcs"), dtype=object), indices=np.arange(2),
                pixel_size_A=1.0, box_px=8, euler_deg=np.zeros((2, 3)), shift_A=np.zeros((2, 2)), mode_ids=(7, 8),
                amplitudes=np.array(q) + np.array([[1.0, 1.0], [-1.0, -1.0]]),
            )  # fmt: skip
            write_particles(particles, folder / f"{name}.star")
        groups = ["--particles", str(folder / "a.star"), "--particles", str(folder / "b.star")]
        assert deform(folder, *groups, "--n-frames", "3") == 0
        np.testing.assert_allclose(table(folder)[1][:, 1:3], [[-10, 4], [10, 2], [30, 0]], atol=1e-3)
        assert deform(folder, *groups[:2], "--mode-list", "8", "--n-frames", "2") == 0
        np.testing.assert_allclose(table(folder)[1][:, 1], [0, 4], atol=1e-3)

    @pytest.mark.parametrize("place", ["middle", "centre", "header"])
    def test_atoms_are_found_in_their_map(self, folder: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Wherever the structure's coordinates begin, the frames are the same; the header's origin is kept."""
        structure, offset = molecule(), np.array([50.0, -30.0, 20.0])
        coords = structure.coords_A
        if place == "header":
            with mrcfile.open(folder / "map.mrc", mode="r+") as mrc:
                mrc.header.origin = tuple(offset - VOXEL_A * (BOX // 2))
        if place == "middle":
            coords = coords + np.array([4.0, 0.0, -6.0])
            write_volume(folder / "map.mrc", map_of(coords), VOXEL_A)
        elif place != "middle":
            coords = coords + offset
        write_structure(folder / "s.pdb", structure.replace_coords(coords))
        assert deform(folder, "--amplitudes", "60", "--n-frames", "2", "--map", str(folder / "map.mrc")) == 0
        assert f"by '{place}'" in capsys.readouterr().out
        models = gemmi.read_structure(str(folder / "o" / "frames.pdb"))
        moved = np.array([c.atom.pos.tolist() for c in models[1].all()])
        shown = moved if place == "middle" else moved - offset
        frame, _ = read_volume(folder / "o" / "frame_002.mrc")
        assert correlation(frame, map_of(shown)) > 0.99
        with mrcfile.open(folder / "o" / "frame_002.mrc") as new, mrcfile.open(folder / "map.mrc") as old:
            assert new.header.origin == old.header.origin

    def test_pseudoatoms_keep_their_gaussians(self, folder: Path) -> None:
        structure = molecule()
        columns = {"atom_names": "DENS", "residue_names": "DEN", "chain_ids": "A"}
        full = {k: np.full(len(structure), v, dtype=object) for k, v in columns.items()}
        numbers = {"residue_numbers": np.arange(len(structure)) + 1, "sigma_A": 3.0}
        write_structure(
            folder / "s.pdb", Structure(**(vars(structure) | full | numbers | {"weights": np.full(90, 0.5)}))
        )
        assert deform(folder, "--n-frames", "4") == 0
        lines = (folder / "o" / "frames.pdb").read_text().splitlines()
        assert "REMARK fixedGaussian 3.000000" in lines
        assert read_structure(folder / "o" / "frames.pdb").weights.tolist() == [0.5] * 90

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--mode-list", "7-8"], "got 2 modes, an oscillation needs one"),
            (["--amplitudes", "1 2"], "got '1 2', expected 1 numbers"),
            (["--amplitudes", "far"], "got 'far', expected 1 numbers"),
            (["--amplitudes", "1", "--particles", "g.star"], "both define the motion"),
            (["--mode-list", "9"], "no file vec.N for modes [9]"),
            (["--map", "nowhere.mrc"], "no such file"),
        ],
    )
    def test_what_cannot_be_is_explained(
        self, folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
    ) -> None:
        assert deform(folder, *more) == 2
        assert message in capsys.readouterr().err
        assert not (folder / "o").exists()

    def test_a_map_of_something_else(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_structure(folder / "s.pdb", molecule().replace_coords(molecule().coords_A + 500.0))
        more = ["--map", str(folder / "map.mrc"), "--amplitudes", "9"]
        assert deform(folder, *more, "--place", "middle") == 2
        assert "90 of 90 atoms are outside the map" in capsys.readouterr().err
        write_volume(folder / "map.mrc", np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32), VOXEL_A)
        write_structure(folder / "s.pdb", molecule().replace_coords(molecule().coords_A + np.array([3.0, 8.0, 5.0])))
        if deform(folder, *more) == 2:
            assert "select one by --place" in capsys.readouterr().err
