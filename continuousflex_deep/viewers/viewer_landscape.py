"""Shows a landscape, and passes on what is selected and drawn in it: groups, their maps, trajectories."""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import tkinter as tk
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pyworkflow.viewer import DESKTOP_TKINTER, View, Viewer

from continuousflex_deep._plugin import Plugin
from continuousflex_deep.convert import modes_to_folder
from continuousflex_deep.errors import DeepError, InputError
from continuousflex_deep.io.file_names import TRAJECTORY_JSON
from continuousflex_deep.io.groups import write_groups
from continuousflex_deep.options import TrajectoryOptions
from continuousflex_deep.protocols.group_workflow import make_groups, reconstruct_groups
from continuousflex_deep.protocols.protocol_landscape import CfdProtLandscape
from continuousflex_deep.protocols.protocol_trajectory import CfdProtTrajectory
from continuousflex_deep.viewers.dialogs import succeeds
from continuousflex_deep.viewers.groups_file import free_path
from continuousflex_deep.viewers.landscape_data import read_landscape_data
from continuousflex_deep.viewers.landscape_groups_panel import GroupActions
from continuousflex_deep.viewers.landscape_window import LandscapeWindow
from continuousflex_deep.viewers.lineage import original_images, source_of_modes
from continuousflex_deep.viewers.modes_data import ModesData, read_modes_data

_DRAWN = get_args(get_type_hints(TrajectoryOptions)["kind"]).index("points")


class CfdLandscapeViewer(Viewer):
    """A landscape, or a trajectory in its landscape."""

    _name = "landscape"
    _targets = [CfdProtLandscape, CfdProtTrajectory]
    _environments = [DESKTOP_TKINTER]

    def _visualize(self, protocol: Any, **_kwargs) -> list[Any]:
        try:
            return [LandscapeWindowView(protocol, self.getProject(), self.getTkRoot())]
        except InputError as error:
            return [self.errorMessage(str(error), "No landscape")]


class LandscapeWindowView(View):
    """Opens the window of a landscape protocol, or of a trajectory's landscape with the trajectory in it."""

    def __init__(self, protocol: Any, project: Any, parent: tk.Misc | None) -> None:
        self._trajectory = protocol if isinstance(protocol, CfdProtTrajectory) else None
        self._landscape = protocol if self._trajectory is None else protocol.inputLandscape.getObjValue()
        if not hasattr(self._landscape, "outputLandscape"):
            raise InputError("there is no landscape yet; look again when the protocol has finished")
        self._folder = os.path.abspath(self._landscape.outputLandscape.getFileName())
        self._data = read_landscape_data(self._folder)
        self._project, self._parent = project, parent

    def open(self) -> LandscapeWindow:
        """The window, without waiting for it to be closed."""
        source = self._trajectory or source_of_modes(self._landscape)
        model, why = None, "No model is shown: none of the runs before this one names normal modes."
        if source is not None:
            try:
                model = model_of(source, self._data.table.mode_ids, self._data.table.motion)
                why = f"The model is by the modes of '{source.getRunName()}'."
            except (InputError, OSError) as error:
                why = f"No model is shown: {error}"
        window = LandscapeWindow(
            self._data,
            os.path.abspath(self._landscape._getExtraPath()),
            title=f"Landscape: {self._landscape.getRunName()}",
            parent=self._parent,
            model=model,
            actions=GroupActions(
                suggest=partial(suggest, self._folder),
                write_star=partial(write_star, self._folder),
                make_sets=self._make_sets,
                reconstruct=self._reconstruct,
            ),
            launch=partial(self._make_trajectory, source) if source is not None else None,
        )
        window.status.set(why)
        if self._trajectory is not None:
            saved = Path(self._trajectory._outputFolder()) / TRAJECTORY_JSON
            succeeds(window.root, "Trajectory", lambda: window.motion.open(saved))
        return window

    def show(self) -> None:
        self.open().show()

    def _make_sets(self, groups_file: Path) -> str:
        protocol = make_groups(self._project, self._landscape, self._kept(groups_file))
        return f"The groups become sets by the protocol '{protocol.getObjLabel()}'."

    def _reconstruct(self, groups_file: Path) -> str:
        groups = make_groups(self._project, self._landscape, self._kept(groups_file))
        images = original_images(self._landscape, self._landscape.outputParticles)
        maps = reconstruct_groups(self._project, groups, images)
        told = "" if images is None else f" Images are those of original size, {images.getXDim()} pixels."
        return (
            f"The groups become sets by the protocol '{groups.getObjLabel()}', and then maps by "
            f"'{maps.getObjLabel()}'.{told}"
        )

    def _kept(self, groups_file: Path) -> Path:
        """A copy for a run, which must not change with what is done in the window afterwards."""
        return Path(shutil.copyfile(groups_file, free_path(groups_file.with_name("groups_of_run.json"))))

    def _make_trajectory(self, source: Any, points: str) -> str:
        protocol = make_trajectory(self._project, self._landscape, source, points)
        return f"Frames, scripts and movies are made by the protocol '{protocol.getObjLabel()}'."


def model_of(source: Any, mode_ids: tuple[int, ...], motion: str) -> ModesData:
    """Structure and modes that a run names, with the motion of the particles. Raises InputError where they cannot be
    read, or lack a mode of these."""
    with tempfile.TemporaryDirectory() as folder:
        modes_to_folder(source.inputModes.get(), folder)
        model = read_modes_data(source._structure().getFileName(), folder, motion=motion)
    missing = sorted(set(mode_ids) - set(model.table.mode_ids))
    if missing:
        raise InputError(f"'{source.getRunName()}' has no modes {missing}, which the particles were analysed with")
    return model


def make_trajectory(project: Any, landscape: Any, source: Any, points: str, wait: bool = False) -> CfdProtTrajectory:
    """Launch a trajectory through points of a landscape, with the modes and the structure of the run ``source``."""
    protocol = project.newProtocol(CfdProtTrajectory, kind=_DRAWN, points=points)
    protocol.setObjLabel("drawn trajectory")  # newProtocol would put the default label over it
    protocol.inputLandscape.set(landscape)
    protocol.inputLandscape.setExtended("outputLandscape")
    for name in ("inputModes", "inputStructure"):
        getattr(protocol, name).copy(getattr(source, name), copyId=False)
    project.launchProtocol(protocol, wait=wait)
    return protocol


def suggest(landscape: str, method: str, number: int, output: Path) -> str:
    """Write clusters of a landscape as groups, none where they make one cloud; what the command remarks on them."""
    run_beside(
        "clusters", "--landscape", landscape, "--output", str(output), "--method", method, "--n-clusters", str(number)
    )
    record = json.loads(output.with_name(f"{output.stem}_record.json").read_text(encoding="utf-8"))
    if record["grouping_supported"] is False:
        write_groups(output, [])
    return "\n\n".join(f"{remark[:1].upper()}{remark[1:]}." for remark in record["remarks"])


def write_star(landscape: str, groups_file: Path, folder: Path) -> str:
    """Write a STAR file of each group of a file; what the command said at its end."""
    said = run_beside(
        "group", "--landscape", landscape, "--groups", str(groups_file), "--output", str(folder), "--keep-outliers"
    )
    return next(reversed(said.splitlines()), "")


def run_beside(command: str, *arguments: str) -> str:
    """Run one of the package's commands, as protocols do, and return what it printed. DeepError with its last error."""
    program, first = Plugin.getProgram(command)
    line = [*shlex.split(f"{program} {first}"), *arguments]  # they are quoted for a shell, which is not needed here
    environ = Plugin.getEnviron([])
    done = subprocess.run(line, env=environ, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        told = next((t for t in reversed(done.stderr.splitlines()) if t.startswith("error: ")), done.stderr[-500:])
        raise DeepError(told.removeprefix("error: "))
    return done.stdout
