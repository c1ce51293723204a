"""Levenberg–Marquardt on poses and amplitudes: batched nonlinear least squares of whitened images.

For a whitened image y and model m(θ) the intensity scale s is eliminated in closed form (variable projection, Golub &
Pereyra 1973): minimise −(y·m)²/(m·m) + |q|²/σ_q², whose Gauss–Newton matrix is s²·Jᵀ(1 − m mᵀ/m·m)J. In units of the
noise, half the cost is a negative log-likelihood, and the inverse of the matrix is the Cramér–Rao covariance.

Parameters that are not to be found (the pose, or the amplitudes) have a prior of zero width: their steps and deviations
are zero, and the matrix still has all parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.profiler import record_function

from continuousflex_deep.devices import working_bytes
from continuousflex_deep.hemnma.density_prior import DensityPrior
from continuousflex_deep.hemnma.pose_prior import GivenPoses, PosePrior
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project, project_with_jacobian
from continuousflex_deep.options import Fit

# precision of the prior of a parameter that is not fitted
_FIXED = 1e12
# a descent is not expected to gain more than this many times what its quadratic model predicts
_REACH = 4.0

# damping up to which a step is nearly a full one
_FREELY = 0.1

T = TypeVar("T")
# images, hypotheses, and the quadratic model at the point that the step started from
Evaluation = Callable[["Whitened", "State", "Quadratic"], "Quadratic"]


@dataclass(frozen=True, eq=False)
class Whitened:
    """Images in units of the noise: data (k, n) complex, and the model's filter W (k, n); and the given poses of their
    particles (k), if these are held to them."""

    data: Tensor
    filter: Tensor
    given: GivenPoses | None = None

    def prefix(self, count: int) -> "Whitened":
        """The first coefficients, that is, a smaller disc."""
        return Whitened(self.data[:, :count], self.filter[:, :count], self.given)


@dataclass(frozen=True, eq=False)
class State:
    """Hypotheses: rotation (h, 3, 3), displacement_A (h, 2), amplitudes (h, M), and the particle (h,) each belongs
    to."""

    rotation: Tensor
    displacement_A: Tensor
    amplitudes: Tensor
    particle: Tensor

    def __len__(self) -> int:
        return len(self.particle)

    def __getitem__(self, rows: Tensor | slice) -> "State":
        return State(self.rotation[rows], self.displacement_A[rows], self.amplitudes[rows], self.particle[rows])

    def first_rows(self) -> Tensor:
        """Rows of each particle's first hypothesis; a particle's hypotheses are consecutive."""
        _, counts = torch.unique_consecutive(self.particle, return_counts=True)
        return torch.cumsum(counts, 0) - counts

    def moved(self, step: Tensor) -> "State":
        """The hypotheses after a step (h, 5 + M): rotation vector from the left, displacement, amplitudes."""
        rotation = _turn(step[:, :3]) @ self.rotation
        return State(rotation, self.displacement_A + step[:, 3:5], self.amplitudes + step[:, 5:], self.particle)

    def put(self, rows: Tensor, values: "State") -> "State":
        """The hypotheses with some rows replaced."""
        names = ("rotation", "displacement_A", "amplitudes")
        fields = {n: getattr(self, n).index_copy(0, rows, getattr(values, n)) for n in names}
        return State(**fields, particle=self.particle)

    def where(self, kept: Tensor, other: "State") -> "State":
        """This one where kept (h,), the other elsewhere."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return State(*(_where(kept, mine, theirs) for mine, theirs in pairs))


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The cost and its local quadratic model at each hypothesis (where the correlation is negative, a direction towards
    positive correlation instead of the cost's gradient): gain (h,), cost (h,), gradient (h, p), matrix (h, p,
    p), scale, correlation (h,)."""

    gain: Tensor
    cost: Tensor
    gradient: Tensor
    matrix: Tensor
    scale: Tensor
    correlation: Tensor

    def __getitem__(self, rows: Tensor) -> "Quadratic":
        return Quadratic(*(v[rows] for v in vars(self).values()))

    def put(self, rows: Tensor, values: "Quadratic") -> "Quadratic":
        """The models with some rows replaced."""
        return Quadratic(
            *(
                mine.index_copy(0, rows, new)
                for mine, new in zip(vars(self).values(), vars(values).values(), strict=True)
            )
        )

    def where(self, kept: Tensor, other: "Quadratic") -> "Quadratic":
        """This one where kept (h,), the other elsewhere."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Quadratic(*(_where(kept, mine, theirs) for mine, theirs in pairs))

    def step(self, damping: Tensor) -> Tensor:
        """The damped Gauss–Newton step (h, p); damping (h,) is relative to the matrix's diagonal."""
        scale = self.matrix.diagonal(dim1=1, dim2=2).clamp(min=1e-30).rsqrt()
        unit = self.matrix * scale[:, :, None] * scale[:, None, :]
        unit = unit + torch.diag_embed(damping[:, None].expand_as(scale) + 1e-6)
        # not checked for singularity, which is excluded here, because the check would wait for the GPU
        return scale * torch.linalg.solve_ex(unit, scale * self.gradient).result

    def expected_gain(self) -> Tensor:
        """The decrease of the cost (h,) by an undamped step if the cost were quadratic."""
        return (self.gradient * self.step(torch.zeros_like(self.cost))).sum(dim=1)

    def covariance(self) -> Tensor:
        """Cramér–Rao covariance (h, p, p) of rotation vector (rad), displacement (Å), amplitudes (Å), the prior
        included."""
        scale, inverse = self._inverse()
        return inverse.float() * scale[:, :, None] * scale[:, None, :]

    def amplitude_covariance(self) -> Tensor:
        """Its part (h, M, M) of the amplitudes in Å², in double precision."""
        scale, inverse = self._inverse()
        scale = scale[:, 5:].double()
        return inverse[:, 5:, 5:] * scale[:, :, None] * scale[:, None, :]

    def _inverse(self) -> tuple[Tensor, Tensor]:
        """Scales (h, p), and in double precision the inverse (h, p, p) of the matrix in units of them. Its diagonal is
        then 1, since parameters have different units."""
        p = self.matrix.shape[-1]
        scale = self.matrix.diagonal(dim1=1, dim2=2).clamp(min=1e-30).rsqrt()
        unit = self.matrix * scale[:, :, None] * scale[:, None, :] + 1e-6 * torch.eye(p, device=scale.device)
        return scale, torch.linalg.inv(unit.double())


@dataclass(frozen=True)
class Descent:
    """A descent: at most `steps` steps, starting from a damping, until a full Gauss–Newton step would gain less than
    `tolerance` in the cost.

    The cost is in units of the noise, so that a tolerance of 0.01 leaves parameters within a tenth of their deviation.
    A step is the last one if a full step would gain less than `near`: so close to the minimum the derivatives no longer
    change, and the model alone, at a tenth of their cost, shows the result of the step.
    """

    steps: int
    damping: float
    tolerance: float
    near: float = 0.0


class Refiner:
    """Levenberg–Marquardt of one model in one frequency disc, for poses, amplitudes or both.

    prior_sd_A: of all amplitudes, or of each (M,); memory_bytes: for intermediate results; 0 selects a size for the
    device; pose_prior: for images whose particles are held to given poses; density: of the amplitudes, in place of
    prior_sd_A.
    """

    def __init__(
        self,
        model: PointModel,
        disc: FrequencyDisc,
        field_A: float,
        prior_sd_A: float | Tensor,
        fit: Fit = "both",
        memory_bytes: int = 0,
        pose_prior: PosePrior | None = None,
        density: DensityPrior | None = None,
    ) -> None:
        self.pose_prior, self.density = pose_prior, density
        self.model, self.disc, self.field_A, self.fit = model, disc, field_A, fit
        device, count = model.weights.device, 5 + model.motion.n_modes
        self.prior = torch.zeros(count, device=device)
        self.prior[5:] = prior_sd_A**-2 if density is None else 0.0
        # the parameters to fit
        self.free = torch.arange(5 if fit == "conformation" else 0, 5 if fit == "pose" else count, device=device)
        waves, sums = 2 * (disc.radius_px + 1), 4 + 2 * model.motion.n_modes
        numbers = len(model.weights) * (4 * waves + 3 * sums) + 3 * sums * waves**2 + 8 * count * len(disc)
        self.chunk = max(1, (memory_bytes or working_bytes(device)) // (4 * numbers))

    def evaluate(self, images: Whitened, state: State) -> Quadratic:
        """The quadratic model of the cost at each hypothesis."""
        parts = [self._evaluate(images, state[i : i + self.chunk]) for i in range(0, len(state), self.chunk)]
        return joined_fields(Quadratic, parts)

    def _filtered(self, images: Whitened, state: State) -> tuple[Tensor, Tensor]:
        """The model (h, 2n) and its derivatives (h, free parameters, 2n), filtered as in the whitened images."""
        with record_function("projections and derivatives"):
            p, jacobian = project_with_jacobian(
                self.model,
                self.disc,
                self.field_A,
                state.rotation,
                state.displacement_A,
                state.amplitudes,
                along_modes=self.fit != "pose",
            )
        w = images.filter[state.particle]
        return _real(p * w), _real(jacobian[:, self.free] * w[:, None])

    def _evaluate(self, images: Whitened, state: State) -> Quadratic:
        y, (m, jm) = _real(images.data[state.particle]), self._filtered(images, state)
        gain, cost, scale, correlation, mm, q = self._fit(y, m, state)
        jy, jmm = (jm @ y[:, :, None])[..., 0], (jm @ m[:, :, None])[..., 0]
        gradient = scale[:, None] * (jy - scale[:, None] * jmm) - (self.prior * q)[:, self.free]
        projected = jm @ jm.transpose(1, 2) - jmm[:, :, None] * jmm[:, None, :] / mm[:, None, None]
        matrix = scale[:, None, None] ** 2 * projected + torch.diag(self.prior[self.free])
        if self.density is not None and self.fit != "pose":
            near = self.density.terms(state.amplitudes)
            first = len(self.free) - near[1].shape[1]  # of the amplitudes
            cost = cost + near[0]
            gradient[:, first:] += near[1]
            matrix[:, first:, first:] += near[2]
        if self.pose_prior is not None and images.given is not None:
            held = self.pose_prior.terms(
                state.rotation, state.displacement_A, state.amplitudes, images.given[state.particle]
            )
            cost, gradient = cost + held[0], gradient + held[1][:, self.free]
            matrix = matrix + held[2][:, self.free[:, None], self.free]
        return Quadratic(gain, cost, *self._of_all(gradient, matrix), scale, correlation)

    def _fit(self, y: Tensor, m: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Gain, cost, scale, correlation, the model's power (h,), and all parameters with a prior (h, p), from images
        and models (h, 2n)."""
        mm, ym = (m * m).sum(dim=1).clamp(min=1e-30), (y * m).sum(dim=1)
        # a hypothesis with negative correlation is moved towards a positive one: contrast has one sign, which is in
        # the filter
        scale, gain = (ym / mm).abs(), ym * ym.abs() / mm
        correlation = ym / (mm.sqrt() * (y * y).sum(dim=1).clamp(min=1e-30).sqrt())
        q = torch.cat([state.amplitudes.new_zeros(len(state), 5), state.amplitudes], dim=1)
        return gain, (self.prior * q**2).sum(dim=1) - gain, scale, correlation, mm, q

    def _of_all(self, gradient: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and matrix of all parameters from those of the free ones."""
        count = len(self.prior)
        if len(self.free) == count:
            return gradient, matrix
        whole = (torch.eye(count, dtype=matrix.dtype, device=matrix.device) * _FIXED).repeat(len(matrix), 1, 1)
        whole[:, self.free[:, None], self.free] = matrix
        return gradient.new_zeros(len(gradient), count).index_copy(1, self.free, gradient), whole

    def leverage(self, images: Whitened, state: State) -> Tensor:
        """How much of the noise of each coefficient the fit follows (n,): the diagonal of J·(JᵀJ)⁻¹·Jᵀ, both components
        of a coefficient together, averaged over the hypotheses. Its sum is the number of free parameters."""
        total = torch.zeros(len(self.disc), device=self.prior.device)
        for i in range(0, len(state), self.chunk):
            s = state[i : i + self.chunk]
            m, jm = self._filtered(images, s)
            quadratic = self._evaluate(images, s)
            covariance = quadratic.covariance()[:, self.free[:, None], self.free] * quadratic.scale[:, None, None] ** 2
            jm = jm - ((jm @ m[:, :, None]) / (m * m).sum(dim=1)[:, None, None]) * m[:, None]
            total += ((covariance @ jm) * jm).sum(dim=1).unflatten(1, (-1, 2)).sum(dim=(0, 2))
        return total / len(state)

    def descend(
        self, images: Whitened, state: State, descent: Descent, behind: float = float("inf")
    ) -> tuple[State, Quadratic]:
        """Descend from every hypothesis; returns where each ended and the quadratic model there.

        Hypotheses that are not expected to come within `behind` of the cost of their particle's best one are dropped on
        the way.
        """
        with record_function(f"descent to ring {self.disc.radius_px}"):
            here = self.evaluate(images, state)
            rows = torch.arange(len(state), device=here.cost.device)
            current, quadratic, damping = state, here, torch.full_like(here.cost, descent.damping)
            for taken in range(descent.steps):
                expected = quadratic.expected_gain()
                limit = _lowest(here.cost, state.particle, len(images.data))[current.particle] + behind
                going = (damping < 1e5) & (quadratic.cost - _REACH * expected <= limit)
                # every start takes at least one step
                going &= (expected > descent.tolerance) | (taken == 0)
                last = going & (expected <= descent.near) & (damping <= _FREELY)
                split = [torch.nonzero(which).flatten() for which in (last, going & ~last)]
                for chosen, evaluate in zip(split, (self._without_derivatives, self._anew), strict=True):
                    if len(chosen):
                        moved = self._stepped(images, current[chosen], quadratic[chosen], damping[chosen], evaluate)
                        state, here = state.put(rows[chosen], moved[0]), here.put(rows[chosen], moved[1])
                on = split[1]
                if not len(on):
                    break
                rows, (current, quadratic, damping) = rows[on], moved
        return state, here

    def _stepped(
        self, images: Whitened, state: State, quadratic: Quadratic, damping: Tensor, evaluate: Evaluation
    ) -> tuple[State, Quadratic, Tensor]:
        """Hypotheses after one step, if it leads downhill, and the damping of the next step."""
        trial = state.moved(quadratic.step(damping))
        there = evaluate(images, trial, quadratic)
        worse = ~(there.cost < quadratic.cost)  # or not a number
        return state.where(worse, trial), quadratic.where(worse, there), damping * torch.where(worse, 6.0, 0.3)

    def _anew(self, images: Whitened, state: State, before: Quadratic) -> Quadratic:
        return self.evaluate(images, state)

    def _without_derivatives(self, images: Whitened, state: State, before: Quadratic) -> Quadratic:
        """The cost at each hypothesis, with gradient and matrix from before the step."""
        gain, cost, scale, correlation = self._compared(images, state)
        return Quadratic(gain, cost, before.gradient, before.matrix, scale, correlation)

    def cost(self, images: Whitened, state: State) -> Tensor:
        """The cost (h,) of hypotheses as they are."""
        return self._compared(images, state)[1]

    def _compared(self, images: Whitened, state: State) -> Tensor:
        """Gain, cost, scale and correlation (4, h) of hypotheses."""
        parts = []
        for i in range(0, len(state), self.chunk):
            s = state[i : i + self.chunk]
            with record_function("projections"):
                seen = project(self.model, self.disc, self.field_A, s.rotation, s.displacement_A, s.amplitudes)
            y, m = _real(images.data[s.particle]), _real(seen * images.filter[s.particle])
            gain, cost, scale, correlation = self._fit(y, m, s)[:4]
            if self.density is not None and self.fit != "pose":
                cost = cost + self.density.cost(s.amplitudes)
            if self.pose_prior is not None and images.given is not None:
                cost = cost + self.pose_prior.cost(s.rotation, s.displacement_A, s.amplitudes, images.given[s.particle])
            parts.append(torch.stack([gain, cost, scale, correlation]))
        return torch.cat(parts, dim=1)


def joined_fields(kind: type[T], parts: list[T]) -> T:
    """Several objects of tensors concatenated to one."""
    return kind(*(torch.cat(values) for values in zip(*(vars(p).values() for p in parts), strict=True)))


def _lowest(cost: Tensor, particle: Tensor, count: int) -> Tensor:
    """The lowest cost (count,) of each particle's hypotheses."""
    return torch.full((count,), float("inf"), dtype=cost.dtype, device=cost.device).scatter_reduce(
        0, particle, cost, "amin"
    )


def _where(kept: Tensor, mine: Tensor, theirs: Tensor) -> Tensor:
    return torch.where(kept.reshape(-1, *(1,) * (mine.ndim - 1)), mine, theirs)


def _turn(vector: Tensor) -> Tensor:
    """Rotations (h, 3, 3) by rotation vectors (h, 3) in radians, by Rodrigues' formula."""
    angle, cross = vector.norm(dim=1)[:, None, None], _cross_matrix(vector)
    # sin a / a and (1 − cos a) / a², smooth at 0
    first, second = torch.sinc(angle / torch.pi), torch.sinc(angle / (2 * torch.pi)) ** 2 / 2
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + first * cross + second * (cross @ cross)


def _real(values: Tensor) -> Tensor:
    """Complex (..., n) as real (..., 2n): inner products then need no conjugates."""
    return torch.view_as_real(values.contiguous()).flatten(-2)


def _cross_matrix(vector: Tensor) -> Tensor:
    """Matrices (h, 3, 3) whose product with x is vector × x."""
    zero = torch.zeros_like(vector[:, 0])
    x, y, z = vector.unbind(dim=1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
