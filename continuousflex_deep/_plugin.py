"""Scipion's view of the package: its variables, its compute environment, and how a command is started in it."""

import importlib.metadata
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pwem
from pyworkflow import VarTypes
from pyworkflow.utils import Environ

from continuousflex_deep._version import __version__
from continuousflex_deep.constants import COMPUTE_HOME, COMPUTE_PYTHON, DISTRIBUTION, PACKAGE

# what a Python must be able to import to run every command
COMPUTE_MODULES = ("torch", "torchvision", "gemmi", "mrcfile", "matplotlib", "sklearn", "plotly", "dash_molstar")
INSTALLED_FLAG = "COMPUTE_ENVIRONMENT_INSTALLED"


class Plugin(pwem.Plugin):
    """Runs commands in Scipion's Python where that has torch, otherwise in the environment of COMPUTE_HOME."""

    _homeVar = COMPUTE_HOME
    _supportedVersions = [__version__]
    _processingField = ["FLEXIBILITY"]

    # -------------------------- identity ------------------------------------
    def getName(self) -> str:
        """The package, not this module: Scipion takes the plugin's path, templates and icon from it."""
        return PACKAGE

    def getPath(self) -> str:
        return str(Path(__file__).resolve().parent)

    @classmethod
    def getActiveVersion(cls, home: str | None = None, versions: Sequence[str] | None = None) -> str:
        return __version__

    # -------------------------- environment ---------------------------------
    @classmethod
    def _defineVariables(cls) -> None:
        cls._defineEmVar(
            COMPUTE_HOME,
            f"{PACKAGE}-{__version__}",
            description="Folder of the compute environment (torch and friends); not needed where Scipion's own Python "
            "can import torch.",
            var_type=VarTypes.FOLDER,
        )
        cls._defineVar(
            COMPUTE_PYTHON,
            "",
            description="A Python that can import torch and the other compute libraries. Empty: found by itself.",
            var_type=VarTypes.PATH,
        )

    @classmethod
    def hasOwnCompute(cls) -> bool:
        """Whether the Python that runs Scipion can run the commands too; nothing is imported to find out."""
        return not missing_modules()

    @classmethod
    def getPython(cls) -> str:
        """The Python that runs the commands."""
        named = cls.getVar(COMPUTE_PYTHON)
        if named:
            return str(named)
        if cls.hasOwnCompute():
            return sys.executable
        return cls.getHome("env", "bin", "python")

    @classmethod
    def getProgram(cls, command: str) -> tuple[str, str]:
        """Program and first arguments that start one command, quoted for runJob, which hands them to a shell."""
        return shlex.quote(cls.getPython()), f"-m {PACKAGE} {shlex.quote(command)}"

    @classmethod
    def getEnviron(cls, gpus: Sequence[int] | None = None) -> Environ:
        """Environment of a command. ``gpus``: the devices it may see; None leaves the choice to the machine."""
        environ = Environ(os.environ)
        for variable in ("PYTHONPATH", "PYTHONHOME"):  # Scipion's own would shadow the compute environment's
            environ.pop(variable, None)
        if cls.getPython() != sys.executable:
            environ["PYTHONPATH"] = cls.getHome()  # holds a link to this package
        if gpus is not None:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu) for gpu in gpus)
        environ["PYTHONUNBUFFERED"] = "1"  # progress reaches Scipion's log while the command runs
        return environ

    # -------------------------- installation --------------------------------
    @classmethod
    def defineBinaries(cls, env) -> None:
        """A virtual environment with the compute libraries, made only where the running Python lacks them."""
        env.addPackage(
            PACKAGE,
            version=__version__,
            tar="void.tgz",
            commands=installation_commands(),
            neededProgs=["python3"],
            default=not cls.hasOwnCompute(),
        )

    @classmethod
    def validateInstallation(cls) -> list[str]:
        python = cls.getPython()
        if python == sys.executable or os.access(python, os.X_OK):
            return []
        return [
            f"The commands of {PACKAGE} need a Python with torch, and none was found.",
            f"Scipion's Python ({sys.executable}) lacks: {', '.join(missing_modules())}.",
            f"{COMPUTE_HOME} points to {cls.getHome()}, which has no env/bin/python.",
            f"Install it:  scipion3 installb {PACKAGE}",
            f"or set {COMPUTE_PYTHON} in scipion.conf to a Python that has those libraries.",
        ]


def missing_modules() -> list[str]:
    return [name for name in COMPUTE_MODULES if importlib.util.find_spec(name) is None]


def installation_commands() -> list[tuple[str, str]]:
    """(shell command, file it makes) pairs that build the compute environment in the current folder."""
    requirements = " ".join(shlex.quote(requirement) for requirement in compute_requirements())
    package_folder = shlex.quote(str(Path(__file__).resolve().parent))
    return [
        (f"{shlex.quote(sys.executable)} -m venv env", "env/bin/python"),
        (f"ln -sfn {package_folder} {PACKAGE}", PACKAGE),
        (f"env -u PYTHONPATH env/bin/python -m pip install {requirements} && touch {INSTALLED_FLAG}", INSTALLED_FLAG),
    ]


def compute_requirements() -> list[str]:
    """What the package needs to compute, from its own metadata: the base requirements and the extra ``compute``."""
    needed = []
    for line in importlib.metadata.requires(DISTRIBUTION) or []:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        if not marker or "'compute'" in marker.replace('"', "'"):
            needed.append(requirement)
    return needed
