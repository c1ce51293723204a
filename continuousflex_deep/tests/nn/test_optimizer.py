"""Muon: steps with equal singular values, of the right size, that solve what Adam cannot in as many steps."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from continuousflex_deep.nn.checkpoint import new_network
from continuousflex_deep.nn.data import Preprocess
from continuousflex_deep.nn.optimizer import Muon, in_blocks, is_for_muon, optimizers_of, orthogonal_rows
from continuousflex_deep.nn.recipes import RECIPES
from continuousflex_deep.nn.targets import TargetCoder

pytestmark = pytest.mark.usefixtures("quick")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_values(values, columns, seed=0):
    """A matrix (k, columns) with these singular values, and its singular vectors."""
    k = len(values)
    left = torch.linalg.qr(normal(k, k, seed=seed)).Q
    right = torch.linalg.qr(normal(columns, k, seed=seed + 1)).Q.T
    return left @ torch.diag(torch.as_tensor(values, dtype=torch.float64)) @ right, left, right


def test_all_directions_become_equally_large_and_none_turns():
    matrix, left, right = with_values([100.0, 30.0, 9.0, 4.0, 2.0], 40)
    found = orthogonal_rows(matrix[None])[0]
    values = left.T @ found @ right.T
    assert torch.linalg.svdvals(found).min() > 0.65
    assert torch.linalg.svdvals(found).max() < 1.25
    assert (values - torch.diag(values.diagonal())).abs().max() < 1e-10
    assert (values.diagonal() > 0).all()


def test_by_the_polynomial_applied_to_the_whole_matrix():
    """As published, without the products of rows: X ← aX + (bA + cA²)X, A = X·Xᵀ, five times."""
    blocks = normal(3, 16, 90)
    x = blocks / blocks.flatten(1).norm(dim=1)[:, None, None]
    for _ in range(5):
        squares = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * squares + 2.0315 * squares @ squares) @ x
    assert (orthogonal_rows(blocks) - x).abs().max() < 1e-10


def test_size_does_not_depend_on_the_gradient_and_zero_stays_zero():
    blocks = normal(2, 8, 30)
    assert (orthogonal_rows(1e-6 * blocks) - orthogonal_rows(blocks)).abs().max() < 1e-9
    assert not orthogonal_rows(torch.zeros(1, 8, 30)).any()
    single = orthogonal_rows(blocks.float())  # the precision of trainings
    assert (single - orthogonal_rows(blocks)).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((512, 512, 3, 3), (4, 128, 4608)),
        ((64, 64, 3, 3), (1, 64, 576)),
        ((2048, 512, 1, 1), (16, 128, 512)),
        ((256, 64, 1, 1), (4, 64, 64)),
        ((24, 5, 1, 1), (6, 4, 5)),
    ],
)
def test_rows_in_blocks_that_are_wider_than_high(shape, blocks):
    weight = normal(*shape)
    found = in_blocks(weight)
    assert tuple(found.shape) == blocks
    assert torch.equal(found.reshape(shape), weight)


@pytest.mark.parametrize("shape", [(64, 16, 3, 3), (256, 32, 1, 1)])
def test_the_first_step_is_as_large_as_those_of_adam(shape):
    """At the learning rate 1: four tenths, whatever the shape; downhill; and alike in either order in memory."""
    start, gradient = normal(*shape), normal(*shape, seed=1)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(start.clone().to(memory_format=order))
        weight.grad = gradient.clone().to(memory_format=order)
        Muon([weight], lr=1.0).step()
        found.append(weight.detach() - start)
    assert torch.allclose(*found)
    assert found[0].square().mean().sqrt().item() == pytest.approx(0.4, rel=0.15)
    assert (found[0] * gradient).sum() < 0


def test_weight_decay_alone():
    weight = nn.Parameter(normal(8, 8, 1, 1))
    start = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, 0.95 * start)


def test_it_learns_in_all_directions_at_once():
    """A linear map from inputs whose deviations span two orders of magnitude: Muon finds it in steps in which Adam,
    at the better of several rates, does not."""
    truth, scale = normal(16, 16), torch.logspace(0, -2, 16, dtype=torch.float64)
    mixed = torch.linalg.qr(normal(16, 16, seed=3)).Q * scale
    inputs = normal(512, 16, seed=1) @ mixed.T

    def error_after(make):
        weight = nn.Parameter(torch.zeros(16, 16, 1, 1, dtype=torch.float64))
        optimizer, steps = make(weight), 150
        for step in range(steps):
            optimizer.param_groups[0]["lr"] *= 1 - 1 / (steps - step + 1)
            optimizer.zero_grad()
            (inputs @ (weight[:, :, 0, 0] - truth).T).square().mean().backward()
            optimizer.step()
        return (weight.detach()[:, :, 0, 0] - truth).square().mean().sqrt().item()

    muon = min(error_after(lambda w, r=rate: Muon([w], lr=r)) for rate in (0.05, 0.1, 0.2))
    adam = min(error_after(lambda w, r=rate: torch.optim.Adam([w], lr=r)) for rate in (0.02, 0.05, 0.1, 0.2))
    assert muon < 0.6 * adam


def network():
    coder = TargetCoder("all", (7, 8), "matrix", True, (0.0, 0.0), (1.0, 1.0), 1.0, True)
    return new_network("resnet18", "linear", 0.0, coder, Preprocess(32, 1.0, False, 32))


def test_each_weight_has_one_optimizer():
    net = network()
    adam, muon = optimizers_of(net, RECIPES["default"])
    (alone,) = optimizers_of(net, replace(RECIPES["default"], optimizer="adam"))
    of = [{id(w) for group in o.param_groups for w in group["params"]} for o in (adam, muon, alone)]
    assert not of[0] & of[1]
    assert of[0] | of[1] == of[2] == {id(w) for w in net.parameters()}
    names = {name for name, w in net.named_parameters() if id(w) in of[1]}
    assert names == {name for name, w in net.named_parameters() if is_for_muon(w)}
    assert "resnet.layer1.0.conv1.weight" in names
    assert "resnet.conv1.weight" not in names, "the first convolution sees one channel"
    assert not any(name.startswith(("head", "doubt")) or "bn" in name for name in names)
    assert type(adam) is torch.optim.AdamW
    assert {g["lr"] for o in (adam, muon) for g in o.param_groups} == {RECIPES["default"].learning_rate}
    assert len(optimizers_of(net, RECIPES["paper"])) == 1
