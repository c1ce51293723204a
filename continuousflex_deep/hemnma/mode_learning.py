"""Modes chosen by the data: the principal motions of many modes, learned from some of the particles.

These particles are first aligned along the lowest modes alone. From there they are refined along all modes under a
Gaussian prior, whose covariance is learned from the refined amplitudes and their error bars (covariance.py); the next
round refines them under what was learned. Where many particles could not be aligned along the lowest modes, all are
aligned again along the motions that the others showed, and the motions are learned anew. The motions that the images
show become modes of their own, along which any number of particles is aligned at the cost of these few modes.

Where many are ambiguous even so, as along a way that bends, the Gaussian of these motions allows much that no particle
does. Then the density of their amplitudes is learned as well (density.py), in several rounds of alignment under what
the round before has learned: each shows particles that the one before could not place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from continuousflex_deep.arrays import Booleans, Floats, Rows
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.alignment import Alignment
from continuousflex_deep.hemnma.calibration import Calibration, farthest_points
from continuousflex_deep.hemnma.covariance import Fits, PrincipalMotions
from continuousflex_deep.hemnma.density import learned_density
from continuousflex_deep.hemnma.engines.embedded import EmbeddedEngine
from continuousflex_deep.hemnma.results import BatchResult, merged_results
from continuousflex_deep.hemnma.starts import given_amplitudes, knows_amplitudes
from continuousflex_deep.io.amplitude_density import AmplitudeDensity
from continuousflex_deep.io.modes import NormalModes
from continuousflex_deep.io.motion_table import motion_numbers
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.left_out import calibration_rows
from continuousflex_deep.runs.part_rows import concatenated_parts, joined_parts, part_of_rows
from continuousflex_deep.runs.parts import Arrays, MemoryParts, NamedParts, Parts
from continuousflex_deep.runs.smaller_batches import Halving
from continuousflex_deep.runs.stage import Stage, pieces_of
from continuousflex_deep.runs.workers import ALONE, Workers

FIRST_MODES = 6  # along which particles are first aligned
FEWEST = 20  # particles aligned unambiguously
_ROUNDS = 3
# where more than this share of the particles could not be learned from, they are aligned again along what the others
# show, at most so many times in all
_FEW_LEFT_OUT, _PASSES = 0.1, 3
# rounds that learn a density, until ambiguous particles no longer get fewer by this share; the factor by which
# deviations are larger than what the particles in no doubt show, which move less than the others; and further axes than
# the significant ones, which a bend needs
_DENSITY_ROUNDS, _FEWER, _WIDER, _FURTHER = 4, 0.01, 1.5, 2
_DENSITIES = 2  # times that axes are learned, and the density along them
_GAUSSIANS, _EACH = 8, 12  # at most, and particles for each
_CONFORMATIONS = 24  # that a round takes from the one before
# smallest deviation that a round begins with, as a part of the largest: what the round before brought to rest may be
# seen from where the particles are now
_LEAST = 0.01
_ORTHOGONAL = 0.01  # products of modes, up to which files have rounded them
_THIS = "learning of modes"


@dataclass(frozen=True, eq=False)
class _Aligned:
    """Particles that are aligned unambiguously, with amplitudes along all modes, and the same as they were before; the
    share that is left out as ambiguous; what all gain on average, twice the log-likelihood less what each motion gains
    by following noise (Akaike 1974); the alignment, and its calibration."""

    particles: Particles
    before: Particles
    left_out: float
    gain: float
    calibration: Calibration
    alignment: Alignment[Calibration]


@dataclass(frozen=True, eq=False)
class LearnedModes:
    """What is learned along M modes: their principal motions, which of them (M,) become modes, and the density of the
    amplitudes along these, where it is no Gaussian."""

    motions: PrincipalMotions
    used: Booleans
    density: AmplitudeDensity | None


class ModeLearning:
    """Learns the principal motions along many modes of a structure, with its finished parts in a store."""

    def __init__(
        self, structure: Structure, modes: NormalModes, options: AlignOptions, store: Parts | None = None,
        workers: Workers = ALONE,
    ) -> None:  # fmt: skip
        self.structure, self.modes, self.options, self._workers = structure, modes, options, workers
        self.store: Parts = MemoryParts() if store is None else store

    def run(self, particles: Particles) -> LearnedModes:
        """The motions of particles spread evenly over all, and their density where many are ambiguous.

        Raises InputError for a single mode, for modes that are not orthogonal, and if fewer than 20 particles can be
        aligned unambiguously.
        """
        self._require_many_orthogonal_modes()
        rows, _ = calibration_rows(particles, self.options.learning_particles)
        some, first = particles.select(rows), self.modes.select(self.modes.mode_ids[:FIRST_MODES])
        start = self._aligned(first, np.eye(len(self.modes))[: len(first)], some, self.store)
        if len(start.particles) < FEWEST:
            raise InputError(
                f"--mode-list auto: of {len(rows)} particles only {len(start.particles)} are aligned unambiguously "
                f"along modes {list(first.mode_ids)}, expected {FEWEST} or more to learn from; increase "
                "--learning-particles, or name the modes in --mode-list"
            )
        motions = self._learned(start, self.store)
        for number in range(2, _PASSES + 1):
            if start.left_out <= _FEW_LEFT_OUT or not (used := motions.significant).any():
                break
            store, axes = NamedParts(self.store, f"pass-{number}-"), motions.axes[used]
            along = self.modes.combined(axes, tuple(range(len(axes))), motions.sd_A[used])
            along = replace(along, mode_ids=motion_numbers(along.vectors))
            again = self._aligned(along, axes, self._given_along(axes, along, some), store)
            # along fewer motions fewer particles are ambiguous, even if the motions are wrong and fit less well
            if again.left_out >= start.left_out or again.gain <= start.gain:
                break
            start, motions = again, self._learned(again, store)
        best = LearnedModes(motions, motions.significant, None)
        if start.left_out > _FEW_LEFT_OUT and best.used.any():
            for number in range(1, _DENSITIES + 1):
                store = NamedParts(self.store, f"density-{number}-")
                found, again = self._with_density(motions, some, start, store)
                if found.density is None or again.left_out >= start.left_out:
                    break
                best, start = found, again
                if number < _DENSITIES:  # those that found their places now show where the axes should lie
                    motions = self._learned(start, NamedParts(store, "axes-"))
        return best

    def _with_density(
        self, motions: PrincipalMotions, particles: Particles, start: "_Aligned", store: Parts
    ) -> tuple[LearnedModes, "_Aligned"]:
        """The density of the amplitudes along the significant motions and some further ones, by rounds of alignment and
        learning, and the last of these alignments."""
        used = motions.significant_and_further(_FURTHER)
        axes, density = motions.axes[used], None
        along = self.modes.combined(axes, tuple(range(len(axes))), _WIDER * motions.sd_A[used])
        along = replace(along, mode_ids=motion_numbers(along.vectors))
        given = self._given_along(axes, along, particles)
        for number in range(1, _DENSITY_ROUNDS + 1):
            of_round = NamedParts(store, f"{number}-")
            again = self._aligned(along, axes, given, of_round, start)
            if len(again.particles) < FEWEST or (number > 1 and again.left_out > start.left_out - _FEWER):
                break
            start, density = again, along.density
            if (learned := self._next_density(along, axes, again, of_round)) is None:
                break
            along = replace(along, density=learned)
        # the density under which the particles were aligned last, as they were found to be placed by it
        return LearnedModes(motions, used, density), start

    def _next_density(
        self, along: NormalModes, axes: Floats, start: "_Aligned", store: Parts
    ) -> AmplitudeDensity | None:
        """The density of particles that are aligned along some motions, under the density of these or their deviations;
        None if one Gaussian tells as much."""
        assert along.prior_sd_A is not None
        engine = EmbeddedEngine(self.structure, along, self.options)
        found = start.particles.replace(
            mode_ids=along.mode_ids, amplitudes=start.particles.require_amplitudes(_THIS) @ axes.T
        )
        refined, covariance = self._refined(engine, found, start, 1, store)
        amplitudes = refined.require_amplitudes(_THIS)
        fits = Fits.of_posteriors(amplitudes, covariance, *engine.prior_at(amplitudes))
        spread_A = along.prior_sd_A

        def learned() -> Arrays:
            density = learned_density(fits, amplitudes, spread_A, max(1, min(_GAUSSIANS, len(fits) // _EACH)))
            return {} if density is None else {name: np.asarray(values) for name, values in vars(density).items()}

        kept = _learned_once("density", store, learned)
        return AmplitudeDensity(**kept) if kept else None

    def _require_many_orthogonal_modes(self) -> None:
        """InputError otherwise: the covariance of amplitudes along other modes is not that of a motion."""
        if len(self.modes) < 2:
            raise InputError(
                f"--mode-list auto chooses among many modes, but the folder has {len(self.modes)}; compute more by the "
                "nma command, with --n-modes 36 or more"
            )
        flat = self.modes.vectors.reshape(len(self.modes), -1)
        product = np.triu(np.abs(flat @ flat.T), 1)
        first, second = np.unravel_index(product.argmax(), product.shape)
        if product[first, second] > _ORTHOGONAL:
            ids = self.modes.mode_ids
            raise InputError(
                f"--mode-list auto needs orthogonal modes; modes {ids[first]} and {ids[second]} have the product "
                f"{product[first, second]:.2g}. Compute modes by the nma command, or name the modes in --mode-list"
            )

    def _aligned(
        self, along: NormalModes, axes: Floats, particles: Particles, store: Parts, earlier: "_Aligned | None" = None
    ) -> "_Aligned":
        """The particles aligned along some motions, whose axes (K, M) are in terms of the modes, and at rest along
        all others; with the calibration of an earlier alignment, if given, and conformations that it found."""
        alignment = Alignment(EmbeddedEngine(self.structure, along, self.options), particles, store, self._workers)
        alignment.engine.check(particles)
        if earlier is not None:
            found = torch.as_tensor(earlier.particles.require_amplitudes(_THIS) @ axes.T, dtype=torch.float32)
            known = farthest_points(found.to(earlier.calibration.conformations.device), _CONFORMATIONS)
            alignment.begin_with(replace(earlier.calibration, conformations=known), earlier.alignment)
        aligned, _ = alignment.run()
        trusted = aligned.select(np.flatnonzero(~np.asarray(aligned.ambiguous)))
        amplitudes = trusted.require_amplitudes(_THIS) @ axes
        trusted = trusted.replace(mode_ids=self.modes.mode_ids, amplitudes=amplitudes, amplitudes_sd=None)
        calibration, score = alignment.calibration()[0], np.asarray(aligned.score)
        gain = -np.pi * calibration.fine_px**2 * np.log1p(-np.square(score)).mean() - len(along)
        left_out = 1 - len(trusted) / len(aligned)
        before = particles.select(particles.rows_of(trusted.ids))
        return _Aligned(trusted, before, left_out, float(gain), calibration, alignment)

    def _given_along(self, axes: Floats, along: NormalModes, particles: Particles) -> Particles:
        """The particles with what is known of their amplitudes along the modes as amplitudes along motions (K, M)."""
        if not knows_amplitudes(particles, self.modes.mode_ids):
            return particles.replace(amplitudes=None, amplitudes_sd=None, mode_ids=())
        known = given_amplitudes(particles, self.modes.mode_ids, torch.device("cpu")).numpy().astype(np.float64)
        return particles.replace(amplitudes=known @ axes.T, amplitudes_sd=None, mode_ids=along.mode_ids)

    def _learned(self, start: "_Aligned", store: Parts) -> PrincipalMotions:
        """The motions of particles that are refined along all modes, from where they were aligned."""
        found, axes, sd_A = start.particles, np.eye(len(self.modes)), self._expected_sd_A()
        for number in range(1, _ROUNDS + 1):
            engine = EmbeddedEngine(self.structure, self.modes.combined(axes, self.modes.mode_ids, sd_A), self.options)
            along = found.replace(amplitudes=found.require_amplitudes(_THIS) @ axes.T)
            refined, covariance = self._refined(engine, along, start, number, store)
            amplitudes = refined.require_amplitudes(_THIS)
            fits = Fits.of_posterior(amplitudes, covariance, sd_A)
            motions = self._motions(f"motions-{number}", axes, fits, np.diag(sd_A**2), store)
            found = refined.replace(amplitudes=amplitudes @ axes, amplitudes_sd=None)
            axes, sd_A = motions.axes, np.maximum(motions.sd_A, _LEAST * motions.sd_A[0])
        return motions

    def _expected_sd_A(self) -> Floats:
        """Deviations (M,) of the amplitudes before anything is learned: those of --motion-prior-A along the first
        modes, and smaller ones along faster modes, as of a molecule at some temperature; or those learned before."""
        if self.modes.prior_sd_A is not None:
            return self.modes.prior_sd_A
        sd_A = np.full(len(self.modes), self.options.motion_prior_A * len(self.structure) ** 0.5)
        if (stiffness := self.modes.eigenvalues) is None:
            return sd_A
        slowest = stiffness[: FIRST_MODES][-1]
        return sd_A * np.sqrt(slowest / np.maximum(stiffness, slowest))

    def _refined(
        self, engine: EmbeddedEngine, particles: Particles, start: "_Aligned", number: int, store: Parts
    ) -> tuple[Particles, Floats]:
        """The particles refined from where they are, and the covariance (n, M, M) of their amplitudes."""
        refining = Refining(engine, particles, start.before, start.calibration.arrays())
        # of the size that was used for the calibration, by whichever worker, on whichever device
        pieces = pieces_of(len(particles), start.alignment.batch_size(), f"round-{number}")
        stage = Stage(refining, pieces, f"learning motions along {len(self.modes)} modes, {number}")
        while True:
            self._workers.complete(stage, store)
            parts = [part for name in pieces if (part := store.load(name)) is not None]
            if len(parts) == len(pieces):  # none was damaged
                break
        _, arrays, _ = joined_parts(particles, parts)
        covariance = arrays.pop("covariance")
        results = [BatchResult(**arrays)]
        return merged_results(particles, engine.mode_ids, engine.motion, results, self.options.fit), covariance

    @staticmethod
    def _motions(name: str, axes: Floats, fits: Fits, start: Floats, store: Parts) -> PrincipalMotions:
        """The motions in terms of the modes, from fits along the axes (M, M)."""

        def learned() -> Arrays:
            covariance = axes.T @ fits.learned_covariance(start) @ axes
            return PrincipalMotions.of(covariance, fits.rotated(axes)).arrays()

        return PrincipalMotions.of_arrays(_learned_once(name, store, learned))


class Refining:
    """Refines batches from where they are, held to where they were before, with the covariance of their amplitudes."""

    def __init__(
        self, engine: EmbeddedEngine, particles: Particles, before: Particles, learned: Arrays
    ) -> None:
        self._made_from = engine, particles.bare(), before.bare(), learned
        self._engine, self._particles, self._before, _ = self._made_from
        self._calibration = engine.calibration_of(learned)
        self._halving = Halving("refining")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._made_from

    def __call__(self, rows: Rows) -> Arrays:
        return concatenated_parts(self._halving.pieces(self._refined, rows))

    def _refined(self, rows: Rows) -> Arrays:
        batch = Batch.read(self._particles, rows)
        result, covariance = self._engine.refined(batch, self._calibration, self._before.select(rows))
        nothing = np.zeros(0, np.int64), np.zeros(0, "U1")
        return part_of_rows(rows, *nothing) | result.arrays() | {"covariance": covariance.cpu().numpy()}


def _learned_once(name: str, store: Parts, learn: Callable[[], Arrays]) -> Arrays:
    """What is learned by this process, and kept for a run that continues, so that it goes on from the same to the last
    bit."""
    while (kept := store.load(name)) is None:
        store.save(name, learn())
    return kept
