"""The particle one points at, and the motion along a path, beside a landscape."""

import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, messagebox, ttk

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.figure import Figure

from continuousflex_deep.arrays import Floats
from continuousflex_deep.io.trajectories import Trajectory, read_trajectory, require_of_landscape
from continuousflex_deep.viewers.dialogs import guarded, succeeds
from continuousflex_deep.viewers.landscape_path import conformations_along, places_of, points_text, trajectory_axes
from continuousflex_deep.viewers.landscape_view import LandscapeView
from continuousflex_deep.viewers.modes_data import ModesData
from continuousflex_deep.viewers.particle_view import ParticleView, describe_particle

_FRAME_MS, _REST_MS = 60, 10
_WAY_S = 3.0  # from one end of a path to the other
_NO_PATH = "Path: choose the tool and click in the landscape"
_LINES = 11  # of text about a particle


class MotionPanel:
    """Shows particles of a view and plays paths in it.

    launch: makes a trajectory of a path's places, as text; returns what to tell the user. None where it cannot.
    """

    def __init__(
        self, frame: ttk.Frame, view: LandscapeView, model: ModesData | None, launch: Callable[[str], str] | None
    ) -> None:
        self.frame, self.view, self.model, self._launch = frame, view, model, launch
        self.corners: list[tuple[float, float]] = []
        self.trajectory: Trajectory | None = None
        self.playing = False
        self._frames: tuple[Floats, Floats] | None = None
        self._timer: str | None = None
        frame.columnconfigure(0, weight=1)
        self.figure = Figure(figsize=(3.5, 1.95 if model is not None else 2.4), dpi=100)
        self.canvas = FigureCanvasTkAgg(self.figure, master=frame)
        self.canvas.get_tk_widget().grid(row=0, column=0, sticky="ew")
        self.particle = ParticleView(view.data.table, self.figure, model)
        self.shown_row: int | None = None  # of the particle that is shown, unless a frame of a path is
        self.told = tk.Text(frame, height=_LINES, width=44, relief="flat", font=("TkDefaultFont", 9), state="disabled")
        self.told.grid(row=1, column=0, sticky="ew")
        bar = ttk.Scrollbar(frame, command=self.told.yview)
        self.told.configure(yscrollcommand=bar.set)
        bar.grid(row=1, column=1, sticky="ns")
        self._build_path(ttk.Frame(frame))
        self._describe("Point at a particle to see it.")

    def _build_path(self, frame: ttk.Frame) -> None:
        frame.grid(row=2, column=0, sticky="ew", pady=(4, 0))
        frame.columnconfigure((0, 1, 2, 3), weight=1)
        self.path_told = tk.StringVar(frame, _NO_PATH)
        ttk.Label(frame, textvariable=self.path_told, wraplength=330).grid(row=0, column=0, columnspan=4, sticky="w")
        self.play_button = ttk.Button(frame, text="Play", command=self.play_or_stop)
        self.play_button.grid(row=1, column=0, sticky="ew")
        ttk.Button(frame, text="Clear", command=self.clear).grid(row=1, column=1, sticky="ew")
        ttk.Button(frame, text="Open …", command=self._open).grid(row=1, column=2, sticky="ew")
        if self._launch is not None:
            ttk.Button(frame, text="Trajectory", command=self.make_trajectory).grid(row=1, column=3, sticky="ew")

    # -------------------------- particles -----------------------------------
    def show_particle(self, row: int) -> None:
        """Show a particle's image, model and numbers, and ring it."""
        self.shown_row = row
        self.view.mark(self.view.place(row))
        self.particle.show(row)
        self.canvas.draw_idle()
        self._describe(describe_particle(self.view.data.table, row, self.model))

    def _describe(self, text: str) -> None:
        self.told.configure(state="normal")
        self.told.delete("1.0", "end")
        self.told.insert("1.0", text)
        self.told.configure(state="disabled")

    # -------------------------- paths ---------------------------------------
    def add_corner(self, x: float, y: float) -> None:
        """Lead the path on to a place of the view."""
        self._forget_frames()
        self.trajectory, self.corners = None, [*self.corners, (x, y)]
        self._show_path()

    def remove_corner(self) -> None:
        """Take back the last place; what is left of a trajectory is a path like a drawn one."""
        self._forget_frames()
        self.trajectory, self.corners = None, self.corners[:-1]
        self._show_path()

    def clear(self) -> None:
        self._forget_frames()
        self.corners, self.trajectory = [], None
        self._show_path()

    def axes_changed(self) -> None:
        """What was drawn in other axes means nothing here; a trajectory that was opened is shown in these."""
        self._forget_frames()
        self.corners = []
        trajectory = self.trajectory
        if trajectory is not None:
            succeeds(self.frame, "Trajectory", lambda: self._take(trajectory))
        self._show_path()
        if self.shown_row is not None:
            self.view.mark(self.view.place(self.shown_row))

    def open(self, path: str | Path) -> None:
        """Show a trajectory that the trajectory command saved. Raises InputError where it is of another landscape."""
        trajectory = read_trajectory(path)
        self._forget_frames()
        self._take(trajectory)
        self._show_path()

    def _take(self, trajectory: Trajectory) -> None:
        require_of_landscape(self.view.data.table, trajectory)
        self.trajectory, self.corners = trajectory, []
        if not self.view.is_3d and set(self.view.shown) <= set(trajectory_axes(self.view.data)):
            places = places_of(self.view.data, trajectory, self.view.shown)
            self.corners = [(float(x), float(y)) for x, y in places]
            self._frames = places, trajectory.amplitudes_A

    def _open(self) -> None:
        path = filedialog.askopenfilename(parent=self.frame, filetypes=[("trajectory", "*.json")])
        if path:
            succeeds(self.frame, "Trajectory", lambda: self.open(path))

    def _show_path(self) -> None:
        self.view.set_path(np.array(self.corners) if self.corners else None)
        self.view.figure.canvas.draw_idle()
        if self.trajectory is not None:
            told = f"Trajectory: {len(self.trajectory)} frames, kind {self.trajectory.kind}"
            told += "" if self.corners else "; it is seen in two coordinates or amplitudes"
        else:
            told = f"Path: {len(self.corners)} places" if self.corners else _NO_PATH
        self.path_told.set(told)

    def make_trajectory(self) -> None:
        """Hand the path on, to become frames, scripts and movies."""
        launch = self._launch
        if launch is None:
            return
        corners = np.array(self.corners)
        said = guarded(self.frame, "Trajectory", lambda: launch(points_text(self.view.data, self.view.shown, corners)))
        if said:
            messagebox.showinfo("Trajectory", said, parent=self.frame)

    # -------------------------- playing -------------------------------------
    def play_or_stop(self) -> None:
        """Play the motion along the path to and fro, or stop."""
        if self.playing:
            self._stop()
        elif succeeds(self.frame, "Trajectory", self._prepare_frames):
            self.playing, self._started = True, time.monotonic()
            self.play_button.configure(text="Stop")
            self._tick()

    def _prepare_frames(self) -> tuple[Floats, Floats]:
        if self._frames is None:
            shown = self.view.shown
            self._frames = conformations_along(self.view.data, (shown[0], shown[1]), np.array(self.corners))
        return self._frames

    def _tick(self) -> None:
        """Show the frame that is due now, whatever the last one cost."""
        begun = time.monotonic()
        places, amplitudes = self._prepare_frames()
        self.shown_row = None
        turn = (begun - self._started) / _WAY_S % 2.0
        frame = round((turn if turn <= 1 else 2 - turn) * (len(places) - 1))
        self.view.mark((places[frame, 0], places[frame, 1]))
        self.particle.show_conformation(amplitudes[frame])
        self.canvas.draw()
        modes = self.view.data.table.mode_ids
        numbers = "\n".join(f"q{mode} = {q:.1f} Å" for mode, q in zip(modes, amplitudes[frame], strict=True))
        self._describe(f"frame {frame + 1} of {len(places)}\n{numbers}")
        spent_ms = int(1000 * (time.monotonic() - begun))
        self._timer = self.frame.after(max(_REST_MS, _FRAME_MS - spent_ms), self._tick)

    def _stop(self) -> None:
        self.playing = False
        self.play_button.configure(text="Play")
        self.stop_timer()

    def _forget_frames(self) -> None:
        """Stop, and show no frame any longer."""
        self._stop()
        self._frames = None
        if self.shown_row is None:
            self.view.mark(None)
            self._describe("Point at a particle to see it.")

    def stop_timer(self) -> None:
        """To be called before the window is closed."""
        if self._timer is not None:
            self.frame.after_cancel(self._timer)
            self._timer = None
