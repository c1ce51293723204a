"""Accuracy of the embedded HEMNMA engine on images that other programs made, beside Xmipp's own HEMNMA and the bound.

    python benchmarks/engine_accuracy.py [--data ../shared/data] [--output engine_accuracy.json]

ak_xmipp32: 32 images by Xmipp's simulation of adenylate kinase, phase flipped and reduced to 128 px; nothing is told
about noise, blur or contrast. gold10: ContinuousFlex's public stack, against Xmipp's gold results (image 4's gold is a
failed fit).
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.assessment.evaluation import evaluate, format_comparison
from continuousflex_deep.commands.preprocess import run as preprocess
from continuousflex_deep.geometry import euler_to_matrix, rotation_distance_deg
from continuousflex_deep.hemnma.alignment import align, calibration_for
from continuousflex_deep.hemnma.bound import cramer_rao_bound
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.imaging.fourier import resize
from continuousflex_deep.io.modes import read_modes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.stacks import read_images, write_stack
from continuousflex_deep.io.star import read_star
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.options import AlignOptions, PreprocessOptions
from continuousflex_deep.particles import Particles


def main() -> None:
    """Print both tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("engine_accuracy.json"))
    arguments = parser.parse_args()
    machine = (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "machine": machine,
            "ak_xmipp32": ak_xmipp32(arguments.data, Path(folder)),
            "gold10": gold10(arguments.data, Path(folder)),
        }
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written: {arguments.output}")


def engine_for(data: Path, modes: tuple[int, ...], init: str = "global") -> EmbeddedEngine:
    """The engine for AK.pdb with elNemo's modes."""
    structure = read_structure(data / "gold10" / "AK.pdb")
    return EmbeddedEngine(structure, read_modes(data / "elnemo_ak", modes), AlignOptions(init=init))


def ak_xmipp32(data: Path, folder: Path) -> dict[str, object]:
    """Errors on Xmipp's images, of our engine and of Xmipp's."""
    preprocess(
        PreprocessOptions(
            particles=str(data / "ak_xmipp32" / "particles_256.star"), output=str(folder), box=128, phase_flip=True
        )
    )
    particles = read_particles(folder / "particles.star")
    columns = np.loadtxt(data / "ak_xmipp32" / "ground_truth.txt")
    truth = particles.replace(
        euler_deg=columns[:, 4:7], shift_A=0.325 * columns[:, 7:9], amplitudes=columns[:, 1:4], mode_ids=(7, 8, 9)
    )
    started = time.perf_counter(), time.process_time()
    aligned = align(engine_for(data, (7, 8, 9)), particles)
    wall_s, cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
    results = {"embedded": aligned}
    for kind in ("projmatch", "wavelet"):
        results[f"xmipp {kind}"] = xmipp_results(data / "ak_xmipp32" / f"hemnma_xmipp_{kind}.xmd", truth)
    structure, modes = read_structure(data / "gold10" / "AK.pdb"), read_modes(data / "elnemo_ak", (7, 8, 9))
    table = {name: evaluate(found, truth, structure, modes) for name, found in results.items()}
    local = engine_for(data, (7, 8, 9), "local")
    bound = cramer_rao_bound(local, truth, calibration_for(local, truth)).as_errors()
    print(format_comparison(table, found_only=True, bound=bound))
    each = wall_s / len(particles), cpu_s / len(particles)
    print(f"embedded: {each[0]:.3f} s and {each[1]:.3f} CPU-s an image, calibration included\n")
    figures: dict[str, object] = {name: e.as_dict() for name, e in table.items()}
    return figures | {"bound": bound, "wall_s_per_image": each[0], "cpu_s_per_image": each[1]}


def xmipp_results(path: Path, truth: Particles) -> Particles:
    """What Xmipp found for the first images; its images are named by position in the stack."""
    table = next(iter(read_star(path).values()))
    rows = np.array([int(name.split("@")[0]) - 1 for name in table["image"]])
    angles, shifts = (
        np.stack([table[c].astype(float) for c in names], axis=1)
        for names in (("angleRot", "angleTilt", "anglePsi"), ("shiftX", "shiftY"))
    )
    q = np.array([v.split() for v in table["nmaDisplacements"]], dtype=float)
    return truth.select(rows).replace(euler_deg=angles, shift_A=0.65 * shifts, amplitudes=q)


def gold10(data: Path, folder: Path) -> dict[str, object]:
    """Differences from Xmipp's gold results on the public stack, reduced to 64 px as they were."""
    stack = str(data / "gold10" / "smallstack_img.stk")
    images = Particles(np.arange(1, 11), np.full(10, stack, dtype=object), np.arange(10), pixel_size_A=1.0, box_px=128)
    write_stack(folder / "gold64.mrcs", resize(torch.from_numpy(read_images(images)), 64).numpy(), 2.0)
    small = images.replace(stacks=np.full(10, str(folder / "gold64.mrcs"), dtype=object), box_px=64, pixel_size_A=2.0)
    aligned = align(engine_for(data, (7, 8)), small)
    gold = next(iter(read_star(data / "gold10" / "gold_projmatch_modes7-8.xmd").values()))
    order = np.argsort(gold["itemId"].astype(int))
    euler_deg, shift_px = (
        np.stack([gold[c][order].astype(float) for c in names], axis=1)
        for names in (("angleRot", "angleTilt", "anglePsi"), ("shiftX", "shiftY"))
    )
    turned = rotation_distance_deg(euler_to_matrix(aligned.euler_deg), euler_to_matrix(euler_deg))
    moved = np.abs(aligned.shift_A / 2.0 - shift_px).max(axis=1)
    print("gold10: image, rotation from gold [°], shift from gold [px of 64], amplitudes 7 and 8, correlation")
    for i in range(10):
        q = aligned.amplitudes[i]
        print(f"  {i + 1:2d}  {turned[i]:7.2f}  {moved[i]:6.3f}  {q[0]:7.1f} {q[1]:7.1f}  {aligned.score[i]:.5f}")
    return {"rotation_deg": turned.tolist(), "shift_px": moved.tolist(), "amplitudes": aligned.amplitudes.tolist()}


if __name__ == "__main__":
    main()
