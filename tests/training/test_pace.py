"""How long training still takes."""

import pytest

from virtlab.training import learning


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set."""
    now = [100.0]
    monkeypatch.setattr(learning.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_time_before_the_first_score_says_nothing_of_the_pace(clock):
    pace = learning._Pace(None)
    clock(130)  # compiling
    assert pace.left(0.1) is None
    clock(132)
    assert pace.left(0.2) == pytest.approx(16)


def test_no_more_time_is_left_than_training_has(clock):
    pace = learning._Pace(40.0)
    clock(130)
    assert pace.left(0.1) == pytest.approx(10)
    clock(133)
    assert pace.left(0.2) == pytest.approx(7)
    clock(139)
    assert pace.left(0.9) == pytest.approx(1)
    clock(150)
    assert pace.left(0.91) == 0
