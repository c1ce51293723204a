"""Predictions of all particles, and their polish, as stages that workers compute."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from continuousflex_deep.arrays import Rows
from continuousflex_deep.devices import choose_device
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.io.modes import NormalModes, parse_mode_list
from continuousflex_deep.io.reference import read_reference
from continuousflex_deep.io.stacks import check_images
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.nn.checkpoint import require_same_modes
from continuousflex_deep.nn.disagreement import HalfSets, disagreement, errors_from_error_bars
from continuousflex_deep.nn.labels import TARGETS
from continuousflex_deep.nn.predict import Model, Predictor, with_prediction
from continuousflex_deep.nn.targets import Prediction
from continuousflex_deep.options import AlignOptions, InferOptions, result_options
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.left_out import LeftOut
from continuousflex_deep.runs.part_rows import joined_parts, part_of_rows, part_without
from continuousflex_deep.runs.parts import Arrays, Parts, PartStore, store_for
from continuousflex_deep.runs.stage import Stage, pieces_of
from continuousflex_deep.runs.workers import ALONE, Workers

# particles a part: less than a second's work for a GPU, several seconds for a CPU
PARTICLES_A_PART = 4096
_HALVES = "halves_"
Reference = tuple[Structure, NormalModes]


@dataclass(frozen=True, eq=False)
class Inferred:
    """Particles with their predictions, polished if requested; the particles left out; and, as "disagreement" and
    "expected", the errors estimated by networks on half sets."""

    particles: Particles
    left_out: LeftOut
    half_sets: dict[str, dict[str, float]]


class Inference:
    """Predictions of all particles, and their polish, with parts in a store, computed by workers."""

    def __init__(
        self,
        models: list[Model],
        halves: HalfSets | None,
        particles: Particles,
        options: InferOptions,
        store: PartStore,
        reference: Reference | None = None,
        workers: Workers = ALONE,
    ) -> None:
        """reference: to polish with, None without polish."""
        self.models, self.halves, self.particles, self.options = models, halves, particles, options
        self.store, self.reference, self._workers = store, reference, workers
        self._polishing: Alignment | None = None
        self._pieces = pieces_of(len(particles), PARTICLES_A_PART, "predicted")

    def run(self) -> Inferred:
        """The predictions, polished if requested."""
        while True:
            self.complete()
            if (found := self.result()) is not None:
                return found

    def complete(self) -> None:
        """Have the parts computed that do not exist."""
        predicting = Predicting(self.models, self.halves, self.particles, self.options)
        while True:
            self._workers.complete(Stage(predicting, self._pieces, "predicting", part_without), self.store)
            if self.reference is None or self._polish(self.reference):
                return

    def result(self) -> Inferred | None:
        """The result from all parts; None if a part turns out to be damaged and must be computed again."""
        found = self._predicted()
        if found is None or self._polishing is None:
            return found
        polished = self._polishing.result()
        if polished is None:
            return None
        return Inferred(polished[0], self._left_out(found.left_out, polished[1]), found.half_sets)

    def _predicted(self) -> Inferred | None:
        """The predictions without polish; None if a part turns out to be damaged."""
        parts = [part for name in self._pieces if (part := self.store.load(name)) is not None]
        if len(parts) < len(self._pieces):
            return None
        rows, values, left_out = joined_parts(self.particles, parts)
        prediction = Prediction(**{k: v for k, v in values.items() if not k.startswith(_HALVES)})
        found = with_prediction(self.particles.select(rows), prediction, self.models)
        return Inferred(found, left_out, self._half_sets(found, values))

    def _half_sets(self, found: Particles, values: Arrays) -> dict[str, dict[str, float]]:
        """Mean disagreement of the networks on halves for particles that neither knows, and the errors that error bars
        expect of these."""
        if self.halves is None:
            return {}
        unseen = self.halves.unseen(found.ids)
        if not unseen.any():
            note(
                "the networks on halves were trained on all of these particles, so that their disagreement is not an "
                "error estimate"
            )
            return {}
        differ = {k.removeprefix(_HALVES): v[unseen] for k, v in values.items() if k.startswith(_HALVES)}
        return {
            "disagreement": {name: float(v.mean()) for name, v in differ.items()},
            "expected": errors_from_error_bars(found.select(unseen)),
        }

    def _polish(self, reference: Reference) -> bool:
        """Polish; False if a predicted part turns out to be damaged."""
        if self._polishing is None:
            if (found := self._predicted()) is None:
                return False
            self._polishing = polishing(found.particles, reference, self.options, self.store, self._workers)
        self._polishing.complete()
        return True

    def _left_out(self, *parts: LeftOut) -> LeftOut:
        """Particles left out, in their original order, with the reasons of all parts."""
        ids = np.concatenate([part.particles.ids for part in parts])
        reasons = np.concatenate([part.reasons for part in parts])
        return LeftOut(self.particles.select(self.particles.rows_of(ids)), reasons)


class Predicting:
    """Predicts batches by networks, and by those of either half."""

    def __init__(
        self, models: list[Model], halves: HalfSets | None, particles: Particles, options: InferOptions
    ) -> None:
        self._made_from = models, halves, particles.bare(), options
        self._particles = self._made_from[2]

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._made_from

    @cached_property
    def _predictors(self) -> list[Predictor]:
        models, halves, _, options = self._made_from
        device = choose_device(options.device, options.threads)
        of_halves = (halves.first, halves.second) if halves else ()
        batch, readers, copies = options.batch, options.readers, options.copies
        return [Predictor.of(some, device, batch, readers, copies) for some in (models, *of_halves)]

    def __call__(self, rows: Rows) -> Arrays:
        found, *halves = (predictor.predict(self._particles, rows) for predictor in self._predictors)
        arrays = part_of_rows(found.rows, found.bad_rows, found.bad_reasons)
        arrays |= {name: values for name, values in vars(found.prediction).items() if values is not None}
        if halves:
            differ = disagreement(halves[0].prediction, halves[1].prediction)
            arrays |= {_HALVES + name: values for name, values in differ.items()}
        return arrays


def inference_store(
    models: list[Model],
    halves: HalfSets | None,
    particles: Particles,
    options: InferOptions,
    reference: Reference | None = None,
) -> PartStore:
    """Where the finished parts of this inference are kept until its output is written: the folder OUTPUT.parts."""
    settings = result_options(options)
    settings["networks"] = [m.digest() for m in models]
    settings["halves"] = [m.digest() for m in (*halves.first, *halves.second)] if halves else []
    arrays: list[np.ndarray] = []
    if reference is not None:
        structure, modes = reference
        arrays = [structure.coords_A, structure.weights, modes.vectors, *modes.learned]
        settings["motion"] = modes.motion
    return store_for(options.output, settings, particles, *arrays)


def require_fit(models: list[Model], particles: Particles, options: InferOptions) -> Reference | None:
    """Structure and modes to polish with, if that is requested. InputError unless the networks fit the particles, each
    other and the request; checked before long work starts."""
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
    return _polishing_reference(set(told), models, particles, options) if options.polish else None


def polishing(
    particles: Particles, reference: Reference, options: InferOptions, store: Parts, workers: Workers = ALONE
) -> Alignment:
    """The refinement of particles by the HEMNMA engine from their predictions."""
    sure = particles.angle_sd_deg is not None
    if options.search_above_deg and not sure:
        note(
            "these networks predict no uncertainties of angles, so that only particles with low contrast after "
            "polishing are searched again; if predictions may be far off, use align --init global"
        )
    engine = EmbeddedEngine(*reference, polishing_options(options, particles.mode_ids, sure))
    engine.check(particles)
    return Alignment(engine, particles, store, workers)


def polishing_options(options: InferOptions, mode_ids: tuple[int, ...], sure: bool = True) -> AlignOptions:
    """Options of the engine for polishing: from the prediction alone if it may search where that is not sufficient;
    otherwise, or if predictions are not `sure` (have no error bars), also from poses around it."""
    return AlignOptions(
        particles=options.particles,
        output=options.output,
        structure=options.structure,
        modes=options.modes,
        mode_list=" ".join(map(str, mode_ids)),
        init="local",
        search_above_deg=options.search_above_deg,
        local_step_deg=0.0 if options.search_above_deg and sure else AlignOptions().local_step_deg,
        device=options.device,
        threads=options.threads,
    )


def _polishing_reference(
    predicted: set[str], models: list[Model], particles: Particles, options: InferOptions
) -> Reference:
    """Structure and modes to polish with. InputError unless they belong together, and there will be a complete
    prediction to start from."""
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
    known_by = next((m.checkpoint.coder for m in models if "amplitudes" in m.targets), particles)
    return read_reference(options.structure, options.modes, known_by.mode_ids, options, known_by.motion)
