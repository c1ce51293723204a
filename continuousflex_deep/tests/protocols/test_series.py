"""Several groups in Scipion: a set of volumes with half maps, from a landscape or from sets of particles.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_series
"""

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
from continuousflex_deep.io.maps import read_volume
from continuousflex_deep.protocols.protocol_reconstruct import GROUPS, LANDSCAPE
from continuousflex_deep.tests.helpers.gaussian_particles import true_map
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest

N, BOX_PX, PIXEL_A = 120, 24, 4.0


class TestCfdSeries(ProjectTest):
    """Particles with poses and amplitudes on small images, and the same at original size."""

    small: ClassVar[Any]
    large: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        amplitudes = np.random.default_rng(1).normal(size=(N, 2)) * [50, 10]
        cls.small = cls.import_gaussians("small", BOX_PX, PIXEL_A, amplitudes)
        cls.large = cls.import_gaussians("large", BOX_PX * 4 // 3, PIXEL_A * 3 / 4, amplitudes)

    def assert_volumes(self, protocol: Any, groups: int, box_px: int, pixel_A: float) -> None:
        volumes = protocol.outputVolumes
        self.assertSetSize(volumes, groups)
        self.assertAlmostEqual(volumes.getSamplingRate(), pixel_A, places=4)
        self.assertEqual(volumes.getDimensions(), (box_px,) * 3)
        for volume in volumes:
            halves = volume.getHalfMaps().split(",")
            self.assertEqual(len(halves), 2)
            for file in (volume.getFileName(), *halves):
                found = np.corrcoef(read_volume(file)[0].ravel(), true_map(box_px, pixel_A).ravel())[0, 1]
                self.assertGreater(found, 0.7)
        labels = [curve.getObjLabel() for curve in protocol.outputFSCs]
        self.assertEqual(len(labels), 3 * groups)
        self.assertIn(f"group {groups}: half maps, corrected", labels)
        self.assertEqual(len(protocol.summary()), groups)

    def test_1_landscape_at_original_size_in_one_run(self) -> None:
        landscape = self.driver.run("landscape", cfd.CfdProtLandscape, inputSets=[self.small]).outputLandscape
        protocol = self.driver.run(
            "series", cfd.CfdProtReconstruct, source=LANDSCAPE, inputLandscape=landscape, inputImages=self.large,
            groups=3, ctf=False,
        )  # fmt: skip
        self.assert_volumes(protocol, 3, self.large.getXDim(), self.large.getSamplingRate())
        self.assertIn("pc1", protocol.summary()[0])
        self.assertTrue((Path(protocol._outputFolder()) / "series.gif").is_file())
        viewers = [v for v in pwem.Domain.findViewers(protocol, DESKTOP_TKINTER) if v.getName() == "reconstruction"]
        viewer = viewers[0](project=self.proj, protocol=protocol)
        viewer.setProtocol(protocol)
        for show in ("_showFsc", "_showSlices"):
            self.assertTrue(getattr(viewer, show)()[0].getFigure().axes[0].has_data())

    def test_2_several_sets(self) -> None:
        other = self.driver.run("again", cfd.CfdProtImport, particleFile=str(Path("small.star").resolve()))
        protocol = self.driver.run(
            "sets", cfd.CfdProtReconstruct, source=GROUPS, inputGroups=[self.small, other.outputParticles], ctf=False
        )
        self.assert_volumes(protocol, 2, BOX_PX, PIXEL_A)

    def test_3_refusals(self) -> None:
        for values, message in [
            ({"source": LANDSCAPE}, "Give the landscape"),
            ({"source": GROUPS, "inputGroups": [self.small]}, "at least two groups"),
            ({"inputParticles": self.small, "ctf": True}, "no CTF"),
        ]:
            with self.subTest(message=message):
                errors = self.driver.make(cfd.CfdProtReconstruct, **values).validate()
                self.assertTrue(any(message in error for error in errors), errors)
