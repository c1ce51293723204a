"""Screens for tests, and hands that click on windows."""

import atexit
import os
import shutil
import subprocess
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from tkinter import commondialog, messagebox, ttk
from typing import Any
from unittest import SkipTest, mock

from matplotlib.axes import Axes
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg

_DOWN = {1: 0x100, 2: 0x200, 3: 0x400}  # what Tk calls the state of a mouse whose button is held


@contextmanager
def virtual_screen() -> Iterator[None]:
    """A display: the user's own, or a virtual one; SkipTest without either.

    A dialog, which nobody would close, does not open, and is an error in the end: what callbacks raise Tk only prints.
    """
    given, asked = os.environ.get("DISPLAY"), list[str]()

    def unanswered(dialog: commondialog.Dialog, **_options: Any) -> None:
        asked.append(str(dialog.options))
        raise AssertionError(f"nobody answers a dialog: {asked[-1]}")

    os.environ["DISPLAY"] = given or _display()
    try:
        with mock.patch.object(commondialog.Dialog, "show", unanswered):
            yield
    finally:
        if not given:
            del os.environ["DISPLAY"]
    assert not asked, f"nobody answered {asked}"


@cache
def _display() -> str:
    """The name of a virtual display, which lives as long as this process: Tk ends the process when one disappears that
    it has ever had a window on."""
    if shutil.which("Xvfb") is None:
        raise SkipTest("there is no display; install Xvfb (Debian: xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        raise SkipTest("Xvfb did not start; run it by hand to see why")
    atexit.register(server.kill)
    return f":{number}"


@contextmanager
def messages() -> Iterator[list[str]]:
    """What windows tell the user meanwhile. Nobody is there to close a message of an error, which fails the test."""
    told: list[str] = []
    errors: list[str] = []
    with (
        mock.patch.object(messagebox, "showinfo", lambda _title, text, parent: told.append(text)),
        mock.patch.object(messagebox, "showerror", lambda _title, text, parent: errors.append(text)),
    ):
        yield told
    assert not errors, errors


def run_until(root: tk.Misc, done: Callable[[], bool], at_most_s: float = 20.0) -> None:
    """Let a window react until something is so."""
    end = time.monotonic() + at_most_s
    while not done():
        assert time.monotonic() < end, "the window did not react"
        root.update()
        time.sleep(0.005)


def run_for(root: tk.Misc, seconds: float) -> None:
    end = time.monotonic() + seconds
    run_until(root, lambda: time.monotonic() > end, seconds + 20)


def widgets(root: tk.Misc, kind: type) -> list[Any]:
    """All widgets of a kind in a window."""
    found: list[Any] = []
    left: list[Any] = [root]
    while left:
        widget = left.pop()
        left += widget.winfo_children()
        if isinstance(widget, kind):
            found.append(widget)
    return found


def button(root: tk.Misc, text: str) -> ttk.Button:
    """The one button of a window with this text."""
    found = [widget for widget in widgets(root, ttk.Button) if str(widget.cget("text")) == text]
    assert len(found) == 1, text
    return found[0]


class Mouse:
    """A mouse on the canvas of a figure, in the units of its axes; events are Tk's own."""

    def __init__(self, canvas: FigureCanvasTkAgg, axes: Axes) -> None:
        self.widget, self.canvas, self.axes = canvas.get_tk_widget(), canvas, axes

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        right, up = self.axes.transData.transform((x, y))
        return round(right), round(self.canvas.figure.bbox.height - up)

    def _event(self, kind: str, x: float, y: float, state: int = 0) -> None:
        right, down = self.pixel(x, y)
        self.widget.event_generate(kind, x=right, y=down, state=state)
        self.widget.update()

    def move(self, x: float, y: float) -> None:
        self._event("<Motion>", x, y)

    def click(self, x: float, y: float, number: int = 1) -> None:
        self.move(x, y)
        self._event(f"<ButtonPress-{number}>", x, y)
        self._event(f"<ButtonRelease-{number}>", x, y, _DOWN[number])

    def drag(self, places: list[tuple[float, float]], number: int = 1) -> None:
        """Press at the first place, move over the others, release at the last."""
        self.move(*places[0])
        self._event(f"<ButtonPress-{number}>", *places[0])
        for place in places[1:]:
            self._event("<Motion>", *place, _DOWN[number])
        self._event(f"<ButtonRelease-{number}>", *places[-1], _DOWN[number])

    def wheel(self, x: float, y: float, up: bool = True) -> None:
        self._event("<ButtonPress-4>" if up else "<ButtonPress-5>", x, y)
