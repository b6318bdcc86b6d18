"""`max_time` bounds the whole of a training."""

import pytest

from virtlab.training import deadline
from virtlab.training.assessment import assess
from virtlab.training.calibration import calibrate
from virtlab.training.deadline import EXPORTING, LEAST_EFFORT, Deadline


@pytest.fixture
def clock(monkeypatch):
    """Set the time to so many seconds."""
    monkeypatch.setattr(deadline.time, "monotonic", lambda: 0.0)
    return lambda now: monkeypatch.setattr(deadline.time, "monotonic", lambda: now)


def test_no_limit_leaves_all_the_time_there_is():
    assert Deadline.after(None).left is None
    assert Deadline.after(None).effort(1e9) == 1


def test_what_is_left_keeps_time_for_the_export(clock):
    found = Deadline.after(100.0)
    clock(30.0)
    assert found.left == pytest.approx(70 - EXPORTING)
    clock(200.0)
    assert found.left == 0


def test_work_that_does_not_fit_is_done_in_part(clock):
    found = Deadline.after(10 + EXPORTING)
    assert found.effort(5.0) == 1
    assert found.effort(20.0) == pytest.approx(0.5)
    assert found.effort(1e6) == LEAST_EFFORT


def test_little_effort_judges_fewer_trials_and_still_widens_what_is_too_narrow(known):
    fit, blocks, columns = known(factors=(0.5, 1.0))
    found = assess(fit, blocks, columns, seed=0, effort=0.25)
    assert found["wide"]["trials"] == 90
    assert found["wide"]["coverage_90"] < 0.75
    _, spread = calibrate(fit, blocks, columns, seed=0, effort=LEAST_EFFORT)
    assert spread["wide"].width > 1.3
