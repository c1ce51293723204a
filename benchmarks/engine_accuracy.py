"""Accuracy of the embedded HEMNMA engine on images that other programs made, beside Xmipp's own HEMNMA and the bound.

    python benchmarks/engine_accuracy.py [--only ak_xmipp32 gold10] [--data ../shared/data] [--output FILE.json]

ak_xmipp32: 32 images by Xmipp's simulation of adenylate kinase, phase flipped and reduced to 128 px; nothing is told
about noise, blur or contrast. gold10: ContinuousFlex's public stack, against Xmipp's gold results (image 4's gold is a
failed fit). Needs the folder of data.

Fills "Images simulated by Xmipp" of docs/results.md. The default size takes about 2 minutes on one core (estimated from
the speeds there).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cases import ARTICLE, TINY, xmipp_images, xmipp_reference
from command_line import FULL, SMALLEST, add_data, add_hardware, add_only, benchmark_parser, parse, require_folder
from measuring import Table, write_figures

from continuousflex_deep.assessment.evaluation import evaluate, format_comparison
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles

SIZES = {
    FULL: {"images": 32, "box": 128, "setting": ARTICLE},
    SMALLEST: {"images": 3, "box": 48, "setting": TINY},
}


def main() -> None:
    """Print both tables and write the figures."""
    parser = benchmark_parser(__doc__, "engine_accuracy.json")
    add_only(parser, list(STACKS))
    parser.add_argument("--images", type=int, help="images of each stack at most")
    parser.add_argument("--box", type=int, help="box in pixels of the images of ak_xmipp32")
    add_data(parser)
    add_hardware(parser)
    arguments = parse(parser, SIZES)
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: STACKS[name](arguments, Path(folder)) for name in arguments.only}
    write_figures(arguments.output, figures)


def options(arguments: argparse.Namespace, **changes: str) -> AlignOptions:
    """The engine's, on the hardware that is asked for."""
    return AlignOptions(**arguments.setting.align, device=arguments.device, threads=arguments.threads, **changes)


def ak_xmipp32(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Errors on Xmipp's images, of our engine and of Xmipp's."""
    from continuousflex_deep.hemnma.alignment import align, calibration_for
    from continuousflex_deep.hemnma.bound import cramer_rao_bound
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine

    structure, modes = xmipp_reference(arguments.data)
    particles, truth = xmipp_images(arguments.data, folder, arguments.images, arguments.box)
    started = time.perf_counter(), time.process_time()
    aligned = align(EmbeddedEngine(structure, modes, options(arguments)), particles)
    wall_s, cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
    results = {"embedded": aligned}
    for kind in ("projmatch", "wavelet"):
        results[f"xmipp {kind}"] = xmipp_results(arguments.data / "ak_xmipp32" / f"hemnma_xmipp_{kind}.xmd", truth)
    table = {name: evaluate(found, truth, structure, modes) for name, found in results.items()}
    local = EmbeddedEngine(structure, modes, options(arguments, init="local"))
    bound = cramer_rao_bound(local, truth, calibration_for(local, truth)).as_errors()
    print(format_comparison(table, found_only=True, bound=bound))
    each = wall_s / len(particles), cpu_s / len(particles)
    print(f"embedded: {each[0]:.3f} s and {each[1]:.3f} CPU-s an image, calibration included\n")
    figures: dict[str, object] = {name: e.as_dict() for name, e in table.items()}
    return figures | {"bound": bound, "wall_s_per_image": each[0], "cpu_s_per_image": each[1]}


def xmipp_results(path: Path, truth: Particles) -> Particles:
    """What Xmipp found for those of its first images that are here; they are named by position in the stack."""
    table = next(iter(read_star(path).values()))
    rows = np.array([int(name.split("@")[0]) - 1 for name in table["image"]])
    here = rows < len(truth)
    angles, shifts = (
        np.stack([table[c].astype(float) for c in names], axis=1)
        for names in (("angleRot", "angleTilt", "anglePsi"), ("shiftX", "shiftY"))
    )
    q = np.array([v.split() for v in table["nmaDisplacements"]], dtype=float)
    return truth.select(rows[here]).replace(euler_deg=angles[here], shift_A=0.65 * shifts[here], amplitudes=q[here])


def gold10(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Differences from Xmipp's gold results on the public stack, reduced to 64 px as they were."""
    import torch

    from continuousflex_deep.hemnma.alignment import align
    from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
    from continuousflex_deep.imaging.fourier import resize

    source, n = require_folder(arguments.data / "gold10"), min(10, arguments.images)
    stacks = np.full(n, str(source / "smallstack_img.stk"), dtype=object)
    images = Particles(np.arange(1, n + 1), stacks, np.arange(n), pixel_size_A=1.0, box_px=128)
    write_stack(folder / "gold64.mrcs", resize(torch.from_numpy(read_images(images)), 64).numpy(), 2.0)
    small = images.replace(stacks=np.full(n, str(folder / "gold64.mrcs"), dtype=object), box_px=64, pixel_size_A=2.0)
    aligned = align(EmbeddedEngine(*xmipp_reference(arguments.data, (7, 8)), options(arguments)), small)
    gold = next(iter(read_star(source / "gold_projmatch_modes7-8.xmd").values()))
    order = np.argsort(gold["itemId"].astype(int))[:n]
    euler_deg, shift_px = (
        np.stack([gold[c][order].astype(float) for c in names], axis=1)
        for names in (("angleRot", "angleTilt", "anglePsi"), ("shiftX", "shiftY"))
    )
    turned = rotation_distance_deg(euler_to_matrix(aligned.euler_deg), euler_to_matrix(euler_deg))
    moved = np.abs(aligned.shift_A / 2.0 - shift_px).max(axis=1)
    rows = {
        str(i): {
            "from_gold_deg": float(turned[row]),
            "from_gold_px_of_64": float(moved[row]),
            "q7_A": float(aligned.amplitudes[row, 0]),
            "q8_A": float(aligned.amplitudes[row, 1]),
            "correlation": float(aligned.score[row]),
        }
        for row, i in enumerate(aligned.ids)
    }
    table = Table("image of gold10")
    for name, row in rows.items():
        table.row(name, row)
    return rows


STACKS: dict[str, Callable[[argparse.Namespace, Path], dict[str, object]]] = {
    "ak_xmipp32": ak_xmipp32,
    "gold10": gold10,
}

if __name__ == "__main__":
    main()
