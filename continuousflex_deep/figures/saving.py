"""Figures as files and pictures, drawn without a display."""

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from continuousflex_deep.io.files import atomic_path


def save_png(path: str | Path, figure: Figure, dpi: int) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(figure, dpi))


def png_bytes(figure: Figure, dpi: int) -> bytes:
    """The content of a PNG file of a figure."""
    out = io.BytesIO()
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(out)  # draws once; savefig draws twice, first for the layout alone
    return out.getvalue()


def rendered(figure: Figure) -> Image.Image:
    """A figure at its own resolution as an RGBA image. The figure may be changed and rendered again."""
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.array(canvas.buffer_rgba()))
