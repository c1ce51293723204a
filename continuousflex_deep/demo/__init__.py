"""`make demo`: the whole pipeline on simulated images of adenylate kinase, with its errors against the truth.

The main part runs the package's commands one after another and needs no Scipion. Where Scipion can be imported, a
project with the results is made afterwards.
"""

import gzip
from pathlib import Path

from continuousflex_deep.data import ADENYLATE_KINASE


def write_demo_structure(path: Path) -> Path:
    """Write adenylate kinase, open form (PDB 4AKE, chain A), without hydrogens."""
    path.write_bytes(gzip.decompress(ADENYLATE_KINASE.read_bytes()))
    return path
