"""Normal modes by elNemo's programs, with exactly the network and blocks of the embedded engine.

pdbmat writes the Hessian of a network of equal springs; diagrtb computes its lowest modes with rigid blocks (Tama et
al., Proteins 2000, 41:1), diag_arpack without blocks. The programs expect files with fixed names in their folder.
"""

import tempfile
from pathlib import Path

import numpy as np

from continuousflex_deep.arrays import Floats, Integers
from continuousflex_deep.errors import DeepError, FormatError, InputError
from continuousflex_deep.io.files import require_file
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.nma.network import (
    N_RIGID,
    finished_modes,
    for_structure,
    network_cutoff_A,
    network_springs,
    require_enough_unknowns,
    require_six_zeros,
    strain_matrix,
)
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.programs import ELNEMO, ELNEMO_ARPACK, ELNEMO_DIAGRTB, ELNEMO_PDBMAT, run_program

_COORDS, _MATRIX, _MODES = "atoms.xyzm", "pdbmat.sdijf", "diagrtb.eigenfacs"
_ARPACK_INPUT, _ARPACK_MATRIX, _ARPACK_MODES = "diag_arpack.in", "matrice.sdijf", "fort.11"
_ARPACK_UNKNOWNS, _ARPACK_MOST_MODES = 50_000, 200  # limits compiled into the program
_SMALLEST_BLOCK = 3  # atoms


def required_programs(options: NmaOptions) -> list[str]:
    """The programs that options `for_structure` need."""
    return [ELNEMO_PDBMAT, ELNEMO_DIAGRTB if options.block_size > 0 else ELNEMO_ARPACK]


def elnemo_modes(structure: Structure, options: NmaOptions, log: Path) -> NormalModes:
    """Modes 7 to options.n_modes, as from `compute_modes`, computed by elNemo, whose output goes to a log.

    Raises MissingDependencyError if its programs are not installed, InputError for structures that they cannot treat or
    whose network is not connected, and DeepError if a program fails.
    """
    options = for_structure(options, structure)
    programs = ELNEMO.require(required_programs(options), options.elnemo_home)
    cutoff_A = network_cutoff_A(structure.coords_A, options)
    pairs = network_springs(structure, cutoff_A, blocks=options.block_size > 0)
    blocks = _blocks(structure, options)
    stiffness = 2 * len(pairs) / structure.coords_A.size  # the mean of the Hessian's diagonal
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="cfd_elnemo_") as name:
        folder = Path(name)
        _write_coordinates(folder / _COORDS, structure.coords_A, blocks)
        (folder / "pdbmat.dat").write_text(_pdbmat_input(cutoff_A))
        _run(programs[ELNEMO_PDBMAT], folder, log, folder / _MATRIX)
        if options.block_size > 0:
            (folder / "diagrtb.dat").write_text(_diagrtb_input(options.n_modes))
            _run(programs[ELNEMO_DIAGRTB], folder, log, folder / _MODES)
            eigenvalues, vectors = read_eigenfacs(folder / _MODES, len(structure))
        else:
            (folder / _MATRIX).rename(folder / _ARPACK_MATRIX)
            (folder / _ARPACK_INPUT).write_text(_arpack_input(options.n_modes, structure.coords_A.size))
            _run(programs[ELNEMO_ARPACK], folder, log, folder / _ARPACK_MODES)
            vectors = _read_numbers(folder / _ARPACK_MODES, structure.coords_A.size)
            eigenvalues = np.square(strain_matrix(structure.coords_A, pairs) @ vectors.T).sum(axis=0)
    if len(vectors) != options.n_modes:
        raise DeepError(
            f"elNemo found {len(vectors)} of the {options.n_modes} requested modes; see its log '{log}', and request "
            "fewer modes or use a larger cutoff"
        )
    require_six_zeros(eigenvalues, vectors, structure, stiffness, cutoff_A)
    return finished_modes(vectors[N_RIGID:], eigenvalues[N_RIGID:])


def read_eigenfacs(path: Path, n_atoms: int) -> tuple[Floats, Floats]:
    """Eigenvalues (M,) and vectors (M, 3N) of a file of diagrtb: for each mode a line "VECTOR number VALUE eigenvalue",
    a separator and one row `dx dy dz` per atom. FormatError for other content."""
    lines = require_file(path, "modes of elNemo").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if "VALUE" in line]
    try:
        eigenvalues = np.array([float(lines[i].split("VALUE")[1].replace("D", "E")) for i in starts])
        vectors = np.array(
            [[[float(x) for x in row.split()] for row in lines[i + 2 : i + 2 + n_atoms]] for i in starts]
        )
    except ValueError as error:
        raise FormatError(f"'{path}' is not a file of modes of elNemo: {error}; run elNemo again") from error
    if vectors.shape != (len(starts), n_atoms, 3) or not len(starts):
        raise FormatError(
            f"'{path}': got modes of shape {vectors.shape}, expected rows of three numbers for each of {n_atoms} atoms"
        )
    return eigenvalues, vectors.reshape(len(starts), -1)


def _blocks(structure: Structure, options: NmaOptions) -> Integers:
    """(N,) number of each atom's block; InputError for blocks or numbers of modes that elNemo does not support."""
    blocks = block_numbers(structure, options.block_size)
    if options.block_size == 0:
        unknowns = structure.coords_A.size
        if unknowns > _ARPACK_UNKNOWNS or options.n_modes > _ARPACK_MOST_MODES or 2 * options.n_modes > unknowns:
            raise InputError(
                f"{ELNEMO_ARPACK} supports at most {_ARPACK_UNKNOWNS // 3} atoms, {_ARPACK_MOST_MODES} modes, and one "
                f"mode for every two unknowns; got {len(structure)} atoms and {options.n_modes} modes: use --engine "
                "embedded"
            )
        return blocks
    if np.any(np.diff(blocks) < 0):
        raise InputError(
            "elNemo's blocks are consecutive atoms of the file, and blocks of pseudoatoms are not, nor those of "
            "residues whose atoms are apart; use --block-size 0 or --engine embedded"
        )
    smallest = int(np.bincount(blocks).min())
    if smallest < _SMALLEST_BLOCK:
        raise InputError(
            f"elNemo's blocks must have {_SMALLEST_BLOCK} atoms or more, got a block of {smallest}: "
            f"{structure.describe(np.flatnonzero(np.bincount(blocks)[blocks] == smallest))}; use a larger "
            f"--block-size than {options.block_size}, leave ions out by --select, or use --engine embedded"
        )
    require_enough_unknowns(options, len(structure), 6 * (int(blocks[-1]) + 1))
    return blocks


def _write_coordinates(path: Path, coords_A: Floats, blocks: Integers) -> None:
    """Write elNemo's free format: x, y, z, mass, and a residue number, which is the number of the block."""
    rows = zip(coords_A.tolist(), blocks.tolist(), strict=True)
    path.write_text("".join(f"{x:18.8f} {y:18.8f} {z:18.8f} {1.0:6.1f} {block + 1:8d}\n" for (x, y, z), block in rows))


def _pdbmat_input(cutoff_A: float) -> str:
    entries = {
        "Coordinate FILENAME": _COORDS,
        "MATRIx FILENAME": _MATRIX,
        "INTERACtion DISTance CUTOF": f"{cutoff_A:.6f}",
        "INTERACtion FORCE CONStant": "1.0",
        "Origin of MASS values": "CON",
        "Output PRINTing level": "1",
    }
    return _input(entries)


def _diagrtb_input(n_modes: int) -> str:
    entries = {
        "MATRix filename": _MATRIX,
        "COORdinates filename": _COORDS,
        "Eigenvector OUTPut filename": _MODES,
        "Nb of VECTors required": str(n_modes),
        "EigeNVALues chosen": "LOWE",
        "Type of SUBStructuring": "NONE",
        "Nb of residues per BLOck": "1",
        "Origin of MASS values": "CONS",
        "Temporary files cleaning": "ALL",
        "MATRix FORMat": "FREE",
        "Output PRINting level": "1",
    }
    return _input(entries)


def _input(entries: dict[str, str]) -> str:
    return "! input\n" + "".join(f" {name:<28s} = {value}\n" for name, value in entries.items())


def _arpack_input(n_modes: int, unknowns: int) -> str:
    return f"&inputs\nnev = {n_modes},\nncv = {min(2 * n_modes + 20, unknowns)},\ntol = 1e-12/\n"


def _read_numbers(path: Path, per_mode: int) -> Floats:
    numbers = np.loadtxt(path, dtype=np.float64, ndmin=1)
    if not numbers.size or numbers.size % per_mode or not np.isfinite(numbers).all():
        raise FormatError(f"'{path}': got {numbers.size} numbers, expected {per_mode} for each mode; run elNemo again")
    return numbers.reshape(-1, per_mode)


def _run(program: Path, folder: Path, log: Path, result: Path) -> None:
    """Run a program, which may fail with exit status 0; DeepError, with its messages, if the result is missing."""
    run_program([str(program)], ELNEMO.environment(program), folder, log.absolute())
    if not result.is_file() or result.stat().st_size == 0:
        said = [
            line.strip() for line in log.read_text(errors="replace").splitlines() if "-Er>" in line or "ERROR" in line
        ]
        raise DeepError(
            f"{program.name} wrote no {result.name}; its messages: {' '.join(said[-3:]) or 'none'} (log '{log}')"
        )
