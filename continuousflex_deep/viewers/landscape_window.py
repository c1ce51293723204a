"""The window of a landscape: see it from any side, choose particles, group them, follow paths."""

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import ttk
from typing import Any, Literal, get_args

from matplotlib.backend_bases import MouseButton
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.figure import Figure
from matplotlib.widgets import LassoSelector, RectangleSelector

from continuousflex_deep.io.file_names import GROUPS_JSON
from continuousflex_deep.viewers.dialogs import succeeds
from continuousflex_deep.viewers.landscape_data import LandscapeData
from continuousflex_deep.viewers.landscape_groups_panel import GroupActions, GroupsPanel
from continuousflex_deep.viewers.landscape_motion_panel import MotionPanel
from continuousflex_deep.viewers.landscape_selection import Combine, Selection
from continuousflex_deep.viewers.landscape_view import ENERGIES, FIXED_COLOURS, LandscapeView
from continuousflex_deep.viewers.modes_data import ModesData

Tool = Literal["look", "lasso", "rectangle", "path"]
_TOLD: dict[str, str] = {
    "look": "Point at a particle to see it. Drag to move (in 3D: to turn), wheel to enlarge.",
    "lasso": "Draw around particles to select them.",
    "rectangle": "Drag over particles to select them.",
    "path": "Click to lead a path from place to place; the right button takes back the last one.",
}
_NONE = "(none)"
_WHEEL = 1.25
_HOVER_MS = 30


class LandscapeWindow:
    """A Tk window on a landscape; groups are kept in the file groups.json of ``folder``, and found there again.

    model: structure and modes, to show particles' conformations by. launch: makes a trajectory of a path.
    """

    def __init__(
        self,
        data: LandscapeData,
        folder: str | Path,
        title: str = "Landscape",
        parent: tk.Misc | None = None,
        model: ModesData | None = None,
        actions: GroupActions | None = None,
        launch: Callable[[str], str] | None = None,
    ) -> None:
        self.data = data
        self.selection = Selection(data)
        self.root = tk.Toplevel(parent) if parent is not None else tk.Tk()
        self.root.title(title)
        self.root.geometry("1340x860")
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.root.columnconfigure(1, weight=1)
        self.root.rowconfigure(0, weight=1)
        self._dragged_from: tuple[float, float] | None = None
        self._pending: str | None = None
        self._pointer: tuple[float, float] | None = None
        self._hovering: str | None = None
        self._trail: list[tuple[float, float]] = []  # of the mouse while it encircles
        try:
            self._build(folder, model, actions or GroupActions(), launch)
        except Exception:
            self.root.destroy()  # half a window is of no use
            raise

    def _build(
        self, folder: str | Path, model: ModesData | None, actions: GroupActions, launch: Callable[[str], str] | None
    ) -> None:
        self._build_view(ttk.Frame(self.root))
        self._build_controls(ttk.Frame(self.root, padding=6))
        side = ttk.Frame(self.root, padding=6)
        side.grid(row=0, column=2, sticky="ns")
        side.rowconfigure(0, weight=1)
        upper, lower = ttk.Frame(side), ttk.Frame(side)
        upper.grid(row=0, column=0, sticky="nsew")
        lower.grid(row=1, column=0, sticky="ew", pady=(8, 0))
        self.motion = MotionPanel(lower, self.view, model, launch)
        self.groups = GroupsPanel(upper, self.selection, Path(folder) / GROUPS_JSON, actions, self._redraw_layers)
        self._set_tool()
        self._redraw_layers()

    def show(self) -> None:
        """Keep a window of its own open until the user closes it; a window of another program's returns at once."""
        if isinstance(self.root, tk.Tk):
            self.root.mainloop()

    def close(self) -> None:
        self.motion.stop_timer()
        self.groups.finish()
        for waiting in (self._pending, self._hovering):
            if waiting is not None:
                self.root.after_cancel(waiting)
        self.root.update_idletasks()  # drawings that matplotlib put off would look for a window that is gone
        self.root.destroy()

    # -------------------------- widgets -------------------------------------
    def _build_view(self, frame: ttk.Frame) -> None:
        frame.grid(row=0, column=1, sticky="nsew")
        frame.columnconfigure(0, weight=1)
        frame.rowconfigure(0, weight=1)
        figure = Figure(figsize=(7, 7), dpi=100)
        self.canvas = FigureCanvasTkAgg(figure, master=frame)
        self.canvas.get_tk_widget().grid(row=0, column=0, sticky="nsew")
        axes = self.data.axes
        self.view = LandscapeView(self.data, figure, axes[0], axes[min(1, len(axes) - 1)])
        left: Any = MouseButton.LEFT
        line = {"color": "#ee3377", "linewidth": 1.4}
        self._lasso = LassoSelector(self.view.axes, self._encircled, useblit=True, props=line, button=left)
        self._rectangle = RectangleSelector(
            self.view.axes, self._framed, useblit=True, button=left, spancoords="data",
            props={"edgecolor": "#ee3377", "facecolor": "none", "linewidth": 1.4},
        )  # fmt: skip
        for selector in (self._lasso, self._rectangle):
            selector.set_visible(False)  # until it is used; one that is visible has every picture drawn once more
        for event, handler in (
            ("button_press_event", self._pressed),
            ("motion_notify_event", self._moved),
            ("button_release_event", self._released),
            ("scroll_event", self._scrolled),
            ("resize_event", lambda _event: self._refresh_later()),
        ):
            self.canvas.mpl_connect(event, handler)
        self.status = tk.StringVar(self.root)
        ttk.Label(frame, textvariable=self.status, padding=(8, 0, 0, 4)).grid(row=1, column=0, sticky="w")

    def _build_controls(self, frame: ttk.Frame) -> None:
        frame.grid(row=0, column=0, sticky="ns")
        axes = self.data.axes
        self.x = self._choice(frame, "Horizontal axis", axes, self.view.shown[0])
        self.y = self._choice(frame, "Vertical axis", axes, self.view.shown[1])
        self.z = self._choice(frame, "Third axis", [_NONE, *axes], _NONE)
        energies = [] if self.data.plane is None else ENERGIES
        colours = [*FIXED_COLOURS, *energies, *self.data.colours]
        self.colour = self._choice(frame, "Colour by", colours, self.view.colour)
        ttk.Button(frame, text="See all", command=self.see_all).pack(fill="x", pady=(2, 10))
        ttk.Label(frame, text="Mouse", font=("TkDefaultFont", 10, "bold")).pack(anchor="w")
        self.tool = tk.StringVar(frame, "look")
        for name in get_args(Tool):
            ttk.Radiobutton(frame, text=name.capitalize(), value=name, variable=self.tool, command=self._set_tool).pack(
                anchor="w"
            )
        ttk.Label(frame, text="Selected particles", font=("TkDefaultFont", 10, "bold")).pack(anchor="w", pady=(10, 0))
        self.how = tk.StringVar(frame, "replace")
        ttk.Combobox(frame, textvariable=self.how, values=list(get_args(Combine)), state="readonly", width=20).pack(
            fill="x"
        )
        ttk.Label(frame, text="by a condition, such as\npc1 > 100 and not outlier").pack(anchor="w", pady=(6, 0))
        self.condition = tk.StringVar(frame)
        entry = ttk.Entry(frame, textvariable=self.condition, width=24)
        entry.pack(fill="x")
        entry.bind("<Return>", lambda _event: self.choose_by_condition())
        ttk.Button(frame, text="Select", command=self.choose_by_condition).pack(fill="x")
        ttk.Button(frame, text="Undo", command=self.undo).pack(fill="x", pady=(6, 0))
        ttk.Button(frame, text="Select none", command=self.choose_none).pack(fill="x")

    def _choice(self, frame: ttk.Frame, text: str, values: list[str], value: str) -> tk.StringVar:
        ttk.Label(frame, text=text).pack(anchor="w")
        variable = tk.StringVar(frame, value)
        box = ttk.Combobox(frame, textvariable=variable, values=values, state="readonly", width=20)
        box.pack(fill="x", pady=(0, 4))
        box.bind("<<ComboboxSelected>>", lambda _event: self.show_columns())
        return variable

    # -------------------------- what is shown -------------------------------
    def show_columns(self) -> None:
        """Show the columns that the boxes name."""
        before = self.view.shown
        z = "" if self.z.get() == _NONE else self.z.get()
        chosen = self.x.get(), self.y.get(), z, self.colour.get()
        if not succeeds(self.root, "Landscape", lambda: self.view.show(*chosen)):
            shown = [*before, *([] if self.view.is_3d else [_NONE]), self.view.colour]
            for variable, value in zip((self.x, self.y, self.z, self.colour), shown, strict=True):
                variable.set(value)
            return
        if self.view.shown != before:
            self.motion.axes_changed()
        self._set_tool()
        self.canvas.draw_idle()

    def see_all(self) -> None:
        self.view.reset()
        self.canvas.draw_idle()

    def _redraw_layers(self) -> None:
        self.view.set_layers(self.selection.layers())
        self.canvas.draw_idle()

    def _refresh_later(self) -> None:
        """Draw the view again once the events that are waiting have been dealt with: many moves of the mouse cost one
        drawing."""
        if self._pending is None:
            self._pending = self.root.after_idle(self._refresh)

    def _refresh(self) -> None:
        self._pending = None
        self.view.redraw()
        self.canvas.draw_idle()

    # -------------------------- choosing ------------------------------------
    def _encircled(self, _corners: list[tuple[float, float]]) -> None:
        if len(self._trail) > 2:
            self._choose(self.view.inside(self._trail))

    def _framed(self, _start: Any, _end: Any) -> None:
        (x0, y0), (x1, y1) = self._trail[0], self._trail[-1]
        if x0 != x1 and y0 != y1:
            self._choose(self.view.inside([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))

    def _choose(self, mask: Any) -> None:
        how: Any = self.how.get()
        self.selection.choose(mask, how)
        self._chosen()

    def choose_by_condition(self) -> None:
        """Choose the particles that fulfil the condition in the entry."""
        text = self.condition.get().strip()
        how: Any = self.how.get()
        if text and succeeds(self.root, "Condition", lambda: self.selection.choose_by(text, how)):
            self._chosen()

    def undo(self) -> None:
        """Take back the last choice, or the last change of groups."""
        before = self.selection.groups
        self.selection.undo()
        if self.selection.groups != before:
            self.groups.undone()
        else:
            self._chosen()

    def choose_none(self) -> None:
        self.selection.choose(self.selection.chosen & False)
        self._chosen()

    def _chosen(self) -> None:
        self.groups.refresh()
        self._redraw_layers()

    # -------------------------- the mouse -----------------------------------
    def _set_tool(self) -> None:
        tool = self.tool.get()
        if tool == "path" and self.view.is_3d:
            self.tool.set(tool := "look")
        self._lasso.set_active(tool == "lasso")
        self._rectangle.set_active(tool == "rectangle")
        self.status.set(_TOLD[tool])

    def _place_of(self, event: Any) -> tuple[float, float]:
        """The place of the axes under the pointer; of one outside, the nearest on their border."""
        box = self.view.axes.bbox
        pixel = min(max(event.x, box.x0), box.x1), min(max(event.y, box.y0), box.y1)
        x, y = self.view.axes.transData.inverted().transform(pixel)
        return float(x), float(y)

    def _pressed(self, event: Any) -> None:
        if event.inaxes is not self.view.axes:
            return
        if event.button == MouseButton.LEFT:
            self._trail = [self._place_of(event)]
        if self.tool.get() == "path" and event.button in (1, 3):
            if event.button == 1:
                self.motion.add_corner(event.xdata, event.ydata)
            else:
                self.motion.remove_corner()
        elif self.tool.get() == "look" or event.button in (2, 3):
            self._dragged_from = (event.x, event.y)

    def _moved(self, event: Any) -> None:
        if self.tool.get() in ("lasso", "rectangle") and self._trail and event.button == MouseButton.LEFT:
            self._trail.append(self._place_of(event))
        if self._dragged_from is not None:
            right, up = event.x - self._dragged_from[0], event.y - self._dragged_from[1]
            self._dragged_from = (event.x, event.y)
            if self.view.is_3d and event.button == 1:
                self.view.turn(right, -up)
            else:
                self.view.move(right, -up)
            self._refresh_later()
        elif event.inaxes is self.view.axes and self.tool.get() == "look" and not self.motion.playing:
            self._pointer = (event.xdata, event.ydata)
            if self._hovering is None:
                self._hovering = self.root.after(_HOVER_MS, self._hover)

    def _hover(self) -> None:
        """Show the particle under the pointer, where this is another one than before."""
        self._hovering = None
        if self._pointer is None or self._dragged_from is not None or self.motion.playing:
            return
        row = self.view.nearest(*self._pointer)
        if row is not None and row != self.motion.shown_row:
            self.motion.show_particle(row)

    def _released(self, _event: Any) -> None:
        self._dragged_from = None
        self._trail = []

    def _scrolled(self, event: Any) -> None:
        if event.inaxes is self.view.axes:
            self.view.zoom(_WHEEL if event.button == "up" else 1 / _WHEEL, event.xdata, event.ydata)
            self._refresh_later()
