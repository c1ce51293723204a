"""A map as the reference, as Scipion runs it: pseudoatoms, and their normal modes.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.test_protocols_reference
"""

import unittest
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np
from pwem.protocols import ProtImportVolumes

from continuousflex_deep import protocols as cfd
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.stacks import write_volume
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.tests.scipion_project import ProjectTest
from continuousflex_deep.tests.test_protocols_workflow import write_trace

VOXEL_A, BOX_PX, SIGMA_A = 4.0, 32, 6.0


def gaussians(centres_A: np.ndarray) -> np.ndarray:
    axis = (np.arange(BOX_PX) - BOX_PX // 2) * VOXEL_A
    x, y, z = (np.exp(-((axis - centres_A[:, i, None]) ** 2) / (2 * SIGMA_A**2)) for i in range(3))
    return np.einsum("nz,ny,nx->zyx", z, y, x).astype(np.float32)


class TestCfdReference(ProjectTest):
    """A map of adenylate kinase's trace, blurred."""

    volume: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        atoms = read_structure("trace.pdb")
        write_volume("map.mrc", gaussians(atoms.coords_A - atoms.center_A), VOXEL_A)
        cls.volume = cls.driver.run(
            "map", ProtImportVolumes, filesPath=str(Path("map.mrc").resolve()), samplingRate=VOXEL_A
        ).outputVolume

    def test_1_pseudoatoms_and_their_modes(self) -> None:
        run = self.driver.run("pseudoatoms", cfd.CfdProtPseudoatoms, inputVolume=self.volume, target_error_percent=8.0)
        found = run.outputPdb
        self.assertTrue(found.getPseudoAtoms())
        self.assertEqual(found.getVolume().getSamplingRate(), VOXEL_A)
        np.testing.assert_allclose(found.getOrigin().getShifts(), (0, 0, 0), atol=1e-6)
        lines = Path(found.getFileName()).read_text().splitlines()
        self.assertEqual(float(lines[1].split()[2]), 1.5 * VOXEL_A)  # as ContinuousFlex's normal modes read it
        structure = read_structure(found.getFileName())
        self.assertTrue(structure.is_pseudoatomic)
        self.assertIn(f"{len(structure)} pseudoatoms", run._summary()[0])

        modes = self.driver.run("normal modes", cfd.CfdProtNma, inputStructure=found, n_modes=9)
        self.assertEqual([mode.getObjId() for mode in modes.outputModes], [7, 8, 9])
        self.assertTrue(modes.outputModes.getPdb().getPseudoAtoms())
        self.assertEqual(read_modes(modes._outputFolder()).vectors.shape[1], len(structure))

    def test_2_what_cannot_be_is_said_in_the_form(self) -> None:
        protocol = self.proj.newProtocol(cfd.CfdProtNma, cutoff_A=8.0, cutoff_percent=95.0)
        self.assertIn("Two cutoffs", protocol._validate()[0])


if __name__ == "__main__":
    unittest.main()
