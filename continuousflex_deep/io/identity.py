"""What identifies a process on a host, so that another one can tell whether it is still alive."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def host_identity() -> str:
    """This host: one boot of it, and one namespace of process numbers."""
    return f"{socket.gethostname()} {_text('/proc/sys/kernel/random/boot_id')} {_link('/proc/self/ns/pid')}"


def start_of_process(process: int) -> str | None:
    """When a process of this host started, in ticks since the boot; None if there is no such process (any more).

    Numbers of processes are used again, so that only number and start together identify one.
    """
    # the 22nd field; only the second, in brackets, may contain blanks
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    dead = not fields or fields[0] in ("Z", "X")
    return None if dead else fields[19]


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
