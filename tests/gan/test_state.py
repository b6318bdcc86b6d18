"""What a training remembers of itself."""

import numpy as np
import pytest

from virtlab.gan.state import State


def make_state(members=3):
    rng = np.random.default_rng(0)
    generator = {"g.w": rng.standard_normal((members, 2, 2)).astype(np.float32)}
    critic = {"c.b": rng.standard_normal((members, 1, 2)).astype(np.float32)}
    return State.start(generator, critic)


def test_only_members_that_improved_are_replaced():
    state = make_state()
    start = state.best["g.w"].numpy()
    state.keep_better(np.array([1.0, 1.0, np.inf]))
    state.ema["g.w"].assign(state.ema["g.w"] + 1)
    state.keep_better(np.array([2.0, 0.5, np.inf]))
    np.testing.assert_array_equal(state.best["g.w"][0], start[0])
    np.testing.assert_array_equal(state.best["g.w"][1], start[1] + 1)
    np.testing.assert_array_equal(state.best["g.w"][2], start[2])
    np.testing.assert_array_equal(state.best_score, [1, 0.5, np.inf])


def test_a_stage_has_stopped_improving_when_the_mean_of_all_members_has():
    state = make_state()
    counted = []
    for scores in ([3.0, 3, 3], [2, 2, 2], [1, 3, 3], [3, 0.5, 3], [2, 2, 1.9], [2, 2, 2]):
        state.note(float(np.mean(scores)))  # each time but the last, one member is better than ever
        counted.append(state.since)
    assert counted == [0, 0, 1, 2, 0, 1]


def test_small_gains_count_once_they_add_up_to_what_is_worth_the_time():
    state = make_state()
    counted = []
    for mean in (1.0, 0.9999, 0.99985, 0.9997, 0.9996):
        state.note(mean)
        counted.append(state.since)
    assert counted == [0, 1, 2, 0, 1]


def test_next_stage_goes_on_from_the_best_and_remembers_it():
    state = make_state()
    state.keep_better(np.ones(3))
    best = state.best["g.w"].numpy()
    state.weights["g.w"].assign(best + 5)
    state.moments["adam1"].assign(np.ones((3, 4)))
    state.step, state.since, state.lowest = 40, 3, 0.5
    state.next_stage()
    for group in (state.weights, state.ema, state.previous):
        np.testing.assert_array_equal(group["g.w"], best)
    np.testing.assert_array_equal(state.moments["adam1"], 0)
    assert (state.stage, state.step, state.since, state.lowest) == (1, 0, 0, np.inf)


def test_restored_state_equals_the_one_that_was_saved():
    state = make_state()
    state.keep_better(np.array([0.25, 0.5, 1 / 3]))
    state.weights["g.w"].assign(state.weights["g.w"] * 2)
    state.stage, state.step, state.since, state.lowest = 1, 7, 2, 0.25
    state.history.append({"score": 1.0})
    state.pace.assign([0.5, 1.0, 0.0])
    state.fall.assign([3, 9])
    state.watch["diverged"] = np.array([2, 0, 1])
    state.events.append({"member": 0, "trouble": "diverged"})
    other = make_state()
    other.restore(state.arrays(), state.position())
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array)
    assert other.position() == state.position()


def test_arrays_hold_every_variable():
    state = make_state()
    count = sum(len(variables) for variables in state.groups.values())
    assert len(state.arrays()) == count + 3  # best_score, pace and fall
    with pytest.raises(KeyError, match="weights/g"):
        make_state().restore({}, state.position())
