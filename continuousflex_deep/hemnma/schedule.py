"""A set of particles in the form that the engine uses, and the levels at which a model is aligned to it."""

from dataclasses import dataclass, replace

from torch import Tensor

from continuousflex_deep.errors import InputError
from continuousflex_deep.hemnma.density_prior import DensityPrior
from continuousflex_deep.hemnma.levels import (
    COARSE,
    FINE,
    MEDIUM,
    Kept,
    Level,
    coarse_resolution_A,
    disc_for,
    residue_groups,
)
from continuousflex_deep.hemnma.pose_prior import GivenPoses, PosePrior
from continuousflex_deep.hemnma.refine import Refiner, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel
from continuousflex_deep.imaging.spectra import Spectra
from continuousflex_deep.options import Fit

# with fewer rings, images of this field do not determine poses
_FEWEST_RINGS = 3


@dataclass(frozen=True, eq=False)
class Band:
    """Particles in the form that the engine uses: coefficients (k, n) complex and CTF (k, n) on a disc; field of view
    in Å; whether phases are flipped, which removes the CTF's sign; and the given poses (k), if the particles are held
    to them."""

    data: Tensor
    optics: Tensor
    disc: FrequencyDisc
    field_A: float
    flipped: bool
    given: GivenPoses | None = None

    @property
    def ctf(self) -> Tensor:
        """The CTF (k, n) of the images as they are."""
        return self.optics.abs() if self.flipped else self.optics

    def __getitem__(self, rows: Tensor | slice) -> "Band":
        given = None if self.given is None else self.given[rows]
        return replace(self, data=self.data[rows], optics=self.optics[rows], given=given)

    def whitened(self, spectra: Spectra) -> Whitened:
        """The images in units of the noise."""
        data = spectra.whitened(self.data, self.ctf, self.disc)
        return Whitened(data, spectra.filter(self.ctf, self.disc), self.given)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The three levels of one structure, box and set of spectra, coarse to fine."""

    coarse: Level
    medium: Level
    fine: Level


@dataclass(frozen=True)
class ScheduleMaker:
    """Builds levels for a model; it holds what does not change while spectra are learned."""

    model: PointModel
    coarse_model: PointModel
    band: FrequencyDisc
    field_A: float
    box_px: int
    prior_sd_A: Tensor
    step_deg: float
    finest_A: float
    symmetry: Tensor
    fit: Fit
    pose_prior: PosePrior | None
    density: DensityPrior | None

    @staticmethod
    def of(
        model: PointModel,
        residue_index: Tensor,
        box_px: int,
        field_A: float,
        prior_sd_A: Tensor,
        step_deg: float,
        finest_A: float,
        symmetry: Tensor,
        fit: Fit = "both",
        pose_sd_A: float = 0.0,
        density: DensityPrior | None = None,
    ) -> "ScheduleMaker":
        """For a model whose atoms belong to residues (A,), in images of box_px pixels, fitted to finest_A at the
        finest; pose_sd_A: of given poses that particles are held to, 0 for none; density: of the amplitudes, if it
        is known better than by deviations."""
        device = model.weights.device
        band = disc_for(2.0, field_A, box_px, device)
        groups = residue_groups(residue_index, len(model.weights)).to(device)
        coarse = model.coarse_grained(groups)
        held = PosePrior.of(model.motion, pose_sd_A) if pose_sd_A else None
        symmetry = symmetry.to(device)
        return ScheduleMaker(
            model, coarse, band, field_A, box_px, prior_sd_A, step_deg, finest_A, symmetry, fit, held, density
        )

    def coarse_disc(self) -> FrequencyDisc:
        """The disc of the search and the first descent."""
        device = self.model.weights.device
        disc = disc_for(coarse_resolution_A(self.model, self.step_deg), self.field_A, self.box_px, device)
        return FrequencyDisc(min(disc.radius_px, self.finest_px()), device)

    def finest_px(self) -> int:
        """The last ring that may be used. InputError if the user's limit leaves too little to align by."""
        if self.finest_A == 0:
            return self.band.radius_px
        last = int(self.field_A / self.finest_A)
        if last < _FEWEST_RINGS:
            raise InputError(
                f"option --finest-resolution-A: {self.finest_A:g} Å leaves {last} rings of images {self.field_A:.0f} Å "
                f"across, expected {_FEWEST_RINGS} or more: at most {self.field_A / _FEWEST_RINGS:.0f} Å"
            )
        return min(last, self.band.radius_px)

    def levels(self, fine_px: int) -> Schedule:
        """Levels up to a finest ring; the medium one halves the octaves between."""
        coarse = self.coarse_disc()
        medium_px = round((coarse.radius_px * fine_px) ** 0.5)
        make = lambda model, px: Refiner(  # noqa: E731
            model, FrequencyDisc(px, coarse.device), self.field_A, self.prior_sd_A, self.fit,
            pose_prior=self.pose_prior, density=self.density,
        )  # fmt: skip
        return Schedule(
            coarse=Level(make(self.coarse_model, coarse.radius_px), COARSE, Kept(4, 40.0), self.symmetry),
            medium=Level(make(self.model, medium_px), MEDIUM, Kept(2, 60.0), self.symmetry),
            fine=Level(make(self.model, fine_px), FINE, Kept(2, float("inf")), self.symmetry),
        )
