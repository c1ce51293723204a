"""The window of normal modes: a list to tick, the selected mode in motion, and where it moves the molecule."""

import time
import tkinter as tk
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tkinter import filedialog, messagebox, ttk
from typing import Any

import numpy as np
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.figure import Figure

from continuousflex_deep.io.mode_table import MODE_COLUMNS, mode_list_text
from continuousflex_deep.viewers.dialogs import guarded
from continuousflex_deep.viewers.modes_data import ModesData
from continuousflex_deep.viewers.modes_figure import DEFAULT_RMSD_A, DisplacementFigure, MotionFigure

_TICKED, _UNTICKED = "☑", "☐"
_PERIOD_S = 2.5
_FRAME_MS, _REST_MS = 40, 5  # from one frame of an animation to the next, and at least for the user's events
_WHEEL = 1.1
_LISTED = ("energy", "collectivity", "score", "overlap", "amplitude_A")
_MOST_RMSD_A = 10.0

# what opens the file of a swing: a path goes in
Opener = Callable[[Path], None]


class ModesWindow:
    """A Tk window on modes; ``ticked`` is the set of those that the user chose.

    openers: what a button is called and does with the file of a swing, or None where its program is not installed.
    on_choose: called with the list of ticked modes by the button that makes a set of them; without it there is none.
    """

    def __init__(
        self,
        data: ModesData,
        folder: str | Path,
        title: str = "Normal modes",
        parent: tk.Misc | None = None,
        openers: Mapping[str, Opener | None] | None = None,
        on_choose: Callable[[str], str] | None = None,
    ) -> None:
        self.data, self.folder = data, Path(folder)
        self.ticked: set[int] = set(data.table.chosen_ids)
        self.mode = data.table.chosen_ids[0] if data.table.chosen_ids else data.table.mode_ids[0]
        self.playing = True
        self._on_choose = on_choose
        self._openers = dict(openers or {})
        self._timer: str | None = None
        self._dragged_from: tuple[int, int] | None = None
        self.root = tk.Toplevel(parent) if parent is not None else tk.Tk()
        self.root.title(title)
        self.root.geometry("1180x760")
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.root.columnconfigure(1, weight=1)
        self.root.rowconfigure(0, weight=1)
        self._build_list(ttk.Frame(self.root, padding=6))
        self._build_figures(ttk.Frame(self.root, padding=(0, 6, 6, 6)))
        self._select(self.mode)
        self._last = time.monotonic()
        self._tick_clock()

    def show(self) -> None:
        """Keep a window of its own open until the user closes it; a window of another program's returns at once."""
        if isinstance(self.root, tk.Tk):
            self.root.mainloop()

    def close(self) -> None:
        if self._timer is not None:
            self.root.after_cancel(self._timer)
            self._timer = None
        self.root.destroy()

    # -------------------------- the list ------------------------------------
    def _build_list(self, frame: ttk.Frame) -> None:
        frame.grid(row=0, column=0, sticky="nsew")
        frame.rowconfigure(0, weight=1)
        known = [name for name in _LISTED if name in self.data.table.columns]
        self.list = ttk.Treeview(frame, columns=("tick", "mode", *known), show="headings", selectmode="browse")
        for name, text, width in (
            ("tick", "use", 40),
            ("mode", "mode", 52),
            *(
                (n, "q [Å]" if n == "amplitude_A" else MODE_COLUMNS[n], 96 if n == "collectivity" else 68)
                for n in known
            ),
        ):
            self.list.heading(name, text=text, command=partial(self._sort_by, name))
            self.list.column(name, width=width, anchor="center" if name == "tick" else "e", stretch=False)
        for mode in self.data.table.mode_ids:
            self.list.insert("", "end", iid=str(mode), values=self._row(mode, known))
        bar = ttk.Scrollbar(frame, command=self.list.yview)
        self.list.configure(yscrollcommand=bar.set)
        self.list.grid(row=0, column=0, sticky="nsew")
        bar.grid(row=0, column=1, sticky="ns")
        self.list.bind("<<TreeviewSelect>>", lambda _event: self._selected())
        self.list.bind("<Button-1>", self._clicked)
        self.list.bind("<space>", lambda _event: self.toggle(self.mode))
        self._build_choice(ttk.Frame(frame, padding=(0, 6, 0, 0)))

    def _build_choice(self, frame: ttk.Frame) -> None:
        frame.grid(row=1, column=0, columnspan=2, sticky="ew")
        frame.columnconfigure((0, 1), weight=1)
        self.choice = tk.StringVar(self.root)
        ttk.Label(frame, textvariable=self.choice, wraplength=330).grid(row=0, column=0, columnspan=2, sticky="w")
        ttk.Button(frame, text="Copy list", command=self.copy_list).grid(row=1, column=0, sticky="ew")
        ttk.Button(frame, text="Save list …", command=self._save_as).grid(row=1, column=1, sticky="ew")
        for place, (name, opener) in enumerate(self._openers.items()):
            text, state = (f"Open in {name}", "normal") if opener else (f"{name} is not installed", "disabled")
            button = ttk.Button(frame, text=text, state=state, command=partial(self.open_swing, name))
            button.grid(row=2 + place // 2, column=place % 2, sticky="ew")
        if self._on_choose is not None:
            button = ttk.Button(frame, text="Make a set of the ticked modes", command=self.make_set)
            button.grid(row=9, column=0, columnspan=2, sticky="ew")
        self._describe_choice()

    def _row(self, mode: int, known: list[str]) -> tuple[str, ...]:
        columns, row = self.data.table.columns, self.data.table.mode_ids.index(mode)
        numbers = (f"{columns[n][row]:.0f}" if n.endswith("_A") else f"{columns[n][row]:.2f}" for n in known)
        return (_TICKED if mode in self.ticked else _UNTICKED, str(mode), *numbers)

    def _sort_by(self, column: str) -> None:
        """Order the list by a column; larger overlaps and collectivities first, otherwise smaller numbers first."""
        down = column in ("tick", "overlap", "collectivity")
        modes = self.data.table.mode_ids

        def key(mode: int) -> float:
            if column == "tick":
                return float(mode in self.ticked)
            return float(mode) if column == "mode" else float(self.data.table.columns[column][modes.index(mode)])

        for place, mode in enumerate(sorted(modes, key=key, reverse=down)):
            self.list.move(str(mode), "", place)

    def _clicked(self, event: Any) -> None:
        row = self.list.identify_row(event.y)
        if row and self.list.identify_column(event.x) == "#1":
            self.toggle(int(row))

    def toggle(self, mode: int) -> None:
        """Tick a mode, or no longer."""
        self.ticked ^= {mode}
        self.list.set(str(mode), "tick", _TICKED if mode in self.ticked else _UNTICKED)
        self._describe_choice()

    def mode_list(self) -> str:
        """The ticked modes, as --mode-list and the forms take them."""
        return mode_list_text(tuple(sorted(self.ticked)))

    def _describe_choice(self) -> None:
        self.choice.set(
            f"Ticked: {self.mode_list()}" if self.ticked else "No mode is ticked: click in the first column"
        )

    def copy_list(self) -> None:
        self.root.clipboard_clear()
        self.root.clipboard_append(self.mode_list())

    def save_list(self, path: str | Path) -> None:
        """Write the ticked modes as one line of text."""
        Path(path).write_text(self.mode_list() + "\n", encoding="utf-8")

    def _save_as(self) -> None:
        path = filedialog.asksaveasfilename(parent=self.root, initialfile="mode_list.txt", defaultextension=".txt")
        if path:
            self._guarded(lambda: self.save_list(path))

    def make_set(self) -> None:
        if self._on_choose is None:
            return
        if not self.ticked:
            messagebox.showerror("No modes", "No mode is ticked: click in the first column first.", parent=self.root)
            return
        choose, text = self._on_choose, self.mode_list()
        said = self._guarded(lambda: choose(text))
        if said:
            messagebox.showinfo("Modes", said, parent=self.root)

    # -------------------------- the figures ---------------------------------
    def _build_figures(self, frame: ttk.Frame) -> None:
        frame.grid(row=0, column=1, sticky="nsew")
        frame.columnconfigure(0, weight=1)
        frame.rowconfigure(0, weight=3)
        frame.rowconfigure(2, weight=2)
        self.motion = MotionFigure(self.data, Figure(figsize=(7, 4.4), dpi=100), self.mode)
        self.moving = FigureCanvasTkAgg(self.motion.figure, master=frame)
        self.moving.get_tk_widget().grid(row=0, column=0, sticky="nsew")
        self._bind_mouse(self.moving.get_tk_widget())
        self._build_controls(ttk.Frame(frame, padding=4))
        self.displacement = DisplacementFigure(self.data, Figure(figsize=(7, 2.5), dpi=100), self.mode)
        self.still = FigureCanvasTkAgg(self.displacement.figure, master=frame)
        self.still.get_tk_widget().grid(row=2, column=0, sticky="nsew")

    def _build_controls(self, frame: ttk.Frame) -> None:
        frame.grid(row=1, column=0, sticky="ew")
        self.play_button = ttk.Button(frame, text="Pause", width=7, command=self.play_or_pause)
        self.play_button.pack(side="left")
        ttk.Label(frame, text="  RMSD").pack(side="left")
        self.slider = ttk.Scale(frame, from_=0.1, to=_MOST_RMSD_A, value=DEFAULT_RMSD_A, command=self._rmsd_changed)
        self.slider.pack(side="left", fill="x", expand=True, padx=4)
        self.rmsd_text = tk.StringVar(self.root, f"{DEFAULT_RMSD_A:.1f} Å")
        ttk.Label(frame, textvariable=self.rmsd_text, width=8).pack(side="left")

    def _bind_mouse(self, widget: tk.Widget) -> None:
        widget.bind("<ButtonPress-1>", self._drag_started)
        widget.bind("<B1-Motion>", self._dragged)
        widget.bind("<MouseWheel>", lambda event: self._zoom(_WHEEL if event.delta > 0 else 1 / _WHEEL))
        widget.bind("<Button-4>", lambda _event: self._zoom(_WHEEL))
        widget.bind("<Button-5>", lambda _event: self._zoom(1 / _WHEEL))

    def _drag_started(self, event: Any) -> None:
        self._dragged_from = (event.x, event.y)

    def _dragged(self, event: Any) -> None:
        if self._dragged_from is not None:
            self.motion.turn(event.x - self._dragged_from[0], event.y - self._dragged_from[1])
        self._dragged_from = (event.x, event.y)
        self._redraw_if_still()

    def _zoom(self, factor: float) -> None:
        self.motion.zoom(factor)
        self._redraw_if_still()

    def _select(self, mode: int) -> None:
        self.list.selection_set(str(mode))
        self.list.see(str(mode))

    def _selected(self) -> None:
        chosen = self.list.selection()
        if not chosen:
            return
        self.mode = int(chosen[0])
        self.motion.show_mode(self.mode)
        self.displacement.show_mode(self.mode)
        self.still.draw_idle()
        self._redraw_if_still()

    def _rmsd_changed(self, value: str) -> None:
        rmsd_A = float(value)
        self.rmsd_text.set(f"{rmsd_A:.1f} Å")
        self.motion.set_rmsd(rmsd_A)
        self.displacement.set_rmsd(rmsd_A)
        self.still.draw_idle()
        self._redraw_if_still()

    def play_or_pause(self) -> None:
        self.playing = not self.playing
        self.play_button.configure(text="Pause" if self.playing else "Play")

    def _redraw_if_still(self) -> None:
        if not self.playing:
            self.moving.draw_idle()

    def _tick_clock(self) -> None:
        """Advance the swing by the time that passed, whatever a frame costs, and leave time for the user's events."""
        now = time.monotonic()
        if self.playing:
            step = 2 * np.pi * min(now - self._last, 0.25) / _PERIOD_S
            self.motion.set_phase((self.motion.phase + step) % (2 * np.pi))
            self.moving.draw()
        self._last = now
        spent_ms = int(1000 * (time.monotonic() - now))
        self._timer = self.root.after(max(_REST_MS, _FRAME_MS - spent_ms), self._tick_clock)

    # -------------------------- other programs ------------------------------
    def open_swing(self, name: str) -> None:
        """Write the swing of the mode as shown, and open it with another program."""
        opener = self._openers[name]
        if opener is not None:
            self._guarded(lambda: opener(self.data.write_swing(self.folder, self.mode, self.motion.rmsd_A)))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        return guarded(self.root, "Normal modes", action)
