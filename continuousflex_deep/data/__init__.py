"""Data of the package; the README beside this file tells where they come from."""

from pathlib import Path

# open conformation, PDB 4AKE, chain A: 1,656 atoms without hydrogens
ADENYLATE_KINASE = Path(__file__).resolve().with_name("4ake_A.pdb.gz")
