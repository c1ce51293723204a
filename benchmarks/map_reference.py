"""An EM map as the reference: pseudoatoms, their normal modes, alignment with them, and the map that moves.

    python benchmarks/map_reference.py [--only ak align betagal warp] [--data ../shared/data] [--output FILE.json]

AK: a map of 128³ voxels of 1 Å simulated from adenylate kinase. Its pseudoatoms, by the embedded engine and by Xmipp's
program where that is installed (XMIPP_HOME or PATH), have modes that are compared with those of the atoms, at the
atoms; and ak_xmipp32, 32 images that Xmipp made from the atoms, is aligned with them, phase flipped and reduced to
128 px. For betagal133's map (D2) there are no atoms to compare with: six motions without energy, collectivity, and
whether modes keep or change sign under the map's own twofold axes. Displacements of atoms and pseudoatoms are compared,
never amplitudes. Needs the folder of data.

ak        overlap of the first three modes of AK's pseudoatoms with those of its atoms
align     errors of ak_xmipp32 with the atoms and with the pseudoatoms as the reference
warp      AK's map moved along modes by 100 Å, against the map of the moved atoms
betagal   pseudoatoms and modes of betagal133's map, and the map moved along the first of them

Fills "An EM map as the reference" of docs/results.md. The default size takes about 5 minutes on one core (estimated
from its parts).
"""

import argparse
import json
import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cases import ARTICLE, MODES, TINY, xmipp_images, xmipp_reference
from command_line import FULL, SMALLEST, add_data, add_hardware, add_only, benchmark_parser, parse, require_folder
from measuring import Table, run_command, write_figures

from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import Motion, StraightMotion, amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.network import compute_modes, for_structure, network_cutoff_A
from continuousflex_deep.nma.superposition import superpose
from continuousflex_deep.nma.warp import displacement_field, warp_map
from continuousflex_deep.options import AlignOptions, NmaOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.programs import XMIPP, XMIPP_PSEUDOATOMS
from continuousflex_deep.reconstruction.maps import resize_map

WIDTH_A, BLUR_A2 = 128.0, 250.0  # of AK's map: about 6 Å
LOST_DEG = 5.0
ENGINES = ("embedded", "xmipp") if XMIPP.find(XMIPP_PSEUDOATOMS) else ("embedded",)
SIZES = {
    FULL: {"box": 128, "images": 32, "betagal_box": 96, "modes": 16, "every": 1, "setting": ARTICLE},
    SMALLEST: {"box": 32, "images": 3, "betagal_box": 24, "modes": 9, "every": 24, "setting": TINY},
}

Figures = dict[str, Any]


def main() -> None:
    """Print all tables and write the figures."""
    parser = benchmark_parser(__doc__, "map_reference.json")
    add_only(parser, ["ak", "align", "betagal", "warp"])
    parser.add_argument("--box", type=int, help="box of AK's map, and of its images in pixels")
    parser.add_argument("--images", type=int, help="images of ak_xmipp32 to align")
    parser.add_argument("--betagal-box", type=int, help="box to which betagal133's map is reduced")
    parser.add_argument("--modes", type=int, help="modes of betagal133's map")
    parser.add_argument("--every", type=int, help="every n-th atom carries the map along for `warp`")
    add_data(parser)
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    if len(ENGINES) == 1:
        print(f"{XMIPP_PSEUDOATOMS} is not installed (set XMIPP_HOME): the embedded engine alone")
    with tempfile.TemporaryDirectory() as name:
        of_ak = AdenylateKinase(Path(name), arguments)
        parts = {"ak": of_ak.compare_modes, "align": of_ak.align, "warp": of_ak.warp}
        parts["betagal"] = lambda: betagal(Path(name), arguments)
        figures = {part: parts[part]() for part in arguments.only}
    write_figures(arguments.output, figures)


def pseudoatoms(volume: Path, output: Path, engine: str) -> tuple[Structure, Figures]:
    """Pseudoatoms by an engine with its defaults, and what it reports of them with the time that it took."""
    started = time.perf_counter()
    run_command("pseudoatoms", {"map": volume, "output": output, "engine": engine})
    seconds = time.perf_counter() - started
    record = json.loads(output.with_suffix(".json").read_text())
    facts = {k: record[k] for k in ("pseudoatoms", "sigma_A", "error_percent", "xmipp_error_percent")}
    return read_structure(output), facts | {"seconds": seconds}


def network_modes(structure: Structure, n_modes: int) -> tuple[NormalModes, float]:
    """Modes with the command's defaults, and the cutoff in Å; six motions without energy, or it fails."""
    options = for_structure(NmaOptions(structure="s", output="o", n_modes=n_modes), structure)
    return compute_modes(structure, options), network_cutoff_A(structure.coords_A, options)


def spread_modes(structure: Structure, vectors: np.ndarray, places_A: np.ndarray) -> np.ndarray:
    """What modes (M, N, 3) of a structure are at other places (k, 3): (M, k, 3)."""
    fields = [displacement_field(structure.coords_A, structure.coords_A + v) for v in vectors]
    return np.stack([field.at(places_A) for field in fields])


def modes_at(structure: Structure, vectors: np.ndarray, places_A: np.ndarray) -> np.ndarray:
    """The same of unit norm there."""
    spread = spread_modes(structure, vectors, places_A)
    return spread / np.linalg.norm(spread, axis=(1, 2), keepdims=True)


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|cos| between each mode (M, k, 3) of one and each (L, k, 3) of the other."""
    return np.abs(np.einsum("mki,lki->ml", first, second))


class AdenylateKinase:
    """The map of adenylate kinase, its pseudoatoms, and what is measured with them."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder, self.given, self.voxel_A = folder, given, WIDTH_A / given.box
        structure, self.modes = xmipp_reference(given.data)
        # with its centre at the origin, as it is in its map
        self.atoms = structure.replace_coords(structure.coords_A - structure.center_A)
        self.motion = motion_along(self.atoms, self.modes)
        self.volume = self._map_of(self.atoms)

    def _map_of(self, atoms: Structure) -> np.ndarray:
        """In the frame of the coordinates."""
        from continuousflex_deep.imaging.density import structure_to_map

        return structure_to_map(atoms, self.given.box, self.voxel_A, b_factor_A2=BLUR_A2, center=False)

    @cached_property
    def found(self) -> dict[str, tuple[Structure, Figures]]:
        """Pseudoatoms of the map, and facts of them, by engine."""
        write_volume(self.folder / "ak.mrc", self.volume, self.voxel_A)
        return {e: pseudoatoms(self.folder / "ak.mrc", self.folder / f"ak_{e}.pdb", e) for e in ENGINES}

    def compare_modes(self) -> Figures:
        """Overlap of the first three modes of pseudoatoms with those of the atoms, and of both engines with each
        other."""
        table, figures, spread = Table("AK, pseudoatoms by"), Figures(), {}
        for engine, (structure, facts) in self.found.items():
            own, cutoff_A = network_modes(structure, 12)
            spread[engine] = modes_at(structure, own.vectors[:3], self.atoms.coords_A)
            same = overlaps(spread[engine], self.modes.vectors)
            overlap = {f"overlap_{m}": v for m, v in zip(MODES, np.diag(same).tolist(), strict=True)}
            # of each of the atoms' modes with the span of the three
            in_span = {f"in_span_{m}": v for m, v in zip(MODES, np.linalg.norm(same, axis=0).tolist(), strict=True)}
            figures[engine] = facts | {"cutoff_A": cutoff_A} | overlap | in_span
            table.row(engine, figures[engine])
        if len(spread) == 2:
            figures["between_engines"] = np.diag(overlaps(*spread.values())).tolist()
            print(f"overlap between the engines: {np.round(figures['between_engines'], 3)}")
        return figures

    def align(self) -> Figures:
        """Images of ak_xmipp32 that are lost, and medians of the others' errors, with atoms and pseudoatoms as the
        reference; the RMSD of the atoms' conformation stands beside that of the structure at rest."""
        from continuousflex_deep.hemnma.alignment import align
        from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine

        particles, truth = xmipp_images(self.given.data, self.folder, self.given.images, self.given.box)
        references = {"atoms": (self.atoms, self.modes)} | {
            f"pseudoatoms, {engine}": (points, network_modes(points, 12)[0].select(MODES))
            for engine, (points, _) in self.found.items()
        }
        table, figures = Table("ak_xmipp32 with"), Figures()
        rest_A = conformation_errors(self.motion, truth, self.motion, 0 * truth.require_amplitudes("this benchmark"))
        for name, (structure, own) in references.items():
            started = time.perf_counter()
            aligned = align(EmbeddedEngine(structure, own, self._options()), particles)
            seconds = time.perf_counter() - started
            angle_deg = axes_distance_deg(euler_to_matrix(aligned.euler_deg), euler_to_matrix(truth.euler_deg))
            shift_A = np.linalg.norm(aligned.shift_A - truth.shift_A, axis=1)
            at_atoms = structure is self.atoms
            spread = own.vectors if at_atoms else spread_modes(structure, own.vectors, self.atoms.coords_A)
            found = StraightMotion(self.atoms.coords_A, spread)
            rmsd_A = conformation_errors(self.motion, truth, found, aligned.require_amplitudes("this benchmark"))
            kept = angle_deg <= LOST_DEG
            figures[name] = {
                "images": len(particles),
                "lost": int(np.sum(~kept)),
                "angle_deg": median(angle_deg[kept]),
                "shift_A": median(shift_A[kept]),
                "conformation_rmsd_A": median(rmsd_A[kept]),
                "at_rest_rmsd_A": median(rest_A),
                "seconds": seconds,
            }
            table.row(name, figures[name])
        return figures

    def _options(self) -> AlignOptions:
        return AlignOptions(**self.given.setting.align, device=self.given.device, threads=self.given.threads)

    def warp(self) -> Figures:
        """Correlation of the map moved along modes by 100 Å with that of the moved atoms, and of the map at rest with
        it."""
        table, figures, carriers = Table("AK's map moved along"), Figures(), slice(None, None, self.given.every)
        ways = {"7": (100, 0, 0), "8": (0, 100, 0), "9": (0, 0, 100), "7, 8 and 9": (100, 100, 100)}
        for name, q in ways.items():
            moved = self.motion.coordinates(np.array(q, dtype=float))
            expected = self._map_of(self.atoms.replace_coords(moved))
            started = time.perf_counter()
            warped = warp_map(self.volume, self.voxel_A, self.atoms.coords_A[carriers], moved[carriers])
            seconds = time.perf_counter() - started
            figures[name] = {
                "moved": correlation(warped, expected),
                "at_rest": correlation(self.volume, expected),
                "seconds": seconds,
            }
            table.row(name, figures[name])
        return figures


def conformation_errors(
    true: Motion[np.ndarray], truth: Particles, found: Motion[np.ndarray], amplitudes: np.ndarray
) -> np.ndarray:
    """RMSD (n,) of the atoms, superposed, between their true conformation and that of another motion of theirs with
    amplitudes (n, M)."""
    errors = []
    for ours, q in zip(amplitudes, truth.require_amplitudes("this benchmark"), strict=True):
        expected = true.coordinates(q)
        moved = superpose(found.coordinates(ours), expected)
        errors.append(np.sqrt(np.square(moved - expected).sum(axis=1).mean()))
    return np.array(errors)


def median(values: np.ndarray) -> float | None:
    """None of nothing."""
    return float(np.median(values)) if len(values) else None


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, over all voxels."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def betagal(folder: Path, given: argparse.Namespace) -> Figures:
    """Modes of betagal133's map: collectivity, symmetry under its twofold axes, and the map swinging along mode 7."""
    whole, whole_voxel_A = read_volume(require_folder(given.data / "betagal133") / "betaGal_ref_2.561A_96.mrc")
    volume, voxel_A = resize_map(whole, given.betagal_box), whole_voxel_A * len(whole) / given.betagal_box
    write_volume(folder / "betagal.mrc", volume, voxel_A)
    signs = {"x": (1, -1, -1), "y": (-1, 1, -1), "z": (-1, -1, 1)}
    symmetric = {axis: correlation(volume, half_turned(volume, sign)) for axis, sign in signs.items()}
    Table("betagal133's map").row("with itself turned", symmetric)
    figures: Figures = {"map_symmetry": symmetric}
    for engine in ENGINES:
        structure, facts = pseudoatoms(folder / "betagal.mrc", folder / f"betagal_{engine}.pdb", engine)
        own, cutoff_A = network_modes(structure, given.modes)
        Table("pseudoatoms by").row(engine, facts | {"cutoff_A": cutoff_A})
        table, rows = Table("mode"), {}
        for mode, vector, value, kappa in zip(
            own.mode_ids, own.vectors, np.asarray(own.eigenvalues), np.asarray(own.collectivity), strict=True
        ):
            characters = {axis: character(structure, vector, sign) for axis, sign in signs.items()}
            rows[str(mode)] = {"eigenvalue": float(value), "collectivity": float(kappa), **characters}
            table.row(str(mode), rows[str(mode)])
        figures[engine] = facts | {"cutoff_A": cutoff_A, "modes": rows}
        if engine == "embedded":
            figures["swing"] = betagal_swing(volume, voxel_A, structure, own)
    return figures


def character(structure: Structure, vector: np.ndarray, sign: tuple[int, int, int]) -> float:
    """Of a mode (N, 3) under a half turn: 1 where it keeps its sign, -1 where it changes it."""
    turned = displacement_field(structure.coords_A, structure.coords_A + vector).at(structure.coords_A * sign) * sign
    return float(np.sum(turned * vector) / np.linalg.norm(turned))


def betagal_swing(volume: np.ndarray, voxel_A: float, structure: Structure, own: NormalModes) -> Figures:
    """The map at the end of a swing of 3 Å RMSD along mode 7, taken back to rest: correlations with the map, and the
    ratio of masses."""
    farthest = np.array([amplitude_of_rmsd(3.0, len(structure))])
    moved = motion_along(structure, own.select(own.mode_ids[:1])).coordinates(farthest)
    started = time.perf_counter()
    there = warp_map(volume, voxel_A, structure.coords_A, moved)
    seconds = time.perf_counter() - started
    back = warp_map(there, voxel_A, moved, structure.coords_A)
    facts = {
        "at_rest": correlation(volume, there),
        "there_and_back": correlation(volume, back),
        "mass_ratio": float((there - np.median(there)).sum() / (volume - np.median(volume)).sum()),
        "seconds": seconds,
    }
    Table("the map, 3 Å (RMSD)").row("along mode 7", facts)
    return facts


def half_turned(volume: np.ndarray, sign: tuple[int, int, int]) -> np.ndarray:
    """The map with each axis (xyz) of sign -1 mirrored at voxel d//2; two of them make a half turn."""
    for axis, s in zip((2, 1, 0), sign, strict=True):
        if s < 0:
            shift = 1 if volume.shape[axis] % 2 == 0 else 0
            volume = np.roll(np.flip(volume, axis), shift, axis)
    return volume


if __name__ == "__main__":
    main()
