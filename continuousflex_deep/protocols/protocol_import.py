"""Particles of RELION, cryoSPARC, Xmipp or FREALIGN files, with their poses."""

from enum import Enum
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticlesFlex
from pyworkflow.protocol import params

from continuousflex_deep.convert import fill_set
from continuousflex_deep.io.links import link_stacks
from continuousflex_deep.io.particle_files import FREALIGN, read_particles
from continuousflex_deep.options import ConvertOptions
from continuousflex_deep.protocols.form_options import add_options
from continuousflex_deep.protocols.protocol_base import CfdProtBase

_SUFFIXES = (".star", ".cs", ".xmd", FREALIGN)
_IS_PAR = f"(particleFile or '').strip().lower().endswith('{FREALIGN}')"


class CfdImportOutputs(Enum):
    outputParticles = SetOfParticlesFlex


class CfdProtImport(CfdProtBase):
    """Imports particles with their orientations, shifts, CTF, half sets and optics groups, and amplitudes if they have
    any, from a file of RELION (.star), cryoSPARC (.cs), Xmipp (.xmd) or FREALIGN and cisTEM (.par).

    Images are not copied: the project links to them. Of a cryoSPARC job give the file of its particles; what that
    lacks is taken from the passthrough file beside it. A .par file names neither its stack nor the microscope: give
    both.
    """

    _label = "import particles with poses"
    _possibleOutputs = CfdImportOutputs
    COMMAND, OPTIONS = "convert", ConvertOptions
    PATHS = ("particles", "output")

    def _defineParams(self, form: Any) -> None:
        form.addSection(label="Input")
        form.addParam(
            "particleFile",
            params.FileParam,
            label="Particle file",
            important=True,
            help="A .star file of RELION (3.0, 3.1 or later), a .cs file of cryoSPARC, an .xmd file of Xmipp, or a "
            ".par file of FREALIGN or cisTEM.",
        )
        form.addParam(
            "stackFile",
            params.FileParam,
            allowsNull=True,
            condition=_IS_PAR,
            label="Image stack",
            help="The stack whose images the .par file numbers.",
        )
        of_par = ["voltage_kV", "cs_mm", "amplitude_contrast", "min_occupancy_percent"]
        add_options(form, ConvertOptions, of_par, **{name: {"condition": _IS_PAR} for name in of_par})
        form.addParam(
            "imageFile",
            params.FileParam,
            allowsNull=True,
            label="Images from (optional)",
            help="A particle file with the same ids whose images, optics groups and CTF are taken instead, for example "
            "the original one, where the poses were found on reduced images.",
        )
        add_options(form, ConvertOptions, ["pixel_size_A", "xmd_modes"])

    def _writeInputs(self) -> dict[str, Any]:
        return {
            "particles": [self._file("particleFile")],
            "images": self._file("imageFile"),
            "stack": self._file("stackFile"),
            "output": self._imported(),
        }

    def createOutputStep(self) -> None:
        particles = link_stacks(read_particles(self._imported()), self._getExtraPath("images"))
        output = SetOfParticlesFlex.create(self._getPath())
        fill_set(output, particles)
        self._defineOutputs(**{CfdImportOutputs.outputParticles.name: output})

    def _validateInputs(self) -> list[str]:
        errors = []
        for name in ("particleFile", "imageFile", "stackFile"):
            file = self._file(name)
            if file and name != "stackFile" and Path(file).suffix not in _SUFFIXES:
                errors.append(f"'{file}': expected a file {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}.")
            elif file and not Path(file).is_file():
                errors.append(f"There is no file '{file}'.")
        if Path(self._file("particleFile")).suffix.lower() == FREALIGN and not self._file("stackFile"):
            errors.append("A .par file does not name its images: give its stack.")
        if not self._file("particleFile"):
            errors.append("Give the file of the particles.")
        return errors

    def _summary(self) -> list[str]:
        if not hasattr(self, CfdImportOutputs.outputParticles.name):
            return ["The particles are not imported yet."]
        found = "with" if self.outputParticles.hasAlignmentProj() else "without"
        return [f"{self.outputParticles.getSize()} particles {found} poses from {self._file('particleFile')}"]

    def _file(self, name: str) -> str:
        return (getattr(self, name).get() or "").strip()

    def _imported(self) -> str:
        return self._getExtraPath("imported.star")
