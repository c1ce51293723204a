"""A Scipion project for a class of tests, which run their protocols in it one after another."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pyworkflow
from pwem.protocols import ProtImportPdb
from pyworkflow.protocol import STATUS_ABORTED, STATUS_FAILED, STATUS_FINISHED
from pyworkflow.tests import BaseTest, setupTestProject

from continuousflex_deep.arrays import Floats
from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from continuousflex_deep.io.particle_files import write_particles
from continuousflex_deep.io.stacks import write_stack
from continuousflex_deep.io.structures import read_structure, write_structure
from continuousflex_deep.particles import Particles
from continuousflex_deep.protocols import CfdProtImport
from continuousflex_deep.scipion_env import ProjectDriver
from continuousflex_deep.tests.helpers.gaussian_particles import true_images
from continuousflex_deep.tests.helpers.processes import HANG_S, until
from continuousflex_deep.tests.helpers.warm_python import warm_python

# scheduled runs look for their inputs every few seconds
_SCHEDULER = f"{pyworkflow.getScheduleScript()} --sleep_time 1"
_ENDS = {STATUS_ABORTED, STATUS_FAILED, STATUS_FINISHED}


def write_trace(path: Path) -> None:
    """The Cα atoms of adenylate kinase: small, and it moves as the whole does."""
    structure = read_structure(ADENYLATE_KINASE)
    write_structure(path, structure.select(structure.atom_names == "CA"))


class ProjectTest(BaseTest):
    """Each class has a project of its own, in whose folder its tests run."""

    driver: ClassVar[ProjectDriver]

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(mock.patch.object(pyworkflow, "getScheduleScript", return_value=_SCHEDULER))
        cls.enterClassContext(mock.patch.object(pyworkflow, "PYTHON", warm_python()))
        cls.started_in = os.getcwd()
        setupTestProject(cls)
        cls.driver = ProjectDriver(cls.proj)
        cls.driver.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    @classmethod
    def tearDownClass(cls) -> None:
        os.chdir(cls.started_in)

    def wait_for(self, run: Any) -> None:
        """Wait for the end of a run that others started; it must end well.

        Its own database tells. Scipion's look takes a scheduled run for dead while one process hands it over to the
        next, writes that down, and leaves a database open that the run then waits for.
        """
        until(lambda: self.has_said(run, "status") in _ENDS, 2 * HANG_S, every_s=0.5)
        self.proj._updateProtocol(run)
        assert run.isFinished(), run.getErrorMessage()

    @staticmethod
    def has_said(run: Any, name: str) -> str | None:
        """A value that the process of a run has written, or None."""
        if not Path(run.getDbPath()).is_file():
            return None
        with closing(sqlite3.connect(f"file:{run.getDbPath()}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT value FROM Objects WHERE name = ?", (f"{run.getObjId()}.{name}",))
            return next((value for (value,) in rows), None)

    @classmethod
    def import_structure(cls, path: str | Path, label: str = "structure") -> Any:
        return cls.driver.run(
            label,
            ProtImportPdb,
            inputPdbData=ProtImportPdb.IMPORT_FROM_FILES,
            pdbFile=str(Path(path).resolve()),
        ).outputPdb

    @classmethod
    def import_gaussians(cls, name: str, box_px: int, pixel_A: float, amplitudes: Floats) -> Any:
        """Noisy images, with poses, of the particle of Gaussians; amplitudes (n, 2) of modes 7 and 8 are only told.

        Of one number of particles, all are the same but for the images' size.
        """
        n, rng = len(amplitudes), np.random.default_rng(0)
        rotations, shift_A = random_rotations(n, rng), rng.normal(size=(n, 2)) * 3
        euler_deg = matrix_to_euler(rotations)
        images = true_images(euler_to_matrix(euler_deg), shift_A, box_px, pixel_A)
        images += rng.normal(size=images.shape) * images.std() / 3
        stack = Path(f"{name}.mrcs").resolve()
        write_stack(stack, images.astype(np.float32), pixel_A)
        particles = Particles(
            ids=np.arange(1, n + 1),
            stacks=np.full(n, str(stack), dtype=object),
            indices=np.arange(n),
            pixel_size_A=pixel_A,
            box_px=box_px,
            euler_deg=euler_deg,
            shift_A=shift_A,
            mode_ids=(7, 8),
            amplitudes=amplitudes,
        )
        write_particles(particles, f"{name}.star")
        file = str(Path(f"{name}.star").resolve())
        return cls.driver.run(f"import {name}", CfdProtImport, particleFile=file).outputParticles
