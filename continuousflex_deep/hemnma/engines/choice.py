"""Selection of the engine by the options."""

from pathlib import Path
from typing import Any

from continuousflex_deep.hemnma.engines.base import Engine
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.engines.xmipp import XmippEngine
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.options import AlignOptions, require_own_options


def make_engine(
    structure: Structure, modes: NormalModes, options: AlignOptions, keep_in: Path | None = None
) -> Engine[Any]:
    """The engine for a structure and its modes; keep_in: folder for unfinished batches.

    Raises InputError if structure, modes and options do not fit each other or the engine, and MissingDependencyError if
    the engine's programs are not installed.
    """
    require_own_options(options)
    if options.engine == "xmipp":
        return XmippEngine(structure, modes, options, keep_in)
    return EmbeddedEngine(structure, modes, options)
