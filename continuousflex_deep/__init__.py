"""Continuous conformational variability of biomolecules from single-particle cryo-EM images.

Two front doors share one implementation: ``python -m continuousflex_deep COMMAND`` and the Scipion protocols, which run
those commands. ``Plugin`` is Scipion's way in. It is imported when asked for, so that the commands neither need Scipion
nor wait for it.
"""

from typing import Any

from continuousflex_deep._version import __version__ as __version__

_logo = "icon.png"
_references = ["hamitouche2022", "jin2014", "harastani2020"]


def __getattr__(name: str) -> Any:
    if name != "Plugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from continuousflex_deep._plugin import Plugin

    globals()["Plugin"] = Plugin
    return Plugin
