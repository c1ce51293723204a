"""Input of a training, read and checked before long work starts."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from continuousflex_deep.arrays import Rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.particle_files import read_particles
from continuousflex_deep.io.reference import read_reference, read_rigid_reference
from continuousflex_deep.io.stacks import check_images, read_images, read_images_with_reasons, require_usable_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.landscape.outliers import is_outlier
from continuousflex_deep.messages import note, say
from continuousflex_deep.nn.checkpoint import LAST, Checkpoint, load_checkpoint, model_files
from continuousflex_deep.nn.data import Preprocess, split_halves, split_particles
from continuousflex_deep.nn.labels import TARGETS, Labels, labels_of
from continuousflex_deep.nn.recipes import Recipe, recipe_of
from continuousflex_deep.nn.schedule import Timetable
from continuousflex_deep.nn.simulated import SimulatedImages, simulated_images
from continuousflex_deep.nn.targets import TargetCoder, fit_coder
from continuousflex_deep.options import TrainOptions
from continuousflex_deep.particles import Particles, evenly_spread, require_same_motion
from continuousflex_deep.progress import progress_bar

_FEWEST_PARTICLES = 10
# images from which the noise is measured
_MEASURED = 1024
HALVES = ("half1", "half2")


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """The particles for training, as selected by the options, and the reference of simulated images."""

    particles: Particles
    structure: Structure | None
    modes: NormalModes | None


@dataclass(frozen=True, eq=False)
class Training:
    """What does not change while one network is trained. Rows and labels belong to `particles`.

    folder: of its files; half: 1 or 2 if it is trained on half of the particles, else 0.
    """

    folder: Path
    half: int
    options: TrainOptions
    recipe: Recipe
    particles: Particles
    labels: Labels
    train_rows: Rows
    validation_rows: Rows
    preprocess: Preprocess
    coder: TargetCoder
    simulated: SimulatedImages | None
    device: torch.device
    start: Checkpoint | None

    @property
    def seed(self) -> int:
        """The seed of all random numbers; the two halves share none."""
        return self.options.seed * 3 + self.half

    @property
    def timetable(self) -> Timetable:
        """The numbers of epochs and steps."""
        simulated = self.recipe.simulated_images if self.simulated else 0
        return Timetable(simulated, len(self.train_rows), self.recipe.epochs, self.recipe.batch)


def networks_to_train(options: TrainOptions) -> list[tuple[Path, str, int]]:
    """Folder, targets and half of each requested network, in order. InputError if a folder contains another
    training."""
    recipe, output = recipe_of(options), Path(options.output)
    halves = [(output, 0), *((output / name, i + 1) for i, name in enumerate(HALVES) if options.half_sets)]
    wanted = TARGETS["all"] if recipe.targets == "separate" else (recipe.targets,)
    networks = [
        (folder / target if recipe.targets == "separate" else folder, target, half)
        for folder, half in halves
        for target in wanted
    ]
    for folder, _, _ in networks:
        if (folder / LAST).is_file() and not options.resume:
            raise InputError(f"'{folder}' already contains a training; continue it by --resume or give another folder")
    return networks


def read_labelled(options: TrainOptions) -> LabelledSet:
    """Read and check all input of the training, so that errors are reported before long work starts."""
    recipe = recipe_of(options)
    everything = read_particles(options.particles, options.pixel_size_A or None)
    check_images(everything)
    Preprocess.for_particles(everything, options.box)
    targets = "all" if recipe.targets == "separate" else recipe.targets
    labels_of(everything, targets)  # reports what is missing or not finite before outliers are searched
    particles = trustworthy(everything, options, targets)
    structure, modes = _reference(particles, options, recipe)
    require_usable_images(particles.ids, scan_images(particles))
    return LabelledSet(particles, structure, modes)


def scan_images(particles: Particles, batch: int = 256) -> NDArray[np.object_]:
    """Read every image once, before long work; (n,) what is wrong with each, '' where nothing is."""
    reasons = np.full(len(particles), "", dtype=object)
    with progress_bar("checking images", len(particles)) as bar:
        for start in range(0, len(particles), batch):
            rows = np.arange(start, min(start + batch, len(particles)))
            reasons[rows] = read_images_with_reasons(particles, rows)[1]
            bar.update(len(rows))
    return reasons


def prepare(
    labelled: LabelledSet, options: TrainOptions, folder: Path, targets: str, half: int, device: torch.device
) -> Training:
    """One network's training."""
    recipe, everything = recipe_of(options), labelled.particles
    particles = _particles_of_half(everything, options, targets, half) if half else everything
    labels = labels_of(particles, targets, recipe.weighted)
    start = _start(options, targets, half)
    if start:
        _require_same_shape(start, options, particles)
    seen = start.training_ids.numpy() if start else ()
    train_rows, validation_rows = split_particles(particles.ids, options.validation_percent, options.seed, seen)
    preprocess = start.preprocess if start else _preprocess(particles, train_rows, options, recipe)
    added_shift_A = preprocess.field_A * recipe.shift_percent / 100 if recipe.augment != "off" else 0.0
    coder = start.coder if start else fit_coder(
        labels.select(torch.from_numpy(train_rows)),
        targets, particles.mode_ids, recipe.rotation, recipe.sign_free, preprocess.network_pixel_size_A,
        added_shift_A, recipe.doubt, particles.motion,
    )  # fmt: skip
    simulated = None
    if recipe.simulated_images and labelled.structure is not None and labelled.modes is not None:
        simulated = simulated_images(
            particles.select(train_rows), labelled.structure, labelled.modes, preprocess, targets, device
        )
    return Training(
        folder, half, options, recipe, particles, labels, train_rows, validation_rows, preprocess, coder, simulated,
        device, start,
    )  # fmt: skip


def trustworthy(particles: Particles, options: TrainOptions, targets: str) -> Particles:
    """The particles without those that have ambiguous labels or outlying amplitudes."""
    keep = np.ones(len(particles), dtype=bool)
    if particles.ambiguous is not None and not options.keep_ambiguous:
        keep &= ~particles.ambiguous
        say(f"{int((~keep).sum())} of {len(particles)} particles have ambiguous labels and are left out")
    if targets in ("all", "amplitudes") and options.outlier_distance > 0 and keep.any():
        amplitudes = particles.require_amplitudes("training")
        far = np.zeros(len(particles), dtype=bool)
        far[keep] = is_outlier(amplitudes[keep], options.outlier_distance)
        say(
            f"{int(far.sum())} of {len(particles)} particles are outliers in amplitude (Mahalanobis > "
            f"{options.outlier_distance:g}) and are left out"
        )
        keep &= ~far
    fewest = _FEWEST_PARTICLES * (2 if options.half_sets else 1)
    if keep.sum() < fewest:
        raise InputError(
            f"'{options.particles}': {int(keep.sum())} of {len(particles)} particles can be used for training, "
            "expected at least "
            f"{fewest} (and hundreds for a useful network); label more particles"
        )
    return particles.select(keep)


def _reference(
    particles: Particles, options: TrainOptions, recipe: Recipe
) -> tuple[Structure | None, NormalModes | None]:
    """The reference that images are simulated from. InputError if it is requested but incomplete."""
    given = [name for name in ("structure", "modes") if getattr(options, name)]
    if len(given) == 1:
        raise InputError(
            f"--{given[0]} is given alone; simulated images need both the structure (--structure) and its normal modes "
            "(--modes)"
        )
    if not given:
        note("without --structure and --modes the network learns only from labelled images, and needs many of them")
        return None, None
    if not recipe.simulated_images:
        if options.start_from and options.simulated_images < 0:
            note("fine-tuning uses no simulated images unless --simulated-images gives a number")
        return None, None
    labels_of(
        particles, "all" if particles.mode_ids else "angles"
    )  # reports where the input of the simulation is not finite
    particles.require_poses("training on simulated images")
    if not particles.mode_ids:  # the labels are poses of a rigid structure
        return read_rigid_reference(options.structure, options)
    return read_reference(options.structure, options.modes, particles.mode_ids, options, particles.motion)


def _preprocess(particles: Particles, train_rows: Rows, options: TrainOptions, recipe: Recipe) -> Preprocess:
    preprocess = Preprocess.for_particles(particles, options.box)
    if not recipe.whiten:
        return preprocess
    chosen = train_rows[evenly_spread(len(train_rows), _MEASURED)]
    return preprocess.with_noise_of(torch.from_numpy(read_images(particles, chosen)))


def _start(options: TrainOptions, targets: str, half: int) -> Checkpoint | None:
    """The network to start from, if requested: for a half, that of this half. InputError if there is none for these
    targets."""
    if not options.start_from:
        return None
    folder = Path(options.start_from) / HALVES[half - 1] if half else Path(options.start_from)
    if half and not folder.is_dir():
        raise InputError(
            f"option --start-from: '{options.start_from}' has no networks trained on halves ('{folder.name}'), from "
            "which the networks on halves would have to start; leave out --half-sets or --start-from"
        )
    files = {p.coder.targets: p for p in map(load_checkpoint, model_files(folder))}
    if targets not in files:
        raise InputError(
            f"option --start-from: '{options.start_from}' predicts {', '.join(files)}, requested are {targets}; give "
            f"--targets {next(iter(files))}, or train without --start-from"
        )
    return replace(files[targets], state={})


def _particles_of_half(everything: Particles, options: TrainOptions, targets: str, half: int) -> Particles:
    """Half of the particles; those that the starting networks were trained on stay in their half."""
    starts = [_start(options, targets, h) for h in (1, 2)]
    first, second = (torch.cat([s.training_ids, s.validation_ids]).numpy() if s else () for s in starts)
    particles = everything.select(split_halves(everything.ids, options.seed, (first, second))[half - 1])
    if len(particles) < _FEWEST_PARTICLES:
        raise InputError(
            f"half {half} of the labelled particles has {len(particles)}, expected at least {_FEWEST_PARTICLES}; label "
            "more particles, or leave out --half-sets"
        )
    return particles


def _require_same_shape(start: Checkpoint, options: TrainOptions, particles: Particles) -> None:
    """InputError if a starting network is for other images or modes, or has another architecture."""
    start.preprocess.require_same_images(particles, options.start_from)
    learned, labelled = start.coder.mode_ids, particles.mode_ids
    if learned:
        require_same_motion(particles, start.coder.motion, f"the network '{options.start_from}'")
    if learned and labelled and learned != labelled:
        raise InputError(
            f"option --start-from: '{options.start_from}' was trained for modes {list(learned)}, the labels are of "
            f"modes {list(labelled)}; give labels for the same modes, or train without --start-from"
        )
    recipe = recipe_of(options)
    if start.first:
        raise InputError(
            f"option --start-from: '{options.start_from}' is a second pass itself; give the network that it started "
            "from"
        )
    if recipe.second_pass and (start.coder.targets, start.coder.rotation) != ("all", "matrix"):
        raise InputError(
            f"option --start-from: '{options.start_from}' predicts {start.coder.targets} with rotations as "
            f"{start.coder.rotation}, a second pass needs a network of the default recipe (all, matrix); leave out "
            "--second-pass"
        )
    same: dict[str, tuple[object, object]] = {
        "--backbone": (start.backbone, options.backbone),
        "head": (start.head, recipe.head),
        "rotation": (start.coder.rotation, recipe.rotation),
        "doubt": (start.coder.doubts, recipe.doubt),
        "whiten": (bool(start.preprocess.noise), recipe.whiten),
    }
    if options.box and options.box != start.preprocess.network_box_px:
        same["--box"] = (start.preprocess.network_box_px, options.box)
    for name, (trained, wanted) in same.items():
        if trained != wanted:
            raise InputError(
                f"option --start-from: '{options.start_from}' was trained with {name} {trained}, requested is "
                f"{wanted}; fine-tuning keeps the architecture: leave that option out or train from the beginning"
            )
