"""The timetable: its epochs follow each other without gap or overlap."""

import pytest

from continuousflex_deep.nn.schedule import Timetable

PLANS = [
    Timetable(0, 18, 4, 8), Timetable(64, 18, 4, 8), Timetable(10_000, 19, 1, 9), Timetable(25_001, 100, 3, 64),
    Timetable(500_000, 7, 2, 64), Timetable(5, 20, 1, 64),
]  # fmt: skip


@pytest.mark.parametrize("plan", PLANS)
def test_epochs_add_up(plan):
    epochs = [plan.epoch(number) for number in range(1, plan.total_epochs + 1)]
    done = images = 0
    for epoch in epochs:
        assert epoch.done_before == done
        assert plan.images_until(epoch.number - 1) == images
        assert epoch.steps >= 1
        done += epoch.steps
        images += epoch.steps * epoch.batch if epoch.simulated else plan.images
    assert (done, images) == (plan.total_steps, plan.total_images)
    assert plan.images_until(plan.total_epochs) == images


@pytest.mark.parametrize("plan", PLANS)
def test_simulated_images_come_first_and_are_as_many_as_asked(plan):
    epochs = [plan.epoch(number) for number in range(1, plan.total_epochs + 1)]
    kinds = [epoch.simulated for epoch in epochs]
    assert kinds == sorted(kinds, reverse=True)
    made = sum(epoch.steps * epoch.batch for epoch in epochs if epoch.simulated)
    assert plan.simulated <= made <= plan.simulated + plan.batch * max(1, plan.simulated_epochs)
    assert [epoch.labelled for epoch in epochs if not epoch.simulated] == list(range(plan.epochs))


@pytest.mark.parametrize(("images", "batch", "steps"), [(18, 17, 1), (18, 8, 2), (18, 9, 2), (18, 2, 9), (19, 2, 9)])
def test_no_batch_is_smaller_than_asked_for(images, batch, steps):
    """A rest of one image would be a batch of its own, which batch normalisation cannot take."""
    assert Timetable(0, images, 1, batch).epoch(1).steps == steps
    assert images // steps >= batch
