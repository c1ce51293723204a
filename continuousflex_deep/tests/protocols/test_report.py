"""A report, as Scipion makes and shows it.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_report
"""

import json
import re
import unittest
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import pwem
from pyworkflow.viewer import DESKTOP_TKINTER

from continuousflex_deep import protocols as cfd
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace
from continuousflex_deep.viewers.viewer_report import CfdReportViewer


class TestCfdReport(ProjectTest):
    """Images of adenylate kinase's trace along two modes, whose true conformations make a landscape."""

    runs: ClassVar[dict[str, Any]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        run, runs = cls.driver.run, {}
        modes = run(
            "modes", cfd.CfdProtNma, inputStructure=cls.import_structure("trace.pdb"), n_modes=9, cutoff_A=12.0,
            block_size=2,
        ).outputModes  # fmt: skip
        images = run(
            "images", cfd.CfdProtSynthesize, inputModes=modes, count=40, conformations=1, box_px=32, final_box_px=32,
            pixel_size_A=4.0, mode_list="7 9", amplitude_range=60.0,
        )  # fmt: skip
        truth = images.outputTruth
        runs["landscape"] = run("map of all", cfd.CfdProtLandscape, inputSets=[truth], outlier_distance=0.0)
        landscape = runs["landscape"].outputLandscape
        runs["group"] = run("the open ones", cfd.CfdProtGroup, inputLandscape=landscape, expression="pc1 > 0")
        runs["path"] = run(
            "way", cfd.CfdProtTrajectory, inputLandscape=landscape, inputModes=modes, n_frames=3, movie=2
        )
        runs["maps"] = run("maps", cfd.CfdProtReconstruct, source=2, inputLandscape=landscape, groups=2)
        runs["errors"] = run("errors", cfd.CfdProtAssess, inputSets=[truth], inputTruth=truth, inputModes=modes)
        runs["groups"] = run(
            "groups alone", cfd.CfdProtAssess, inputSets=[truth], inputModes=modes,
            inputVolumes=[runs["maps"].outputVolumes],
        )  # fmt: skip
        cls.modes, cls.runs = modes, runs

    def test_1_everything_in_one_page(self) -> None:
        runs = self.runs
        report = self.driver.run(
            "page", cfd.CfdProtReport, inputLandscape=runs["landscape"].outputLandscape, inputModes=self.modes,
            inputGroups=[runs["group"].outputParticles], inputTrajectories=[runs["path"]],
            inputReconstructions=[runs["maps"]], inputAssessments=[runs["errors"], runs["groups"]],
        )  # fmt: skip
        file = Path(report.outputReport.getFileName())
        text = file.read_text(encoding="utf-8")
        content = json.loads(re.search(r'id="content">(.*?)</script>', text, re.DOTALL)[1])
        self.assertEqual(content["title"], self.proj.getShortName())
        self.assertEqual(content["landscape"]["total"], 40)
        self.assertEqual([g["name"] for g in content["landscape"]["groups"]], ["the open ones"])
        self.assertEqual(content["landscape"]["groups"][0]["size"], runs["group"].outputParticles.getSize())
        self.assertEqual(content["molecule"]["modes"], [7, 9])
        self.assertEqual([t["name"] for t in content["trajectories"]], ["way"])
        self.assertEqual([r["name"] for r in content["reconstructions"]], ["maps"])
        self.assertEqual(len(content["reconstructions"][0]["members"]), 2)
        errors, groups = content["evaluations"]
        self.assertEqual((errors["name"], groups["name"]), ("errors", "groups alone"))
        self.assertIn("distance", errors["tables"][0]["title"].lower())
        self.assertEqual(len(groups["tables"]), 2)
        self.assertEqual([sorted(g["curves"])[0] for g in groups["groups"]], ["allowed by noise"] * 2)
        told = [record["command"] for record in content["records"]]
        self.assertEqual(told, ["landscape", "trajectory", "reconstruct", "evaluate", "evaluate"])
        self.assertIn(str(file.resolve()), report.summary()[0])

        viewer = CfdReportViewer(project=self.proj, protocol=report)
        self.assertIn(CfdReportViewer, pwem.Domain.getViewers().values())
        (view,) = viewer._visualize(report)
        with mock.patch("webbrowser.open", return_value=True) as opened:
            view.show()
        opened.assert_called_once_with(file.resolve().as_uri())
        shown = mock.Mock()
        with mock.patch("webbrowser.open", return_value=False), mock.patch.object(viewer, "infoMessage", shown):
            view.show()
        self.assertIn(str(file.resolve()), shown.call_args.args[0])
        self.assertIn(DESKTOP_TKINTER, CfdReportViewer._environments)

    def test_2_what_cannot_be_is_said_in_the_form(self) -> None:
        empty = self.driver.make(cfd.CfdProtReport)
        self.assertIn("The report would be empty", empty._validate()[0])
        few = self.driver.make(cfd.CfdProtReport, inputTrajectories=[self.runs["path"]], max_points=5)
        self.assertIn("expected 100 to 1000000", few._validate()[0])

    def test_3_runs_of_one_label_are_told_apart(self) -> None:
        maps = self.runs["maps"]
        report = self.driver.make(cfd.CfdProtReport, inputReconstructions=[maps, maps], title="  two  ")
        options = report._options()
        self.assertEqual([Path(folder).name for folder in options.reconstruction], ["maps", "maps (2)"])
        self.assertEqual(options.title, "two")


if __name__ == "__main__":
    unittest.main()
