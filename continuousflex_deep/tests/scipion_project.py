"""A Scipion project for a class of tests, which run their protocols in it one after another."""

import os
from pathlib import Path
from typing import Any, ClassVar

from pwem.protocols import ProtImportPdb
from pyworkflow.tests import BaseTest, setupTestProject

from continuousflex_deep.scipion_env import ProjectDriver


class ProjectTest(BaseTest):
    """Each class has a project of its own, in whose folder its tests run."""

    driver: ClassVar[ProjectDriver]

    @classmethod
    def setUpClass(cls) -> None:
        cls.started_in = os.getcwd()
        setupTestProject(cls)
        cls.driver = ProjectDriver(cls.proj)
        cls.driver.threads = int(os.environ.get("OMP_NUM_THREADS", "1"))

    @classmethod
    def tearDownClass(cls) -> None:
        os.chdir(cls.started_in)

    @classmethod
    def import_structure(cls, path: str | Path, label: str = "structure") -> Any:
        return cls.driver.run(
            label,
            ProtImportPdb,
            inputPdbData=ProtImportPdb.IMPORT_FROM_FILES,
            pdbFile=str(Path(path).resolve()),
        ).outputPdb
