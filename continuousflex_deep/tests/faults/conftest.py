"""What the tests of faults share."""

from collections.abc import Iterator

import pytest

from continuousflex_deep.nn import model
from continuousflex_deep.tests.helpers.quick_trainings import narrow_resnets


@pytest.fixture(scope="module")
def narrow_networks() -> Iterator[None]:
    """Networks are narrow, in processes forked meanwhile as well; everything else is as it is, pictures included."""
    narrow_resnets()  # imports torchvision, which each forked process would else do
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "resnet_models", narrow_resnets)
        yield
