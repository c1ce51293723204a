"""Slices of maps and Fourier shell correlations as figures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from continuousflex_deep.figures.maps import (
    draw_fsc,
    draw_slices,
    grey_limits,
    save_fsc,
    save_slices,
    series_pictures,
    slices_size,
)
from continuousflex_deep.io.fsc_table import THRESHOLDS


def marked_map(value: float = 1.0) -> np.ndarray:
    """A map with one voxel (z 1, y 4, x 6) off the centre, in the slice normal to y."""
    volume = np.zeros((8, 8, 8), dtype=np.float32)
    volume[1, 4, 6] = value
    return volume


def test_each_map_has_a_row_of_slices_on_its_own_grey_scale(tmp_path: Path) -> None:
    maps = {"map": marked_map(), "reference": 1000 * np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)}
    figure = Figure(figsize=slices_size(2))
    draw_slices(maps, 2.0, figure)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["map", "", "", "reference", "", ""]
    for i, (across, up) in enumerate([("x", "y"), ("x", "z"), ("y", "z")]):
        ax = figure.axes[i]
        assert (ax.get_xlabel(), ax.get_ylabel()) == (f"{across} [Å]", f"{up} [Å]")
        assert (*ax.get_xlim(), *ax.get_ylim()) == (-8, 8, -8, 8)
    xy, xz, _ = (np.asarray(ax.images[0].get_array()) for ax in figure.axes[:3])
    assert (xy.max(), xz[1, 6]) == (0, 1)
    assert figure.axes[3].images[0].get_clim()[1] > 1000 > figure.axes[0].images[0].get_clim()[1]
    save_slices(tmp_path / "s.png", maps, 2.0)
    assert Image.open(tmp_path / "s.png").size == tuple(round(120 * inch) for inch in slices_size(2))


def test_grey_limits_hold_all_maps() -> None:
    rng = np.random.default_rng(1)
    low, high = grey_limits([rng.uniform(0, 1, 10_000), rng.uniform(-3, -2, 10_000)])
    assert -3 < low < -2.98
    assert 0.99 < high < 1


def test_the_pictures_of_a_series_have_one_grey_scale() -> None:
    """A map of half the density is darker, not the same picture."""
    maps = [np.random.default_rng(0).uniform(size=(8, 8, 8)).astype(np.float32) * factor for factor in (1.0, 0.5)]
    bright, dark = (np.asarray(p, dtype=float) for p in series_pictures(maps, ["a", "a"], 2.0))
    assert bright.mean() > dark.mean() + 10


def test_the_panels_of_a_series_stay_where_they_are() -> None:
    """Else they would jump in its movie, with the heights of the titles."""
    volume = np.random.default_rng(0).uniform(size=(8, 8, 8)).astype(np.float32)
    low, high = (np.asarray(picture) for picture in series_pictures([volume, volume], ["a", "|gÅ"], 2.0))
    changed = np.flatnonzero((low != high).any(axis=1))
    assert 0 < len(changed) < 25  # rows of the title
    assert changed.max() < 30


def test_fsc_ends_at_nyquist_and_has_both_thresholds(tmp_path: Path) -> None:
    frequency = np.arange(9) / (16 * 2.0)
    curves = {"half maps": (frequency, np.exp(-9 * frequency)), "corrected": (frequency, np.linspace(1, -0.4, 9))}
    figure = Figure()
    draw_fsc(curves, figure)
    (ax,) = figure.axes
    assert ax.get_xlim() == (0, 0.25)
    assert ax.get_ylim()[0] == -0.4
    levels = [line.get_ydata()[0] for line in ax.lines[2:]]
    assert levels == list(THRESHOLDS)
    assert "1/4" in [text.get_text() for text in ax.get_xticklabels()]
    save_fsc(tmp_path / "f.png", curves)
    assert (tmp_path / "f.png").stat().st_size > 5000
