"""An EM map as the reference: pseudoatoms, their normal modes, alignment with them, and the map that moves.

    python benchmarks/map_reference.py [--data ../shared/data] [--output map_reference.json] [--parts ak warp …]

AK: a map of 128³ voxels simulated from adenylate kinase. Its pseudoatoms, by the embedded engine and by Xmipp's program
where that is installed (XMIPP_HOME or PATH), have modes that are compared with those of the atoms, at the atoms; and
ak_xmipp32, 32 images that Xmipp made from the atoms, is aligned with them, phase flipped and reduced to 128 px. For
betagal133's map (D2) there are no atoms to compare with: six motions without energy, collectivity, and whether modes
keep or change sign under the map's own twofold axes. Displacements of atoms and pseudoatoms are compared,
never amplitudes.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from continuousflex_deep.commands.preprocess import run as preprocess
from continuousflex_deep.commands.pseudoatoms import run as make_pseudoatoms
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.hemnma.alignment import align
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.imaging.density import structure_to_map
from continuousflex_deep.io.modes import NormalModes, read_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.records import PROGRAM
from continuousflex_deep.io.stacks import read_volume, write_volume
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion import Motion, StraightMotion, amplitude_of_rmsd, motion_along
from continuousflex_deep.nma.network import compute_modes, for_structure, network_cutoff_A
from continuousflex_deep.nma.warp import displacement_field, warp_map
from continuousflex_deep.options import AlignOptions, NmaOptions, PreprocessOptions, PseudoatomsOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.programs import XMIPP

BOX, VOXEL_A, BLUR_A2 = 128, 1.0, 250.0  # of AK's map: about 6 Å
MODES, LOST_DEG = (7, 8, 9), 5.0
ENGINES = ("embedded", "xmipp") if XMIPP.find(PROGRAM) else ("embedded",)
PARTS = ("ak", "align", "betagal", "warp")


def main() -> None:
    """Print all tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("map_reference.json"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    figures: dict[str, object] = {"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"}
    if len(ENGINES) == 1:
        print(f"{PROGRAM} is not installed (set XMIPP_HOME): the embedded engine alone")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        atoms, modes = centred_ak(arguments.data), read_modes(arguments.data / "elnemo_ak", MODES)
        volume = structure_to_map(atoms, BOX, VOXEL_A, b_factor_A2=BLUR_A2)
        write_volume(folder / "ak.mrc", volume, VOXEL_A)
        if "warp" in arguments.parts:
            figures["warp"] = ak_warped(atoms, modes, volume)
        if "ak" in arguments.parts or "align" in arguments.parts:
            found = {e: pseudoatoms(folder / "ak.mrc", folder / f"ak_{e}.pdb", e) for e in ENGINES}
            figures["ak"] = ak_modes(atoms, modes, found)
            if "align" in arguments.parts:
                figures["align"] = ak_aligned(arguments.data, folder, atoms, modes, found)
        if "betagal" in arguments.parts:
            figures["betagal"] = betagal(arguments.data / "betagal133" / "betaGal_ref_2.561A_96.mrc", folder)
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written: {arguments.output}")


def centred_ak(data: Path) -> Structure:
    """AK.pdb with its centre at the origin, as it is in its map."""
    atoms = read_structure(data / "gold10" / "AK.pdb")
    return atoms.replace_coords(atoms.coords_A - atoms.center_A)


def pseudoatoms(volume: Path, output: Path, engine: str) -> tuple[Structure, dict[str, object]]:
    """Pseudoatoms by an engine with its defaults, and what it says of them with the time that it took."""
    started = time.perf_counter()
    make_pseudoatoms(PseudoatomsOptions(map=str(volume), output=str(output), engine=engine))  # type: ignore[arg-type]
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


def ak_modes(
    atoms: Structure, modes: NormalModes, found: dict[str, tuple[Structure, dict[str, object]]]
) -> dict[str, object]:
    """Overlap of the first three modes of pseudoatoms with those of the atoms, and of both engines with each other."""
    figures: dict[str, object] = {}
    spread = {}
    for engine, (structure, facts) in found.items():
        own, cutoff_A = network_modes(structure, 12)
        spread[engine] = modes_at(structure, own.vectors[:3], atoms.coords_A)
        same = overlaps(spread[engine], modes.vectors)
        contained = np.linalg.norm(same, axis=0)
        print(
            f"AK, {BOX}³ voxels of {VOXEL_A:g} Å, {engine}: {facts['pseudoatoms']} pseudoatoms of "
            f"{facts['sigma_A']:.2f} Å in {facts['seconds']:.1f} s, error {facts['error_percent']:.2f}% (Xmipp's "
            f"definition {facts['xmipp_error_percent']:.2f}%), cutoff {cutoff_A:.2f} Å"
        )
        print(f"  overlap of modes 7, 8, 9 with the atoms': {np.round(np.diag(same), 3)}")
        print(f"  of each of the atoms' with the span of the three: {np.round(contained, 3)}")
        figures[engine] = facts | {"overlap": np.diag(same).tolist(), "in_span": contained.tolist()}
    if len(spread) == 2:
        between = np.diag(overlaps(*spread.values()))
        print(f"  overlap between the engines: {np.round(between, 3)}")
        figures["between_engines"] = between.tolist()
    return figures


def ak_aligned(
    data: Path,
    folder: Path,
    atoms: Structure,
    modes: NormalModes,
    found: dict[str, tuple[Structure, dict[str, object]]],
) -> dict[str, object]:
    """Images of ak_xmipp32 that are lost, and errors of the others, with atoms and pseudoatoms as the reference."""
    source = str(data / "ak_xmipp32" / "particles_256.star")
    preprocess(PreprocessOptions(particles=source, output=str(folder), box=128, phase_flip=True))
    particles = read_particles(folder / "particles.star")
    columns = np.loadtxt(data / "ak_xmipp32" / "ground_truth.txt")
    truth = particles.replace(
        euler_deg=columns[:, 4:7], shift_A=0.325 * columns[:, 7:9], amplitudes=columns[:, 1:4], mode_ids=MODES
    )
    references = {"atoms": (atoms, modes)} | {
        f"pseudoatoms, {engine}": (s, network_modes(s, 12)[0].select(MODES)) for engine, (s, _) in found.items()
    }
    figures: dict[str, object] = {}
    true = motion_along(atoms, modes)
    rest_A = conformation_errors(true, truth, true, 0 * truth.amplitudes)
    print(f"ak_xmipp32: lost (> {LOST_DEG:g}°); of the others median angle, shift, and RMSD of the atoms' conformation")
    for name, (structure, own) in references.items():
        started = time.perf_counter()
        aligned = align(EmbeddedEngine(structure, own, AlignOptions()), particles)
        seconds = time.perf_counter() - started
        angle_deg = axes_distance_deg(euler_to_matrix(aligned.euler_deg), euler_to_matrix(truth.euler_deg))
        shift_A = np.linalg.norm(aligned.shift_A - truth.shift_A, axis=1)
        spread = spread_modes(structure, own.vectors, atoms.coords_A) if structure is not atoms else own.vectors
        rmsd_A = conformation_errors(true, truth, StraightMotion(atoms.coords_A, spread), aligned.amplitudes)
        kept = angle_deg <= LOST_DEG
        row = {
            "lost": int(np.sum(~kept)),
            "angle_deg": float(np.median(angle_deg[kept])),
            "shift_A": float(np.median(shift_A[kept])),
            "conformation_rmsd_A": float(np.median(rmsd_A[kept])),
            "seconds": seconds,
        }
        figures[name] = row
        print(
            f"  {name:<22s} {row['lost']:2d} of {len(particles)}  {row['angle_deg']:.2f}°  {row['shift_A']:.3f} Å  "
            f"{row['conformation_rmsd_A']:.2f} Å (the structure at rest: {np.median(rest_A):.2f} Å)  {seconds:.0f} s"
        )
    return figures


def conformation_errors(
    true: Motion[np.ndarray], truth: Particles, found: Motion[np.ndarray], amplitudes: np.ndarray
) -> np.ndarray:
    """RMSD (n,) of the atoms, superposed, between their true conformation and that of another motion of theirs with
    amplitudes (n, M)."""
    errors = []
    for ours, q in zip(amplitudes, truth.amplitudes, strict=True):
        moved, expected = found.coordinates(ours), true.coordinates(q)
        moved, expected = moved - moved.mean(axis=0), expected - expected.mean(axis=0)
        u, _, vt = np.linalg.svd(moved.T @ expected)
        u[:, -1] *= np.sign(np.linalg.det(u @ vt))
        errors.append(np.sqrt(np.square(moved @ (u @ vt) - expected).sum(axis=1).mean()))
    return np.array(errors)


def ak_warped(atoms: Structure, modes: NormalModes, volume: np.ndarray) -> dict[str, object]:
    """Correlation of the map moved along modes with that of the moved atoms, and of the map at rest with it."""
    figures: dict[str, object] = {}
    print("AK's map moved along modes by 100 Å: correlation with the map of the moved atoms (at rest)")
    for name, q in {"7": (100, 0, 0), "8": (0, 100, 0), "9": (0, 0, 100), "7, 8 and 9": (100, 100, 100)}.items():
        moved = motion_along(atoms, modes).coordinates(np.array(q, dtype=float))
        expected = structure_to_map(atoms.replace_coords(moved), BOX, VOXEL_A, b_factor_A2=BLUR_A2, center=False)
        started = time.perf_counter()
        warped = warp_map(volume, VOXEL_A, atoms.coords_A, moved)
        seconds = time.perf_counter() - started
        after, before = correlation(warped, expected), correlation(volume, expected)
        print(f"  {name:<10s} {after:.4f} ({before:.4f}), {seconds:.1f} s")
        figures[name] = {"moved": after, "at_rest": before, "seconds": seconds}
    return figures


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, over all voxels."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def betagal(path: Path, folder: Path) -> dict[str, object]:
    """Modes of betagal133's map: collectivity, symmetry under its twofold axes, and the map swinging along mode 7."""
    figures: dict[str, object] = {}
    volume, voxel_A = read_volume(path)
    signs = {"x": (1, -1, -1), "y": (-1, 1, -1), "z": (-1, -1, 1)}
    symmetric = {axis: correlation(volume, half_turned(volume, sign)) for axis, sign in signs.items()}
    print("betagal133's map, correlation with itself turned by 180° about", _named(symmetric))
    for engine in ENGINES:
        structure, facts = pseudoatoms(path, folder / f"betagal_{engine}.pdb", engine)
        own, cutoff_A = network_modes(structure, 16)
        assert own.collectivity is not None
        assert own.eigenvalues is not None
        print(
            f"  {engine}: {facts['pseudoatoms']} pseudoatoms in {facts['seconds']:.1f} s, error "
            f"{facts['error_percent']:.2f}% (Xmipp's {facts['xmipp_error_percent']:.2f}%), cutoff {cutoff_A:.2f} Å; "
            "six motions without energy"
        )
        center = structure.coords_A
        rows = []
        for mode, vector, value, kappa in zip(
            own.mode_ids, own.vectors, own.eigenvalues, own.collectivity, strict=True
        ):
            field = displacement_field(center, center + vector)
            characters = {}
            for axis, sign in signs.items():
                turned = field.at(center * sign) * sign
                characters[axis] = float(np.sum(turned * vector) / np.linalg.norm(turned))
            print(f"    mode {mode:2d}  eigenvalue {value:9.4g}  collectivity {kappa:.2f}  {_named(characters)}")
            rows.append({"mode": mode, "collectivity": float(kappa), **characters})
        figures[engine] = facts | {"modes": rows}
        if engine == "embedded":
            figures["swing"] = betagal_swing(volume, voxel_A, structure, own)
    return figures | {"map_symmetry": symmetric}


def betagal_swing(volume: np.ndarray, voxel_A: float, structure: Structure, own: NormalModes) -> dict[str, float]:
    """The map at both ends of a swing of 3 Å RMSD along mode 7, taken back to rest."""
    farthest = np.array([amplitude_of_rmsd(3.0, len(structure))])
    moved = motion_along(structure, own.select(own.mode_ids[:1])).coordinates(farthest)
    started = time.perf_counter()
    there = warp_map(volume, voxel_A, structure.coords_A, moved)
    seconds = time.perf_counter() - started
    back = warp_map(there, voxel_A, moved, structure.coords_A)
    facts = {
        "seconds": seconds,
        "at_rest": correlation(volume, there),
        "there_and_back": correlation(volume, back),
        "mass_ratio": float((there - np.median(there)).sum() / (volume - np.median(volume)).sum()),
    }
    print(
        f"    the map 3 Å (RMSD) along mode 7: {seconds:.1f} s, correlation with the map at rest "
        f"{facts['at_rest']:.3f}, there and back {facts['there_and_back']:.4f}, mass times {facts['mass_ratio']:.3f}"
    )
    return facts


def half_turned(volume: np.ndarray, sign: tuple[int, int, int]) -> np.ndarray:
    """The map with each axis (xyz) of sign -1 mirrored at voxel d//2; two of them make a half turn."""
    for axis, s in zip((2, 1, 0), sign, strict=True):
        if s < 0:
            shift = 1 if volume.shape[axis] % 2 == 0 else 0
            volume = np.roll(np.flip(volume, axis), shift, axis)
    return volume


def _named(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:+.2f}" for name, value in values.items())


if __name__ == "__main__":
    main()
