"""PDB and mmCIF text of structures, line by line, for tests of what files can contain."""

from collections.abc import Iterable
from dataclasses import dataclass

from continuousflex_deep.io.structures import Structure

_TAGS = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
    "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_comp_id auth_asym_id "
    "auth_atom_id pdbx_PDB_model_num"
)


@dataclass(frozen=True)
class Line:
    """One atom of a file."""

    name: str
    residue: str
    chain: str
    number: int | str
    xyz: tuple[float, float, float]
    element: str
    code: str = ""
    alt: str = ""
    occupancy: float = 1.0
    b_factor: float = 0.0
    record: str = "ATOM"


def lines_of(structure: Structure) -> list[Line]:
    """The atoms of a protein, whose elements are the first letters of their names."""
    chains, numbers, codes, residues = structure.residue_columns
    columns = (structure.atom_names, residues, chains, numbers, structure.coords_A.tolist(), codes)
    return [
        Line(name, residue, chain, int(number), (x, y, z), name[0], code)
        for name, residue, chain, number, (x, y, z), code in zip(*columns, strict=True)
    ]


def pdb(lines: Iterable[Line], left: bool = False, elements: bool = True) -> str:
    """The lines as a PDB file; left: names begin in the first of their columns, whatever the element."""
    text = ""
    for serial, a in enumerate(lines, start=1):
        name = f"{a.name:<4s}" if left or len(a.name) > 3 or len(a.element) == 2 else f" {a.name:<3s}"
        x, y, z = a.xyz
        text += (
            f"{a.record:<6s}{serial % 100000:5d} {name}{a.alt or ' '}{a.residue:>3s} {a.chain or ' '}{a.number:>4}"
            f"{a.code or ' '}   {x:8.3f}{y:8.3f}{z:8.3f}{a.occupancy:6.2f}{a.b_factor:6.2f}          "
            f"{a.element.upper() if elements else '':>2s}\n"
        )
    return text + "END\n"


def mmcif(lines: Iterable[Line], elements: bool = True) -> str:
    """The lines as an mmCIF file with the columns that the PDB writes."""
    rows = []
    for serial, a in enumerate(lines, start=1):
        name = f'"{a.name}"' if "'" in a.name else a.name
        x, y, z = (f"{v:.3f}" for v in a.xyz)
        row = (a.record, serial, a.element.upper() if elements else "?", name, a.alt or ".", a.residue, a.chain or "?",
               1, a.number, a.code or "?", x, y, z, a.occupancy, a.b_factor, a.number, a.residue, a.chain or "?", name,
               1)  # fmt: skip
        rows.append(" ".join(map(str, row)))
    return "\n".join(["data_test", "loop_", *(f"_atom_site.{tag}" for tag in _TAGS.split()), *rows, ""])
