"""Xmipp's engine as Scipion runs it: its program recorded, everything else real.

Run by pytest, and by Scipion itself: python -m scipion tests continuousflex_deep.tests.protocols.test_xmipp
"""

import os
import unittest
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from continuousflex_deep.scipion_env import scipion_missing

if scipion_missing():
    raise unittest.SkipTest(scipion_missing())

import numpy as np

from continuousflex_deep import protocols as cfd
from continuousflex_deep.convert import particles_from_set
from continuousflex_deep.demo import write_demo_structure
from continuousflex_deep.geometry import axes_distance_deg, euler_to_matrix
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.particles import Particles
from continuousflex_deep.tests.helpers.engine_contract import make_inputs
from continuousflex_deep.tests.helpers.scipion_project import ProjectTest
from continuousflex_deep.tests.helpers.xmipp_replay import install_for

_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # as in a container


class TestCfdXmipp(ProjectTest):
    inputs: ClassVar[Path]
    particles: ClassVar[Any]
    modes: ClassVar[Any]
    environment: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.inputs = Path("inputs").resolve()
        make_inputs(cls.inputs)
        home = install_for(cls.inputs, Path("xmipp").resolve())
        cls.environment = mock.patch.dict(os.environ, {"XMIPP_HOME": str(home), **_ROOT})
        cls.environment.start()
        structure = cls.import_structure(write_demo_structure(Path("4ake_A.pdb")))
        cls.modes = cls.driver.run("normal modes", cfd.CfdProtNma, inputStructure=structure, n_modes=9).outputModes
        file = str(cls.inputs / "images" / "particles.star")
        cls.particles = cls.driver.run("import", cfd.CfdProtImport, particleFile=file).outputParticles

    @classmethod
    def tearDownClass(cls) -> None:
        cls.environment.stop()
        super().tearDownClass()

    def aligned(self, label: str, **values: Any) -> tuple[Any, Particles]:
        run = self.driver.run(
            label,
            cfd.CfdProtAlign,
            inputParticles=self.particles,
            inputModes=self.modes,
            mode_list="7 8",
            engine=1,
            **values,
        )
        return run, particles_from_set(run.outputParticles)

    def assert_right(self, found: Particles) -> None:
        truth = read_particles(self.inputs / "images" / "truth.star")
        truth = truth.select(truth.rows_of(found.ids))
        rotations = [euler_to_matrix(p.require_poses("it")[0]) for p in (found, truth)]
        self.assertLess(axes_distance_deg(*rotations).max(), 3)
        difference = found.require_amplitudes("it") - truth.require_amplitudes("it")
        self.assertLess(np.median(np.abs(difference)), 15)

    def test_1_workers_of_the_serial_program(self) -> None:
        """Options of the embedded engine that the form still holds do not count."""
        run, found = self.aligned("Xmipp", numberOfMpi=2, batch=4, n_hypotheses=5, init=1)
        self.assertEqual(len(found), 12)
        self.assert_right(found)
        self.assertIn("xmipp_nma_alignment", Path(run._getExtraPath("aligned.json")).read_text())
        self.assertIsNone(found.amplitudes_sd)
        cost = [item._xmipp_cost.get() for item in run.outputParticles]
        np.testing.assert_allclose(cost, 1 - found.score, atol=1e-5)

    def test_2_mpi_program_by_the_hosts_own_launcher(self) -> None:
        launcher = "/opt/mpi/bin/mpirun"
        host = self.driver.project.getHostConfig("localhost")
        with mock.patch.object(host.mpiCommand, "get", return_value=f"{launcher} -np %(JOB_NODES)d %(COMMAND)s"):
            form = self.driver.make(cfd.CfdProtAlign, engine=1, xmippMpi=True, numberOfMpi=3)
            form.setHostConfig(host)
            options = form._options(particles="p", structure="s", modes="m", output="o")
        self.assertEqual(options.xmipp_processes, 3)
        self.assertEqual(options.xmipp_launcher, f"{launcher} -np 3 {{command}}")
        self.assertEqual(form._workers(), 1)

    def test_3_wavelets_need_a_power_of_two_before_work(self) -> None:
        small = self.driver.run("reduced", cfd.CfdProtPreprocess, inputParticles=self.particles, box=60).outputParticles
        with self.assertRaisesRegex(Exception, "power of two, got 60 px"):
            self.driver.run(
                "odd box",
                cfd.CfdProtAlign,
                inputParticles=small,
                inputModes=self.modes,
                mode_list="7 8",
                engine=1,
            )

    def test_4_without_xmipp_the_form_says_so(self) -> None:
        with mock.patch.dict(os.environ, {"XMIPP_HOME": "", "PATH": "/nowhere"}):
            form = self.driver.make(cfd.CfdProtAlign, inputParticles=self.particles, inputModes=self.modes)
            self.assertEqual(form.getParam("engine").choices, ["embedded"])
            form.engine.set(1)  # as in a run that was made elsewhere
            self.assertIn("not installed", " ".join(form.validate()))
