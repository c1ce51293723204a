"""Shows normal modes: their list, each in motion, and what it displaces."""

import os
import shlex
import shutil
import tkinter as tk
from pathlib import Path
from typing import Any

from pwem.viewers import Chimera, ChimeraView
from pyworkflow.viewer import DESKTOP_TKINTER, CommandView, View, Viewer

from continuousflex_deep.errors import InputError
from continuousflex_deep.protocols.protocol_modes import CfdProtModes
from continuousflex_deep.protocols.protocol_nma import CfdProtNma
from continuousflex_deep.viewers.modes_data import ModesData, read_modes_data
from continuousflex_deep.viewers.modes_window import ModesWindow, Opener


class CfdModesViewer(Viewer):
    """The modes of an analysis, or of a choice among them, as a list with animations."""

    _name = "normal modes"
    _targets = [CfdProtNma, CfdProtModes]
    _environments = [DESKTOP_TKINTER]

    def _visualize(self, protocol: Any, **_kwargs) -> list[Any]:
        try:
            data = data_of(protocol)
        except InputError as error:
            return [self.errorMessage(str(error), "No modes")]
        return [ModesView(data, protocol, self.getProject(), self.getTkRoot())]


class ModesView(View):
    """Opens the window; ``window`` is it, once shown."""

    def __init__(self, data: ModesData, protocol: Any, project: Any, parent: tk.Misc | None) -> None:
        self._data, self._protocol, self._project, self._parent = data, protocol, project, parent
        self.window: ModesWindow | None = None

    def open(self) -> ModesWindow:
        """The window, without waiting for it to be closed."""
        self.window = ModesWindow(
            self._data,
            os.path.abspath(self._protocol._getExtraPath()),
            title=f"Normal modes: {self._protocol.getRunName()}",
            parent=self._parent,
            openers=openers(),
            on_choose=lambda mode_list: self._make_set(mode_list),
        )
        return self.window

    def show(self) -> None:
        self.open().show()

    def _make_set(self, mode_list: str) -> str:
        protocol = make_set(self._project, self._protocol, mode_list)
        return f"The set of modes {mode_list} is made by the protocol '{protocol.getObjLabel()}'."


def data_of(protocol: Any) -> ModesData:
    """Structure and modes of a finished protocol. Raises InputError where there are none."""
    if not hasattr(protocol, "outputModes"):
        raise InputError("there are no modes yet; look again when the protocol has finished")
    if isinstance(protocol, CfdProtModes):
        structure = protocol._structure().getFileName()
        return read_modes_data(structure, protocol._getExtraPath("input_modes"), protocol._outputFolder())
    return read_modes_data(protocol.inputStructure.get().getFileName(), protocol._outputFolder())


def make_set(project: Any, source: Any, mode_list: str, wait: bool = False) -> CfdProtModes:
    """Launch a protocol that chooses these modes of those that ``source`` computed or chose from."""
    protocol = project.newProtocol(CfdProtModes, mode_list=mode_list)
    protocol.setObjLabel(f"modes {mode_list}")  # newProtocol would put the default label over it
    if isinstance(source, CfdProtModes):
        for name in ("inputModes", "inputStructure", "inputTarget"):
            getattr(protocol, name).copy(getattr(source, name), copyId=False)
    else:
        protocol.inputModes.set(source)
        protocol.inputModes.setExtended("outputModes")
    project.launchProtocol(protocol, wait=wait)
    return protocol


def openers() -> dict[str, Opener | None]:
    """Programs that show a file of several models; None for those that are not installed."""
    vmd = vmd_program()
    return {
        "ChimeraX": (lambda path: ChimeraView(str(path)).show()) if chimerax_is_installed() else None,
        "VMD": (lambda path: CommandView(f"{shlex.quote(vmd)} {shlex.quote(str(path))} &").show()) if vmd else None,
    }


def chimerax_is_installed() -> bool:
    program = Chimera.getProgram()
    return program is not None and shutil.which(program) is not None


def vmd_program() -> str | None:
    """VMD, from Scipion's VMD_HOME or the search path."""
    home = os.environ.get("VMD_HOME", "")
    places = [str(Path(home) / "bin")] if home else []
    return shutil.which("vmd", path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))
