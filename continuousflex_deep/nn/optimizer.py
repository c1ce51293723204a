"""The optimiser of a training: Adam for all weights, or Muon for the convolutions and Adam for the others.

Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon): the step of a weight matrix is its momentum with all
singular values made equal, U·Vᵀ of the momentum U·S·Vᵀ. Adam's step follows the few directions in which the gradient is
largest; here all directions of a layer are learned at the same rate. A step costs matrix products of the weights, which
do not depend on the number of images.

A convolution's matrix has a row for each output channel. Rows are made orthonormal in blocks, which costs several times
less than all at once. The nearly equal singular values, between 0.7 and 1.2, come from five iterations of a polynomial
of degree 5 (ibid.), here evaluated on the rows' products with each other, which are small matrices. Steps are scaled as
those of Adam, so that one learning rate and one weight decay serve both (Liu et al., 2025, arXiv:2502.16982).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

from continuousflex_deep.nn.recipes import Recipe

_MOMENTUM = 0.95
_POLYNOMIAL, _ITERATIONS = (3.4445, -4.7750, 2.0315), 5
_BLOCK_ROWS = 128
# root mean square of a step at a learning rate of 1
_STEP_RMS = 0.4


def optimizers_of(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """The optimisers that together have all weights of a network."""
    weights = list(network.parameters())
    convolutions = [w for w in weights if recipe.optimizer == "muon" and is_for_muon(w)]
    matrices = {id(w) for w in convolutions}
    adam = torch.optim.AdamW if recipe.decoupled else torch.optim.Adam
    others = [w for w in weights if id(w) not in matrices]
    found: list[torch.optim.Optimizer] = [adam(others, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)]
    if convolutions:
        found.append(Muon(convolutions, recipe.learning_rate, recipe.weight_decay))
    return found


def is_for_muon(weight: Tensor) -> bool:
    """Whether it is a convolution's, but not of the first, whose only input channel is the image."""
    return weight.ndim == 4 and weight.shape[1] > 1


class Muon(torch.optim.Optimizer):
    """Momentum with equal singular values, for weights (rows, …) of convolutions; weight decay as in AdamW."""

    def __init__(self, weights: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of all weights that have gradients; a closure is not supported."""
        assert closure is None, "the gradients are those of the last backward pass"
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    blocks = in_blocks(self._momentum_ahead(weight))
                    alike[tuple(blocks.shape[1:])].append((weight, blocks))
            for (_, columns), found in alike.items():
                weights, blocks_each = zip(*found, strict=True)
                steps = orthogonal_rows(torch.cat(blocks_each)) * (_STEP_RMS * columns**0.5)
                for weight, step in zip(weights, steps.split([len(b) for b in blocks_each]), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(step.reshape(weight.shape), alpha=group["lr"])

    def _momentum_ahead(self, weight: Tensor) -> Tensor:
        """The momentum, after it has taken up the gradient, one step ahead (Nesterov)."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        assert weight.grad is not None
        state["momentum"].lerp_(weight.grad, 1 - _MOMENTUM)
        return weight.grad.lerp(state["momentum"], _MOMENTUM)


def in_blocks(matrix: Tensor) -> Tensor:
    """Blocks (k, b, n) of the rows of weights (k·b, …) of n numbers each; b at most 128, and at most n."""
    rows, columns = len(matrix), matrix[0].numel()
    size = gcd(rows, _BLOCK_ROWS)
    while size > columns:
        size //= 2
    return matrix.reshape(-1, size, columns)


def orthogonal_rows(blocks: Tensor) -> Tensor:
    """Matrices (k, b, n), b ≤ n, with their nonzero singular values brought to between 0.7 and 1.2; a zero matrix stays
    zero.

    The polynomial a·X + b·(X·Xᵀ)·X + c·(X·Xᵀ)²·X is P·X with P a polynomial of X·Xᵀ, which all iterations share their
    eigenvectors with: only X·Xᵀ (b, b) and the product Q of all P are followed, and Q multiplies X once.
    """
    x = blocks / blocks.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None]
    squares, product = x @ x.transpose(1, 2), None
    a, b, c = _POLYNOMIAL
    for _ in range(_ITERATIONS):
        factor = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        squares = factor @ squares @ factor
    return product @ x
