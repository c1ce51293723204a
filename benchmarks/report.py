"""How a report goes with the number of particles: what it costs to make, to open, and to select in.

    python benchmarks/report.py [--particles 10000 100000 1000000] [--output report.json]

Landscapes of two clouds in three coordinates, with poses, scores and error bars of every particle and ids as hashes
are, and the structure of the demonstration with its modes. The browser is headless Chromium, which draws by the CPU and
has no network.

make        seconds that the command takes, with reading the landscape, and the peak of its memory
size        of the HTML file
open        seconds until the page is ready, with its first picture and the molecule
memory      of the page's script, as Chromium tells it
drag        seconds of a lasso in 32 steps around most of the particles, during which Plotly draws the points anew
select      seconds of it to find which of all particles are inside, and their means
save        seconds until the ids of that selection are a file
conformation  seconds from a click on a particle to its conformation in the molecular viewer
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from continuousflex_deep.cli import main as run_command
from continuousflex_deep.demo import write_demo_structure
from continuousflex_deep.io.landscape_table import LandscapeTable, write_landscape_table
from continuousflex_deep.io.records import write_record
from continuousflex_deep.options import LandscapeOptions
from continuousflex_deep.tests.helpers.report_browser import browser_missing, chromium_browser, open_report

MODES = (7, 8, 9)
_SELECT = """(() => {
    const started = performance.now();
    report.landscape.select(document.getElementById("landscape").layout.selections);
    return performance.now() - started;
})()"""


def main() -> None:
    """Print a line for each number of particles, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", nargs="+", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=Path("report.json"))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(make(arguments.one)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        structure = write_demo_structure(base / "structure.pdb")
        run_command(["nma", "--structure", str(structure), "--output", str(base / "modes")])
        for n in arguments.particles:
            write_clouds(base / "landscape", n)
            child = subprocess.run(
                [sys.executable, __file__, "--one", str(base)], check=True, stdout=subprocess.PIPE, text=True
            )
            row: dict[str, Any] = {"particles": n, **json.loads(child.stdout.splitlines()[-1])}
            rows.append(
                row | ({"browser": browser_missing()} if browser_missing() else use(base / "report.html", base))
            )
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


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


def make(base: Path) -> dict[str, float]:
    """Run the command in this process."""
    started = time.perf_counter()
    given = {"landscape": "landscape", "structure": "structure.pdb", "modes": "modes", "output": "report.html"}
    words = [word for name, file in given.items() for word in (f"--{name}", str(base / file))]
    if run_command(["report", *words]) != 0:
        raise SystemExit("the report could not be made")
    return {
        "make_s": round(time.perf_counter() - started, 1),
        "make_GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        "size_MB": round((base / "report.html").stat().st_size / 1e6, 1),
    }


def use(page: Path, folder: Path) -> dict[str, float]:
    """Open the page and use it as a person would."""
    with chromium_browser() as browser:
        started = time.perf_counter()
        with open_report(browser, page) as opened:
            found = {"open_s": time.perf_counter() - started}
            found["memory_MB"] = opened.value("performance.memory.usedJSHeapSize / 1e6")
            corners = [(-250.0, -60.0), (250.0, -60.0), (250.0, 60.0), (-250.0, 60.0), (-250.0, -60.0)]
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
    return {name: round(value, 2) for name, value in found.items()}


if __name__ == "__main__":
    main()
