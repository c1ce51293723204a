"""The clock that tells where time goes."""

import time

import pytest
import torch

from continuousflex_deep.stages import stage, stages_timed

CPU = torch.device("cpu")


def test_a_stage_is_charged_for_its_own_time_alone():
    with stages_timed(CPU) as clock:
        for _ in range(2):
            with stage("outer", operations=10):
                time.sleep(0.02)
                with stage("inner"):
                    time.sleep(0.05)
    assert clock.calls == {("outer",): 2, ("outer", "inner"): 2}
    assert clock.operations[("outer",)] == 20
    assert 0.04 <= clock.seconds[("outer",)] < 0.09
    assert 0.10 <= clock.seconds[("outer", "inner")] < 0.2
    assert clock.cpu_seconds[("outer", "inner")] < 0.05  # sleeping costs none


def test_an_error_leaves_the_stage():
    with stages_timed(CPU) as clock:
        with pytest.raises(ValueError, match="x"), stage("failing"):
            raise ValueError("x")
        with stage("next"):
            pass
    assert ("next",) in clock.calls


def test_without_a_clock_a_stage_is_nothing():
    @stage("decorated")
    def work() -> int:
        return 7

    assert work() == 7
    with stages_timed(CPU) as clock:
        assert work() == 7
    assert clock.calls == {("decorated",): 1}
    assert work() == 7
    assert clock.calls == {("decorated",): 1}
