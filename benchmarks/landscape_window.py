"""How fluid the landscape's window is with many particles: seconds from an action to the picture on the screen.

    python benchmarks/landscape_window.py [--particles 1000000] [--repeats 15] [--output landscape_window.json]

Needs tkinter and a display, real or virtual (xvfb-run). Particles are three Gaussian clouds with scores, defocus and
error bars; the window has the size that it opens with. Each figure is the median and the longest of 15 actions (5 for
the last two), each until Tk has nothing left to draw, and the median of the processor time, which other work on the
machine hardly changes:

open        reading landscape.npz and showing the first picture (once)
zoom        a step of the wheel, coloured by density (log); … by score: by the mean of a column in each cell
            … by source: by which of 20 sets of origin most particles of a cell are of
groups      the same, coloured by score, with six groups of a sixth of the particles each drawn over it
turn        a step of turning three axes by the mouse
axes        another pair of axes
hover       finding and ringing the particle under the pointer
lasso       choosing a third of the particles by a line of 200 corners
condition   choosing by "pc1 > 0 and score > 0.5 and not outlier"

Fills "The window" of docs/results.md. The default size takes about a minute on one core (estimated from the times
there).
"""

import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from command_line import FULL, SMALLEST, benchmark_parser, parse
from measuring import Table, write_figures

from continuousflex_deep.io.landscape_table import LandscapeTable, write_landscape_table

if TYPE_CHECKING:
    from continuousflex_deep.viewers.landscape_window import LandscapeWindow

Times = list[tuple[float, float]]  # seconds, and seconds of processor time, of every repeat

SETS = 20
SIZES = {FULL: {"particles": 1_000_000, "repeats": 15}, SMALLEST: {"particles": 300, "repeats": 1}}
CENTRES = np.array([[-150.0, 0.0, 0.0], [0.0, 60.0, 0.0], [150.0, 0.0, 30.0]])


def clouds(n: int) -> LandscapeTable:
    """A landscape of n particles in three clouds."""
    rng = np.random.default_rng(0)
    cloud = rng.integers(0, 3, n)
    coordinates = CENTRES[cloud] + rng.normal(size=(n, 3)) * [60, 30, 15]
    return LandscapeTable(
        ids=np.arange(1, n + 1),
        coordinates=coordinates,
        labels=("PC1", "PC2", "PC3"),
        unit="Å",
        principal=True,
        mode_ids=(7, 8, 9),
        amplitudes=coordinates @ np.linalg.qr(rng.normal(size=(3, 3)))[0],
        distance=np.abs(rng.normal(size=n)),
        outlier=rng.uniform(size=n) > 0.99,
        source=rng.integers(1, SETS + 1, n),
        source_names=tuple(f"set {number}" for number in range(1, SETS + 1)),
        stack_names=("particles.mrcs",),
        stack=np.zeros(n, dtype=np.int32),
        index=np.arange(n),
        box_px=128,
        pixel_size_A=1.0,
        amplitudes_sd=rng.uniform(1, 3, size=(n, 3)),
        score=rng.uniform(size=n),
        defocus_A=rng.uniform(5000, 25000, n),
    )


def main() -> None:
    """Print a row for each action and write the figures."""
    parser = benchmark_parser(__doc__, "landscape_window.json")
    parser.add_argument("--particles", type=int, help="particles of the landscape")
    parser.add_argument("--repeats", type=int, help="times that each action is done")
    arguments = parse(parser, SIZES)
    with tempfile.TemporaryDirectory() as folder:
        write_landscape_table(folder, clouds(arguments.particles))
        figures = {name: summary(times) for name, times in measured(folder, arguments.repeats).items()}
    table = Table("action")
    for name, row in figures.items():
        table.row(name, row)
    write_figures(arguments.output, {"particles": arguments.particles, "actions": figures})


def summary(times: Times) -> dict[str, float]:
    """Of repeats, in milliseconds."""
    wall_ms, processor_ms = 1e3 * np.array(times).T
    return {
        "median_ms": float(np.median(wall_ms)),
        "longest_ms": float(wall_ms.max()),
        "processor_ms": float(np.median(processor_ms)),
    }


def measured(folder: str, repeats: int) -> dict[str, Times]:
    """Times of opening the window and of all that is done in it."""
    from continuousflex_deep.viewers.landscape_data import read_landscape_data
    from continuousflex_deep.viewers.landscape_window import LandscapeWindow

    started = time.perf_counter(), time.process_time()
    window = LandscapeWindow(read_landscape_data(folder), folder)
    window.root.update()
    opened = [(time.perf_counter() - started[0], time.process_time() - started[1])]
    figures = {"open": opened, **actions(window, repeats)}
    window.close()
    return figures


def actions(window: "LandscapeWindow", repeats: int) -> dict[str, Times]:
    """Times of each action."""
    view, selection = window.view, window.selection

    def timed(action: Callable[[int], object], most: int = repeats) -> Times:
        times = []
        for number in range(min(repeats, most)):
            started = time.perf_counter(), time.process_time()
            action(number)
            window.root.update()
            times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        return times

    def zoom(number: int) -> None:
        view.zoom(1.1 if number % 2 else 1 / 1.1, 0.0, 0.0)
        window._refresh_later()

    def turn(_number: int) -> None:
        view.turn(8, 3)
        window._refresh_later()

    def show(x: str, y: str, z: str, colour: str) -> None:
        window.x.set(x), window.y.set(y), window.z.set(z), window.colour.set(colour)
        window.show_columns()
        window.root.update()

    def encircle(corners: list[tuple[float, float]]) -> None:
        window._trail = corners
        window._encircled([])

    figures = {"zoom": timed(zoom)}
    show("pc1", "pc2", "(none)", "score")
    figures["zoom, score"] = timed(zoom)
    show("pc1", "pc2", "(none)", "source")
    figures["zoom, source"] = timed(zoom)
    show("pc1", "pc2", "(none)", "score")
    for number in range(6):
        selection.choose_by(f"id % 6 == {number}")
        selection.add_group(f"group {number + 1}")
    window._chosen()
    window.root.update()
    figures["zoom, groups"] = timed(zoom)
    selection.groups.clear()
    window._chosen()
    figures["axes"] = timed(lambda number: show(("pc1", "q7", "pc2")[number % 3], "pc3", "(none)", "density (log)"))
    show("pc1", "pc2", "pc3", "density (log)")
    figures["turn"] = timed(turn)
    show("pc1", "pc2", "pc3", "score")
    figures["turn, score"] = timed(turn)
    show("pc1", "pc2", "(none)", "density (log)")
    angle = np.linspace(0, 2 * np.pi, 200)
    corners = list(zip(150 + 110 * np.cos(angle), 80 * np.sin(angle), strict=True))
    figures["hover"] = timed(lambda number: view.mark(view.place(view.nearest(10.0 * number - 70, 5.0) or 0)))
    figures["lasso"] = timed(lambda _number: encircle(corners), 5)
    window.condition.set("pc1 > 0 and score > 0.5 and not outlier")
    figures["condition"] = timed(lambda _number: window.choose_by_condition(), 5)
    return figures


if __name__ == "__main__":
    main()
