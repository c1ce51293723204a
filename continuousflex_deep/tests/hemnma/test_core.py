"""The rigid core of a molecule whose parts turn, and hypotheses that keep it in place."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from continuousflex_deep.hemnma.core import core_superposition
from continuousflex_deep.hemnma.starts import in_both_frames, lowest
from continuousflex_deep.nma.superposition import rigid_fit
from continuousflex_deep.tests.helpers.engine_data import ARM, hinged_structure
from continuousflex_deep.tests.helpers.fits import states

REST_A = torch.as_tensor(hinged_structure().coords_A, dtype=torch.float32)


def turned_arm(angle_deg: float) -> torch.Tensor:
    """(N, 3) with the arm turned about its hinge."""
    turn = torch.as_tensor(Rotation.from_rotvec([0, np.radians(angle_deg), 0]).as_matrix(), dtype=torch.float32)
    moved_A = REST_A.clone()
    moved_A[ARM] = (REST_A[ARM] - REST_A[ARM.start]) @ turn.T + REST_A[ARM.start]
    return moved_A


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 90.0, 180.0])
def test_core_returns_to_its_place(angle_deg: float) -> None:
    """Wherever the whole conformation lies, and whatever the arm does."""
    rotation = torch.as_tensor(Rotation.random(5, random_state=0).as_matrix(), dtype=torch.float32)
    lying = turned_arm(angle_deg) @ rotation.transpose(1, 2) + torch.tensor([3.0, -20.0, 8.0])
    turn, shift_A = core_superposition(lying, REST_A)
    back = lying @ turn.transpose(1, 2) + shift_A[:, None]
    assert float((back - turned_arm(angle_deg)).abs().max()) < 1e-3
    assert torch.allclose(torch.linalg.det(turn), torch.ones(5), atol=1e-5)


def test_half_of_the_points_decide() -> None:
    """Superposed as by another implementation on the half that it names; a mirror image is not turned into itself."""
    mirrored = REST_A * torch.tensor([1.0, 1.0, -1.0])
    turn, shift_A = core_superposition(mirrored[None], REST_A)
    back = (mirrored @ turn[0].T + shift_A).numpy()
    nearest = np.argsort(np.square(back - REST_A.numpy()).sum(axis=1))[: len(REST_A) // 2]
    expected, shift = rigid_fit(mirrored[nearest].double().numpy(), REST_A[nearest].double().numpy())
    np.testing.assert_allclose(turn[0].numpy(), expected.T, atol=1e-4)
    np.testing.assert_allclose(shift_A[0].numpy(), shift, atol=1e-3)
    assert np.linalg.det(turn[0].numpy()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_points(count: int) -> None:
    few = REST_A[:count]
    turn, shift_A = core_superposition(few[None] + 5.0, few)
    np.testing.assert_allclose((few + 5.0) @ turn[0].T + shift_A, few, atol=1e-3)


def test_hypotheses_in_both_frames_show_the_core_where_it_was() -> None:
    """Every particle's hypotheses: its pose in each conformation, then its pose of each conformation's core."""
    given, angles = states(3), (40.0, 120.0)
    lying = torch.stack([turned_arm(angle) for angle in angles])
    lying = lying - lying.mean(dim=1, keepdim=True)
    amplitudes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    both = in_both_frames(given, amplitudes, *core_superposition(lying, REST_A))
    assert both.particle.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert both.amplitudes.tolist() == amplitudes.tolist() * 6
    for row in range(len(both)):
        particle, which = int(both.particle[row]), row % 4
        seen = lying[which % 2] @ both.rotation[row, :2].T + both.displacement_A[row]
        if which < 2:
            expected = lying[which] @ given.rotation[particle, :2].T + given.displacement_A[particle]
        else:
            expected = turned_arm(angles[which - 2]) @ given.rotation[particle, :2].T + given.displacement_A[particle]
        np.testing.assert_allclose(seen, expected, atol=2e-3)


def test_lowest_are_kept_of_each_particle() -> None:
    three = states(6)
    three = type(three)(three.rotation, three.displacement_A, three.amplitudes, torch.tensor([0, 0, 0, 1, 1, 1]))
    kept = lowest(three, torch.tensor([5.0, 1.0, 3.0, -2.0, 7.0, -9.0]), 2)
    assert kept.particle.tolist() == [0, 0, 1, 1]
    assert torch.equal(kept.amplitudes, three.amplitudes[[1, 2, 5, 3]])
    assert len(lowest(three, torch.zeros(6), 8)) == 6
