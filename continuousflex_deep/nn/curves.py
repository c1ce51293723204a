"""The course of a training: a table and a picture."""

import csv
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from continuousflex_deep.io.files import atomic_path

History = list[dict[str, float]]
_WHOLE = ("epoch", "simulated")
TABLE, PICTURE = "curves.csv", "curves.png"
# column -> title of its panel: errors on the validation particles, in physical units
ERRORS = {
    "amplitude_error_A": "amplitudes, mean |error| (Å)",
    "angle_error_deg": "angular distance (°)",
    "shift_error_A": "shifts, mean |error| (Å)",
}


def write_curves(folder: str | Path, history: History) -> None:
    """Write curves.csv: one row an epoch, columns as in the history."""
    with atomic_path(Path(folder) / TABLE) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, fieldnames=list(history[0]))
        table.writeheader()
        table.writerows({k: int(v) if k in _WHOLE else f"{v:.8g}" for k, v in row.items()} for row in history)


def draw_curves(folder: str | Path, history: History) -> None:
    """Write curves.png: losses, and the validation errors in physical units."""
    errors = [name for name in ERRORS if name in history[0]]
    figure = Figure(figsize=(4 * (1 + len(errors)), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 1 + len(errors), squeeze=False)[0]
    epochs = [row["epoch"] for row in history]
    if simulated := sum(row.get("simulated", 0) for row in history):
        panels[0].axvspan(0.5, simulated + 0.5, color="0.9", label="simulated images")
    panels[0].plot(epochs, [row["train_loss"] for row in history], label="training")
    panels[0].plot(epochs, [row["validation_loss"] for row in history], label="validation")
    panels[0].set(title="loss", xlabel="epoch", yscale="log")
    panels[0].legend()
    for panel, name in zip(panels[1:], errors, strict=True):
        panel.plot(epochs, [row[name] for row in history], color="tab:orange")
        panel.set(title=ERRORS[name], xlabel="epoch", ylim=(0, None))
    with atomic_path(Path(folder) / PICTURE) as temporary:
        figure.savefig(temporary, dpi=120)
