"""The density of amplitudes: learned from what images say of them, as a prior, and in a file beside the modes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from continuousflex_deep.errors import FormatError
from continuousflex_deep.hemnma.covariance import Fits
from continuousflex_deep.hemnma.density import learned_density
from continuousflex_deep.hemnma.density_prior import DensityPrior
from continuousflex_deep.hemnma.refine import Refiner, State, Whitened
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel
from continuousflex_deep.io.amplitude_density import AmplitudeDensity
from continuousflex_deep.io.file_names import DENSITY_JSON
from continuousflex_deep.io.modes import read_modes, write_modes
from continuousflex_deep.tests.helpers.engine_data import in_double, toy_modes, toy_structure
from continuousflex_deep.tests.helpers.fits import FIELD_A, images_of, perturbed, states


def two_states() -> AmplitudeDensity:
    narrow, wide = np.diag([9.0, 4.0]), np.array([[36.0, 20.0], [20.0, 25.0]])
    return AmplitudeDensity(np.array([0.3, 0.7]), np.array([[-40.0, 10.0], [30.0, 0.0]]), np.stack([narrow, wide]))


def fits_of(amplitudes: np.ndarray, error_A: float, seed: int = 0) -> Fits:
    """Of images that show each amplitude with errors of about error_A, correlated otherwise in each image."""
    rng, (n, m) = np.random.default_rng(seed), amplitudes.shape
    design = rng.normal(size=(n, 3 * m, m)) / np.sqrt(3 * m) / error_A
    seen = np.einsum("nkm,nm->nk", design, amplitudes) + rng.normal(size=(n, 3 * m))
    return Fits(design.swapaxes(1, 2) @ design, np.einsum("nkm,nk->nm", design, seen))


def test_two_states_are_found_though_errors_hide_them() -> None:
    """Deviations of the states, not those of the estimates, which are three times as wide."""
    planted, rng = two_states(), np.random.default_rng(1)
    which = rng.random(600) < 0.3
    root = np.linalg.cholesky(planted.covariance)[np.where(which, 0, 1)]
    true_A = planted.mean_A[np.where(which, 0, 1)] + np.einsum("nij,nj->ni", root, rng.normal(size=(600, 2)))
    fits = fits_of(true_A, 15.0)
    estimates = np.linalg.solve(fits.information, fits.pull[..., None])[..., 0]
    assert estimates[which, 1].std() > 10
    found = learned_density(fits, estimates, true_A.std(axis=0), most=8)
    assert found is not None
    for state, (weight, mean_A, covariance) in enumerate(
        zip(planted.weights, planted.mean_A, planted.covariance, strict=True)
    ):
        here = np.flatnonzero((found.mean_A[:-1, 0] > 0) == state)
        shares = found.weights[here] / found.weights[here].sum()
        centre_A = shares @ found.mean_A[here]
        apart = found.mean_A[here] - centre_A
        spread = np.einsum("k,kij->ij", shares, found.covariance[here] + apart[:, :, None] * apart[:, None])
        assert found.weights[here].sum() == pytest.approx(0.9 * weight, abs=0.03)
        np.testing.assert_allclose(centre_A, mean_A, atol=2.5)
        widest = [np.sqrt(np.linalg.eigvalsh(c)[-1]) for c in (spread, covariance)]
        assert widest[0] == pytest.approx(widest[1], abs=2.5)
    # what was not seen stays possible
    assert found.weights[-1] == pytest.approx(0.1)
    np.testing.assert_allclose(found.covariance[-1], np.diag(true_A.var(axis=0)), rtol=1e-6)


@pytest.mark.parametrize(("numbers", "error_A"), [(1, 10.0), (2, 5.0), (4, 10.0)])
def test_one_gaussian_is_left_as_it_is(numbers: int, error_A: float) -> None:
    """More of them would be clumps of chance, with error bars that are too small."""
    true_A = np.random.default_rng(4).normal(size=(240, numbers)) * 10
    fits = fits_of(true_A, error_A)
    estimates = np.linalg.solve(fits.information, fits.pull[..., None])[..., 0]
    assert learned_density(fits, estimates, true_A.std(axis=0), most=8) is None


def test_a_bent_way_needs_several_and_tells_of_particles_that_it_was_not_learned_from() -> None:
    """Amplitudes under the density are nearer to the truth than under one Gaussian, by errors as they are told."""
    rng = np.random.default_rng(5)

    def bent(count: int) -> np.ndarray:
        place = rng.uniform(-1, 1, count)
        return np.stack([60 * place, 50 * place**2 - 20], axis=1) + rng.normal(size=(count, 2))

    fits, others = fits_of(true_A := bent(240), 8.0), fits_of(other_A := bent(240), 8.0, seed=6)
    estimates = np.linalg.solve(fits.information, fits.pull[..., None])[..., 0]
    density = learned_density(fits, estimates, true_A.std(axis=0), most=8)
    assert density is not None
    assert len(density) >= 3
    one = others.posterior(np.cov(true_A.T) + np.outer(true_A.mean(axis=0), true_A.mean(axis=0)))[0]
    costs = []
    for mean_A, covariance, height in zip(density.mean_A, density.covariance, density.log_heights, strict=True):
        precision = np.linalg.inv(covariance)
        spread = np.linalg.inv(others.information + precision)
        best = (spread @ (others.pull + precision @ mean_A)[..., None])[..., 0]
        fit = np.einsum("ni,nij,nj->n", best, others.information, best) - 2 * (best * others.pull).sum(axis=1)
        away = best - mean_A
        costs.append((fit + np.einsum("ni,ij,nj->n", away, precision, away) - 2 * height, best, spread))
    which = np.argmin([cost for cost, *_ in costs], axis=0)
    mixed = np.stack([best for _, best, _ in costs])[which, np.arange(240)]
    told = np.stack([spread for *_, spread in costs])[which, np.arange(240)]
    rms = lambda found: float(np.sqrt(np.square(found - other_A).sum(axis=1).mean()))  # noqa: E731
    assert rms(mixed) < 0.92 * rms(one)
    assert rms(mixed) < 1.6 * np.sqrt(np.trace(told, axis1=1, axis2=2).mean())


def test_what_fits_say_does_not_depend_on_the_prior_that_they_were_made_under() -> None:
    fits = fits_of(np.random.default_rng(2).normal(size=(20, 2)) * 20, 5.0)
    mean_A, precision = np.array([30.0, -10.0]), np.array([[0.02, 0.005], [0.005, 0.01]])
    covariance = np.linalg.inv(fits.information + precision)
    best_A = (covariance @ (fits.pull + precision @ mean_A)[..., None])[..., 0]
    again = Fits.of_posteriors(best_A, covariance, precision, mean_A)
    np.testing.assert_allclose(again.information, fits.information, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(again.pull, fits.pull, rtol=1e-8, atol=1e-8)


def test_what_images_say_alone_is_told_under_a_wide_prior() -> None:
    """With errors that are the spread of the estimates; an image that tells nothing is at rest, with the prior's."""
    true_A = np.random.default_rng(8).normal(size=(2000, 2)) * 20
    fits = fits_of(true_A, 12.0)
    narrow = np.array([20.0, 20.0])
    drawn, covariance, _ = fits.posterior(np.diag(narrow**2))
    free_A, sd_A = Fits.of_posterior(drawn, covariance, narrow).alone(5 * narrow)
    slope = lambda found: np.sum(found * true_A, axis=0) / np.sum(true_A**2, axis=0)  # noqa: E731
    assert (slope(drawn) < 0.85).all()
    np.testing.assert_allclose(slope(free_A), 1, atol=0.03)
    np.testing.assert_allclose(((free_A - true_A) / sd_A).std(axis=0), 1, atol=0.05)
    nothing = Fits(np.zeros((1, 2, 2)), np.zeros((1, 2))).alone(5 * narrow)
    np.testing.assert_allclose(nothing[0], 0)
    np.testing.assert_allclose(nothing[1], 100)


def test_the_cost_is_twice_the_log_density_of_the_likelier_gaussian() -> None:
    density = two_states()
    prior = DensityPrior.of(density, torch.device("cpu"))
    places = np.random.default_rng(3).normal(size=(50, 2)) * 30
    logs = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(places)
            for w, m, c in zip(density.weights, density.mean_A, density.covariance, strict=True)
        ]
    )
    cost = prior.cost(torch.as_tensor(places, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(cost, -2 * (logs.max(axis=0) - density.log_heights.max()), rtol=1e-3, atol=1e-3)
    mean_A, precision = prior.of_best(torch.as_tensor(places, dtype=torch.float32))
    likelier = logs.argmax(axis=0)
    np.testing.assert_allclose(mean_A.numpy(), density.mean_A[likelier])
    np.testing.assert_allclose(precision.numpy(), np.linalg.inv(density.covariance)[likelier], rtol=1e-4, atol=1e-6)


def test_gradient_and_matrix_of_a_refiner_with_a_density() -> None:
    model = PointModel.from_structure(toy_structure(), toy_modes(toy_structure()))
    disc, truth, density = FrequencyDisc(10), states(4), two_states()
    images = images_of(model, disc, truth, 40.0)
    images = Whitened(images.data.to(torch.complex128), images.filter.double())
    prior = DensityPrior(*(part.double() for part in vars(DensityPrior.of(density, torch.device("cpu"))).values()))
    refiner = Refiner(in_double(model), disc, FIELD_A, prior_sd_A=30.0, density=prior)
    refiner.prior = refiner.prior.double()
    free = Refiner(in_double(model), disc, FIELD_A, prior_sd_A=30.0)
    free.prior = torch.zeros(7, dtype=torch.float64)
    start = perturbed(truth, 5, 1, 5)
    start = State(start.rotation.double(), start.displacement_A.double(), start.amplitudes.double(), start.particle)
    found, without = refiner.evaluate(images, start), free.evaluate(images, start)
    torch.testing.assert_close(found.cost, without.cost + prior.cost(start.amplitudes))
    torch.testing.assert_close(found.cost, refiner.cost(images, start))
    added = torch.zeros(4, 7, 7, dtype=torch.float64)
    added[:, 5:, 5:] = prior.of_best(start.amplitudes)[1]
    torch.testing.assert_close(found.matrix, without.matrix + added)
    for i in range(7):
        step = torch.zeros(4, 7, dtype=torch.float64)
        step[:, i] = 1e-5
        numeric = (refiner.cost(images, start.moved(step)) - refiner.cost(images, start.moved(-step))) / 2e-5
        largest = float(found.gradient.abs().max())
        torch.testing.assert_close(-2 * found.gradient[:, i], numeric, rtol=1e-4, atol=1e-4 * largest)


def test_drawn_amplitudes_have_the_moments_of_the_density() -> None:
    density = two_states()
    drawn = density.drawn(40_000)
    np.testing.assert_array_equal(drawn[:2], density.mean_A)
    mean_A = density.weights @ density.mean_A
    spread = density.covariance + np.einsum("ki,kj->kij", density.mean_A - mean_A, density.mean_A - mean_A)
    np.testing.assert_allclose(drawn.mean(axis=0), mean_A, atol=0.6)
    np.testing.assert_allclose(np.cov(drawn.T), np.einsum("k,kij->ij", density.weights, spread), rtol=0.03, atol=3)


def test_it_travels_with_the_modes(tmp_path: Path) -> None:
    modes = toy_modes(toy_structure())
    density = two_states()
    learned = type(modes)(modes.mode_ids, modes.vectors, prior_sd_A=np.array([30.0, 6.0]), density=density)
    write_modes(tmp_path, learned)
    read = read_modes(tmp_path)
    assert read.density is not None
    for name, values in vars(density).items():
        np.testing.assert_array_equal(getattr(read.density, name), values)
    assert len(read.learned) == 4
    # of one of them, and in another order
    one = read_modes(tmp_path, (8,)).density
    assert one is not None
    np.testing.assert_array_equal(one.mean_A[:, 0], density.mean_A[:, 1])
    turned = read_modes(tmp_path, (8, 7))
    assert turned.density is not None
    np.testing.assert_array_equal(turned.density.covariance, density.covariance[:, ::-1, ::-1])
    assert turned.select((7,)).density is not None
    # it is of this motion and of these coordinates alone
    assert read.moving("helical").density is None
    assert read.combined(np.eye(2), (7, 8), np.ones(2)).density is None
    write_modes(tmp_path, modes)
    assert not (tmp_path / DENSITY_JSON).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"gaussians": []},
        {"modes": [7]},
        {"gaussians": [{"weight": 1, "mean_A": [0, 0], "covariance_A2": [[1, 2], [2, 1]]}]},
        {"gaussians": [{"weight": 0.4, "mean_A": [0, 0], "covariance_A2": [[1, 0], [0, 1]]}]},
        {"gaussians": [{"weight": 1, "mean_A": [0, None], "covariance_A2": [[1, 0], [0, 1]]}]},
        {"gaussians": [{"weight": 1}]},
        {"modes": "7"},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    modes = toy_modes(toy_structure())
    write_modes(tmp_path, type(modes)(modes.mode_ids, modes.vectors, density=two_states()))
    facts = json.loads((tmp_path / DENSITY_JSON).read_text())
    (tmp_path / DENSITY_JSON).write_text(json.dumps(facts | change))
    with pytest.raises(FormatError, match=r"density\.json' is not the density of amplitudes"):
        read_modes(tmp_path)
