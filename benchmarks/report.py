"""How a report goes with the number of particles: what it costs to make, to open, and to select in.

    python benchmarks/report.py [--particles 10000 100000 1000000] [--output report.json]

Landscapes of two clouds in three coordinates, with poses, scores and error bars of every particle and ids as hashes
are, and adenylate kinase with its modes. The browser is headless Chromium, which draws by the CPU and has no network;
without it, only what comes before `open` is measured.

make        seconds that the command takes, with reading the landscape, and the peak of its memory
size        of the HTML file
open        seconds until the page is ready, with its first picture and the molecule
memory      of the page's script, as Chromium reports it
drag        seconds of a lasso in 32 steps around most of the particles, during which Plotly draws the points anew
select      seconds of it to find which of all particles are inside, and their means
save        seconds until the ids of that selection are a file
conformation  seconds from a click on a particle to its conformation in the molecular viewer

Fills "Report" of docs/results.md. The default size takes about a minute on 2 cores (estimated from the times there).
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from cases import adenylate_kinase
from command_line import FULL, SMALLEST, benchmark_parser, parse
from measuring import Table, in_own_process, peak_memory_GiB, run_command, write_figures

from continuousflex_deep.data import ADENYLATE_KINASE
from continuousflex_deep.io.landscape_table import LandscapeTable, write_landscape_table
from continuousflex_deep.io.records import write_record
from continuousflex_deep.options import LandscapeOptions

MODES = (7, 8, 9)
SIZES = {FULL: {"particles": [10_000, 100_000, 1_000_000]}, SMALLEST: {"particles": [200]}}
_SELECT = """(() => {
    const started = performance.now();
    report.landscape.select(document.getElementById("landscape").layout.selections);
    return performance.now() - started;
})()"""


def main() -> None:
    """Print a row for each number of particles, and write the figures."""
    parser = benchmark_parser(__doc__, "report.json")
    parser.add_argument("--particles", nargs="+", type=int, help="numbers of particles")
    arguments = parse(parser, SIZES)
    from continuousflex_deep.tests.helpers.report_browser import browser_missing

    if missing := browser_missing():
        print(f"without a browser: {missing}")
    table, rows = Table("particles"), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adenylate_kinase(folder, MODES)
        for particles in arguments.particles:
            in_own_process(write_clouds, folder / "landscape", particles)
            figures = in_own_process(make, folder)
            figures |= {} if missing else use(folder / "report.html", folder)
            table.row(str(particles), figures)
            rows.append({"particles": particles, **figures})
    write_figures(arguments.output, {"browser": missing or "Chromium", "rows": rows})


def write_clouds(folder: Path, n: int) -> None:
    """The landscape's folder, as far as a report reads it."""
    rng = np.random.default_rng(0)
    coordinates = rng.normal(size=(n, 3)) * (40.0, 25.0, 15.0)
    coordinates[:, 0] += np.where(rng.random(n) < 0.3, -90.0, 70.0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    table = LandscapeTable(
        ids=rng.integers(1, 2**62, n), coordinates=coordinates, labels=("PC1", "PC2", "PC3"), unit="Å", principal=True,
        mode_ids=MODES, amplitudes=coordinates @ turn, distance=rng.random(n), outlier=rng.random(n) < 0.01,
        source=np.ones(n, dtype=np.int64), source_names=("particles",), stack_names=("images.mrcs",),
        stack=np.zeros(n, dtype=np.int32), index=np.arange(n), box_px=128, pixel_size_A=1.0,
        amplitudes_sd=rng.random((n, 3)), euler_deg=rng.random((n, 3)) * 360, shift_A=rng.normal(size=(n, 2)),
        score=rng.random(n), ambiguous=rng.random(n) < 0.02, angle_sd_deg=rng.random(n), shift_sd_A=rng.random(n),
        defocus_A=rng.uniform(5e3, 2e4, n),
    )  # fmt: skip
    write_landscape_table(folder, table)
    write_record(
        folder / "record.json", "landscape", LandscapeOptions(particles=("particles.star",), output="landscape")
    )


def make(folder: Path) -> dict[str, float]:
    """Run the command in this process."""
    started = time.perf_counter()
    files = {name: folder / name for name in ("landscape", "modes")}
    run_command("report", files | {"structure": ADENYLATE_KINASE, "output": folder / "report.html"})
    return {
        "make_s": time.perf_counter() - started,
        "make_GiB": peak_memory_GiB(),
        "size_MB": (folder / "report.html").stat().st_size / 1e6,
    }


def use(page: Path, folder: Path) -> dict[str, float]:
    """Open the page and use it as a person would."""
    from continuousflex_deep.tests.helpers.report_browser import chromium_browser, open_report

    with chromium_browser() as browser:
        started = time.perf_counter()
        with open_report(browser, page) as opened:
            found = {"open_s": time.perf_counter() - started}
            found["memory_MB"] = opened.value("performance.memory.usedJSHeapSize / 1e6")
            corners = [(-150.0, -60.0), (150.0, -60.0), (150.0, 60.0), (-150.0, 60.0), (-150.0, -60.0)]
            started = time.perf_counter()
            opened.drag(corners, "lasso")
            found["drag_s"] = time.perf_counter() - started
            found["select_s"] = opened.value(_SELECT) / 1e3
            started = time.perf_counter()
            opened.download("#download-selection", folder)
            found["save_s"] = time.perf_counter() - started
            started = time.perf_counter()
            opened.value("report.landscape.onPoint(report.particles.drawn[50])")
            opened.wait("report.panel.viewer.busy === null")
            found["conformation_s"] = time.perf_counter() - started
            if opened.complaints:
                raise SystemExit(f"the page complained: {opened.complaints}")
    return found


if __name__ == "__main__":
    main()
