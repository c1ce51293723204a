"""What all protocols do alike: write a particle file and an options file, run one command, take its results."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pwem.emlib.image import ImageHandler
from pwem.objects import AtomStruct
from pwem.protocols import EMProtocol
from pyworkflow.constants import BETA
from pyworkflow.protocol import GPU_LIST, USE_GPU, params

from continuousflex_deep._plugin import Plugin
from continuousflex_deep.convert import atoms_beside, enabled_ids, modes_to_folder, particles_from_set
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.io.file_names import RECORD_JSON
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.records import read_record
from continuousflex_deep.options import options_of, write_options_file
from continuousflex_deep.programs import PACKAGES
from continuousflex_deep.protocols.form_options import package_home, read_options

# stands for a file that a step will write, where options are checked before that step ran
_LATER = "written by the protocol"
_MRC = (".mrc", ".map")
# Open MPI (4 and 5) would bind each worker to one core, whatever its threads
_UNBOUND = {"OMPI_MCA_hwloc_base_binding_policy": "none", "PRTE_MCA_hwloc_default_binding_policy": "none"}


class CfdProtBase(EMProtocol):
    """One command of the package as a protocol.

    Subclasses name the command and bring two methods: ``_writeInputs`` writes the files that it reads and returns the
    options that name them, ``createOutputStep`` turns what it wrote into Scipion's objects.
    """

    _label: ClassVar[str | None] = None
    _devStatus = BETA
    COMMAND: ClassVar[str]
    OPTIONS: ClassVar[type]
    #: paths of the command that the protocol fills in, as far as the form does not ask for them
    PATHS: ClassVar[tuple[str, ...]] = ("output",)
    #: whether several processes of the command share a run; "MPI" in the form is then their number
    WORKERS: ClassVar[bool] = False

    # -------------------------- parameters ----------------------------------
    def _addComputeParams(self, form: Any, gpu: bool) -> None:
        """Devices, threads and workers, for commands that take them."""
        if gpu:
            form.addHidden(
                USE_GPU,
                params.BooleanParam,
                default=True,
                label="Use GPU for execution",
                help="Compute on the GPU if there is one. Without a GPU, or if set to No, the CPU is used.",
            )
            several = ", or numbers such as '0 1', of which each MPI worker takes one" if self.WORKERS else ""
            form.addHidden(
                GPU_LIST, params.StringParam, default="0", label="GPU", help=f"Number of the GPU to use{several}."
            )
        form.addParallelSection(threads=len(os.sched_getaffinity(0)), mpi=1 if self.WORKERS else 0)
        if self.WORKERS:
            form.getParam("numberOfMpi").help.set(
                "Workers that share the particles, on this computer or on the nodes of a queue; each takes the threads "
                "above and one of the GPUs. The result does not depend on their number."
            )

    @staticmethod
    def _addParticlesParam(
        form: Any, text: str, label: str = "Particles", aligned: bool = False, condition: str | None = None
    ) -> None:
        form.addParam(
            "inputParticles",
            params.PointerParam,
            pointerClass="SetOfParticles",
            pointerCondition="hasAlignmentProj" if aligned else None,
            condition=condition,
            label=label,
            important=True,
            help=text,
        )

    @staticmethod
    def _addImagesParam(
        form: Any, label: str = "Images to use instead (optional)", text: str = "Shifts scale with it."
    ) -> None:
        """The same particles on other images; text: what of these is used."""
        form.addParam(
            "inputImages",
            params.PointerParam,
            pointerClass="SetOfParticles",
            allowsNull=True,
            label=label,
            help=f"The same particles (same ids) at another size, for example the original one. {text}",
        )

    @staticmethod
    def _addLandscapeParam(form: Any, text: str, label: str = "Landscape", **arguments: Any) -> None:
        form.addParam(
            "inputLandscape", params.PointerParam, pointerClass="CfdLandscape", label=label, help=text, **arguments
        )

    @staticmethod
    def _addModesParams(form: Any, optional: str = "", condition: str | None = None) -> None:
        """Modes and structure; optional: when the modes may be left out, for the help; condition: of both."""
        form.addParam(
            "inputModes",
            params.PointerParam,
            pointerClass="SetOfNormalModes",
            allowsNull=bool(optional),
            condition=condition,
            label="Normal modes",
            help="Modes of the reference structure, from this package's or ContinuousFlex's normal mode analysis."
            + optional,
        )
        form.addParam(
            "inputStructure",
            params.PointerParam,
            pointerClass="AtomStruct",
            allowsNull=True,
            condition=condition,
            label="Structure (optional)",
            help="The structure that the modes were computed from. Empty: the one that the set of modes names.",
        )

    # -------------------------- steps ---------------------------------------
    def _insertAllSteps(self) -> None:
        self._insertFunctionStep(self.convertInputStep, needsGPU=False)
        self._insertFunctionStep(self.runCommandStep, needsGPU=self.usesGpu())
        self._insertFunctionStep(self.createOutputStep, needsGPU=False)

    def convertInputStep(self) -> None:
        """Write what the command reads, and its options."""
        write_options_file(self._optionsFile(), self._options(**self._writeInputs()))

    def runCommandStep(self) -> None:
        program, first = Plugin.getProgram(self.COMMAND)
        environ = Plugin.getEnviron(self._devices())
        if self._workers() > 1:
            environ.update(_UNBOUND)
        arguments = f"{first} --options {shlex.quote(self._optionsFile())}"
        try:
            self.runJob(
                program, arguments, env=environ, numberOfMpi=self._workers(), numberOfThreads=self.numberOfThreads.get()
            )
        except subprocess.CalledProcessError as failure:  # Scipion shows the exception's text to the user
            raise DeepError(self._commandsLastError() or str(failure)) from failure

    # -------------------------- information ---------------------------------
    def _validate(self) -> list[str]:
        try:
            known = options_of(self.OPTIONS)
            self._options(**{name: [_LATER] if known[name].is_list else _LATER for name in self.PATHS})
            return self._validateInputs()
        except InputError as error:
            return [str(error)]

    def _warnings(self) -> list[str]:
        workers, threads = self._workers(), self.numberOfThreads.get()
        cores, gpus = len(os.sched_getaffinity(0)), len(self.getGpuList()) if self.usesGpu() else 0
        warnings = []
        if workers > 1 and workers * threads > cores and not self.useQueue():
            warnings.append(
                f"{workers} MPI workers of {threads} threads are more than the {cores} cores of this computer; they "
                "will slow each other down."
            )
        if self.WORKERS and gpus > workers:
            warnings.append(f"Of {gpus} GPUs, {workers} will be used: one by each MPI worker.")
        return warnings

    def _validateInputs(self) -> list[str]:
        """What the command would complain about and the form can already tell."""
        return []

    @staticmethod
    def _validateImages(sets: Sequence[Any], images: Any, ctf: bool = False) -> list[str]:
        """Whether the images to use instead, if any, have all particles of the sets; ctf: and a CTF."""
        errors = []
        if ctf and not all(shown.hasCTF() for shown in (sets if images is None else [images])):
            errors.append("The images have no CTF; switch the correction off, or assign a CTF to them.")
        missing = set() if images is None else set().union(*map(enabled_ids, sets)) - enabled_ids(images)
        if missing:
            errors.append(f"{len(missing)} particles are not among the images, for example {sorted(missing)[:5]}.")
        return errors

    def _citations(self) -> list[str]:
        return ["hamitouche2022", "jin2014", "harastani2020"]

    # -------------------------- utils ---------------------------------------
    def _optionsFile(self) -> str:
        return self._getExtraPath("options.json")

    def _outputFolder(self) -> str:
        """Where the command writes."""
        return self._getExtraPath(self.COMMAND)

    def _record(self) -> dict[str, Any]:
        """What the command recorded of its run. Raises InputError or FormatError where there is no whole record."""
        return read_record(Path(self._outputFolder()) / RECORD_JSON)

    def _commandsLastError(self) -> str:
        """What the command said when it failed; empty where it said nothing."""
        lines = Path(self.getStderrLog()).read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith("error: ")), "")

    def _options(self, **values: Any) -> Any:
        if self._takes("threads") and "threads" not in values:
            values["threads"] = self.numberOfThreads.get()
        if self._takes("device"):
            values["device"] = "auto" if self.usesGpu() else "cpu"
        for option in options_of(self.OPTIONS).values():
            if option.traits.role == "installation":
                values.setdefault(option.name, package_home(PACKAGES[option.traits.engine]))
        return read_options(self, self.OPTIONS, **values)

    def _workers(self) -> int:
        """Processes that share the command's run."""
        return max(1, self.numberOfMpi.get()) if self.WORKERS else 1

    def _leftOut(self, output: str) -> list[str]:
        """A line for the summary where the command left particles out; `output`: its particle file."""
        named = Path(output).with_name(f"{Path(output).stem}_bad.star")
        if not named.is_file():
            return []
        count = len(read_particles(named))
        return [f"{count} particles were left out because their images cannot be used; they are named in {named}"]

    def _takes(self, option: str) -> bool:
        return option in options_of(self.OPTIONS)

    def _devices(self) -> list[int] | None:
        """The GPUs that the command may see; None leaves that to the environment."""
        if not self._takes("device"):
            return None
        if not self.usesGpu():
            return []
        return None if self.useQueue() else self.getGpuList()  # a queue hands out its GPUs itself

    def _writeParticles(self, image_set: Any, name: str = "input_particles.star") -> str:
        path = self._getExtraPath(name)
        write_particles(particles_from_set(image_set), path)
        return path

    def _mrcFile(self, volume: Any, name: str) -> str:
        """The volume's file if it is an MRC one, else a copy as such."""
        file = volume.getFileName().removesuffix(":mrc")
        if Path(file).suffix.lower() in _MRC:
            return os.path.abspath(file)
        copy = os.path.abspath(self._getExtraPath(f"{name}.mrc"))
        ImageHandler().convert(volume, copy)
        return copy

    def _writeModes(self) -> dict[str, str]:
        """The options that name structure and modes; modes of any origin appear as one folder of vec files."""
        modes, folder = self.inputModes.get(), ""
        if modes is not None:
            folder = self._modesFolder()
            modes_to_folder(modes, folder)
        return {"structure": os.path.abspath(self._structure().getFileName()), "modes": folder}

    def _modesFolder(self) -> str:
        return self._getExtraPath("input_modes")

    def _structure(self) -> Any:
        """The structure given, or that of the modes: the very atoms that they move, where these are known."""
        modes, structure = self.inputModes.get(), self.inputStructure.get()
        if structure is None and modes is not None:
            structure = atoms_beside(modes) or modes.getPdb()
        if not isinstance(structure, AtomStruct):
            which = "without modes there is no" if modes is None else "the set of modes names no"
            raise InputError(f"{which} structure that could be found; give it as 'Structure'")
        return structure

    def _validateModes(self, mode_ids: tuple[int, ...]) -> list[str]:
        """Whether the chosen modes exist, with a structure."""
        self._structure()
        if self.inputModes.get() is None:
            return ["Normal modes are needed, unless only poses are to be found."]
        available = [int(number) for number in self.inputModes.get().getIdSet()]
        missing = [mode for mode in mode_ids if mode not in available]
        if missing:
            return [f"The set of normal modes has no modes {missing}; it has {sorted(available)}."]
        return []
