"""How large the network's errors are, as it tells itself: numbers that learn the logarithm of the expected error.

Where errors e ≥ 0 follow an exponential law of mean b, −log p = log b + e/b, and whatever their law this is least where
b is their mean (a proper scoring rule: Gneiting & Raftery 2007). The errors come into it as plain numbers, so that
learning them does not change what the network predicts (unlike a joint likelihood, which gives up on what is hard:
Seitzer et al., ICLR 2022).
"""

from math import pi, sqrt

import torch
from torch import Tensor

# of Gaussian errors: deviation over mean size of one number; root mean square over mean angle of a rotation vector with
# three equal deviations
DEVIATION_OF_MEAN = sqrt(pi / 2)
ROOT_MEAN_SQUARE_OF_MEAN_ANGLE = sqrt(3) / sqrt(8 / pi)
_LIMIT = 12.0


def expected_errors(logs: Tensor) -> Tensor:
    """Expected errors, in the units of targets (angles: radians), that numbers of the network stand for."""
    return torch.exp(logs.clamp(-_LIMIT, _LIMIT))


def doubt_loss(logs: Tensor, errors: Tensor) -> Tensor:
    """Mean negative log-likelihood of errors (n, k) under what numbers (n, k) of the network expect."""
    return (logs.clamp(-_LIMIT, _LIMIT) + errors.detach() / expected_errors(logs)).mean()
