"""How particles move along many modes together: the covariance of their amplitudes, learned from their images.

Around its best fit an image's log-likelihood of the amplitudes q (M,) is −½ qᵀ·F·q + hᵀ·q, whatever the pose, with
Fisher's information F. Under a Gaussian prior of mean 0 and covariance Σ, q has the mean m = C·h and the covariance
C = (F + Σ⁻¹)⁻¹. Expectation maximisation (Dempster, Laird & Rubin, J R Stat Soc B 1977, 39:1; for principal components,
Tipping & Bishop, ibid. 1999, 61:611) repeats Σ = mean over the particles of m·mᵀ + C, by which their likelihood grows.
The mean is that of the structure, at rest, so that a motion to one side of it is a motion as well. What no image shows
shrinks to rest.
"""

import math
from dataclasses import dataclass

import numpy as np

from continuousflex_deep.arrays import Booleans, Floats
from continuousflex_deep.runs.parts import Arrays

# EM ends when the log-likelihood of all particles grows by less than this, or after so many rounds
_GAIN, _MOST = 0.2, 300
# a direction whose variance is noise by more than this is not seen by the images. EM would take for ever to bring it
# to rest, and no set of particles gives significant evidence for it
_UNSEEN = 0.8
_AT_REST = 1e-9  # of the largest variance: rounding errors
# of the largest deviation: less is rest, of which rounding errors may tell a little
_LEAST_FURTHER = 1e-3
# of the particles, whose images may be misaligned: a motion that only these show is not believed
_DOUBTED = 0.02


@dataclass(frozen=True, eq=False)
class Fits:
    """What n images say about amplitudes: information F (n, M, M) in 1/Å² and pull h (n, M) in 1/Å."""

    information: Floats
    pull: Floats

    @staticmethod
    def of_posterior(mean_A: Floats, covariance: Floats, prior_sd_A: Floats) -> "Fits":
        """From the fits (n, M), with covariance (n, M, M), under a prior of independent amplitudes with deviations
        prior_sd_A (M,)."""
        return Fits.of_posteriors(mean_A, covariance, np.diag(prior_sd_A**-2.0), np.zeros(len(prior_sd_A)))

    @staticmethod
    def of_posteriors(mean_A: Floats, covariance: Floats, prior_precision: Floats, prior_mean_A: Floats) -> "Fits":
        """The same under Gaussian priors of these precisions (…, M, M) and means (…, M), one for each or for all."""
        precision = np.linalg.inv(covariance)
        information = precision - prior_precision
        values, vectors = np.linalg.eigh((information + information.swapaxes(1, 2)) / 2)
        # an image says nothing, at the least
        information = (vectors * np.maximum(values, 0)[:, None]) @ vectors.swapaxes(1, 2)
        expected = (prior_precision @ prior_mean_A[..., None])[..., 0]
        return Fits(information, (precision @ mean_A[:, :, None])[:, :, 0] - expected)

    def alone(self, sd_A: Floats) -> tuple[Floats, Floats]:
        """Amplitudes (n, M) and their deviations (n, M) under a Gaussian prior about rest, of independent amplitudes
        with deviations sd_A (M,): what the images alone say, where these are wide."""
        covariance = np.linalg.inv(self.information + np.diag(sd_A**-2.0))
        return (covariance @ self.pull[..., None])[..., 0], np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))

    def __len__(self) -> int:
        return len(self.pull)

    def rotated(self, axes: Floats) -> "Fits":
        """The same in terms of the modes, from fits along axes (M, M) in terms of them."""
        return Fits(axes.T @ self.information @ axes, self.pull @ axes)

    def posterior(self, covariance: Floats) -> tuple[Floats, Floats, Floats]:
        """Means (n, M) and covariances (n, M, M) of the amplitudes under a prior covariance (M, M), and the
        log-likelihood (n,) of each image beside that at rest."""
        root = _root(covariance)
        inner = np.eye(len(root)) + root.T @ self.information @ root
        posterior = root @ np.linalg.inv(inner) @ root.T
        mean_A = (posterior @ self.pull[:, :, None])[:, :, 0]
        likelihood = 0.5 * ((mean_A * self.pull).sum(axis=1) - np.linalg.slogdet(inner)[1])
        return mean_A, posterior, likelihood

    def learned_covariance(self, start: Floats) -> Floats:
        """Σ (M, M) in Å² by expectation maximisation from a start (M, M) in Å². Of directions that the images do not
        see, what they leave of the start is taken away."""
        return self._maximised(self._seen(self._maximised(start)))

    def _seen(self, covariance: Floats) -> Floats:
        """The covariance without the directions that the images do not see; the best seen one at the least.

        In units of the covariance, the variance of each direction is 1, of which the particles' errors make a share.
        """
        root, (_, posterior, _) = _root(covariance), self.posterior(covariance)
        inverse = np.linalg.pinv(root)
        values, vectors = np.linalg.eigh(inverse @ posterior.mean(axis=0) @ inverse.T)
        kept = vectors[:, : max(1, int((values < _UNSEEN).sum()))]
        return np.asarray(root @ kept @ kept.T @ root.T)

    def _maximised(self, start: Floats) -> Floats:
        covariance, before = start, -np.inf
        for _ in range(_MOST):
            mean_A, posterior, likelihood = self.posterior(covariance)
            if likelihood.sum() - before < _GAIN:
                break
            before = likelihood.sum()
            covariance = (mean_A.T @ mean_A + posterior.sum(axis=0)) / len(self)
        return covariance


@dataclass(frozen=True, eq=False)
class PrincipalMotions:
    """The principal axes of the covariance Σ of amplitudes along M modes, the largest motion first.

    axes (M, M): each row in terms of the modes; sd_A (M,): deviation of the amplitude; share (M,) of all motion; noise
    (M,): share of the variance that is the error of the particles' amplitudes rather than motion that images show;
    evidence (M,): the log-likelihood that the images lose without it, all but the few that lose most. mode_share
    and mode_evidence (M,): the same for each mode.
    """

    axes: Floats
    sd_A: Floats
    share: Floats
    noise: Floats
    evidence: Floats
    mode_share: Floats
    mode_evidence: Floats
    particles: int

    def arrays(self) -> Arrays:
        """As arrays for a file."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @staticmethod
    def of_arrays(arrays: Arrays) -> "PrincipalMotions":
        """The motions from what `arrays` returned."""
        known = dict(arrays)
        return PrincipalMotions(particles=int(known.pop("particles")), **known)

    @staticmethod
    def of(covariance: Floats, fits: Fits) -> "PrincipalMotions":
        """Of a learned covariance (M, M) in Å² and the images that it was learned from."""
        values, vectors = np.linalg.eigh(covariance)
        variance, axes = np.maximum(values[::-1], _AT_REST * values[-1]), vectors[:, ::-1].T
        axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
        _, posterior, full = fits.posterior(covariance)
        error = np.einsum("ki,nij,kj->nk", axes, posterior, axes)
        moving = np.diag(covariance)
        lost = lambda kept: _evidence(full - fits.posterior(kept @ covariance @ kept)[2])  # noqa: E731
        whole = np.eye(len(axes))
        return PrincipalMotions(
            axes,
            np.sqrt(variance),
            variance / variance.sum(),
            np.where(variance > _AT_REST * variance[0], np.minimum(error.mean(axis=0) / variance, 1), 1.0),
            np.array([lost(whole - np.outer(axis, axis)) for axis in axes]),
            moving / moving.sum(),
            np.array([lost(whole - np.outer(mode, mode)) for mode in whole]),
            len(fits),
        )

    @property
    def significant(self) -> Booleans:
        """Whether the images show each motion (M,): its evidence exceeds what an axis of M numbers gains by chance
        (Schwarz, Ann Stat 1978, 6:461)."""
        return np.asarray(self.evidence > 0.5 * len(self.axes) * np.log(self.particles))

    def significant_and_further(self, count: int) -> Booleans:
        """The significant motions, and up to `count` further ones, the largest that images show something of (M,)."""
        chosen = self.significant.copy()
        shown = ~chosen & (self.evidence > 0) & (self.sd_A > _LEAST_FURTHER * self.sd_A[0])
        chosen[np.flatnonzero(shown)[:count]] = True
        return chosen


def _evidence(lost: Floats) -> float:
    """The sum of the log-likelihoods (n,) that images lose, without those that lose most."""
    most = math.ceil(_DOUBTED * len(lost))
    return float(np.sort(lost)[:-most].sum())


def _root(covariance: Floats) -> Floats:
    """L with L·Lᵀ the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
