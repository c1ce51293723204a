"""The nma command: normal modes of a structure into a folder."""

from pathlib import Path

from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import NormalModes, write_modes
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.nma.network import compute_modes, network_cutoff_A
from continuousflex_deep.options import NmaOptions


def run(options: NmaOptions) -> None:
    """Write `vec.7`, `vec.8`, …, modes.json and record.json to options.output and print a table of the modes."""
    require_writable_folder(options.output)
    structure = read_structure(options.structure, hydrogens=options.hydrogens)
    cutoff_A = network_cutoff_A(structure.coords_A, options)
    print(f"{len(structure)} atoms, springs up to {cutoff_A:.2f} Å, " + _blocks(options.block_size), flush=True)
    modes = compute_modes(structure, options)
    write_modes(options.output, modes)
    write_record(Path(options.output) / "record.json", "nma", options, n_atoms=len(structure), cutoff_used_A=cutoff_A)
    print(mode_table(modes, options.collectivity_threshold))
    print(f"modes {modes.mode_ids[0]} to {modes.mode_ids[-1]} are in {options.output}")


def mode_table(modes: NormalModes, collectivity_threshold: float) -> str:
    """The modes as text, one a line, with a remark on those that move too few atoms together."""
    lines = ["mode  eigenvalue  collectivity  score"]
    if modes.eigenvalues is None or modes.collectivity is None or modes.score is None:
        return "\n".join([*lines, *(f"{m:4d}" for m in modes.mode_ids)])
    for mode, value, kappa, score in zip(
        modes.mode_ids, modes.eigenvalues, modes.collectivity, modes.score, strict=True
    ):
        remark = "  not recommended: moves few atoms" if kappa < collectivity_threshold else ""
        lines.append(f"{mode:4d}  {value:10.4g}  {kappa:12.3f}  {score:5.3f}{remark}")
    return "\n".join(lines)


def _blocks(block_size: int) -> str:
    return f"rigid blocks of {block_size} residues" if block_size else "no blocks"
