"""Names of files, groups and chains are drawn as they are, whatever signs they have."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from continuousflex_deep.figures.assessment import draw_errors, draw_groups, draw_text
from continuousflex_deep.figures.landscape import save_landscape
from continuousflex_deep.figures.literal import legend_name, literal
from continuousflex_deep.figures.maps import draw_fsc, draw_slices, series_pictures
from continuousflex_deep.figures.modes import label_residues
from continuousflex_deep.figures.saving import rendered
from continuousflex_deep.io.fsc_table import ALLOWED, CENTROID
from continuousflex_deep.tests.helpers.landscape_view_data import three_clouds
from continuousflex_deep.tests.helpers.structures import helix

AWKWARD = (
    r"$x^{2$", "$a$b$", r"$\frac$", r"\frac{1}{2}", r"\$5", "5$", "$", "<b>bold</b>", "%s %(name)d", "{", "two\nlines",
    "_hidden", "a & b", "'q\"", "~#`", "caf\udce9",
)  # fmt: skip


def picture(text: str, **how: bool) -> np.ndarray:
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, text, **how)
    return np.asarray(rendered(figure))


@pytest.mark.parametrize("name", AWKWARD)
def test_names_are_drawn_without_formulas(name: str) -> None:
    as_it_is = picture(name.encode("utf-8", "replace").decode(), parse_math=False)
    assert np.ptp(as_it_is) > 0
    np.testing.assert_array_equal(picture(literal(name)), as_it_is)
    assert not legend_name(name).startswith("_")


CURVE = (np.linspace(0, 0.1, 9), np.linspace(1, 0, 9))
VOLUME = np.random.default_rng(0).uniform(size=(8, 8, 8)).astype(np.float32)
ERRORS = {name: {"angle_deg": np.arange(1.0, 9.0)} for name in AWKWARD}
DRAW: dict[str, Callable[[Figure], object]] = {
    "errors": lambda figure: draw_errors(ERRORS, figure),
    "groups": lambda figure: draw_groups({name: {CENTROID: CURVE, ALLOWED: CURVE} for name in AWKWARD}, figure),
    "text": lambda figure: draw_text("\n".join(["a table", *AWKWARD]), figure),
    "FSC": lambda figure: draw_fsc(dict.fromkeys(AWKWARD, CURVE), figure),
    "slices": lambda figure: draw_slices({AWKWARD[0]: VOLUME, AWKWARD[-1]: VOLUME}, 2.0, figure),
}


@pytest.mark.parametrize("kind", DRAW)
def test_figures_with_awkward_names(kind: str) -> None:
    """They are drawn, and no name is missing in a legend."""
    figure = Figure(figsize=(9, 9))
    FigureCanvasAgg(figure)
    DRAW[kind](figure)
    figure.canvas.draw()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    shown = [text.get_text() for legend in legends for text in legend.get_texts()]
    if shown:
        assert {legend_name(name) for name in AWKWARD} <= set(shown)


def test_pictures_with_awkward_names(tmp_path) -> None:
    assert len(series_pictures([VOLUME], AWKWARD[:1], 2.0)) == 1
    table = three_clouds(200)[0].table
    sources = 1 + np.arange(200) % len(AWKWARD)
    named = replace(table, source=sources, source_names=AWKWARD, labels=AWKWARD[:3], unit="$")
    save_landscape(tmp_path / "landscape.png", named, None)
    structure = helix(2 * len(AWKWARD))
    chains = np.array(AWKWARD, dtype=object)[structure.residue_index // 2]
    figure = Figure()
    label_residues(figure.subplots(), replace(structure, chain_ids=chains))
    rendered(figure)
