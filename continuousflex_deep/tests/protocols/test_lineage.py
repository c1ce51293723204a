"""What a viewer finds in the runs before a landscape: its images at original size, with which groups become maps.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_lineage
"""

import unittest
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np

from continuousflex_deep import protocols as cfd
from continuousflex_deep.tests.helpers.processes import until
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest
from continuousflex_deep.tests.helpers.windows import button, messages, run_for, virtual_screen
from continuousflex_deep.viewers.lineage import original_images, runs_before, source_of_modes
from continuousflex_deep.viewers.viewer_landscape import LandscapeWindowView

N = 60


class TestCfdLineage(ProjectTest):
    original: ClassVar[Any]
    reduced: ClassVar[Any]
    landscape: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        amplitudes = np.random.default_rng(1).normal(size=(N, 2)) * [100, 10]
        cls.original = cls.import_gaussians("original", 32, 3.0, amplitudes)
        cls.reduced = cls.driver.run(
            "reduction", cfd.CfdProtPreprocess, inputParticles=cls.original, box=24
        ).outputParticles
        cls.landscape = cls.driver.run("landscape", cfd.CfdProtLandscape, inputSets=[cls.reduced], outlier_distance=0.0)

    def test_1_original_images(self) -> None:
        self.assertEqual([run.getObjLabel() for run in runs_before(self.landscape)], ["reduction", "import original"])
        self.assertIsNone(source_of_modes(self.landscape))
        found = original_images(self.landscape, self.landscape.outputParticles)
        self.assertEqual((found.getObjId(), found.getXDim()), (self.original.getObjId(), 32))
        self.assertIsNone(original_images(self.landscape, self.original))  # none are larger

    def test_2_inverted_images_are_not_mixed(self) -> None:
        inverted = self.driver.run(
            "inversion", cfd.CfdProtPreprocess, inputParticles=self.original, box=24, invert=True
        ).outputParticles
        landscape = self.driver.run("inverted", cfd.CfdProtLandscape, inputSets=[inverted], outlier_distance=0.0)
        self.assertIsNone(original_images(landscape, landscape.outputParticles))

    def test_3_one_click_from_groups_to_maps(self) -> None:
        """By the window's button; the maps are waited for by a scheduled run, which is ended here."""
        with virtual_screen(), closing(LandscapeWindowView(self.landscape, self.proj, None).open()) as window:
            self.assertIn("No model is shown", window.status.get())
            run_for(window.root, 0.2)
            for name, condition in (("left", "pc1 < 0"), ("right", "pc1 >= 0")):
                window.condition.set(condition)
                window.choose_by_condition()
                window.groups.name.set(name)
                window.groups.add()
            with messages() as told:
                button(window.root, "Reconstruct").invoke()
        self.assertIn("original size, 32 pixels", told[0])
        maps = next(run for run in self.proj.getRuns(refresh=True) if isinstance(run, cfd.CfdProtReconstruct))
        self.addCleanup(self.end, maps)
        self.assertEqual(maps.inputImages.get().getObjId(), self.original.getObjId())
        self.assertEqual(
            [pointer.getExtended() for pointer in maps.inputGroups], ["outputParticles_1", "outputParticles_2"]
        )
        self.assertTrue(maps.isScheduled())
        groups = next(run for run in self.proj.getRuns() if isinstance(run, cfd.CfdProtGroup))
        self.wait_for(groups)
        self.assertEqual([o.getObjLabel() for _, o in groups.iterOutputAttributes()], ["left", "right"])
        kept = Path(groups.groups.get())
        self.assertNotEqual(kept.name, "groups.json")  # what is done in the window later does not change it
        self.assertTrue(kept.is_file())

    def end(self, scheduled: Any) -> None:
        """End a run that waits, once it has told its process: before, Scipion would end this process's children."""
        until(lambda: self.has_said(scheduled, "_pid") not in (None, "0"), every_s=0.2)
        self.proj._updateProtocol(scheduled)
        self.proj.stopProtocol(scheduled)
