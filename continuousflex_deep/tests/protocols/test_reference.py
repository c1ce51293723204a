"""A map as the reference, as Scipion runs it: pseudoatoms, their normal modes, and maps that move with their atoms.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_reference
"""

import unittest
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import gemmi
import numpy as np
from pwem.protocols import ProtImportVolumes

from continuousflex_deep import protocols as cfd
from continuousflex_deep.convert import particles_from_set
from continuousflex_deep.io.maps import read_volume, write_volume
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.structures import Structure, read_structure, write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace
from continuousflex_deep.tests.helpers.trace_map import BOX_PX, VOXEL_A, trace_map


class TestCfdReference(ProjectTest):
    """A map of adenylate kinase's trace, blurred."""

    volume: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        atoms = read_structure("trace.pdb")
        write_volume("map.mrc", trace_map(atoms.coords_A - atoms.center_A), VOXEL_A)
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


class TestCfdDeform(ProjectTest):
    """Adenylate kinase's trace, which is elsewhere in space than its map, moves with it."""

    structure: ClassVar[Any]
    modes: ClassVar[Any]
    volume: ClassVar[Any]
    atoms: ClassVar[Structure]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        atoms = read_structure("trace.pdb")
        write_structure("away.pdb", atoms.replace_coords(atoms.coords_A + np.array([130.0, -90.0, 60.0])))
        cls.structure = cls.import_structure("away.pdb")
        cls.atoms = read_structure("away.pdb")
        cls.modes = cls.driver.run(
            "normal modes", cfd.CfdProtNma, inputStructure=cls.structure, n_modes=9, cutoff_A=12.0, block_size=0
        ).outputModes
        write_volume("map.mrc", trace_map(cls.atoms.coords_A - cls.atoms.center_A), VOXEL_A)
        cls.volume = cls.driver.run(
            "map", ProtImportVolumes, filesPath=str(Path("map.mrc").resolve()), samplingRate=VOXEL_A
        ).outputVolume

    def models_A(self, run: Any) -> np.ndarray:
        models = gemmi.read_structure(run.outputStructure.getFileName())
        return np.array([[site.atom.pos.tolist() for site in model.all()] for model in models])

    def frames(self, volumes: Any) -> list[np.ndarray]:
        return [read_volume(item.getFileName())[0] for item in volumes.iterItems()]

    def test_1_map_moves_with_its_atoms(self) -> None:
        run = self.driver.run(
            "to a conformation", cfd.CfdProtDeform, inputModes=self.modes, inputVolume=self.volume,
            amplitudes="0 60", mode_list="7-8", n_frames=3,
        )  # fmt: skip
        moved = self.models_A(run)
        rmsd_A = np.sqrt(np.square(moved - self.atoms.coords_A).sum(axis=2).mean(axis=1))
        np.testing.assert_allclose(rmsd_A, np.array([0, 30, 60]) / np.sqrt(len(self.atoms)), atol=0.02)
        self.assertFalse(run.outputStructure.getPseudoAtoms())
        self.assertSetSize(run.outputVolumes, 3)
        self.assertEqual(run.outputVolumes.getSamplingRate(), VOXEL_A)
        self.assertEqual(run.outputVolumes.getFirstItem().getOrigin().getShifts(), self.volume.getOrigin().getShifts())
        expected = trace_map(moved[2] - self.atoms.center_A).ravel()
        rest, _, last = self.frames(run.outputVolumes)
        self.assertGreater(np.corrcoef(last.ravel(), expected)[0, 1], 0.99)
        self.assertLess(np.corrcoef(rest.ravel(), expected)[0, 1], 0.98)
        self.assertEqual(run.summary()[:2], ["3 frames along modes 7 8", "The structure lies in the map by 'centre'."])

    def test_2_where_scipion_has_the_map(self) -> None:
        """A map whose origin in Scipion, not in its file, puts it on the structure."""
        first_voxel_A = self.atoms.center_A - VOXEL_A * (BOX_PX // 2)
        offset = {axis: -float(place) for axis, place in zip("xyz", first_voxel_A, strict=True)}
        placed = self.driver.run(
            "placed map", ProtImportVolumes, filesPath=str(Path("map.mrc").resolve()), samplingRate=VOXEL_A,
            setOrigCoord=True, **offset,
        ).outputVolume  # fmt: skip
        np.testing.assert_allclose(placed.getOrigin().getShifts(), first_voxel_A, atol=1e-3)
        file = placed.getFileName().removesuffix(":mrc")
        write_volume(file, read_volume(file)[0], VOXEL_A)
        run = self.driver.run(
            "by the header", cfd.CfdProtDeform, inputModes=self.modes, inputVolume=placed, amplitudes="60", place=3,
            n_frames=2,
        )  # fmt: skip
        self.assertEqual(run.outputVolumes.getFirstItem().getOrigin().getShifts(), placed.getOrigin().getShifts())
        expected = trace_map(self.models_A(run)[1] - self.atoms.center_A).ravel()
        self.assertGreater(np.corrcoef(self.frames(run.outputVolumes)[1].ravel(), expected)[0, 1], 0.99)

    def test_3_through_the_means_of_groups(self) -> None:
        groups = [
            self.driver.run(
                f"images {seed}", cfd.CfdProtSynthesize, inputModes=self.modes, count=6, conformations=1, box_px=32,
                final_box_px=32, pixel_size_A=4.0, mode_list="7 9", amplitude_range=60.0, seed=seed,
            ).outputTruth
            for seed in (1, 2)
        ]  # fmt: skip
        means = [particles_from_set(group).require_amplitudes("it").mean(axis=0) for group in groups]
        run = self.driver.run("groups", cfd.CfdProtDeform, inputModes=self.modes, inputGroups=groups, n_frames=2)
        motion = motion_along(self.atoms, read_modes(self.driver.owner(self.modes)._outputFolder(), (7, 9)))
        for model, mean in zip(self.models_A(run), means, strict=True):
            np.testing.assert_allclose(model, motion.coordinates(mean), atol=2e-3)
        self.assertFalse(hasattr(run, "outputVolumes"))

    def test_4_swing_is_the_default(self) -> None:
        run = self.driver.run("swing", cfd.CfdProtDeform, inputModes=self.modes, n_frames=4, swing_rmsd_A=1.5)
        moved = self.models_A(run) - self.atoms.coords_A
        np.testing.assert_allclose(np.sqrt(np.square(moved).sum(axis=2).mean(axis=1)), [0, 1.5, 0, 1.5], atol=0.01)

    def test_5_what_cannot_be_is_said_in_the_form(self) -> None:
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"mode_list": "7-8"}, "A swing is along one mode, got 2"),
            ({"mode_list": "12"}, "has no modes [12]"),
            ({"inputGroups": [self.volume], "amplitudes": "3"}, "both say where to go"),
        ]
        for values, message in refusals:
            with self.subTest(message=message):
                errors = self.driver.make(cfd.CfdProtDeform, inputModes=self.modes, **values)._validate()
                self.assertTrue(any(message in error for error in errors), errors)


if __name__ == "__main__":
    unittest.main()
