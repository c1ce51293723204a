"""What limits the inference of millions of particles: each stage by itself, and the whole command.

    python benchmarks/inference_speed.py [--particles 20000] [--table-rows 1000000] [--box 128] [--network-box 64]
                                         [--backbone resnet34] [--device auto] [--threads 0] [--output FILE.json]

A network of random weights, which costs what a trained one does, and images of noise. `--table-rows` particles are
written and read as STAR; `--particles` of them are predicted by the infer command, with all three types of parameters
and their error bars. The stack holds 4096 different images, named again and again: after the first pass it comes from
the system's memory, so that the disk is left out (what it must deliver is printed).

floor       the network alone, on input that is there already: nothing can be faster
decoded     network outputs to rotations, amplitudes, shifts and error bars
prepared    whitening and reduction of images to the network's input
read        images from the stack, by 0, 1, 2 and 4 threads
written     a STAR file of so many rows written, read
whole       the command: particles a second while it predicts, its whole time, its peak memory (and that for a tenth of
            the particles: it must not grow with their number, but for the table)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from continuousflex_deep.devices import choose_device, mixed_precision
from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import StackWriter
from continuousflex_deep.nn.checkpoint import BEST, Checkpoint, new_network, save_checkpoint
from continuousflex_deep.nn.checkpointing import copied
from continuousflex_deep.nn.data import ImageReader, Preprocess, in_batches
from continuousflex_deep.nn.recipes import RECIPES
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.particles import Particles

IMAGES, PIXEL_A, BATCH = 4096, 1.3, 256


def main() -> None:
    """Print a line per stage and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--network-box", type=int, default=64)
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("inference_speed.json"))
    given = parser.parse_args()
    figures: dict[str, float] = {}

    def tell(name: str, value: float, unit: str) -> None:
        figures[f"{name} [{unit}]"] = value
        print(f"{name:<44}{value:>12.4g} {unit}", flush=True)

    with tempfile.TemporaryDirectory(dir=".") as folder:
        case = Case(
            Path(folder), given.box, given.network_box, given.backbone, choose_device(given.device, given.threads)
        )
        # first, for a process's peak memory begins with that of the one that starts it
        for count in (given.particles // 10, given.particles):
            case.whole(count, given.device, given.threads, tell)
        case.stages(tell)
        case.tables(given.table_rows, tell)
    given.output.write_text(json.dumps({"torch": torch.__version__, **figures}, indent=2) + "\n")


class Case:
    """A network, its images and the stages they pass."""

    def __init__(self, folder: Path, box: int, network_box: int, backbone: str, device: torch.device) -> None:
        self.folder, self.device, self.box = folder, device, box
        rng = np.random.default_rng(0)
        with StackWriter(folder / "noise.mrcs", IMAGES, box, PIXEL_A) as writer:
            for _ in range(IMAGES // 256):
                writer.write(rng.standard_normal((256, box, box), dtype=np.float32))
        self.preprocess = Preprocess(box, PIXEL_A, False, network_box, tuple([1.0] * ((network_box - 1) // 2 + 1)))
        self.coder = TargetCoder("all", (7, 8, 9), "matrix", True, (0.0,) * 3, (1.0,) * 3, 1.0, doubts=True)
        network = new_network(backbone, "linear", 0.0, self.coder, self.preprocess)
        self.model = Checkpoint(
            preprocess=self.preprocess, coder=self.coder, backbone=backbone, head="linear", dropout=0.0,
            weights=copied(network), doubt_scale={}, recipe=RECIPES["default"].to_dict(), options={}, half=0,
            history=[], training_ids=torch.zeros(0), validation_ids=torch.zeros(0),
        )  # fmt: skip
        (folder / "model").mkdir()
        save_checkpoint(folder / "model" / BEST, self.model)

    def particles(self, count: int) -> Particles:
        """So many rows that name the images again and again."""
        stacks = np.full(count, str((self.folder / "noise.mrcs").absolute()), dtype=object)
        ids = np.arange(1, count + 1)
        return Particles(
            ids=ids, stacks=stacks, indices=ids % IMAGES, pixel_size_A=PIXEL_A, box_px=self.box, phase_flipped=False
        )

    def stages(self, tell: Callable[[str, float, str], None]) -> None:
        """The stages one by one, particles a second."""
        network, rows = self.model.network(self.device), in_batches(np.arange(IMAGES), BATCH)
        raw = torch.randn(BATCH, self.box, self.box, device=self.device)
        seen = self.preprocess(raw).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), mixed_precision(self.device):
            tell("floor: the network alone", BATCH / self._seconds(lambda: network(seen)), "images/s")
            outputs = network(seen)
        tell("decoded", BATCH / self._seconds(lambda: self.coder.decode(outputs)), "images/s")
        tell("prepared", BATCH / self._seconds(lambda: self.preprocess(raw)), "images/s")
        for workers in (0, 1, 2, 4):
            reader = ImageReader(self.particles(IMAGES), rows, workers, self.device)
            seconds = self._seconds(lambda r=reader: sum(len(images) for _, images, _ in r))  # type: ignore[misc]
            tell(f"read by {workers} threads", IMAGES / seconds, "images/s")
        tell("to be read for 20,000 images/s", 20_000 * self.box**2 * 4 / 1e9, "GB/s")

    def _seconds(self, work: Callable[[], object], at_least: float = 3.0) -> float:
        work()
        started, times = time.perf_counter(), 0
        while time.perf_counter() - started < at_least:
            work()
            times += 1
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        return (time.perf_counter() - started) / times

    def tables(self, rows: int, tell: Callable[[str, float, str], None]) -> None:
        """STAR files with poses, amplitudes and error bars."""
        rng, path = np.random.default_rng(0), self.folder / "table.star"
        results = self.particles(rows).replace(
            euler_deg=matrix_to_euler(random_rotations(rows, rng)), shift_A=rng.normal(size=(rows, 2)),
            mode_ids=(7, 8, 9), amplitudes=rng.normal(size=(rows, 3)), amplitudes_sd=rng.normal(size=(rows, 3)),
            angle_sd_deg=rng.normal(size=rows), shift_sd_A=rng.normal(size=rows),
        )  # fmt: skip
        started = time.perf_counter()
        write_particles(results, path)
        tell(f"written: {rows} rows", time.perf_counter() - started, "s")
        started = time.perf_counter()
        read_particles(path)
        tell(f"read: {rows} rows", time.perf_counter() - started, "s")
        path.unlink()

    def whole(self, count: int, device: str, threads: int, tell: Callable[[str, float, str], None]) -> None:
        """The infer command."""
        source, output = self.folder / "input.star", self.folder / "output.star"
        write_particles(self.particles(count), source)
        command = [sys.executable, "-m", "continuousflex_deep", "infer", "--particles", str(source), "--model"]
        command += [str(self.folder / "model"), "--output", str(output), "--device", device, "--threads", str(threads)]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        log = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(log.decode()[-2000:])
        if len(read_particles(output)) != count:
            sys.exit(f"the command wrote not all {count} particles")
        seconds = time.perf_counter() - started
        tell(f"whole: {count} particles, in all", count / seconds, "images/s")
        tell(f"whole: {count} particles, time", seconds, "s")
        tell(f"whole: {count} particles, peak memory", usage.ru_maxrss / 2**20, "GiB")


if __name__ == "__main__":
    main()
