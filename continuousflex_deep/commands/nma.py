"""The `nma` command: normal modes of a structure."""

from dataclasses import replace
from pathlib import Path

from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import write_modes
from continuousflex_deep.io.records import begin_results, write_record
from continuousflex_deep.io.reference import element_digest
from continuousflex_deep.io.structures import Structure, read_structure
from continuousflex_deep.motion.along import BLOCK_SIZE
from continuousflex_deep.motion.blocks import block_numbers
from continuousflex_deep.motion.joints import MOST_BLOCKS, require_joinable
from continuousflex_deep.nma.elnemo import elnemo_modes, required_programs
from continuousflex_deep.nma.mode_report import format_modes
from continuousflex_deep.nma.network import compute_modes, for_structure, network_cutoff_A
from continuousflex_deep.options import NmaOptions
from continuousflex_deep.particles import HELICAL, JOINTED, STRAIGHT
from continuousflex_deep.programs import ELNEMO
from continuousflex_deep.runs.sole_writer import sole_writer


@sole_writer
def run(options: NmaOptions) -> None:
    """Write `vec.7`, `vec.8`, …, modes.json and record.json to options.output, and print a table of the modes."""
    require_writable_folder(options.output)
    structure = read_structure(options.structure, options.hydrogens, options.select, options.models)
    used = for_structure(options, structure)
    if options.engine == "elnemo":
        ELNEMO.require(required_programs(used), options.elnemo_home)
    cutoff_A = network_cutoff_A(structure.coords_A, used)
    kind = "pseudoatoms" if structure.is_pseudoatomic else "atoms"
    print(f"{len(structure)} {kind}, springs up to {cutoff_A:.2f} Å, " + _blocks(used.block_size, kind), flush=True)
    if options.engine == "elnemo":
        modes = elnemo_modes(structure, used, Path(options.output) / "elnemo.log")
    else:
        modes = compute_modes(structure, used)
    modes = replace(modes, motion=_motion(used, structure), block_size=used.block_size)
    begin_results(options.output)
    write_modes(options.output, modes)
    facts = {
        "n_atoms": len(structure),
        "elements": element_digest(structure),
        "cutoff_used_A": cutoff_A,
        "block_size_used": used.block_size,
    }
    write_record(Path(options.output) / RECORD_JSON, "nma", options, **facts)
    print(format_modes(modes, options.collectivity_threshold))
    print(f"modes {modes.mode_ids[0]} to {modes.mode_ids[-1]} are in {options.output}")


def _motion(used: NmaOptions, structure: Structure) -> str:
    """The motion that is kept with the modes: of rigid blocks where the network has them, with joints between them
    where that is possible. Raises InputError for joints that are asked for where it is not."""
    blocks = int(block_numbers(structure, used.block_size or BLOCK_SIZE).max()) + 1
    if used.motion == JOINTED:
        require_joinable(blocks)
    if used.motion != "auto":
        return used.motion
    if used.block_size == 0:
        return STRAIGHT
    if blocks <= MOST_BLOCKS:
        return JOINTED
    print(f"{blocks:,} blocks are more than jointed motion takes ({MOST_BLOCKS:,}): the motion is helical")
    return HELICAL


def _blocks(block_size: int, kind: str) -> str:
    of = "pseudoatoms" if kind == "pseudoatoms" else "residues"
    return f"rigid blocks of {block_size} {of}" if block_size else "no blocks"
