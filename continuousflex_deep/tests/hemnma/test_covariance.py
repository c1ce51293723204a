"""The covariance of amplitudes learned from what images say of them, against what is known of Gaussians."""

from dataclasses import replace

import numpy as np
import pytest

from continuousflex_deep.hemnma.covariance import Fits, PrincipalMotions

M, N = 6, 400


def planted(sd_A: tuple[float, ...], seed: int = 0, unseen_A: float = 10.0) -> tuple[Fits, np.ndarray, np.ndarray]:
    """Fits of N particles that move with these deviations along the first axes of an orthonormal frame, the frame, and
    the amplitudes; each particle's errors are its own, about 10 Å, and unseen_A along the last axis."""
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(M, M)))[0].T
    amplitudes = rng.normal(size=(N, len(sd_A))) * sd_A @ frame[: len(sd_A)]
    seen_better = np.r_[np.full(M - 1, 10.0), unseen_A] ** -1.0
    design = rng.normal(size=(N, 2 * M, M)) / np.sqrt(2 * M) * seen_better @ frame
    seen = np.einsum("nkm,nm->nk", design, amplitudes) + rng.normal(size=(N, 2 * M))
    information = design.swapaxes(1, 2) @ design
    return Fits(information, np.einsum("nkm,nk->nm", design, seen)), frame, amplitudes


def log_likelihood(fits: Fits, covariance: np.ndarray) -> np.ndarray:
    """(N,) of the best estimates F⁻¹h under N(0, Σ + F⁻¹), beside that at Σ = 0."""
    total = []
    for information, pull in zip(fits.information, fits.pull, strict=True):
        error = np.linalg.inv(information)
        estimate = error @ pull
        moving, still = (
            -0.5 * (estimate @ np.linalg.solve(spread, estimate) + np.linalg.slogdet(spread)[1])
            for spread in (covariance + error, error)
        )
        total.append(moving - still)
    return np.array(total)


def test_the_likelihood_is_that_of_estimates_with_errors() -> None:
    fits, _, _ = planted((50.0, 10.0))
    root = np.random.default_rng(1).normal(size=(M, M))
    covariance = 100 * root @ root.T
    np.testing.assert_allclose(fits.posterior(covariance)[2], log_likelihood(fits, covariance), rtol=1e-8, atol=1e-8)


def test_the_learned_covariance_is_a_maximum_of_the_likelihood() -> None:
    fits, _, _ = planted((50.0, 40.0, 30.0, 30.0, 25.0, 20.0))
    found = fits.learned_covariance(900 * np.eye(M))
    best, rng = fits.posterior(found)[2].sum(), np.random.default_rng(2)
    for _ in range(20):
        change = rng.normal(size=(M, M))
        root = np.linalg.cholesky(found) @ (np.eye(M) + 0.1 * change)
        assert fits.posterior(root @ root.T)[2].sum() < best


def test_a_planted_covariance_is_found() -> None:
    fits, frame, amplitudes = planted((100.0, 30.0))
    motions = PrincipalMotions.of(fits.learned_covariance(2500 * np.eye(M)), fits)
    np.testing.assert_allclose(motions.sd_A[:2], (100, 30), rtol=0.1)
    np.testing.assert_allclose(np.abs(np.sum(motions.axes[:2] * frame[:2], axis=1)), 1, atol=0.01)
    np.testing.assert_allclose(motions.axes @ motions.axes.T, np.eye(M), atol=1e-9)
    assert motions.significant.tolist() == [True, True, *[False] * (M - 2)]
    assert motions.share[:2].sum() > 0.99
    # what the images do not show is at rest, and where it is not it is noise
    assert (motions.sd_A[2:] < 10).all()
    assert (motions.noise[2:] > 0.6).all()
    assert (motions.noise[:2] < 0.25).all()
    assert amplitudes.std(axis=0) @ amplitudes.std(axis=0) == pytest.approx(np.square(motions.sd_A).sum(), rel=0.1)


def test_evidence_is_the_likelihood_lost_without_a_motion() -> None:
    fits, _, _ = planted((100.0, 30.0))
    covariance = fits.learned_covariance(2500 * np.eye(M))
    motions = PrincipalMotions.of(covariance, fits)
    rest = covariance - motions.sd_A[1] ** 2 * np.outer(motions.axes[1], motions.axes[1])
    lost = log_likelihood(fits, covariance) - log_likelihood(fits, rest)
    assert motions.evidence[1] == pytest.approx(np.sort(lost)[:-8].sum(), rel=1e-6)  # 2% may be misaligned
    still = covariance.copy()
    still[2], still[:, 2] = 0, 0
    lost = log_likelihood(fits, covariance) - log_likelihood(fits, still)
    assert motions.mode_evidence[2] == pytest.approx(np.sort(lost)[:-8].sum(), rel=1e-6)


def test_a_few_misaligned_particles_show_no_motion() -> None:
    fits, frame, _ = planted((100.0,))
    far = 40.0 * frame[3]
    pull = fits.pull.copy()
    pull[:4] += fits.information[:4] @ far
    motions = PrincipalMotions.of((fits := Fits(fits.information, pull)).learned_covariance(400 * np.eye(M)), fits)
    assert motions.significant.sum() == 1
    pull[:60] += fits.information[:60] @ far  # but many do
    motions = PrincipalMotions.of((fits := Fits(fits.information, pull)).learned_covariance(400 * np.eye(M)), fits)
    assert motions.significant.tolist() == [True, True, *[False] * (M - 2)]
    assert abs(motions.axes[1] @ frame[3]) > 0.98


@pytest.mark.parametrize("unseen_A", [100.0, 400.0, 1000.0])
@pytest.mark.parametrize("sd_A", [(100.0, 30.0), (20.0, 15.0)])
def test_what_images_do_not_see_hides_no_motion(sd_A: tuple[float, ...], unseen_A: float) -> None:
    """Whatever is expected of it before."""
    fits, frame, _ = planted(sd_A, unseen_A=unseen_A)
    motions = PrincipalMotions.of(fits.learned_covariance(100**2 * np.eye(M)), fits)
    assert motions.significant.sum() == 2
    found = motions.axes[motions.significant]
    assert np.linalg.svd(found @ frame[:2].T, compute_uv=False).min() > 0.92
    np.testing.assert_allclose(motions.sd_A[motions.significant], sd_A, rtol=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_particles_at_rest_show_no_motion(seed: int) -> None:
    fits, _, _ = planted((0.0,), seed)
    motions = PrincipalMotions.of(fits.learned_covariance(400 * np.eye(M)), fits)
    assert not motions.significant.any()
    assert (motions.noise > 0.7).all()


def test_the_prior_of_the_fits_does_not_matter() -> None:
    """Fits under a narrow prior say the same as the images alone."""
    fits, _, _ = planted((50.0, 10.0))
    sd_A = np.linspace(5, 40, M)
    mean_A, covariance, _ = fits.posterior(np.diag(sd_A**2))
    again = Fits.of_posterior(mean_A, covariance, sd_A)
    np.testing.assert_allclose(again.information, fits.information, atol=1e-9)
    np.testing.assert_allclose(again.pull, fits.pull, atol=1e-8)


def test_fits_along_axes_are_those_along_modes() -> None:
    fits, frame, _ = planted((50.0, 10.0))
    along = Fits(frame @ fits.information @ frame.T, fits.pull @ frame.T)
    again = along.rotated(frame)
    np.testing.assert_allclose(again.information, fits.information, atol=1e-12)
    np.testing.assert_allclose(again.pull, fits.pull, atol=1e-12)


def test_an_image_that_says_nothing_changes_nothing() -> None:
    fits, _, _ = planted((50.0, 10.0))
    more = (np.concatenate([part, np.zeros((1, *part.shape[1:]))]) for part in (fits.information, fits.pull))
    nothing = Fits(*more)
    covariance = 400 * np.eye(M)
    assert nothing.posterior(covariance)[2].sum() == pytest.approx(fits.posterior(covariance)[2].sum(), rel=1e-12)
    np.testing.assert_allclose(nothing.posterior(covariance)[1][-1], covariance, rtol=1e-9)


def test_motions_at_rest_are_no_further_ones() -> None:
    """Rounding errors may give them some evidence; a density along them would have no width."""
    fits, _, _ = planted((50.0, 10.0))
    motions = PrincipalMotions.of(fits.learned_covariance(2500 * np.eye(M)), fits)
    sd_A = 50 * np.array([1, 0.2, 0.1, 0.05, 0.01, *np.full(M - 5, 3e-5)])
    evidence = np.array([1000.0, 500, 0.1, 0.0, 0.2, *np.full(M - 5, 1e-12)])
    some = replace(motions, sd_A=sd_A, evidence=evidence)
    assert np.flatnonzero(some.significant).tolist() == [0, 1]
    assert np.flatnonzero(some.significant_and_further(1)).tolist() == [0, 1, 2]
    assert np.flatnonzero(some.significant_and_further(3)).tolist() == [0, 1, 2, 4]


def test_motions_pass_through_files() -> None:
    fits, _, _ = planted((50.0, 10.0))
    motions = PrincipalMotions.of(fits.learned_covariance(2500 * np.eye(M)), fits)
    again = PrincipalMotions.of_arrays(motions.arrays())
    assert again.particles == N
    assert again.significant.tolist() == motions.significant.tolist()
    np.testing.assert_array_equal(again.axes, motions.axes)
