"""Reduced precision: where it is switched on, and that what it rounds does no harm."""

import pytest
import torch

from continuousflex_deep.devices import fast_products, has_fast_products
from continuousflex_deep.hemnma.refine import Descent, Refiner
from continuousflex_deep.imaging import projector
from continuousflex_deep.imaging.projector import FrequencyDisc, PointModel, project_with_jacobian
from continuousflex_deep.tests.helpers.engine_data import in_double, toy_modes, toy_structure
from continuousflex_deep.tests.helpers.fits import FIELD_A, images_of, perturbed, states


def to_tf32(values: torch.Tensor) -> torch.Tensor:
    """Rounded to a mantissa of 10 bits, as a GPU rounds the factors of a product."""
    return ((values.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.fixture
def rounding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device with fast products, emulated: they round their factors. Holds how many weightings each had."""
    exact, counts = projector.products_of_waves, []

    def products(weightings, waves):
        if torch.get_float32_matmul_precision() == "highest":
            return exact(weightings, waves)
        counts.append(weightings.shape[2])
        x, y = (to_tf32(w) for w in waves)
        # the y waves times a weighting are one factor of the product
        batch, _, count = weightings.shape
        weighted = to_tf32((weightings[..., None] * y[:, :, None]).flatten(2))
        return (x.transpose(1, 2) @ weighted).reshape(batch, x.shape[-1], count, -1)

    def fast(device):
        return fast_products(torch.device("cuda"))

    monkeypatch.setattr(projector, "products_of_waves", products)
    monkeypatch.setattr(projector, "fast_products", fast)
    monkeypatch.setattr(projector, "has_fast_products", lambda device: True)
    monkeypatch.setattr(projector, "has_bfloat16", lambda device: False)
    return counts


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that multiplies bfloat16, as any can, if slowly."""
    monkeypatch.setattr(projector, "has_bfloat16", lambda device: True)


@pytest.fixture
def model() -> PointModel:
    structure = toy_structure()
    return PointModel.from_structure(structure, toy_modes(structure))


def test_only_gpus_have_fast_products():
    assert has_fast_products(torch.device("cuda:1"))
    assert not has_fast_products(torch.device("cpu"))
    with fast_products(torch.device("cpu")):
        assert torch.get_float32_matmul_precision() == "highest"
    with fast_products(torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_model_itself_is_never_rounded(model, rounding, monkeypatch):
    disc, s = FrequencyDisc(12), states(3)
    pose = (s.rotation, s.displacement_A, s.amplitudes)
    rounded = project_with_jacobian(model, disc, FIELD_A, *pose)
    assert rounding == [7]
    monkeypatch.setattr(projector, "has_fast_products", lambda device: False)
    exact = project_with_jacobian(model, disc, FIELD_A, *pose)
    torch.testing.assert_close(rounded[0], exact[0], atol=1e-6, rtol=1e-5)
    error = (rounded[1] - exact[1]).abs().amax(dim=(0, 2)) / exact[1].abs().amax(dim=(0, 2))
    assert (error < 2e-3).all()
    assert (error[[0, 1, 2, 5, 6]] > 1e-5).all()  # the emulation does round


def test_on_cpus_derivatives_alone_are_in_bfloat16(model, bfloat16, monkeypatch):
    disc, s = FrequencyDisc(12), states(3)
    pose = (s.rotation, s.displacement_A, s.amplitudes)
    rounded = project_with_jacobian(model, disc, FIELD_A, *pose)
    double = in_double(model)
    expected = project_with_jacobian(double, disc, FIELD_A, *(p.double() for p in pose))
    monkeypatch.setattr(projector, "has_bfloat16", lambda device: False)
    exact = project_with_jacobian(model, disc, FIELD_A, *pose)
    torch.testing.assert_close(rounded[0], exact[0], atol=1e-6, rtol=1e-5)
    error = (rounded[1] - exact[1]).abs().amax(dim=(0, 2)) / exact[1].abs().amax(dim=(0, 2))
    assert (error < 1e-2).all()
    assert (error[[0, 1, 2, 5, 6]] > 1e-4).all()
    torch.testing.assert_close(exact[1].to(torch.complex128), expected[1], atol=1e-4, rtol=1e-4)  # is never rounded


@pytest.mark.parametrize("how", ["rounding", "bfloat16"])
def test_rounded_derivatives_lead_to_the_same_place(model, how, request, monkeypatch):
    """Within some hundredths of the parameters' deviations."""
    counts = request.getfixturevalue(how)
    disc, truth = FrequencyDisc(12), states(16)
    images, descent = images_of(model, disc, truth, 60.0), Descent(30, 0.01, 1e-5)
    refiner = Refiner(model, disc, FIELD_A, prior_sd_A=100.0)
    rounded, quadratic = refiner.descend(images, perturbed(truth, 4, 1, 4), descent)
    assert counts is None or counts
    for name in ("has_fast_products", "has_bfloat16"):
        monkeypatch.setattr(projector, name, lambda device: False)
    exact, _ = refiner.descend(images, rounded, descent)
    sd = quadratic.covariance().diagonal(dim1=1, dim2=2).sqrt()
    moved = torch.cat([exact.displacement_A - rounded.displacement_A, exact.amplitudes - rounded.amplitudes], dim=1)
    turn = (exact.rotation - rounded.rotation).flatten(1).norm(dim=1) / 2**0.5
    assert ((moved / sd[:, 3:]).abs() < 0.03).all(), moved / sd[:, 3:]
    assert (turn < 0.03 * sd[:, :3].norm(dim=1)).all()
