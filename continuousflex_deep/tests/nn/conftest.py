"""What the network's tests share."""

from collections.abc import Iterator

import pytest

from continuousflex_deep.tests.helpers import quick_trainings


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Trainings in no time."""
    with quick_trainings.quick_trainings():
        yield
