"""Training curves: losses, and the errors of the validation particles, by epoch."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from continuousflex_deep.figures.saving import save_png
from continuousflex_deep.io.training_curves import VALIDATION_ERRORS, Curves

_PANEL_INCH = (4.0, 3.2)


def training_size(curves: Curves) -> tuple[float, float]:
    """Width and height in inches that suit draw_training."""
    return _PANEL_INCH[0] * (1 + len(_errors_in(curves))), _PANEL_INCH[1]


def draw_training(curves: Curves, figure: Figure) -> None:
    """A panel with the losses and one for each kind of validation error; epochs on simulated images are shaded."""
    figure.set_layout_engine("constrained")
    errors = _errors_in(curves)
    panels: Any = figure.subplots(1, 1 + len(errors), squeeze=False)[0]
    if simulated := sum(curves.get("simulated", [])):
        panels[0].axvspan(0.5, simulated + 0.5, color="0.9", label="simulated images")
    for name, label in (("train_loss", "training"), ("validation_loss", "validation")):
        panels[0].plot(curves["epoch"], curves[name], label=label)
    # likelihoods, which may be negative, have no logarithm
    positive = all(value > 0 for name in ("train_loss", "validation_loss") for value in curves[name])
    panels[0].set(title="loss", xlabel="epoch", yscale="log" if positive else "linear")
    panels[0].legend()
    for panel, name in zip(panels[1:], errors, strict=True):
        panel.plot(curves["epoch"], curves[name], color="tab:orange")
        panel.set(title=VALIDATION_ERRORS[name], xlabel="epoch", ylim=(0, None))


def save_training(path: str | Path, curves: Curves) -> None:
    """PNG of training curves."""
    figure = Figure(figsize=training_size(curves))
    draw_training(curves, figure)
    save_png(path, figure, dpi=120)


def _errors_in(curves: Curves) -> list[str]:
    return [name for name in VALIDATION_ERRORS if name in curves]
