"""From an atomic structure to images with CTF and noise, and back to its map."""

from pathlib import Path

import numpy as np
import pytest

from continuousflex_deep.commands.simulate import run as simulate
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.structures import Structure, write_structure
from continuousflex_deep.landscape.landscape import make_landscape
from continuousflex_deep.landscape.selection import Criteria, centroid, group_particles, select_group
from continuousflex_deep.options import SimulateOptions
from continuousflex_deep.reconstruction.reconstruct import reconstruct

BOX, PIXEL_A = 40, 2.5


@pytest.fixture
def structure() -> Structure:
    rng = np.random.default_rng(2)
    n = 150
    walk = np.cumsum(rng.normal(size=(n, 3)) * 2.2, axis=0)
    walk = np.round((walk - walk.mean(axis=0)) * 20 / np.abs(walk - walk.mean(axis=0)).max(), 3)
    return Structure(
        coords_A=walk,
        atomic_number=np.full(n, 6),
        weights=np.full(n, 6.0),
        atom_names=np.full(n, "CA", dtype=object),
        residue_names=np.full(n, "ALA", dtype=object),
        residue_numbers=np.arange(1, n + 1),
        chain_ids=np.full(n, "A", dtype=object),
    )


def bending(structure: Structure) -> NormalModes:
    """One smooth motion: the structure bends along y as x grows."""
    vector = np.zeros((1, len(structure), 3))
    vector[0, :, 1] = np.abs(structure.coords_A[:, 0]) - np.abs(structure.coords_A[:, 0]).mean()
    return NormalModes(mode_ids=(7,), vectors=vector / np.linalg.norm(vector))


def images(folder: Path, structure: Structure, **changes: object) -> SimulateOptions:
    write_structure(folder / "s.pdb", structure)
    write_modes(folder / "modes", bending(structure))
    fixed = {"mode_list": "7", "box_px": BOX, "pixel_size_A": PIXEL_A, "final_box_px": 0, "shift_range_px": 2.0}
    fixed |= {"defocus_A": (6000.0, 12000.0), "b_factor_A2": 0.0, "threads": 1, "tilt_sampling": "uniform-sphere"}
    options = SimulateOptions(
        structure=str(folder / "s.pdb"), modes=str(folder / "modes"), output=str(folder / "set"), **(fixed | changes)
    )
    simulate(options)
    return options


@pytest.mark.parametrize("phase_flip", [False, True])
def test_simulated_images_give_back_the_structures_map(structure: Structure, tmp_path: Path, phase_flip: bool) -> None:
    images(tmp_path, structure, count=300, conformations="linear", amplitude_range=0.0, snr=1.0, phase_flip=phase_flip)
    truth = read_particles(tmp_path / "set" / "truth.star")
    reference = structure_to_map(structure, BOX, PIXEL_A)
    result = reconstruct(truth, reference=reference)
    assert result.curves["reference"][1:10].min() > 0.95
    assert result.resolutions_A()["reference"]["0.5"] < 2.6 * PIXEL_A
    assert reconstruct(truth).sign == result.sign  # found without the reference too


def test_group_resembles_its_own_centroid_most(structure: Structure, tmp_path: Path) -> None:
    images(tmp_path, structure, count=400, conformations="uniform", amplitude_range=90.0, snr=2.0, phase_flip=False)
    truth = read_particles(tmp_path / "set" / "truth.star")
    landscape = make_landscape(truth, np.ones(len(truth), dtype=np.int64))
    modes, maps, centres = bending(structure), [], []
    for condition in ("q7 < -45", "q7 > 45"):
        rows = select_group(landscape, Criteria(condition))
        maps.append(reconstruct(group_particles(landscape, rows)).map)
        q = centroid(landscape, rows)["centroid_amplitudes"][0]
        deformed = structure.replace_coords(structure.coords_A + q * modes.vectors[0])
        centres.append(structure_to_map(deformed, BOX, PIXEL_A))
    table = [[np.corrcoef(m.ravel(), c.ravel())[0, 1] for c in centres] for m in maps]
    assert min(table[0][0], table[1][1]) > 0.75
    assert max(table[0][1], table[1][0]) < min(table[0][0], table[1][1]) - 0.1
