"""The page: its template, style and script, the libraries that it draws with, and what it shows."""

import html
import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

from continuousflex_deep._version import __version__
from continuousflex_deep.errors import MissingDependencyError
from continuousflex_deep.report.packing import Pack

_STATIC = Path(__file__).parent / "static"
# in the order in which they use each other
_SCRIPTS = (
    "basics.js",
    "tables.js",
    "charts.js",
    "motion.js",
    "molecule.js",
    "selection.js",
    "landscape.js",
    "groups.js",
    "main.js",
)
# libraries by what the script calls them: the package whose installation brings the file, and its path there
LIBRARIES = {
    "plotly": ("plotly", "package_data/plotly.min.js"),
    "molstar": ("dash_molstar", "rcsb-molstar.js"),
}


def page_text(content: dict[str, Any], pack: Pack) -> str:
    """The whole HTML file for a report's content and pack. MissingDependencyError where a library is not installed."""
    needed = ["plotly", "molstar"] if shows_molecules(content) else ["plotly"]
    libraries = {name: pack.file(library(name)) for name in needed}
    told = content | {
        "libraries": libraries,
        "version": __version__,
        "made": datetime.now(UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00") + " UTC",
    }
    blocks = [
        f'<script type="application/octet-stream" id="{name}">{text}</script>' for name, text in pack.blocks.items()
    ]
    return Template(_static("page.html")).substitute(
        title=html.escape(content["title"]),
        style=_static("report.css"),
        script="\n".join(_static(name) for name in _SCRIPTS),
        content=json_in_html(told),
        blocks="\n".join(blocks),
    )


def shows_molecules(content: dict[str, Any]) -> bool:
    """Whether the page needs a molecular viewer."""
    return "molecule" in content or any("molecule" in trajectory for trajectory in content["trajectories"])


def library(name: str) -> bytes:
    """A library's script, as its package installed it; packages are not imported."""
    package, path = LIBRARIES[name]
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / path if spec is not None and spec.origin is not None else None
    if file is None or not file.is_file():
        distribution = package.replace("_", "-")
        raise MissingDependencyError(
            f"a report carries the script {Path(path).name} of the package {distribution}, which is not installed; "
            f"install it with python -m pip install {distribution}, or the extra 'compute'"
        )
    return file.read_bytes()


def json_in_html(content: Any) -> str:
    """JSON that no browser takes for markup, whatever its texts say."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _static(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
