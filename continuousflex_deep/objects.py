"""Scipion objects for results that pwem has no class for."""

from typing import Any

from pwem.objects import EMFile
from pyworkflow.object import Boolean, CsvList, Float, Integer, Pointer, String


class CfdNetwork(EMFile):
    """A trained network: the folder of its model, and what images and modes it was trained for."""

    def __init__(self, filename: str | None = None, **kwargs: Any) -> None:
        super().__init__(filename, **kwargs)
        self._targets = String()
        self._modeIds = CsvList(pType=int)
        self._boxSize = Integer()
        self._samplingRate = Float()
        self._phaseFlipped = Boolean()

    def describe(
        self, targets: str, mode_ids: tuple[int, ...], box_px: int, pixel_size_A: float, phase_flipped: bool
    ) -> None:
        """Say what the network predicts (all, amplitudes, angles or shifts), for which modes, from which images."""
        self._targets.set(targets)
        self._modeIds.set(list(mode_ids))
        self._boxSize.set(box_px)
        self._samplingRate.set(pixel_size_A)
        self._phaseFlipped.set(phase_flipped)

    def getTargets(self) -> str:
        return self._targets.get()

    def getPredicted(self) -> tuple[str, ...]:
        """The kinds of parameters that it predicts."""
        return ("amplitudes", "angles", "shifts") if self.getTargets() == "all" else (self.getTargets(),)

    def getModeIds(self) -> tuple[int, ...]:
        return tuple(int(mode) for mode in self._modeIds)

    def getBoxSize(self) -> int:
        return self._boxSize.get()

    def getSamplingRate(self) -> float:
        return self._samplingRate.get()

    def isPhaseFlipped(self) -> bool:
        return self._phaseFlipped.get()

    def __str__(self) -> str:
        modes = f", modes {' '.join(map(str, self.getModeIds()))}" if self.getModeIds() else ""
        return f"CfdNetwork ({self.getTargets()}{modes}, {self.getBoxSize()} px, {self.getSamplingRate():0.3f} Å/px)"


class CfdLandscape(EMFile):
    """A conformational landscape: the folder that the landscape command wrote, and the particles it maps."""

    def __init__(self, filename: str | None = None, **kwargs: Any) -> None:
        super().__init__(filename, **kwargs)
        self._particles = Pointer()
        self._size = Integer(0)

    def setParticles(self, owner: Any, output_name: str, size: int) -> None:
        """Name the set of the mapped particles as an output of the protocol ``owner``."""
        self._particles.set(owner)
        self._particles.setExtended(output_name)
        self._size.set(size)

    def getParticles(self) -> Any:
        return self._particles.get()

    def __str__(self) -> str:
        return f"CfdLandscape ({self._size.get()} particles)"
