"""An assessment as Scipion runs it, of results whose errors are known, and of maps of two conformations.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_assess
"""

import csv
import unittest
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np
import pwem
from matplotlib.figure import Figure
from pyworkflow.viewer import DESKTOP_TKINTER

from continuousflex_deep import protocols as cfd
from continuousflex_deep.convert import particles_from_set
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.particles import Particles
from continuousflex_deep.protocols.protocol_reconstruct import GROUPS
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace

IMAGES, BOX_PX, PIXEL_A = 160, 32, 3.5
ERROR_A = np.array([6.0, -2.0])  # of the network's amplitudes


class TestCfdAssess(ProjectTest):
    """Images of adenylate kinase's trace without noise, along two modes."""

    modes: ClassVar[Any]
    truth: ClassVar[Any]
    known: ClassVar[Particles]
    network: ClassVar[Any]
    hemnma: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        cls.modes = cls.driver.run(
            "normal modes", cfd.CfdProtNma, inputStructure=cls.import_structure("trace.pdb"), n_modes=8, cutoff_A=12.0,
            block_size=2,
        ).outputModes  # fmt: skip
        cls.truth = cls.driver.run(
            "images", cfd.CfdProtSynthesize, inputModes=cls.modes, mode_list="7 8", conformations=1, snr=0.0,
            amplitude_range=60.0, count=IMAGES, box_px=BOX_PX, final_box_px=0, pixel_size_A=PIXEL_A, ctf=False,
        ).outputTruth  # fmt: skip
        cls.known = particles_from_set(cls.truth)
        rows = np.arange(IMAGES)
        cls.network = cls.imported("network", rows[: IMAGES // 2], ERROR_A)
        cls.hemnma = cls.imported("HEMNMA", rows, np.zeros(2))

    @classmethod
    def imported(cls, label: str, rows: np.ndarray, error_A: np.ndarray) -> Any:
        """Some of the true particles, their amplitudes off by error_A, as the output of a run of that label."""
        particles = cls.known.select(rows)
        return cls.imported_as(label, particles.replace(amplitudes=particles.amplitudes + error_A))

    @classmethod
    def imported_as(cls, label: str, particles: Particles) -> Any:
        """Particles as the output of a run of that label."""
        write_particles(particles, f"{label}.star")
        file = str(Path(f"{label}.star").resolve())
        return cls.driver.run(label, cfd.CfdProtImport, particleFile=file).outputParticles

    def figures(self, protocol: Any) -> list[Any]:
        """What the viewer shows, drawn without a screen, by one entry of its form after the other."""
        found = [v for v in pwem.Domain.findViewers(protocol, DESKTOP_TKINTER) if v.getName() == "assessment"]
        self.assertEqual(len(found), 1)
        viewer = found[0](project=self.proj, protocol=protocol)
        viewer.setProtocol(protocol)
        offered = [name for name in viewer._getVisualizeDict() if viewer.getParam(name) is not None]
        views = [viewer._getVisualizeDict()[name]()[0] for name in offered]
        for view in views:
            view.draw()
            self.assert_apart(view.getFigure())
        return [view.getFigure() for view in views]

    def assert_apart(self, figure: Figure) -> None:
        """With the layout that a window shows."""
        boxes = [ax.get_tightbbox() for ax in figure.axes if ax.axison]
        boxes += [legend.get_window_extent() for legend in figure.legends]
        for one, other in combinations(boxes, 2):
            self.assertFalse(one.overlaps(other), f"{one} lies over {other}")

    def test_1_results_against_the_truth_and_each_other(self) -> None:
        run = self.driver.run(
            "assessment", cfd.CfdProtAssess, inputSets=[self.network, self.hemnma], inputTruth=self.truth,
            inputModes=self.modes,
        )  # fmt: skip
        with (Path(run._outputFolder()) / "distances.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row[""] for row in rows], ["network vs. truth", "HEMNMA vs. truth", "network vs. HEMNMA"])
        self.assertEqual([int(row["particles"]) for row in rows], [IMAGES // 2, IMAGES, IMAGES // 2])
        for row in (rows[0], rows[2]):  # files keep six digits behind the point
            found = [float(row[name]) for name in ("q [Å]", "q7 [Å]", "q7 SD", "q8 [Å]", "q8 SD", "angle [°]")]
            np.testing.assert_allclose(found, [4, 6, 0, 2, 0, 0], atol=1e-3)
        self.assertFalse(hasattr(run, "outputFSCs"))
        summary = run.summary()
        self.assertEqual(len(summary), 3)
        self.assertTrue(
            summary[0].startswith(f"network vs. truth: {IMAGES // 2} particles; amplitudes 4 ±"), summary[0]
        )
        tables, errors = self.figures(run)
        self.assertIn("network vs. HEMNMA", tables.texts[0].get_text())
        self.assertEqual(len([ax for ax in errors.axes if ax.axison]), 5)

    def test_1b_a_result_called_truth_is_none(self) -> None:
        called = self.imported("truth", np.arange(IMAGES), np.zeros(2))
        run = self.driver.run(
            "names", cfd.CfdProtAssess, inputSets=[self.network, called], inputTruth=self.truth, inputModes=self.modes
        )
        told = [line.split(": ") for line in run.summary()]
        names = ["network vs. truth", "truth (2) vs. truth", "network vs. truth (2)"]
        self.assertEqual([line[0] for line in told], names)
        self.assertIn("amplitudes 4 ±", told[0][1])

    def test_2_maps_against_their_centroids(self) -> None:
        order = np.argsort(self.known.amplitudes[:, 0])
        low, high = (
            self.imported(label, np.sort(rows), np.zeros(2))
            for label, rows in (("low", order[: IMAGES // 4]), ("high", order[-IMAGES // 4 :]))
        )
        asked = {"ctf": False, "mask_diameter_A": 90.0}
        series = self.driver.run(
            "series", cfd.CfdProtReconstruct, source=GROUPS, inputGroups=[low, high], **asked
        ).outputVolumes
        single = self.driver.run("high alone", cfd.CfdProtReconstruct, inputParticles=high, **asked).outputVolume
        run = self.driver.run(
            "groups", cfd.CfdProtAssess, inputSets=[self.hemnma], inputTruth=self.truth, inputModes=self.modes,
            inputVolumes=[series, single],
        )  # fmt: skip
        groups = {facts["group"]: facts for facts in run.getGroups()}
        self.assertEqual(list(groups), ["series group 1", "series group 2", "high alone"])
        for name, facts in groups.items():
            own, rest, other = (
                facts["resolution_A"][curve]["0.5"]
                for curve in ("centroid", "structure at rest", "farthest other centroid")
            )
            self.assertLess(own, min(rest, other), name)
            self.assertEqual(facts["particles"], IMAGES // 4)
        again, first = (groups[name]["resolution_A"]["centroid"]["0.5"] for name in ("high alone", "series group 2"))
        self.assertAlmostEqual(again, first, places=4)  # a series has another grey scale
        labels = [curve.getObjLabel() for curve in run.outputFSCs]
        self.assertIn("high alone: structure at rest", labels)
        self.assertEqual([item.getObjLabel() for item in run.outputCentroids], list(groups))
        self.assertTrue(all(Path(item.getFileName()).is_file() for item in run.outputCentroids))
        self.assertTrue(run.summary()[-1].startswith("high alone: 40 particles; FSC with the centroid "))
        fsc = self.figures(run)[-1]
        self.assertEqual(len([ax for ax in fsc.axes if ax.axison]), 4)

    def test_3_what_cannot_be_is_said_in_the_form(self) -> None:
        foreign = self.driver.run("foreign map", cfd.CfdProtUnbend, inputParticles=self.hemnma, inputModes=self.modes,
                                  ctf=False).outputVolume  # fmt: skip
        both = {"inputSets": [self.network, self.hemnma], "inputModes": self.modes}
        refusals: list[tuple[dict[str, Any], str]] = [
            (both | {"inputSets": [self.network]}, "has nothing to compare with"),
            (both | {"bound": True}, "give the truth"),
            (both | {"inputTruth": self.network}, f"{IMAGES // 2} particles of 'HEMNMA' are not in the truth"),
            (both | {"mode_list": "7 12"}, "no modes [12]"),
            (both | {"inputVolumes": [foreign]}, "is not of 'reconstruct group'"),
            (both | {"lost_deg": -1.0}, "must be at least 0"),
            ({"inputSets": both["inputSets"]}, "without modes there is no structure"),
        ]
        for values, message in refusals:
            with self.subTest(message=message):
                errors = self.driver.make(cfd.CfdProtAssess, **values).validate()
                self.assertTrue(any(message in error for error in errors), errors)
        self.assertEqual(self.driver.make(cfd.CfdProtAssess, **both).validate(), [])

    def test_4_one_run_twice_is_told_apart(self) -> None:
        protocol = self.driver.make(
            cfd.CfdProtAssess, inputSets=[self.truth, self.truth, self.network], inputModes=self.modes
        )
        self.assertEqual(protocol._setNames(), ["images", "images (2)", "network"])

    def test_5_poses_of_a_symmetric_particle(self) -> None:
        one = read_structure("trace.pdb")
        twice = one.select(np.tile(np.arange(len(one)), 2))
        coords_A = one.coords_A - one.center_A + np.array([12.0, 5.0, 0.0])
        write_structure("dimer.pdb", twice.replace_coords(np.concatenate([coords_A, coords_A * [-1, -1, 1]])))
        dimer = self.import_structure("dimer.pdb", "dimer")
        rigid = self.known.replace(amplitudes=None, mode_ids=())
        truth = self.imported_as("rigid", rigid)
        half_turn = euler_to_matrix(rigid.euler_deg) @ np.diag([-1.0, -1.0, 1.0])
        turned = self.imported_as("turned", rigid.replace(euler_deg=matrix_to_euler(half_turn)))
        for symmetry, lost in (("c1", IMAGES), ("c2", 0)):
            run = self.driver.run(
                f"assessment of {symmetry}", cfd.CfdProtAssess, inputSets=[turned], inputTruth=truth,
                inputStructure=dimer, symmetry=symmetry,
            )  # fmt: skip
            self.assertEqual(run.getRecord()["results"]["turned"]["lost"], lost)


if __name__ == "__main__":
    unittest.main()
