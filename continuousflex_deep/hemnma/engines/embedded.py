"""The embedded HEMNMA engine: global search, multi-hypothesis descent from coarse to fine, error bars."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.profiler import record_function

from continuousflex_deep.arrays import Floats
from continuousflex_deep.devices import choose_device, images_at_once
from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.calibration import Calibration, Start, calibrate
from continuousflex_deep.hemnma.core import core_superposition
from continuousflex_deep.hemnma.covariance import Fits
from continuousflex_deep.hemnma.density_prior import DensityPrior
from continuousflex_deep.hemnma.descent import Found, descended
from continuousflex_deep.hemnma.engines.base import Engine
from continuousflex_deep.hemnma.pose_prior import GivenPoses
from continuousflex_deep.hemnma.refine import State, joined_fields
from continuousflex_deep.hemnma.results import BatchResult
from continuousflex_deep.hemnma.schedule import Band, Schedule, ScheduleMaker
from continuousflex_deep.hemnma.search import ReferenceLibrary, motions, prior_conformations
from continuousflex_deep.hemnma.starts import (
    FROM_KNOWN_POSES,
    given_amplitudes,
    given_state,
    in_both_frames,
    joined,
    knows_amplitudes,
    lowest,
    with_conformations,
    with_neighbours,
)
from continuousflex_deep.imaging.ctf import ctf_at
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, require_symmetric
from continuousflex_deep.imaging.spectra import Spectra, noise_levels, noise_outside_particle
from continuousflex_deep.io.modes import NormalModes, require_same_atoms
from continuousflex_deep.io.structures import Structure
from continuousflex_deep.messages import note
from continuousflex_deep.options import AlignOptions
from continuousflex_deep.particles import Particles
from continuousflex_deep.runs.batch import Batch
from continuousflex_deep.runs.parts import Arrays
from continuousflex_deep.symmetry import point_group

# conformations per independent motion that the search tries: from the prior at first, fewer of these beside those
# found to occur, and many more in the second search
_FIRST, _BESIDE_KNOWN, _SECOND_LOOK = 8, 4, 20
# conformations per independent motion, and of all motions, that are compared in a given pose; how many are refined; and
# the number of comparisons that are held in memory
_COMPARED, _MOST_COMPARED, _DESCENDED, _AT_A_TIME = 64, 1024, 8, 1 << 16
# particles whose contrast is this many deviations below that of others are searched a second time
_SECOND_LOOK_ABOVE = 2.5
# particles that are aligned together: on a CPU so many that their intermediate results stay in its caches. The number
# of kernels that a GPU launches hardly depends on it. Of a particle, images and coefficients take these bytes a pixel
_CPU_BATCH, _LEAST_BATCH, _GPU_BATCH, _BYTES_PER_PX = 64, 512, 4096, 40
_BATCHES_A_WORKER = 4
# what an image alone says of amplitudes is told under a prior that is so many times as wide as the learned one, which
# is none for all errors that matter
_ALONE = 50.0


class EmbeddedEngine(Engine[Calibration]):
    """HEMNMA as batched nonlinear least squares on tensors, for one structure and its modes.

    structure, modes: of the same atoms; options: those of the align command. Runs on CPU or GPU.
    """

    def __init__(self, structure: Structure, modes: NormalModes, options: AlignOptions) -> None:
        require_same_atoms(modes, len(structure))
        self._made_from = structure, modes, options
        self.options, self.mode_ids, self.motion = options, modes.mode_ids, modes.motion
        self.device = choose_device(options.device, options.threads)
        self.model = PointModel.from_structure(structure, modes, self.device)
        self.radius_A = self.model.radius_A
        self._residues = torch.as_tensor(structure.residue_index)
        # of each amplitude (M,); along a mode of unit norm, RMSD is amplitude / √atoms
        self.prior_sd_A = torch.full((len(modes),), options.motion_prior_A * len(structure) ** 0.5, dtype=torch.float64)
        if modes.prior_sd_A is not None:
            self.prior_sd_A = torch.as_tensor(modes.prior_sd_A)
        self._learned = modes.prior_sd_A is not None
        self._places = modes.density
        self.density = None if modes.density is None else DensityPrior.of(modes.density, self.device)
        self._symmetry = torch.as_tensor(point_group(options.symmetry), dtype=torch.float32, device=self.device)
        self._require_symmetry()
        self._libraries: dict[tuple[int, float, bytes], ReferenceLibrary] = {}
        self._cores: dict[bytes, tuple[Tensor, Tensor]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._made_from

    def _require_symmetry(self) -> None:
        """InputError unless the model has the stated symmetry and keeps it."""
        if len(self._symmetry) == 1:
            return
        if self.options.fit != "pose":
            raise InputError(
                f"--symmetry {self.options.symmetry} is for rigid alignment (--fit pose): motions along modes break "
                "the symmetry, so that equivalent poses of the structure are no longer equivalent; leave it out"
            )
        require_symmetric(self.model, self._symmetry, self.options.symmetry)

    def calibration_of(self, arrays: Arrays) -> Calibration:
        """The calibration that gave these arrays."""
        return Calibration.of(arrays, self.device)

    def check(self, particles: Particles) -> None:
        super().check(particles)
        if self.options.init == "local" or self.options.fit == "conformation":
            particles.require_poses(FROM_KNOWN_POSES)
        self._require_held_alone()
        self._require_modes_of(particles)

    def _require_held_alone(self) -> None:
        """InputError if particles are to be held to given poses, and other options ask for other poses or for none."""
        o = self.options
        if not o.given_pose_sd_A:
            return
        if o.init != "local" or o.fit == "conformation":
            raise InputError(
                "--given-pose-sd-A holds particles to given poses while they are refined: it needs --init local, and "
                "--fit both or --fit pose"
            )
        if o.search_above_deg:
            raise InputError(
                "--given-pose-sd-A holds all particles to their given poses, --search-above-deg searches others for "
                "some of them; leave one of the two out"
            )

    def _require_modes_of(self, particles: Particles) -> None:
        """InputError if poses alone are to be found in conformations along modes that the engine does not have."""
        if self.options.fit != "pose" or particles.amplitudes is None:
            return
        bent = [m for i, m in enumerate(particles.mode_ids) if (particles.amplitudes[:, i] != 0).any()]
        if missing := sorted(set(bent) - set(self.mode_ids)):
            raise InputError(
                f"the particles have amplitudes along modes {missing}, which are not among those given; give --modes "
                f"and --mode-list '{' '.join(map(str, bent))}' to align each in its own conformation, or remove these "
                "columns to align all in the conformation of the structure"
            )

    def batch_size(self, particles: Particles, workers: int = 1) -> int:
        if self.options.batch or self.device.type == "cpu":
            return self.options.batch or _CPU_BATCH
        # several for each worker, so that none waits long for the others
        shared = -(-len(particles) // (_BATCHES_A_WORKER * workers))
        most = max(_LEAST_BATCH, 1 << max(0, shared - 1).bit_length())
        matrices = 16 * self.options.n_hypotheses * (5 + len(self.mode_ids)) ** 2
        bytes_per_px = _BYTES_PER_PX + matrices // particles.box_px**2
        return images_at_once(self.device, particles.box_px, bytes_per_px, min(most, _GPU_BATCH))

    def calibrate(self, batch: Batch) -> Calibration:
        """Noise, transfer and contrast sign from all of these particles."""
        chosen = batch.particles
        maker, band, images = self._transformed(batch, chosen.phase_flipped)
        noise = noise_outside_particle(images, maker.band, 1.1 * self.model.radius_A / chosen.pixel_size_A)
        start = self._starter(chosen, maker, self._prior(_FIRST))
        calibration = calibrate(band, noise, maker, start, motions(self.prior_sd_A))
        if calibration.phase_flipped != band.flipped:
            here, there = ("are", "are not") if calibration.phase_flipped else ("are not", "are")
            note(f"the images {here} phase flipped, but their file states that they {there}; the images decide")
        return calibration

    def align_batch(self, batch: Batch, calibration: Calibration) -> BatchResult:
        """Poses, amplitudes and error bars of a batch. Particles with low contrast are searched again, more widely."""
        chosen = batch.particles
        with record_function("images transformed"):
            maker, band, _ = self._transformed(batch, calibration.phase_flipped)
        levels, spectra = maker.levels(calibration.fine_px), calibration.spectra
        known = torch.cat([self._prior(_BESIDE_KNOWN), calibration.conformations])
        found = self._found(chosen, maker, band, calibration, levels, known)
        weak = torch.nonzero(calibration.intensity.weakness(found.intensity) > _SECOND_LOOK_ABOVE).flatten()
        if len(weak) and self._may_search:
            searched = np.isin(weak.cpu().numpy(), self._doubtful(chosen)) | (self.options.init == "global")
            wider = self._prior(_SECOND_LOOK, seed=1), 2 * self.options.n_hypotheses
            for which, how in ((~searched, (known, 0)), (searched, wider)):
                some = weak[torch.from_numpy(which).to(weak.device)]
                if len(some):
                    few, search = band[some], self._searcher(chosen.select(some.cpu().numpy()), maker, *how)
                    again = descended(few, search(few, spectra), levels, spectra)
                    found = found.better(again, some, self._symmetry)
        result = BatchResult.of(found, calibration.intensity.weakness(found.intensity))
        return replace(result, **self._alone(result, found))

    def _alone(self, result: BatchResult, found: Found) -> dict[str, np.ndarray]:
        """What the images alone say of the amplitudes, where the prior was learned from all: without this prior, under
        one that is several times as wide."""
        if not self._learned or self.options.fit == "pose":
            return {}
        covariance = found.quadratic.amplitude_covariance().cpu().numpy()
        fits = Fits.of_posteriors(result.amplitudes, covariance, *self.prior_at(result.amplitudes))
        amplitudes, deviations = fits.alone(_ALONE * self.prior_sd_A.numpy())
        return {"free_amplitudes": amplitudes, "free_amplitudes_sd": deviations}

    def prior_at(self, amplitudes: Floats) -> tuple[Floats, Floats]:
        """Precision (…, M, M) and mean (…, M) of the Gaussian prior that counts for amplitudes (k, M)."""
        if self.density is None:
            return np.diag(self.prior_sd_A.numpy() ** -2.0), np.zeros(len(self.prior_sd_A))
        places = torch.as_tensor(amplitudes, dtype=torch.float32, device=self.device)
        mean_A, precision = self.density.of_best(places)
        return precision.double().cpu().numpy(), mean_A.double().cpu().numpy()

    @property
    def _may_search(self) -> bool:
        """Whether a search of all orientations is allowed where it seems necessary."""
        o = self.options
        return o.fit != "conformation" and (o.init == "global" or o.search_above_deg > 0)

    def _found(
        self, chosen: Particles, maker: ScheduleMaker, band: Band, calibration: Calibration, levels: Schedule,
        known: Tensor,
    ) -> Found:  # fmt: skip
        """Results from the starts that the options request: each particle's given pose or, if that is too uncertain, a
        search."""
        spectra, doubtful = calibration.spectra, self._doubtful(chosen)
        if not len(doubtful):
            return descended(band, self._starter(chosen, maker, known)(band, spectra), levels, spectra)
        parts = []
        certain = np.setdiff1d(np.arange(len(chosen)), doubtful)
        for rows, starter in ((certain, self._starter), (doubtful, self._searcher)):
            if len(rows):
                some = band[torch.from_numpy(rows).to(self.device)]
                start = starter(chosen.select(rows), maker, known)
                parts.append(descended(some, start(some, spectra), levels, spectra))
        order = np.argsort(np.concatenate([certain, doubtful]))
        return Found.joined(parts)[torch.from_numpy(order).to(self.device)]

    def _doubtful(self, particles: Particles) -> np.ndarray:
        """Rows whose given pose is too uncertain to start from."""
        deviation, limit = particles.angle_sd_deg, self.options.search_above_deg
        if self.options.init == "global" or not self._may_search or deviation is None:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(~(deviation <= limit))  # or NaN

    def refined(
        self, batch: Batch, calibration: Calibration, held_to: Particles | None = None
    ) -> tuple[BatchResult, Tensor]:
        """The poses and amplitudes of the particles refined at the finest level, without a search; and the covariance
        (k, M, M) of the amplitudes in Å², in double precision, whatever the pose, with the prior. held_to: the same
        particles in the poses that they are to be held to, if others."""
        maker, band, _ = self._transformed(batch, calibration.phase_flipped)
        if held_to is not None:
            band = replace(band, given=self._held_to(held_to))
        fine = maker.levels(calibration.fine_px).fine
        images = band.whitened(calibration.spectra).prefix(len(fine.refiner.disc))
        given = given_state(batch.particles, self.mode_ids, self.device)
        state, quadratic = fine.refiner.descend(images, given, fine.descent)
        found = Found(state, quadratic, torch.full_like(quadratic.cost, float("inf")))
        result = BatchResult.of(found, calibration.intensity.weakness(found.intensity))
        return result, quadratic.amplitude_covariance()

    def covariance_at(self, batch: Batch, calibration: Calibration) -> Tensor:
        """Cramér–Rao covariance (k, 5 + M, 5 + M) at the given poses and amplitudes of the particles, which are not
        refined."""
        maker, band, _ = self._transformed(batch, calibration.phase_flipped)
        refiner = maker.levels(calibration.fine_px).fine.refiner
        images = band.whitened(calibration.spectra).prefix(len(refiner.disc))
        return refiner.evaluate(images, given_state(batch.particles, self.mode_ids, self.device)).covariance()

    def facts(self, aligned: Particles, calibration: Calibration) -> dict[str, object]:
        """What the record of a run reports: contrast, finest resolution used, and the number of ambiguous particles."""
        field_A = aligned.box_px * aligned.pixel_size_A
        bright = bool(calibration.spectra.transfer.sum() > 0)
        return {
            "contrast": "bright particles" if bright else "dark particles",
            "phases": "flipped" if calibration.phase_flipped else "not flipped",
            "finest_resolution_A": round(field_A / calibration.fine_px, 2),
            "ambiguous": int(np.sum(aligned.ambiguous)) if aligned.ambiguous is not None else 0,
        }

    def _transformed(self, batch: Batch, phase_flipped: bool) -> tuple[ScheduleMaker, Band, Tensor]:
        """The levels for a batch's images, and the images as coefficients and as pixels (k, d, d), with mean 0 and in
        units of each image's noise."""
        maker = self._maker(batch.particles)
        images = torch.from_numpy(batch.images).to(self.device)
        images = images - images.mean(dim=(1, 2), keepdim=True)
        level = noise_levels(maker.band.gather(images), maker.band)
        images = images / level[:, None, None]
        return maker, self._band(batch.particles, images, maker.band, phase_flipped), images

    def _maker(self, particles: Particles) -> ScheduleMaker:
        field_A = particles.box_px * particles.pixel_size_A
        o = self.options
        return ScheduleMaker.of(
            self.model,
            self._residues,
            particles.box_px,
            field_A,
            self.prior_sd_A.to(self.device),
            o.angular_step_deg,
            o.finest_resolution_A,
            self._symmetry,
            o.fit,
            o.given_pose_sd_A,
            self.density,
        )

    def _band(self, particles: Particles, images: Tensor, disc: FrequencyDisc, flipped: bool) -> Band:
        field_A = particles.box_px * particles.pixel_size_A
        data = disc.gather(images)
        if particles.ctf is None:
            ctf = torch.ones(data.shape, device=self.device)
        else:
            ctf = ctf_at(particles.ctf, disc.kx / field_A, disc.ky / field_A)
        return Band(data, ctf, disc, field_A, flipped, self._held_to(particles))

    def _held_to(self, particles: Particles) -> GivenPoses | None:
        """The given poses of the particles, if they are to be held to them."""
        if not self.options.given_pose_sd_A:
            return None
        given = given_state(particles, self.mode_ids, self.device)
        return GivenPoses(given.rotation, given.displacement_A)

    def _prior(self, per_motion: int, seed: int = 0) -> Tensor:
        """The reference's conformation, and others drawn from the prior."""
        if self._places is not None:
            count = per_motion * max(motions(self.prior_sd_A), len(self._places) // 2)
            drawn = self._places.drawn(min(count, _MOST_COMPARED), seed)
            return torch.as_tensor(np.concatenate([0 * drawn[:1], drawn]), dtype=torch.float32, device=self.device)
        return prior_conformations(self.prior_sd_A, per_motion, seed).to(self.device)

    def _starter(self, particles: Particles, maker: ScheduleMaker, conformations: Tensor, hypotheses: int = 0) -> Start:
        """The function that gives each particle its first hypotheses: a search in some conformations (C, M), or its
        given pose."""
        o, ids = self.options, self.mode_ids
        if o.fit == "conformation":
            given = given_state(particles, ids, self.device)
            return lambda band, spectra: with_conformations(given[: len(band.data)], conformations)
        if o.init == "local":
            given = given_state(particles, ids, self.device)

            def near(band: Band, spectra: Spectra) -> State:
                return with_neighbours(given[: len(band.data)], o.local_step_deg)

            if o.fit == "pose" or knows_amplitudes(particles, ids) or not ids:
                return near
            bent = self._bent(maker, conformations[1:])
            return lambda band, spectra: joined(near(band, spectra), bent(given[: len(band.data)], band, spectra))
        return self._searcher(particles, maker, conformations, hypotheses)

    def _bent(self, maker: ScheduleMaker, conformations: Tensor) -> Callable[[State, Band, Spectra], State]:
        """The function that gives hypotheses in given poses the conformations that fit best, of these (C, M) and of
        many others from the prior."""
        refiner = maker.levels(maker.coarse_disc().radius_px).coarse.refiner
        fresh = min(_COMPARED, _MOST_COMPARED // motions(self.prior_sd_A))
        amplitudes = torch.cat([conformations, self._prior(fresh, seed=2)[1:]])
        turn, shift_A = self._core(refiner.model, amplitudes)

        def bent(here: State, band: Band, spectra: Spectra) -> State:
            images = band.whitened(spectra).prefix(len(refiner.disc))
            parts = []
            for some in torch.arange(len(here), device=self.device).split(max(1, _AT_A_TIME // len(amplitudes))):
                candidates = in_both_frames(here[some], amplitudes, turn, shift_A)
                parts.append(lowest(candidates, refiner.cost(images, candidates), _DESCENDED))
            return joined_fields(State, parts)

        return bent

    def _core(self, model: PointModel, amplitudes: Tensor) -> tuple[Tensor, Tensor]:
        """How conformations (C, M) lie on the structure with its core in place; those of the last two sets are kept."""
        key = amplitudes.cpu().numpy().tobytes()
        if key not in self._cores:
            still = torch.eye(3, device=self.device).expand(len(amplitudes), 3, 3)
            self._cores = dict(list(self._cores.items())[-1:])
            self._cores[key] = core_superposition(model.motion.seen(still, amplitudes), model.motion.rest_A)
        return self._cores[key]

    def _searcher(
        self, particles: Particles, maker: ScheduleMaker, conformations: Tensor, hypotheses: int = 0
    ) -> Start:
        """The function that finds each particle's first hypotheses among all orientations, in some conformations (C,
        M)."""
        o = self.options
        library = self._library(maker, conformations)
        known = given_amplitudes(particles, self.mode_ids, self.device) if o.fit == "pose" else None

        def search(band: Band, spectra: Spectra) -> State:
            images = band.whitened(spectra).prefix(len(library.disc))
            given = None if known is None else known[: len(band.data)]
            # a little more than the distance of neighbours on the grid, so that hypotheses are distinct
            return library.best(images, hypotheses or o.n_hypotheses, 1.15 * o.angular_step_deg, given)

        return search

    def _library(self, maker: ScheduleMaker, conformations: Tensor) -> ReferenceLibrary:
        """The references for this image size and these conformations; the last two libraries are kept."""
        key, o = (maker.box_px, maker.field_A, conformations.cpu().numpy().tobytes()), self.options
        if key not in self._libraries:
            shift_A, disc = o.max_shift_percent / 100 * maker.field_A, maker.coarse_disc()
            self._libraries = dict(list(self._libraries.items())[-1:])
            self._libraries[key] = ReferenceLibrary(
                maker.coarse_model, disc, maker.field_A, o.angular_step_deg, shift_A, conformations, self._symmetry
            )
        return self._libraries[key]
