"""Normal modes and the choice among them, as Scipion runs them, with their viewer.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_modes
"""

import json
import unittest
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np
import pwem
from pyworkflow.viewer import DESKTOP_TKINTER

from continuousflex_deep import protocols as cfd
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.motion import motion_along
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace
from continuousflex_deep.viewers.viewer_modes import data_of, make_set

TRUE_A = {7: 40.0, 9: -25.0}


class TestCfdModes(ProjectTest):
    """A trace of adenylate kinase, and the same one deformed along two modes and turned."""

    nma: ClassVar[Any]
    target: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        structure = cls.import_structure("trace.pdb")
        cls.nma = cls.driver.run(
            "normal modes", cfd.CfdProtNma, inputStructure=structure, n_modes=12, cutoff_A=12.0, block_size=2
        )
        atoms, modes = read_structure("trace.pdb"), read_modes(cls.nma._outputFolder())
        moved = motion_along(atoms, modes.select(tuple(TRUE_A))).coordinates(np.array(list(TRUE_A.values())))
        turned = moved @ np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]) + 30
        write_structure("moved.pdb", atoms.replace_coords(turned).select(np.arange(5, len(atoms))))
        cls.target = cls.import_structure("moved.pdb", "other conformation")

    def test_1_modes_of_a_motion(self) -> None:
        run = self.driver.run(
            "choice", cfd.CfdProtModes, inputModes=self.nma.outputModes, inputTarget=self.target, explained_percent=99.0
        )
        self.assertEqual([mode.getObjId() for mode in run.outputModes], [7, 9])
        self.assertTrue(all(0 < mode.getCollectivity() <= 1 for mode in run.outputModes))
        self.assertEqual(run.outputModes.getPdb().getFileName(), self.nma.outputModes.getPdb().getFileName())
        record = json.loads((Path(run._outputFolder()) / "record.json").read_text())
        np.testing.assert_allclose(record["chosen_amplitudes_A"], list(TRUE_A.values()), atol=0.1)
        self.assertIn("energy", run.getModeTable().columns)
        self.assertIn("Modes 7 9 of 6", run._summary()[0])
        self.assertIn("RMSD", run._summary()[1])

        data = data_of(run)
        self.assertEqual((data.table.mode_ids, data.table.chosen_ids), ((7, 8, 9, 10, 11, 12), (7, 9)))
        self.assertEqual(len(data.shown), 214)
        self.check_viewer(run)

        again = make_set(self.proj, run, "8 10", wait=True)  # as the viewer's button
        self.assertTrue(again.isFinished(), again.getErrorMessage())
        self.assertEqual([mode.getObjId() for mode in again.outputModes], [8, 10])
        self.assertEqual(again.getObjLabel(), "modes 8 10")
        # the chosen modes serve as input of what follows, by their own numbers
        align = self.driver.make(cfd.CfdProtSynthesize, inputModes=again.outputModes, mode_list="8 10", conformations=1)
        self.assertEqual(align.validate(), [])

    def test_2_modes_without_a_motion(self) -> None:
        run = make_set(self.proj, self.nma, "", wait=True)
        self.assertTrue(run.isFinished(), run.getErrorMessage())
        self.assertGreaterEqual(run.outputModes.getSize(), 1)
        self.assertNotIn("overlap", run.getModeTable().columns)
        self.check_viewer(self.nma)

    def test_3_bad_input_is_refused_before_launch(self) -> None:
        for values, message in (
            ({"mode_list": "7 30"}, "no modes [30]"),
            ({"mode_list": "3-7"}, "rigid-body"),
            ({"explained_percent": 0.0}, "expected 1.0 to 100.0 %"),
        ):
            with self.subTest(message=message):
                protocol = self.driver.make(cfd.CfdProtModes, inputModes=self.nma.outputModes, **values)
                errors = protocol.validate()
                self.assertTrue(any(message in error for error in errors), errors)

    def test_4_modes_of_selected_atoms(self) -> None:
        """What follows reads the same atoms, of the whole structure or of the atoms beside the modes."""
        structure = self.nma.inputStructure.get()
        some = self.driver.run(
            "selected", cfd.CfdProtNma, inputStructure=structure, n_modes=9, cutoff_A=12.0, block_size=2,
            select="not A/101-214",
        )  # fmt: skip
        for given in ({}, {"inputStructure": structure}):
            run = self.driver.run("choice", cfd.CfdProtModes, inputModes=some.outputModes, **given)
            self.assertEqual(json.loads((Path(run._outputFolder()) / "record.json").read_text())["n_atoms"], 100)

    def check_viewer(self, protocol: Any) -> None:
        """Scipion finds our viewer for the protocol, and it has a window to show."""
        found = [v for v in pwem.Domain.findViewers(protocol, DESKTOP_TKINTER) if v.getName() == "normal modes"]
        self.assertEqual(len(found), 1)
        views = found[0](project=self.proj, protocol=protocol)._visualize(protocol)
        self.assertEqual([type(view).__name__ for view in views], ["ModesView"])


if __name__ == "__main__":
    unittest.main()
