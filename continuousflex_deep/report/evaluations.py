"""Errors of results for the page, as tables."""

from pathlib import Path
from typing import Any

from continuousflex_deep.errors import FormatError

_LABELS = {
    "amplitude": "amplitudes [Å]", "angle_deg": "angle [°]", "shift_A": "shift [Å]", "rmsd_amplitude_A": "RMSD q [Å]",
    "rmsd_angle_A": "RMSD angle [Å]", "rmsd_shift_A": "RMSD shift [Å]",
}  # fmt: skip
_WHO = {"all": "all particles", "not_lost": "not lost (within {lost_deg:g}°)"}


def evaluation_content(place: str, record: dict[str, Any]) -> dict[str, Any]:
    """What `evaluate` found, a row for each result and comparison: mean and deviation of the absolute errors."""
    results = record.get("results") or {}
    compared = {f"{name} vs. truth": r for name, r in results.items()} | (record.get("between") or {})
    if not compared:
        raise FormatError(f"'{place}' holds no comparison of results; run the evaluate command with --truth")
    try:
        names = list(dict.fromkeys(name for result in compared.values() for name in result["all"]))
        kinds = [name for name in names if name in _LABELS or name.startswith("amplitude_")]
        rows = [
            [name, words.format(**result), *_numbers(result, who),
             *(_cell(result[who].get(kind)) for kind in kinds)]
            for name, result in compared.items()
            for who, words in _WHO.items()
        ]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"'{place}' is not what the evaluate command writes ({error!r}); run it again") from error
    if bound := record.get("bound"):
        rows.append(["Cramér-Rao bound", "", "", "", *(f"{bound[k]:.3g}" if k in bound else "–" for k in kinds)])
    heads = [_LABELS.get(kind, f"q{kind.removeprefix('amplitude_')} [Å]") for kind in kinds]
    return {"name": Path(place).name, "head": ["", "", "particles", "lost", *heads], "rows": rows}


def _numbers(result: dict[str, Any], who: str) -> list[str]:
    """How many particles a row is of, and how many of these are lost."""
    lost = result["lost"]
    return [str(result["particles"]), str(lost)] if who == "all" else [str(result["particles"] - lost), "–"]


def _cell(figure: dict[str, float | None] | None) -> str:
    return "–" if figure is None or figure["mean"] is None else f"{figure['mean']:.3g} ± {figure['sd']:.2g}"
