"""A trajectory through a landscape, as Scipion runs it.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_trajectory
"""

import json
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
from continuousflex_deep.io.maps import write_volume
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.landscape.landscape import read_landscape
from continuousflex_deep.motion import motion_along
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace
from continuousflex_deep.tests.helpers.trace_map import VOXEL_A, trace_map


class TestCfdTrajectory(ProjectTest):
    """Images of adenylate kinase's trace in conformations along two modes, of which the true ones make a landscape."""

    modes: ClassVar[Any]
    landscape: ClassVar[Any]
    volume: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        atoms = read_structure("trace.pdb")
        write_volume("map.mrc", trace_map(atoms.coords_A - atoms.center_A), VOXEL_A)
        cls.modes = cls.driver.run(
            "normal modes", cfd.CfdProtNma, inputStructure=cls.import_structure("trace.pdb"), n_modes=9, cutoff_A=12.0,
            block_size=2,
        ).outputModes  # fmt: skip
        truth = cls.driver.run(
            "images", cfd.CfdProtSynthesize, inputModes=cls.modes, count=60, conformations=1, box_px=32,
            final_box_px=32, pixel_size_A=4.0, mode_list="7 9", amplitude_range=60.0,
        ).outputTruth  # fmt: skip
        cls.landscape = cls.driver.run(
            "landscape", cfd.CfdProtLandscape, inputSets=[truth], outlier_distance=0.0
        ).outputLandscape
        cls.volume = cls.driver.run(
            "map", ProtImportVolumes, filesPath=str(Path("map.mrc").resolve()), samplingRate=VOXEL_A
        ).outputVolume

    def test_1_along_an_axis_with_the_map(self) -> None:
        run = self.driver.run(
            "axis", cfd.CfdProtTrajectory, inputLandscape=self.landscape, inputModes=self.modes,
            inputVolume=self.volume, n_frames=3, percentiles_min=0.0, percentiles_max=100.0,
        )  # fmt: skip
        landscape = read_landscape(self.landscape.getFileName())
        ends = landscape.pca.mean + np.outer(
            [landscape.coordinates[:, 0].min(), landscape.coordinates[:, 0].max()], landscape.pca.components[0]
        )
        modes = read_modes(self.driver.owner(self.modes)._outputFolder(), (7, 9))
        motion = motion_along(read_structure("trace.pdb"), modes)
        models = gemmi.read_structure(run.getFramesFile())
        for model, q in zip((models[0], models[2]), ends, strict=True):
            found = np.array([site.atom.pos.tolist() for site in model.all()])
            np.testing.assert_allclose(found, motion.coordinates(q), atol=2e-3)
        self.assertSetSize(run.outputVolumes, 3)
        self.assertEqual(run.outputVolumes.getSamplingRate(), VOXEL_A)
        self.assertEqual(run.outputStructure.getFileName(), run.getFramesFile())
        self.assertIn("3 frames, path of kind axis", run.summary())
        folder = Path(run._outputFolder())
        for name in ("trajectory.json", "trajectory.csv", "trajectory.gif", "trajectory.cxc", "trajectory.vmd"):
            self.assertTrue((folder / name).is_file(), name)

        again = self.driver.run(
            "again", cfd.CfdProtTrajectory, inputLandscape=self.landscape, inputModes=self.modes, movie=2,
            reload=str((folder / "trajectory.json").resolve()),
        )  # fmt: skip
        self.assertEqual(Path(again.getFramesFile()).read_text(), Path(run.getFramesFile()).read_text())
        self.assertFalse(hasattr(again, "outputVolumes"))

    def test_2_through_points_by_the_energy(self) -> None:
        run = self.driver.run(
            "energy", cfd.CfdProtTrajectory, inputLandscape=self.landscape, inputModes=self.modes, kind=3,
            points="-20 0; 20 0", n_frames=5, movie=2,
        )  # fmt: skip
        self.assertTrue(run.summary()[1].startswith("Barrier "))
        made = json.loads((Path(run._outputFolder()) / "trajectory.json").read_text())
        np.testing.assert_allclose(np.array(made["points"])[[0, -1]], [[-20, 0], [20, 0]], atol=1e-9)

    def test_3_what_cannot_be_is_said_in_the_form(self) -> None:
        refusals: list[tuple[dict[str, Any], str]] = [
            ({"kind": 1}, "Give the path by points or"),
            ({"kind": 1, "points": "0 0; 1 1", "points_file": "points.txt"}, "Give the path by points or"),
            ({"reload": "absent.json"}, "There is no file 'absent.json'"),
            ({"n_frames": 1}, "expected 2 to 999"),
        ]
        for values, message in refusals:
            with self.subTest(message=message):
                protocol = self.driver.make(
                    cfd.CfdProtTrajectory, inputLandscape=self.landscape, inputModes=self.modes, **values
                )
                errors = protocol._validate()
                self.assertTrue(any(message in error for error in errors), errors)


if __name__ == "__main__":
    unittest.main()
