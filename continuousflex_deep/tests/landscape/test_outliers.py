"""The Mahalanobis distance and what it does with columns that do not vary."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from continuousflex_deep.errors import InputError
from continuousflex_deep.landscape.outliers import is_outlier, mahalanobis_distance


@pytest.fixture
def cloud() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 3)) @ np.array([[100.0, 20, 0], [0, 30, 5], [0, 0, 2]]) + [50.0, -3, 7]


def test_agrees_with_scipy(cloud: np.ndarray) -> None:
    precision = np.linalg.inv(np.cov(cloud.T))
    expected = [mahalanobis(row, cloud.mean(axis=0), precision) for row in cloud]
    np.testing.assert_allclose(mahalanobis_distance(cloud), expected, rtol=1e-9)


def test_is_invariant_to_units(cloud: np.ndarray) -> None:
    np.testing.assert_allclose(mahalanobis_distance(cloud * [1e-6, 1, 1e6] + 5), mahalanobis_distance(cloud), rtol=1e-6)


def test_constant_and_collinear_columns_change_nothing(cloud: np.ndarray) -> None:
    more = np.column_stack([cloud, np.full(len(cloud), 12.3), cloud[:, 0] - 2 * cloud[:, 1], np.zeros(len(cloud))])
    np.testing.assert_allclose(mahalanobis_distance(more), mahalanobis_distance(cloud), rtol=1e-6)


def test_without_any_spread_nothing_is_far() -> None:
    assert np.array_equal(mahalanobis_distance(np.full((5, 2), 4.2)), np.zeros(5))
    assert np.array_equal(mahalanobis_distance(np.ones((1, 3))), np.zeros(1))
    assert len(mahalanobis_distance(np.empty((0, 3)))) == 0


def test_finds_planted_outliers(cloud: np.ndarray) -> None:
    cloud[[17, 90]] += [900, 0, 0]
    assert set(np.flatnonzero(is_outlier(cloud, 4.5))) == {17, 90}
    assert not is_outlier(cloud, 0).any()


def test_refuses_what_has_no_distance() -> None:
    with pytest.raises(InputError, match="1 of 3 rows"):
        mahalanobis_distance([[1.0, 2], [np.nan, 1], [3, 4]])
    with pytest.raises(InputError, match="shape"):
        mahalanobis_distance(np.zeros(4))
