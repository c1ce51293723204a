"""The stages that inference_speed.py measures."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measuring import machine, option_words

from continuousflex_deep.devices import choose_device, mixed_precision
from continuousflex_deep.geometry import matrix_to_euler, random_rotations
from continuousflex_deep.io.particle_files import read_particles, write_particles
from continuousflex_deep.io.stacks import stack_writer
from continuousflex_deep.nn.checkpoint import BEST, Checkpoint, new_network, save_checkpoint
from continuousflex_deep.nn.checkpointing import copied
from continuousflex_deep.nn.copies import COPIES, outputs_for_copies
from continuousflex_deep.nn.data import ImageReader, Preprocess, in_batches
from continuousflex_deep.nn.recipes import RECIPES
from continuousflex_deep.nn.targets import TargetCoder
from continuousflex_deep.particles import Particles

PIXEL_A, BATCH = 1.3, 256

Tell = Callable[[str, float, str], None]


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Figures of all stages, printed as they come."""
    device = choose_device(given.device, given.threads)
    figures: dict[str, object] = {"device": machine(device)}

    def tell(name: str, value: float, unit: str) -> None:
        figures[f"{name} [{unit}]"] = value
        print(f"{name:<44}{value:>12.4g} {unit}", flush=True)

    print(machine(device))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        case = Case(Path(folder), given, device)
        # first, for a process's peak memory begins with that of the one that starts it
        for count in (given.particles // 10, given.particles):
            case.whole(count, tell)
        case.stages(tell)
        case.tables(given.table_rows, tell)
    return figures


class Case:
    """A network, its images and the stages they pass."""

    def __init__(self, folder: Path, given: argparse.Namespace, device: torch.device) -> None:
        self.folder, self.device, self.given = folder, device, given
        box, network_box = given.box, given.network_box
        rng, chunks = np.random.default_rng(0), in_batches(np.arange(given.images), BATCH)
        with stack_writer(folder / "noise.mrcs", given.images, box, PIXEL_A) as writer:
            for chunk in chunks:
                writer.write(rng.standard_normal((len(chunk), box, box), dtype=np.float32))
        self.preprocess = Preprocess(box, PIXEL_A, False, network_box, tuple([1.0] * ((network_box - 1) // 2 + 1)))
        self.coder = TargetCoder("all", (7, 8, 9), "matrix", True, (0.0,) * 3, (1.0,) * 3, 1.0, doubts=True)
        network = new_network(given.backbone, "linear", 0.0, self.coder, self.preprocess)
        self.model = Checkpoint(
            preprocess=self.preprocess, coder=self.coder, backbone=given.backbone, head="linear", dropout=0.0,
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
            ids=ids, stacks=stacks, indices=ids % self.given.images, pixel_size_A=PIXEL_A, box_px=self.given.box
        )

    def stages(self, tell: Tell) -> None:
        """The stages one by one, particles a second."""
        network, rows = self.model.network(self.device), in_batches(np.arange(self.given.images), BATCH)
        raw = torch.randn(BATCH, self.given.box, self.given.box, device=self.device)
        seen = self.preprocess(raw).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), mixed_precision(self.device):
            tell("floor: the network alone", BATCH / self._seconds(lambda: network(seen)), "images/s")
            outputs = network(seen)
            copies = COPIES[self.model.copies]
            averaged = self._seconds(lambda: outputs_for_copies(network, seen, copies))
            tell(f"floor: the network, {len(copies)} copies of each", BATCH / averaged, "images/s")
        tell("decoded", BATCH / self._seconds(lambda: self.coder.decode(outputs)), "images/s")
        tell("prepared", BATCH / self._seconds(lambda: self.preprocess(raw)), "images/s")
        for workers in (0, 1, 2, 4):
            reader = ImageReader(self.particles(self.given.images), rows, workers, self.device)
            seconds = self._seconds(lambda r=reader: sum(len(images) for _, images, _ in r))  # type: ignore[misc]
            tell(f"read by {workers} threads", self.given.images / seconds, "images/s")
        tell("to be read for 20,000 images/s", 20_000 * self.given.box**2 * 4 / 1e9, "GB/s")

    def _seconds(self, work: Callable[[], object]) -> float:
        work()
        started, times = time.perf_counter(), 0
        while time.perf_counter() - started < self.given.seconds:
            work()
            times += 1
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        return (time.perf_counter() - started) / times

    def tables(self, rows: int, tell: Tell) -> None:
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

    def whole(self, count: int, tell: Tell) -> None:
        """The infer command."""
        source, output = self.folder / "input.star", self.folder / "output.star"
        write_particles(self.particles(count), source)
        options = {"particles": source, "model": self.folder / "model", "output": output}
        options |= {"device": self.given.device, "threads": self.given.threads}
        command = [sys.executable, "-m", "continuousflex_deep", "infer", *option_words(options)]
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
