"""Assessments for the page: tables of errors and of resolutions, and the curves of groups' maps.

Of a folder they are the command's own tables and curves; of its record alone, tables of the record's figures.
"""

import math
from pathlib import Path
from typing import Any

from continuousflex_deep.errors import FormatError
from continuousflex_deep.io.error_table import LABELS, error_label, is_amplitude_of_one_mode
from continuousflex_deep.io.file_names import FSC_CSV, RECORD_JSON
from continuousflex_deep.io.fsc_table import ALLOWED, LEAST_ALLOWED, MASKED, THRESHOLDS, resolution_title
from continuousflex_deep.io.texts import read_rows
from continuousflex_deep.report.maps import fsc_content

_ERRORS = {
    "distances": "Distance between parameters: mean and standard deviation (SD) of absolute errors",
    "rmsd": "RMSD of the atoms by one type of parameter: mean and standard deviation (SD)",
}
_RESOLUTIONS = {f"resolution_{t:g}": resolution_title(f"{t:g}") for t in sorted(THRESHOLDS, reverse=True)}
_TEXTS = ("", "of")  # the heads of columns that are no numbers
Table = dict[str, Any]  # title, head, rows of texts, and how many columns at the left are no numbers


def evaluation_content(place: str, name: str, record: dict[str, Any]) -> dict[str, Any]:
    """What `evaluate` wrote: tables, and of groups the curves of their maps. FormatError where there is nothing."""
    path = Path(place)
    file = path / RECORD_JSON if path.is_dir() else path
    try:
        compared, groups = _compared(record), list(record.get("groups") or [])
        tables = _error_table(compared, record.get("bound")) + _resolution_tables(groups)
        labels = {str(group["group"]): _label(group) for group in groups}
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise FormatError(f"'{file}' is not what the evaluate command writes ({error!r}); run it again") from error
    if not tables:
        raise FormatError(f"'{file}' holds no comparison of results or maps; run evaluate with --truth or more results")
    if path.is_dir():
        tables = _own_tables(path, bool(compared), bool(groups)) or tables
    curves = [(label, path / group / FSC_CSV) for group, label in labels.items() if path.is_dir()]
    return {"name": name, "tables": tables, "groups": [{"name": label, **_curves(fsc)} for label, fsc in curves]}


def _compared(record: dict[str, Any]) -> dict[str, Any]:
    """The figures of each comparison, by what it compares."""
    if "comparisons" in record:
        return dict(record["comparisons"])
    results = record.get("results") or {}
    return {f"{name} vs. truth": figures for name, figures in results.items()} | (record.get("between") or {})


def _own_tables(folder: Path, errors: bool, groups: bool) -> list[Table]:
    """Those of this run: an earlier one may have left others in its folder."""
    titles = (_ERRORS if errors else {}) | (_RESOLUTIONS if groups else {})
    return [_csv_table(folder / f"{name}.csv", title) for name, title in titles.items()
            if (folder / f"{name}.csv").is_file()]  # fmt: skip


def _csv_table(path: Path, title: str) -> Table:
    head, rows = read_rows(path, "table of an assessment")
    texts = [i for i, name in enumerate(head) if name in _TEXTS]
    shown = [[cell if i in texts else _number(cell) for i, cell in enumerate(row)] for row in rows]
    return {"title": title, "head": head, "rows": shown, "left": len(texts)}


def _number(cell: str) -> str:
    """Three digits of a number; counts whole."""
    if not cell:
        return "–"
    try:
        value = float(cell)
    except ValueError:
        return cell
    return cell if cell.isdecimal() else f"{value:.3g}" if math.isfinite(value) else "–"


def _error_table(compared: dict[str, Any], bound: dict[str, float] | None) -> list[Table]:
    """A row for each comparison, and if particles are misaligned, one for the others."""
    names = list(dict.fromkeys(name for figures in compared.values() for name in figures["all"]))
    kinds = [name for name in names if name in LABELS or is_amplitude_of_one_mode(name)]
    rows = []
    for name, figures in compared.items():
        count, lost = int(figures["particles"]), int(figures["lost"])
        rows.append([name, "all particles", str(count), str(lost), *_cells(figures["all"], kinds)])
        if lost:
            which = f"aligned (within {figures['lost_deg']:g}°)"
            rows.append([name, which, str(count - lost), "–", *_cells(figures["not_lost"], kinds)])
    if bound and rows:
        cells = (f"{bound[kind]:.3g}" if kind in bound else "–" for kind in kinds)
        rows.append(["Cramér-Rao bound", "", "", "", *cells])
    heads = [error_label(kind) for kind in kinds]
    title = "Absolute errors, mean ± standard deviation"
    head = ["", "of", "particles", "misaligned", *heads]
    return [{"title": title, "head": head, "rows": rows, "left": 2}] if rows else []


def _cells(figures: dict[str, dict[str, float | None]], kinds: list[str]) -> list[str]:
    return [_mean_and_deviation(figures.get(kind)) for kind in kinds]


def _mean_and_deviation(figure: dict[str, float | None] | None) -> str:
    if figure is None or figure["mean"] is None:
        return "–"
    return f"{figure['mean']:.3g}" + (f" ± {figure['sd']:.2g}" if figure["sd"] is not None else "")


def _resolution_tables(groups: list[dict[str, Any]]) -> list[Table]:
    """For each threshold, a row for each group."""
    tables = []
    for name, title in _RESOLUTIONS.items() if groups else ():
        threshold = name.removeprefix("resolution_")
        known = (curve for g in groups for curve, found in g["resolution_A"].items() if threshold in found)
        curves = [curve for curve in dict.fromkeys(known) if MASKED not in curve]
        rows = []
        for g in groups:
            values = [g["resolution_A"].get(curve, {}).get(threshold) for curve in curves]
            rows.append([_label(g), str(g["particles"]), *("–" if v is None else f"{v:.3g}" for v in values)])
        tables.append({"title": title, "head": ["", "particles", *curves], "rows": rows, "left": 1})
    return tables


def _label(group: dict[str, Any]) -> str:
    """A group's name, and where it is along an axis."""
    told = {"axis", "low", "high"} <= group.keys()
    along = f" ({group['axis']} {group['low']:.4g} to {group['high']:.4g})" if told else ""
    return f"{group['group']}{along}"


def _curves(file: Path) -> dict[str, Any]:
    """The curves of a group's map, without those within a mask, and what the noise allows up to where that ends."""
    content = fsc_content(file)
    curves = {name: curve for name, curve in content["curves"].items() if MASKED not in name}
    if ALLOWED in curves:
        allowed = curves[ALLOWED]
        end = next((i for i, v in enumerate(allowed) if v is None or v < LEAST_ALLOWED), len(allowed))
        curves[ALLOWED] = [*allowed[:end], *[None] * (len(allowed) - end)]
    return {"frequency": content["frequency"], "curves": curves}
