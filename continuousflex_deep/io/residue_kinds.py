"""What residues are, by their names and atoms: water, dummies, amino acids, nucleotides, ions."""

import re
from collections.abc import Set

import gemmi


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# names of water in the PDB and in force fields (CHARMM, AMBER, GROMACS, Desmond, OPLS)
WATER = _names(
    "HOH DOD WAT H2O HHO OHH OH2 SOL TIP TIP2 TIP3 TIP4 TIP5 TIP7 TP2 TP3 TP4 TP5 TP3M T3P T4P T4E T5P T3H T4H TIP3P "
    "TIP4P TIP5P TIPS SPC SPCE SPE SPF SPG OPC OPC3 FB3 FB4 T4PE SWM4 SWM6 SW"
)
DUMMIES = frozenset(["DUM", "UNX", "MEMB", "DUMM"])  # membrane planes of OPM and PPM, atoms of unknown identity
_VIRTUAL = frozenset(["EP", "EP1", "EP2", "EPW", "LP", "LP1", "LP2", "LPA", "LPB", "MW", "MW1", "MW2"])
_WATER_OXYGEN = frozenset(["O", "OW", "OH2", "OW1", "OW0", "O1", "OT", "OWT", "OWT3", "OWT4", "OHH"])
_WATER_HYDROGENS = 2
_WATER_BEADS = {"W": ("W",), "WF": ("WF",), "PW": ("W", "WP", "WM")}  # of Martini, also antifreeze and polarizable ones
# residues that Rosetta adds for its own use
_OF_ROSETTA = {"VRT": ("ORIG", "X", "Y"), "MEM": ("THKN", "CNTR", "NORM"), "EMB": ("THKN", "CNTR", "NORM")}
_BEAD = re.compile(r"BB\d?|SC\d|CEN")  # of Martini's backbones and side chains, and of Rosetta's centroids
# single ions in force fields -> element
IONS = {
    "SOD": "Na", "CLA": "Cl", "POT": "K", "CAL": "Ca", "CES": "Cs", "RUB": "Rb", "LIT": "Li", "BAR": "Ba", "CIO": "Cs",
    "CIP": "Na", "CIM": "Cl", "MG2": "Mg", "ZN2": "Zn", "CA2": "Ca", "NA+": "Na", "CL-": "Cl", "K+": "K", "IB": "Br",
}  # fmt: skip
_AMINO = _names(
    "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL HID HIE HIP HSD HSE HSP HISA HISB "
    "HISD HISE HISH HISP HIS1 HIS2 CYX CYM CYN CYSH CYS1 CYS2 ASH ASPH ASPP GLH GLUH GLUP LYN LYSH LYSN LSN LYP ARGN "
    "ARN TYM TYRO"
)
_NUCLEOTIDES = _names(
    "A C G U I T DA DC DG DT DU DI RA RC RG RU ADE CYT GUA URA THY A3 A5 C3 C5 G3 G5 U3 U5 DA3 DA5 DC3 DC5 DG3 DG5 DT3 "
    "DT5 RA3 RA5 RC3 RC5 RG3 RG5 RU3 RU5 AN CN GN UN DAN DCN DGN DTN"
)
FOUR_LETTERS = frozenset(
    name for name in (*WATER, *_AMINO, *(end + name for end in "NC" for name in _AMINO)) if len(name) == 4
) | _names("DENS POPC POPE POPG POPS POPA DOPC DOPE DOPS DPPC DPPE DMPC DLPC CHL1 CARD SAPI PSPC DSPC DPPG DOPG")
_CAPS = _names("ACE FOR NH2 NHE NMA NME")
_BACKBONE = frozenset(["N", "CA", "C"])
_SUGAR = (frozenset(["C1'", "C3'", "C4'"]), frozenset(["C1*", "C3*", "C4*"]))


def is_standard(residue: str) -> bool:
    """Whether a residue is one of the twenty amino acids or a plain nucleotide, in any force field's name."""
    name = residue.upper()
    return name in _AMINO or name in _NUCLEOTIDES or (name[1:] in _AMINO and name[0] in "NC" and len(name) == 4)


def is_tabulated_polymer(residue: str) -> bool | None:
    """Whether a residue is part of a polymer by its name: an amino acid, a nucleotide or a cap of an end; None if no
    table has the name."""
    if is_standard(residue) or residue.upper() in _CAPS:
        return True
    known = gemmi.find_tabulated_residue(residue)
    return bool(known.is_amino_acid() or known.is_nucleic_acid()) if known.found() else None


def resembles_polymer(residue: str, atoms: Set[str]) -> bool:
    """Whether a residue has the elements, and names of atoms, of amino acids or nucleotides: by its name, or by its
    backbone, which ligands such as ATP have too."""
    return bool(is_tabulated_polymer(residue)) or atoms >= _BACKBONE or any(atoms >= sugar for sugar in _SUGAR)


def is_water(residue: str, atoms: Set[str]) -> bool:
    """Whether a residue is water: by its name, or as one oxygen with two hydrogens (and virtual sites)."""
    if residue.upper() in WATER:
        return True
    others = {name for name in atoms if name not in _VIRTUAL}
    hydrogens = {name for name in others if name.lstrip("0123456789")[:1] in ("H", "D")}
    return len(hydrogens) == _WATER_HYDROGENS and len(others - hydrogens) == 1 and others - hydrogens <= _WATER_OXYGEN


def is_water_bead(residue: str, name: str, element: str) -> bool:
    """Whether an atom without an element is a bead of Martini's water, not tungsten."""
    return not element and residue in _WATER_BEADS and name in _WATER_BEADS[residue]


def is_dummy(residue: str, name: str, element: str) -> bool:
    """Whether an atom has a place but no density: a membrane plane, an unknown atom, a lone pair or virtual site."""
    if residue.upper() in DUMMIES:
        return True
    virtual = name.upper() in _VIRTUAL or name.upper() in _OF_ROSETTA.get(residue.upper(), ())
    return virtual and element.upper() in ("", "X", "EP", "LP")


def is_bead(residue: str, name: str) -> bool:
    """Whether an atom of a residue that is known stands for several atoms, as in coarse-grained models."""
    return is_standard(residue) and _BEAD.fullmatch(name.upper()) is not None
