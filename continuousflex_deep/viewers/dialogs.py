"""Messages of windows, and work that goes on beside them."""

import threading
import tkinter as tk
from collections.abc import Callable
from tkinter import messagebox
from typing import Any

from continuousflex_deep.errors import DeepError

_POLL_MS = 100


def guarded(parent: tk.Misc, title: str, action: Callable[[], Any]) -> Any:
    """What an action returns; where it fails, its message is shown instead and None returned."""
    try:
        return action()
    except (DeepError, OSError) as error:
        messagebox.showerror(title, str(error), parent=parent)
        return None


def succeeds(parent: tk.Misc, title: str, action: Callable[[], Any]) -> bool:
    """Whether an action succeeds; where it fails, its message is shown."""
    return bool(guarded(parent, title, lambda: (action(),)))


def work_beside(parent: tk.Misc, title: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
    """Run work in a thread, without stopping the window, and then ``done`` with what it returned, in the window's
    thread; where it fails its message is shown and ``done`` gets None."""
    result: dict[str, Any] = {}

    def run() -> None:
        try:
            result["value"] = work()
        except (DeepError, OSError) as error:
            result["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def look() -> None:
        if not parent.winfo_exists():
            return
        if thread.is_alive():
            parent.after(_POLL_MS, look)
            return
        if "error" in result:
            messagebox.showerror(title, str(result["error"]), parent=parent)
        done(result.get("value"))

    look()
