"""Predicted uncertainties: output numbers that learn the logarithm of the expected error.

If errors e ≥ 0 have an exponential distribution of mean b, −log p = log b + e/b. For any distribution this is minimal
if b is the mean of the errors (a proper scoring rule: Gneiting & Raftery 2007). The errors enter as constants, so that
learning the uncertainties does not change the predictions (unlike a joint likelihood, which neglects difficult cases:
Seitzer et al., ICLR 2022).
"""

from math import pi, sqrt

import torch
from torch import Tensor

# for Gaussian errors: deviation over mean size of one number; root mean square over mean angle of a rotation vector
# with three equal deviations
DEVIATION_OF_MEAN = sqrt(pi / 2)
ROOT_MEAN_SQUARE_OF_MEAN_ANGLE = sqrt(3) / sqrt(8 / pi)
_LIMIT = 12.0


def expected_errors(logs: Tensor) -> Tensor:
    """Expected errors, in the units of targets (angles: radians), from output numbers."""
    return torch.exp(logs.clamp(-_LIMIT, _LIMIT))


def doubt_loss(logs: Tensor, errors: Tensor) -> Tensor:
    """Mean negative log-likelihood of errors (n, k) under the expected errors of output numbers (n, k)."""
    return (logs.clamp(-_LIMIT, _LIMIT) + errors.detach() / expected_errors(logs)).mean()
