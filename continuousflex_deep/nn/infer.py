"""The infer command: poses and amplitudes of every particle from one or several trained networks."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from continuousflex_deep.devices import choose_device
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.command import part_store
from continuousflex_deep.hemnma.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.parts import PartStore
from continuousflex_deep.io.files import require_writable_folder
from continuousflex_deep.io.modes import parse_mode_list, read_modes, require_same_atoms
from continuousflex_deep.io.particle_files import read_particles, require_particle_suffix, write_particles
from continuousflex_deep.io.records import write_record
from continuousflex_deep.io.stacks import check_images, scan_images
from continuousflex_deep.io.structures import read_structure
from continuousflex_deep.nn.checkpoint import Checkpoint, load_model, require_same_modes
from continuousflex_deep.nn.data import image_batches
from continuousflex_deep.nn.labels import TARGETS
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.options import AlignOptions, InferOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and where it came from."""

    source: str
    checkpoint: Checkpoint

    @property
    def targets(self) -> tuple[str, ...]:
        """What it predicts: amplitudes, angles, shifts or several of them."""
        return TARGETS[self.checkpoint.coder.targets]


def run(options: InferOptions) -> None:
    """Predict, polish if asked, and write the particle file and its record."""
    require_writable_folder(require_particle_suffix(options.output).parent)
    device = choose_device(options.device, options.threads)
    particles = read_particles(options.particles, options.pixel_size_A or None)
    models = [Model(source, load_model(source)) for source in options.model]
    require_fit(models, particles, options)
    scan_images(particles)
    prediction = predict(models, particles, device, options.batch, options.workers)
    result = with_prediction(particles, prediction, models)
    store = None
    if options.polish:
        result, store = polish(result, options)
    write_particles(result, options.output)
    networks = [{"model": m.source, "targets": m.targets, "mode_ids": m.checkpoint.coder.mode_ids} for m in models]
    write_record(Path(options.output).with_suffix(".json"), "infer", options, particles=len(result), networks=networks)
    if store:
        store.remove()
    print(f"predicted {', '.join(t for m in models for t in m.targets)} of {len(result)} particles: {options.output}")


def require_fit(models: list[Model], particles: Particles, options: InferOptions) -> None:
    """InputError unless the networks suit the particles, each other and the request; nothing long has happened yet."""
    requested = parse_mode_list(options.mode_list) if options.mode_list else ()
    told: dict[str, str] = {}
    for model in models:
        model.checkpoint.preprocess.require_same_images(particles, model.source)
        require_same_modes(model.checkpoint, model.source, particles, requested)
        for target in model.targets:
            if target in told:
                raise InputError(
                    f"'{told[target]}' and '{model.source}' both predict {target}; give one network for each"
                )
            told[target] = model.source
    check_images(particles)
    if options.polish:
        _require_polishable(set(told), models, particles, options)


@torch.inference_mode()
def predict(
    models: list[Model], particles: Particles, device: torch.device, batch: int, workers: int = 0
) -> Prediction:
    """Predictions of all particles, in their order. Images are read once, a batch at a time, for all networks."""
    networks = [m.checkpoint.network(device) for m in models]
    parts: list[list[Prediction]] = [[] for _ in models]
    with progress_bar("Predicting", len(particles)) as bar:
        for rows, raw in image_batches(particles, np.arange(len(particles)), batch, workers, device):
            for model, network, found in zip(models, networks, parts, strict=True):
                images = model.checkpoint.preprocess(raw).contiguous(memory_format=torch.channels_last)
                found.append(model.checkpoint.coder.decode(network(images)))
            bar.update(len(rows))
    merged: dict[str, Any] = {}
    for found in parts:
        for name in (f.name for f in fields(Prediction)):
            if getattr(found[0], name) is not None:
                merged[name] = np.concatenate([getattr(p, name) for p in found])
    return Prediction(**merged)


def with_prediction(particles: Particles, prediction: Prediction, models: list[Model]) -> Particles:
    """The particles (ids, images, CTF, extra columns) with what was predicted; the rest stays as it was.

    Error bars and scores of values that are replaced are dropped, for they described the old ones.
    """
    changes: dict[str, Any] = {"score": None, "ambiguous": None}
    if prediction.amplitudes is not None:
        modes = next(m.checkpoint.coder.mode_ids for m in models if "amplitudes" in m.targets)
        changes |= {"amplitudes": prediction.amplitudes, "mode_ids": modes, "amplitudes_sd": None}
    if prediction.rotation is not None:
        changes |= {"euler_deg": prediction.euler_deg, "angle_sd_deg": None}
    if prediction.shift_A is not None:
        changes |= {"shift_A": prediction.shift_A, "shift_sd_A": None}
    return particles.replace(**changes)


def polish(particles: Particles, options: InferOptions) -> tuple[Particles, PartStore]:
    """The particles refined by the HEMNMA engine from their predictions, and its finished parts, from which a killed
    run goes on; to be removed once the result is written."""
    structure, modes = read_structure(options.structure), read_modes(options.modes, particles.mode_ids)
    align = AlignOptions(
        particles=options.particles,
        output=options.output,
        structure=options.structure,
        modes=options.modes,
        mode_list=" ".join(map(str, particles.mode_ids)),
        init="local",
        device=options.device,
        threads=options.threads,
    )
    store = part_store(align, particles, structure, modes)
    return EmbeddedEngine(structure, modes, align).align(particles, store), store


def _require_polishable(predicted: set[str], models: list[Model], particles: Particles, options: InferOptions) -> None:
    """InputError unless there will be a whole prediction to start from, and the structure and modes to polish with."""
    for name in ("structure", "modes"):
        if not getattr(options, name):
            raise InputError(f"--polish needs the structure and its modes, but --{name} is not given")
    known = predicted | ({"amplitudes"} if particles.amplitudes is not None else set())
    known |= {"angles"} if particles.euler_deg is not None else set()
    known |= {"shifts"} if particles.shift_A is not None else set()
    missing = [t for t in TARGETS["all"] if t not in known]
    if missing:
        raise InputError(
            f"--polish starts from amplitudes, angles and shifts; {' and '.join(missing)} are neither predicted nor "
            "in the particle file: add a --model"
        )
    mode_ids = next((m.checkpoint.coder.mode_ids for m in models if "amplitudes" in m.targets), particles.mode_ids)
    structure, modes = read_structure(options.structure), read_modes(options.modes, mode_ids)
    require_same_atoms(modes, len(structure), options.structure, options.modes)
