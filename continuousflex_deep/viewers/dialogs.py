"""Messages of windows, and work that goes on beside them."""

import threading
import tkinter as tk
import traceback
from collections.abc import Callable
from tkinter import messagebox
from typing import Any

from continuousflex_deep.errors import DeepError

_POLL_MS = 100


def guarded(parent: tk.Misc, title: str, action: Callable[[], Any]) -> Any:
    """What an action returns; where it fails, its message is shown instead and None returned."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - in a window, what is only raised is seen by nobody
        messagebox.showerror(title, told(error), parent=parent)
        return None


def told(error: Exception) -> str:
    """What to tell the user: our errors and the system's by their message; where others come from is logged."""
    if isinstance(error, DeepError | OSError):
        return str(error)
    traceback.print_exception(error)
    return f"unexpected {type(error).__name__}: {error}"


def succeeds(parent: tk.Misc, title: str, action: Callable[[], Any]) -> bool:
    """Whether an action succeeds; where it fails, its message is shown."""
    return bool(guarded(parent, title, lambda: (action(),)))


def work_beside(parent: tk.Misc, title: str, work: Callable[[], Any], done: Callable[[Any], None]) -> threading.Thread:
    """Run work in a thread, without stopping the window, and then ``done`` with what it returned, in the window's
    thread; where it fails its message is shown and ``done`` gets None. Neither happens once the window is closed."""
    result: dict[str, Any] = {}

    def run() -> None:
        try:
            result["value"] = work()
        except Exception as error:  # noqa: BLE001 - shown by look
            result["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    waiting = [""]

    def look() -> None:
        if thread.is_alive():
            waiting[0] = parent.after(_POLL_MS, look)
            return
        waiting[0] = ""
        if "error" in result:
            messagebox.showerror(title, told(result["error"]), parent=parent)
        done(result.get("value"))

    def closed(event: Any) -> None:
        if event.widget is parent and waiting[0]:
            parent.after_cancel(waiting[0])

    parent.bind("<Destroy>", closed, add=True)
    look()
    return thread
