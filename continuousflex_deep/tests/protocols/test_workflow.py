"""The whole pipeline as Scipion runs it, on a small synthesised set.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_workflow
"""

import json
import os
import re
import unittest
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, get_args

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np
import psutil
import pwem
from pwem.protocols import ProtSubSet
from pyworkflow.protocol import MODE_RESUME, HostConfig
from pyworkflow.template import LocalTemplate
from pyworkflow.utils.process import buildRunCommand
from pyworkflow.viewer import DESKTOP_TKINTER

from continuousflex_deep import protocols as cfd
from continuousflex_deep._plugin import Plugin
from continuousflex_deep.convert import mode_ids_of, particles_from_set
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.training_curves import read_curves
from continuousflex_deep.options import Fit, SimulateOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.faults import content_of
from continuousflex_deep.tests.helpers.processes import until
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest, write_trace
from continuousflex_deep.tests.helpers.windows import button, messages, run_for, run_until, virtual_screen
from continuousflex_deep.viewers.landscape_data import read_landscape_data

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
IMAGES, PIXEL_SIZE_A, BOX_PX = 48, 3.0, 32


def _holds(name: str, folder: Path) -> bool:
    return any(folder.rglob(name))


class TestCfdWorkflow(ProjectTest):
    """Steps share one project, in the order in which a user would take them."""

    structure: ClassVar[Any]
    modes: ClassVar[Any]
    particles: ClassVar[Any]
    truth: ClassVar[Any]
    landscape: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_trace(Path("trace.pdb"))
        cls.structure = cls.import_structure("trace.pdb")
        cls.modes = cls.driver.run(
            "normal modes", cfd.CfdProtNma, inputStructure=cls.structure, n_modes=10, cutoff_A=12.0, block_size=2
        ).outputModes
        synthesis = cls.driver.run(
            "images", cfd.CfdProtSynthesize, inputModes=cls.modes, mode_list="7 8", conformations=1,
            amplitude_range=60.0, count=IMAGES, box_px=BOX_PX, final_box_px=0, pixel_size_A=PIXEL_SIZE_A, snr=1.0,
            shift_range_px=1.0,
        )  # fmt: skip
        cls.particles, cls.truth = synthesis.outputParticles, synthesis.outputTruth

    def pose_errors(self, found: Particles) -> tuple[np.ndarray, np.ndarray]:
        """(angle_deg, amplitude_A) errors (n,) against the truth, joined by id."""
        truth = particles_from_set(self.truth)
        truth = truth.select(truth.rows_of(found.ids))
        angle_deg = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))
        return angle_deg, np.abs(found.amplitudes - truth.amplitudes).mean(axis=1)

    def test_1_modes_and_images(self) -> None:
        self.assertEqual([mode.getObjId() for mode in self.modes], [7, 8, 9, 10])
        self.assertTrue(all(0 < mode.getCollectivity() <= 1 for mode in self.modes))
        self.assertEqual(self.modes.getPdb().getFileName(), self.structure.getFileName())
        self.assertSetSize(self.particles, IMAGES)
        self.assertEqual(mode_ids_of(self.truth), (7, 8))
        self.assertEqual(mode_ids_of(self.particles), ())
        self.assertFalse(self.particles.hasAlignmentProj())
        self.assertTrue(self.particles.isPhaseFlipped())
        self.assertEqual(self.particles.getIdSet(), self.truth.getIdSet())

    def test_2_alignment_to_reconstruction(self) -> None:
        """HEMNMA labels half of the images; network, landscape of both halves, groups and maps follow."""
        first = self.driver.run(
            "Image set 1", ProtSubSet, inputFullSet=self.particles, chooseAtRandom=True, nElements=IMAGES // 2
        ).outputParticlesFlex
        aligned = self.driver.run(
            "HEMNMA", cfd.CfdProtAlign, inputParticles=first, inputModes=self.modes, mode_list="7 8",
            n_hypotheses=4, angular_step_deg=20.0,
        ).outputParticles  # fmt: skip
        self.assertEqual(aligned.getIdSet(), first.getIdSet())
        angle_deg, amplitude_A = self.pose_errors(particles_from_set(aligned))
        self.assertGreater(np.mean(angle_deg < 10), 0.7, f"angular errors {np.sort(angle_deg).round(1)}")
        self.assertLess(np.median(amplitude_A), 20.0)

        second = self.driver.run(
            "Image set 2",
            ProtSubSet,
            inputFullSet=self.particles,
            inputSubSet=first,
            setOperation=ProtSubSet.SET_DIFFERENCE,
        ).outputParticlesFlex
        predicted = self.check_network(aligned, second)
        type(self).landscape = landscape = self.check_landscape(aligned, predicted)
        self.check_groups(landscape, aligned.getIdSet() | predicted.getIdSet())

    def test_3_landscape_window(self) -> None:
        """What one does in the window becomes files, sets and a trajectory, by the real commands."""
        with virtual_screen():
            self.check_window()

    def open_landscape(self, protocol: Any) -> Any:
        found = [v for v in pwem.Domain.findViewers(protocol, DESKTOP_TKINTER) if v.getName() == "landscape"]
        self.assertEqual(len(found), 1, "viewers called landscape")
        return found[0](project=self.proj, protocol=protocol)._visualize(protocol)[0].open()

    def check_window(self) -> None:
        with closing(self.open_landscape(self.landscape)) as window:
            run_for(window.root, 0.3)
            data = window.data
            with messages() as told:
                window.motion.show_particle(0)
                self.assertTrue(window.motion.particle._image.get_visible(), "the particle's image")
                # so the modes were found
                self.assertIn("RMSD from the structure", window.motion.told.get("1.0", "end"))
                window.condition.set("pc1 > 0")
                window.choose_by_condition()
                window.groups.name.set("right half")
                button(window.root, "Add selected").invoke()
                chosen = set(data.table.ids[data.column("pc1") > 0].tolist())

                before = {run.getObjId() for run in self.proj.getRuns()}
                button(window.root, "Make sets").invoke()
                made = self.finished_run(before)
                self.assertEqual(set(made.outputParticles_1.getIdSet()), chosen)
                self.assertEqual(made.outputParticles_1.getObjLabel(), "right half")

                window.groups.number.set("2")
                button(window.root, "Suggest groups").invoke()
                run_until(window.root, lambda: len(window.selection.groups) == 3, 120)
                self.assertEqual([g.name for g in window.selection.groups][1:], ["cluster 1", "cluster 2"])
                window.groups.write_star(Path("stars").resolve())
                run_until(window.root, lambda: "written" in window.groups.told.get(), 120)
                star = read_particles(Path("stars") / "1_right_half.star")
                self.assertEqual(set(star.ids.tolist()), chosen)

                x = np.percentile(data.column("pc1"), [20, 80])
                for place in x:
                    window.motion.add_corner(float(place), float(np.median(data.column("pc2"))))
                before = {run.getObjId() for run in self.proj.getRuns(refresh=True)}
                button(window.root, "Trajectory").invoke()
                trajectory = self.finished_run(before)
            self.assertIn("become sets", told[0])
            self.assertIn("Frames, scripts and movies", told[-1])
        with closing(self.open_landscape(trajectory)) as again:
            run_for(again.root, 0.3)
            self.assertEqual(len(again.selection.groups), 3)
            np.testing.assert_allclose(np.array(again.motion.corners)[[0, -1], 0], x, atol=0.1)
            button(again.root, "Play").invoke()
            run_for(again.root, 0.5)
            self.assertTrue(again.motion.playing)

    def finished_run(self, before: set[int]) -> Any:
        """The run that was started since, when it is done."""
        run = next(r for r in self.proj.getRuns(refresh=True) if r.getObjId() not in before)
        self.wait_for(run)
        return run

    def test_a_killed_run_continues_where_it_was(self) -> None:
        """kill -9 of Scipion's process and its command in the midst of an alignment; then Continue in the form."""
        first = {"inputParticles": self.particles, "inputModes": self.modes, "mode_list": "7 8", "batch": 4}
        asked = first | {"n_hypotheses": 2, "angular_step_deg": 25.0}
        whole = particles_from_set(self.driver.run("whole", cfd.CfdProtAlign, **asked).outputParticles)

        def done(folder: Path) -> int:
            return len(list(folder.rglob("*.parts/*.npz")))

        run = self.killed(cfd.CfdProtAlign, lambda folder: done(folder) >= 2, **asked)
        self.assertLess(done(Path(run.getPath())), IMAGES // 4)  # it was not done
        self.continued(run)
        continued = particles_from_set(run.outputParticles)
        self.assertEqual(continued.ids.tolist(), whole.ids.tolist())
        np.testing.assert_array_equal(continued.euler_deg, whole.euler_deg)
        np.testing.assert_array_equal(continued.amplitudes, whole.amplitudes)

    def test_other_killed_runs_continue(self) -> None:
        """When the input is written, and when a part of the output is; of commands that have no parts to go on from."""
        self.killed_and_continued(
            cfd.CfdProtLandscape, ("*.star", "landscape.star"), "landscape.npz", inputSets=[self.truth]
        )
        self.killed_and_continued(
            cfd.CfdProtReconstruct, ("*.star", "half1.mrc"), "map.mrc", inputParticles=self.truth, ctf=False
        )

    def killed_and_continued(
        self, protocol: type, moments: tuple[str, ...], compared: str, **asked: Any
    ) -> None:
        """Kill a run when a file of each of these names is there; continued, its result is that of a whole run."""
        whole = self.driver.run("whole", protocol, **asked)
        for name in moments:
            with self.subTest(protocol=protocol.__name__, killed_at=name):
                run = self.killed(protocol, partial(_holds, name), **asked)
                self.continued(run)
                self.assertEqual(
                    [name for name, _ in run.iterOutputAttributes()], [name for name, _ in whole.iterOutputAttributes()]
                )
                found, expected = (content_of(next(Path(r.getPath()).rglob(compared)).parent) for r in (run, whole))
                self.assertEqual(found[compared], expected[compared])

    def killed(self, protocol: type, when: Callable[[Path], bool], **asked: Any) -> Any:
        """A run whose processes, Scipion's and the command's, are killed when something is so in its folder."""
        run = self.driver.make(protocol, **asked)
        run.setObjLabel("killed")
        self.proj.launchProtocol(run, wait=False)
        until(lambda: when(Path(run.getPath())) and int(self.has_said(run, "_pid") or 0) > 0, every_s=0.02)
        process = psutil.Process(int(self.has_said(run, "_pid") or 0))
        family = [*process.children(recursive=True), process]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=60)
        return run

    def continued(self, run: Any) -> None:
        """Continue a killed run, as the form does."""

        def failed() -> bool:
            self.proj._updateProtocol(run)
            return bool(run.isFailed())

        until(failed)  # it notices when it looks whether the process is alive
        run.runMode.set(MODE_RESUME)
        self.proj.launchProtocol(run, wait=True)
        if left := re.search(r"is being written by process (\d+)", run.getErrorMessage() or ""):
            # the command was started in the very moment of the kill, which missed it
            with suppress(psutil.NoSuchProcess):
                psutil.Process(int(left[1])).kill()
            run.runMode.set(MODE_RESUME)
            self.proj.launchProtocol(run, wait=True)
        self.assertTrue(run.isFinished(), run.getErrorMessage())

    def test_motion_undone(self) -> None:
        """Of the true poses and amplitudes; a set without amplitudes is refused in the form."""
        asked = {"inputModes": self.modes, "ctf": False}
        run = self.driver.run("one map", cfd.CfdProtUnbend, inputParticles=self.truth, **asked)
        self.assertEqual(run.outputVolume.getSamplingRate(), PIXEL_SIZE_A)
        self.assertEqual(len(run.outputVolume.getHalfMaps().split(",")), 2)
        self.assertTrue(run.outputAverage.getFileName().endswith("average.mrc"))
        labels = [curve.getObjLabel() for curve in run.outputFSCs]
        self.assertIn("half maps of the average, corrected", labels)
        self.assertIn("corrected for their deformation", " ".join(run._summary()))
        refused = self.driver.make(cfd.CfdProtUnbend, inputParticles=self.particles, **asked)
        self.assertIn("no amplitudes", " ".join(refused._validateInputs()))

    def test_modes_are_learned_from_the_particles(self) -> None:
        """And are modes of the steps that follow."""
        learning = self.driver.run(
            "learned modes", cfd.CfdProtAlign, inputParticles=self.truth, inputModes=self.modes, mode_list="auto",
            init=1, local_step_deg=0.0, learning_particles=24,
        )  # fmt: skip
        learned, found = learning.outputModes, learning.outputParticles
        numbers = tuple(sorted(learned.getIdSet()))
        self.assertGreater(numbers[0], 1000)
        self.assertEqual(mode_ids_of(found), numbers)
        self.assertEqual(learned.getPdb().getFileName(), self.structure.getFileName())
        self.assertIn("motions that were learned", " ".join(learning.summary()))
        unbend = self.driver.make(cfd.CfdProtUnbend, inputParticles=found, inputModes=learned)
        self.assertEqual(unbend.validate(), [])
        self.assertTrue(self.driver.make(cfd.CfdProtUnbend, inputParticles=found, inputModes=self.modes).validate())

    def test_poses_alone_need_no_modes(self) -> None:
        asked = {"inputParticles": self.particles, "n_hypotheses": 4, "angular_step_deg": 20.0}
        protocol = self.driver.project.newProtocol(cfd.CfdProtAlign, **asked)
        protocol.inputStructure.set(self.structure)
        self.assertIn("Normal modes are needed", " ".join(protocol._validate()))
        rigid = self.driver.run(
            "poses", cfd.CfdProtAlign, inputStructure=self.structure, fit=get_args(Fit).index("pose"), **asked
        ).outputParticles
        self.assertEqual((rigid.getIdSet(), mode_ids_of(rigid)), (self.particles.getIdSet(), ()))
        self.assertTrue(rigid.hasAlignmentProj())
        truth, found = (particles_from_set(s) for s in (self.truth, rigid))
        truth = truth.select(truth.rows_of(found.ids))
        angle_deg = axes_distance_deg(euler_to_matrix(found.euler_deg), euler_to_matrix(truth.euler_deg))
        self.assertGreater(np.mean(angle_deg < 20), 0.6, f"angular errors {np.sort(angle_deg).round(1)}")

    def check_network(self, labels: Any, unlabelled: Any) -> Any:
        training = self.driver.run(
            "network", cfd.CfdProtTrain, inputParticles=labels, epochs=2, backbone=0, batch=8, outlier_distance=0.0,
            keep_ambiguous=True,
        )  # fmt: skip
        network = training.outputNetwork
        self.assertEqual((network.getModeIds(), network.getBoxSize(), network.getTargets()), ((7, 8), BOX_PX, "all"))
        self.check_viewer(training, "training curves", "_visualize")
        self.assertEqual(read_curves(Path(training.getModelFolder()) / "curves.csv")["epoch"], [1, 2])
        predicted = self.driver.run(
            "prediction", cfd.CfdProtInfer, inputParticles=unlabelled, inputNetworks=[network]
        ).outputParticles
        self.assertEqual(predicted.getIdSet(), unlabelled.getIdSet())
        self.assertEqual(mode_ids_of(predicted), (7, 8))
        self.assertTrue(predicted.hasAlignmentProj())
        return predicted

    def check_landscape(self, *sets: Any) -> Any:
        protocol = self.driver.run("landscape", cfd.CfdProtLandscape, inputSets=list(sets), outlier_distance=0.0)
        landscape = protocol.outputLandscape
        self.assertSetSize(landscape.getParticles(), IMAGES)
        data = read_landscape_data(landscape.getFileName())
        pc1 = dict(zip(data.table.ids.tolist(), data.column("pc1"), strict=True))
        for item in protocol.outputParticles:  # FlexHub's tools read coordinates there
            self.assertAlmostEqual(item.getZRed()[0], pc1[item.getObjId()], places=3)
        return protocol

    def check_viewer(self, protocol: Any, label: str, show: str) -> None:
        """Scipion finds our viewer for the protocol, and it draws."""
        found = [v for v in pwem.Domain.findViewers(protocol, DESKTOP_TKINTER) if v.getName() == label]
        self.assertEqual(len(found), 1, f"viewers called {label}")
        viewer = found[0](project=self.proj, protocol=protocol)
        if hasattr(viewer, "setProtocol"):
            viewer.setProtocol(protocol)
        drawn = viewer._visualize(protocol) if show == "_visualize" else getattr(viewer, show)()
        self.assertEqual([type(view).__name__ for view in drawn], ["EmPlotter"])
        figure = drawn[0].getFigure()
        self.assertTrue(figure.axes[0].has_data())
        drawn[0].draw()  # with the layout that a window shows
        for one, other in combinations([axes.get_tightbbox() for axes in figure.axes], 2):
            self.assertFalse(one.overlaps(other), f"{label}: {one} lies over {other}")

    def check_groups(self, landscape: Any, ids: set[int]) -> None:
        """By condition; then a map with the images at another size."""
        data = read_landscape_data(landscape.outputLandscape.getFileName())
        expected = set(data.table.ids[data.column("pc1") > 0].tolist())
        group = self.driver.run(
            "group", cfd.CfdProtGroup, inputLandscape=landscape.outputLandscape, expression="pc1 > 0"
        ).outputParticles
        self.assertEqual(set(group.getIdSet()), expected)

        everything = landscape.outputParticles
        self.assertEqual(set(everything.getIdSet()), ids)
        smaller = self.driver.run(
            "smaller images", cfd.CfdProtPreprocess, inputParticles=self.particles, box=24
        ).outputParticles
        reconstruction = self.driver.run(
            "map", cfd.CfdProtReconstruct, inputParticles=everything, inputImages=smaller, ctf=True
        )
        volume = reconstruction.outputVolume
        self.assertEqual(volume.getDim(), (24, 24, 24))
        self.assertAlmostEqual(volume.getSamplingRate(), PIXEL_SIZE_A * BOX_PX / 24, places=4)
        self.assertEqual(len(volume.getHalfMaps(asList=True)), 2)
        self.assertIn("half maps", reconstruction.getResolutions())
        self.assertGreaterEqual(reconstruction.outputFSCs.getSize(), 3)
        self.check_viewer(reconstruction, "reconstruction", "_showFsc")
        self.check_viewer(reconstruction, "reconstruction", "_showSlices")

    def test_3_training_on_truth_is_possible(self) -> None:
        """Labels need not come from an alignment: any set with poses and amplitudes will do."""
        self.assertEqual(self.driver.make(cfd.CfdProtTrain, inputParticles=self.truth).validate(), [])

    def test_4_bad_input_is_refused_before_launch(self) -> None:
        align = {"inputParticles": self.particles, "inputModes": self.modes}
        refusals = [
            (cfd.CfdProtAlign, {**align, "mode_list": "3-7"}, "rigid-body"),
            (cfd.CfdProtAlign, {**align, "mode_list": "7 15"}, "no modes [15]"),
            (cfd.CfdProtAlign, {**align, "mode_list": "7-9", "init": 1}, "local start"),
            (cfd.CfdProtAlign, {**align, "mode_list": "auto", "fit": 1}, "learned by the embedded engine"),
            (cfd.CfdProtAlign, {**align, "n_hypotheses": 0}, "must be at least 1"),
            (cfd.CfdProtTrain, {"inputParticles": self.particles}, "no amplitudes"),
            (cfd.CfdProtTrain, {"inputParticles": self.truth, "second_pass": True}, "give it as start network"),
            (cfd.CfdProtLandscape, {"inputSets": [self.particles]}, "needs amplitudes"),
            (cfd.CfdProtLandscape, {"inputSets": [self.truth, self.truth]}, "more than one set"),
            (cfd.CfdProtReconstruct, {"inputParticles": self.particles}, "no orientations"),
            (cfd.CfdProtPreprocess, {"inputParticles": self.particles, "box": 64}, "only become smaller"),
            (cfd.CfdProtPreprocess, {"inputParticles": self.particles, "phase_flip": True}, "flipped already"),
        ]
        for protocol_class, values, message in refusals:
            with self.subTest(protocol=protocol_class.__name__, message=message):
                errors = self.driver.make(protocol_class, **values).validate()
                self.assertTrue(any(message in error for error in errors), errors)

    def test_5_what_the_command_says_reaches_the_user(self) -> None:
        """A fault that only the command can see: its own sentence is the protocol's error, not an exit status."""
        protocol = self.driver.make(
            cfd.CfdProtSynthesize, inputModes=self.modes, mode_list="7 8", conformations=1, count=2, box_px=16,
            pixel_size_A=1.0, final_box_px=0,
        )  # fmt: skip
        self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFailed())
        self.assertIn("error: the structure extends", protocol.getErrorMessage())

    def test_6_every_run_says_how_it_was_made(self) -> None:
        run = next(run for run in self.proj.getRuns() if isinstance(run, cfd.CfdProtSynthesize) and run.isFinished())
        record = json.loads((Path(run._getExtraPath()) / "simulate" / "record.json").read_text())
        self.assertEqual((record["command"], record["options"]["count"]), ("simulate", IMAGES))

    def test_7_template_links_every_input(self) -> None:
        """As Scipion reads the workflow template: all protocols appear, with their inputs and no default lost."""
        path = Path(cfd.__file__).parents[1] / "templates" / "deephemnma_synthetic.json.template"
        template = LocalTemplate("continuousflex_deep", str(path))
        template.replaceEnvVariables()
        template.parseContent()
        template.setParamValue("structure", str(Path("trace.pdb").resolve()))
        template.setParamValue("images", "20")
        before = {run.getObjId() for run in self.proj.getRuns()}
        self.proj.loadProtocols(template.createTemplateFile())
        runs = {run.getClassName(): run for run in self.proj.getRuns(refresh=True) if run.getObjId() not in before}
        beside = {
            "CfdProtModes", "CfdProtPreprocess", "CfdProtImport", "CfdProtExport", "CfdProtPseudoatoms",
            "CfdProtToContinuousFlex", "CfdProtDeform", "CfdProtTrajectory", "CfdProtUnbend", "CfdProtClusters",
            "CfdProtReport",
        }  # fmt: skip
        self.assertEqual(set(runs), {"ProtImportPdb", "ProtSubSet", *cfd.__all__} - beside)
        self.assertEqual(runs["CfdProtSynthesize"].count.get(), 20)
        self.assertEqual(runs["CfdProtSynthesize"].snr.get(), SimulateOptions.snr)
        for run in runs.values():
            for name, attribute in run.iterDefinitionAttributes():
                if attribute.isPointer() and not run.getParam(name).allowsNull:
                    self.assertTrue(attribute.hasValue() and attribute.hasExtended(), f"{run.getClassName()}.{name}")

    def test_8_mpi_is_the_number_of_workers(self) -> None:
        """Scipion starts them by the host's parallel command; here a stand-in for mpirun with Open MPI's variables."""
        folder = Path("launcher").resolve()
        folder.mkdir(exist_ok=True)
        (folder / "mpirun").write_text(_MPIRUN)
        (folder / "mpirun").chmod(0o755)
        paths = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}{os.pathsep}{paths}"
        try:
            run = self.driver.run(
                "two workers", cfd.CfdProtAlign, inputParticles=self.particles, inputModes=self.modes, mode_list="7 8",
                n_hypotheses=4, angular_step_deg=20.0, batch=8, numberOfMpi=2,
            )  # fmt: skip
        finally:
            os.environ["PATH"] = paths
        self.assertEqual((folder / "started").read_text().split(), ["0/2", "1/2"])
        self.assertEqual(run.outputParticles.getIdSet(), self.particles.getIdSet())

    def test_9_queue_template_carries_workers_threads_and_gpus(self) -> None:
        hosts = Path("hosts.conf")
        hosts.write_text(_QUEUE)
        protocol = self.driver.make(
            cfd.CfdProtAlign, inputParticles=self.particles, inputModes=self.modes, numberOfMpi=4, gpuList="0 1"
        )
        protocol.numberOfThreads.set(3)
        protocol.setHostConfig(HostConfig.load(str(hosts))["localhost"])
        host, values = protocol.getHostConfig(), {**protocol.getSubmitDict(), "JOB_COMMAND": "the command"}
        script = host.getSubmitTemplate() % values
        for line in ("--ntasks=4", "--cpus-per-task=3", "--gres=gpu:2", "cores=12", "the command"):
            self.assertIn(line, script)
        command = buildRunCommand("python", "-m x", protocol._workers(), host, Plugin.getEnviron(), context=values)
        self.assertRegex(command, r"srun -n 4 +\S*python -m x")


_MPIRUN = """#!/bin/bash
# mpirun -np N [--map-by node] PROGRAM ...
n=$2; shift 2
[ "$1" = --map-by ] && shift 2
rm -f "$(dirname "$0")/started"
for ((rank = 0; rank < n; rank++)); do
  echo "$rank/$n" >> "$(dirname "$0")/started"
  OMPI_COMM_WORLD_RANK=$rank OMPI_COMM_WORLD_SIZE=$n OMPI_COMM_WORLD_LOCAL_RANK=$rank \\
    OMPI_COMM_WORLD_LOCAL_SIZE=$n "$@" &
  workers="$workers $!"
done
for worker in $workers; do wait $worker || exit 1; done
"""
_QUEUE = """[localhost]
PARALLEL_COMMAND = srun -n %_(JOB_NODES)d %_(COMMAND)s
NAME = SLURM
MANDATORY = 0
SUBMIT_COMMAND = sbatch %_(JOB_SCRIPT)s
SUBMIT_TEMPLATE = ##!/bin/bash
    ##SBATCH --ntasks=%_(JOB_NODES)d --cpus-per-task=%_(JOB_THREADS)d --gres=gpu:%_(GPU_COUNT)s
    ## cores=%_(JOB_CORES)d
    %_(JOB_COMMAND)s
CANCEL_COMMAND = scancel %_(JOB_ID)s
CHECK_COMMAND = squeue -j %_(JOB_ID)s
"""

if __name__ == "__main__":
    unittest.main()
