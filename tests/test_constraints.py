"""Physical constraints: refused where data break them, true of whatever is drawn."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from virtlab.conditioning import Monotone, NonNegative, Parameter, Sum, bind, refuse_broken
from virtlab.conditioning.lines import from_lines, isotonic, to_lines
from virtlab.errors import ConfigError, DataError, SettingError
from virtlab.scaling import column_from_dict, column_to_dict, fit_column
from virtlab.trials import Measurement

MIX = Measurement("mix", units="g", dims=("part",), shape=(4,))
MAP = Measurement("map", dims=("channel", "time"), shape=(2, 7))
DOSE = Parameter("dose", units="g", bounds=(0, 10))
SHOW = Parameter("show", kind="categorical", categories=("a",))


def shares(zeros=0.0, n=80, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.gamma(2.0, 1.0, (n, 4)) * np.where(rng.random((n, 4)) < zeros, 0, 1)
    parts[:, 0] += 0.01
    return parts / parts.sum(axis=1, keepdims=True)


def wild(column, n=200, seed=1):
    """Draws that no network would make."""
    rng = np.random.default_rng(seed)
    return (rng.standard_t(1, (n, column.values)) * 5).astype(np.float32)


# along a dim


@given(seed=st.integers(0, 10**6), ties=st.booleans())
@settings(max_examples=60)
def test_isotonic_rows_are_those_of_scikit_learn(seed, ties):
    rows = np.random.default_rng(seed).standard_normal((5, 12)).cumsum(axis=1)
    rows = np.round(rows) if ties else rows
    found = isotonic(rows)
    for row, one in zip(rows, found, strict=True):
        np.testing.assert_allclose(one, isotonic_regression(row), atol=1e-12)
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(isotonic(found), found)


@pytest.mark.parametrize("dim", [None, "channel", "time"])
def test_lines_come_back_as_values(dim):
    values = np.arange(42.0).reshape(3, 14)
    lines = to_lines(values, MAP, dim)
    assert lines.shape == {None: (3, 1, 14), "channel": (3, 7, 2), "time": (3, 2, 7)}[dim]
    np.testing.assert_array_equal(from_lines(lines, MAP, dim), values)
    if dim == "time":
        np.testing.assert_array_equal(lines[1, 1], values[1, 7:])


# sums


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_trials_that_sum_up_come_back_with_their_zeros(zeros):
    values = 3.5 * shares(zeros)
    column = fit_column(MIX, values, Sum("mix", 3.5), np.full(80, 3.5))
    assert column.ratios == (zeros == 0)
    scaled, seen, _ = column.scale_down(values, np.full(80, 3.5))
    assert seen.all()
    back = column.scale_up(scaled, None, np.full(80, 3.5))
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(back == 0, values == 0)


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_whatever_is_drawn_sums_to_its_total(zeros):
    rng = np.random.default_rng(3)
    dose = rng.uniform(0.1, 10, 80)
    column = fit_column(MIX, shares(zeros) * dose[:, None], Sum("mix", "dose"), dose)
    asked = np.array([0, 1e-3, 1, 7.7, 1e5] * 40)
    drawn = column.scale_up(wild(column), None, asked).astype(np.float64)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(axis=1), asked, rtol=5e-7)
    assert (drawn[asked > 0] > 0).any(axis=1).all()


def test_sum_along_one_dim_holds_at_each_place_of_the_others():
    rng = np.random.default_rng(3)
    values = rng.dirichlet(np.ones(2), (60, 7)).swapaxes(1, 2)
    column = fit_column(MAP, values, Sum("map", 1.0, "channel"), np.ones(60))
    drawn = column.scale_up(wild(column), None, np.ones(200))
    assert drawn.shape == (200, 2, 7)
    np.testing.assert_allclose(drawn.sum(axis=1), 1, rtol=5e-7)


def test_shares_of_what_lacks_a_part_are_of_the_total():
    values = shares()
    values[5, 2] = values[9] = np.nan
    column = fit_column(MIX, values, Sum("mix"), np.ones(80))
    assert not column.ratios
    scaled, seen, _ = column.scale_down(values, np.ones(80))
    assert seen.sum() == 320 - 5
    back = column.scale_up(scaled, None, np.ones(80))
    np.testing.assert_allclose(back[:5], values[:5], atol=1e-5)


def test_total_below_zero_is_refused_at_a_setting():
    with pytest.raises(SettingError, match="parameter 'dose': -2 is below 0, but mix sums to it"):
        Sum("mix", "dose").totals({"dose": np.array([1.0, -2.0])}, 2)


# monotone


@pytest.mark.parametrize("sign", [1, -1])
def test_monotone_trials_come_back_and_whatever_is_drawn_is_monotone(sign):
    rng = np.random.default_rng(5)
    values = sign * rng.gamma(0.5, 1.0, (60, 2, 7)).cumsum(axis=2)
    bond = Monotone("map", "time", "increasing" if sign > 0 else "decreasing")
    column = fit_column(MAP, values, bond)
    back = column.scale_up(column.scale_down(values)[0], None)
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=1e-4)
    drawn = column.scale_up(wild(column), None)
    assert (sign * np.diff(drawn, axis=2) >= 0).all()
    assert (np.diff(drawn, axis=1) * sign < 0).any()


def test_level_steps_are_drawn_only_where_trials_have_them():
    rng = np.random.default_rng(6)
    steps = 1 + rng.random((50, 2, 7))
    strict = fit_column(MAP, steps.cumsum(axis=2), Monotone("map", "time"))
    rise = np.diff(strict.scale_up(wild(strict), None), axis=2)
    assert rise.min() > 0.9
    steps[:, :, 3] *= rng.random((50, 2)) < 0.5
    some = fit_column(MAP, steps.cumsum(axis=2), Monotone("map", "time"))
    rise = np.diff(some.scale_up(wild(some), None), axis=2)
    assert (rise[:, :, 2] == 0).any()
    assert rise[:, :, 3].min() > 0.9


def test_monotone_draws_stay_within_their_support():
    rng = np.random.default_rng(7)
    share = Measurement("map", support=(0, 1), dims=("channel", "time"), shape=(2, 7))
    values = np.sort(rng.random((50, 2, 7)), axis=2)
    drawn = fit_column(share, values, Monotone("map", "time"))
    found = drawn.scale_up(wild(drawn), None)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found, axis=2) >= 0).all()


def test_counts_can_be_monotone():
    count = Measurement("map", kind="count", dims=("channel", "time"), shape=(2, 7))
    values = np.random.default_rng(8).poisson(3, (50, 2, 7)).cumsum(axis=2)
    column = fit_column(count, values, Monotone("map", "time"))
    found = column.scale_up(wild(column), None)
    assert found.dtype == np.int64
    assert (np.diff(found, axis=2) >= 0).all()


def test_a_draw_comes_no_farther_from_any_possible_trial():
    rng = np.random.default_rng(9)
    possible = np.sort(rng.standard_normal((30, 14)).reshape(30, 2, 7), axis=2).reshape(30, 14)
    drawn = rng.standard_normal((30, 14))
    moved = Monotone("map", "time").enforce(drawn, MAP, np.zeros(14))
    before, after = (np.linalg.norm(x - possible, axis=1) for x in (drawn, moved))
    assert (after <= before + 1e-12).all()


# in the model file


@pytest.mark.parametrize(
    ("bond", "totals"),
    [(Sum("map", "dose", "channel"), np.ones(40)), (Monotone("map", "time"), None)],
)
def test_constraint_survives_the_manifest(bond, totals):
    values = np.sort(np.random.default_rng(1).dirichlet(np.ones(2), (40, 7)).swapaxes(1, 2), axis=2)
    values[:, 1] = 1 - values[:, 0] if totals is not None else values[:, 1]
    column = fit_column(MAP, values, bond, totals)
    again = column_from_dict(json.loads(json.dumps(column_to_dict(column))))
    assert again == column


# what is refused


def broken(constraint, measurement, values, **settings):
    with pytest.raises(DataError) as caught:
        refuse_broken(constraint, measurement, values, settings)
    return str(caught.value)


def test_data_that_break_a_sum_are_refused_by_trial_and_amount():
    values = shares()
    values[17] *= 1.03
    values[3] *= 1.01
    said = broken(Sum("mix"), MIX, values)
    assert "measurement 'mix': 'mix is never below 0 and sums to 1' is declared" in said
    assert "2 of 80 trials break it, trial 17 the most: 0.03 of the total off" in said
    refuse_broken(Sum("mix", tolerance=0.05), MIX, values, {})
    values[17, 0] = np.nan  # what is missing may make up for the rest
    refuse_broken(Sum("mix", tolerance=0.02), MIX, values, {})
    assert "trial 4 the most: 0.5 of the total" in broken(
        Sum("mix", "dose"), MIX, shares(), dose=np.where(np.arange(80) == 4, 2.0, 1.0)
    )


def test_data_within_tolerance_are_brought_to_the_sum():
    values = shares() * np.random.default_rng(1).uniform(0.99, 1.01, (80, 1))
    column = fit_column(MIX, values, Sum("mix", tolerance=0.02), np.ones(80))
    back = column.scale_up(column.scale_down(values, np.ones(80))[0], None, np.ones(80))
    np.testing.assert_allclose(back.sum(axis=1), 1, rtol=5e-7)


def test_data_below_zero_are_refused():
    values = np.ones((12, 4))
    values[7, 2] = -0.25
    said = broken(NonNegative("mix"), MIX, values)
    assert "'mix is never below 0' is declared, but 1 of 12 trials break it" in said
    assert "trial 7 the most: 0.25 of the largest value below 0" in said


def test_data_that_step_back_are_refused_across_gaps():
    values = np.tile(np.arange(7.0), (20, 2, 1))
    refuse_broken(Monotone("map", "time"), MAP, values, {})
    values[4, 1, 3:5] = np.nan, 1.4
    said = broken(Monotone("map", "time"), MAP, values)
    assert "'map never falls along time'" in said
    assert re.search("trial 4 the most: 0.1 of its range the wrong way", said)
    assert "20 of 20 trials" in broken(Monotone("map", "time", "decreasing"), MAP, values)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Sum("mixx"), "no measurement is named 'mixx'; did you mean 'mix'"),
        (Sum("mix", dim="time"), "has no dim 'time'; it has part"),
        (Sum("mix", 0.0), "the total is 0, expected a number above 0"),
        (Sum("mix", "dos"), "no parameter is named 'dos'; did you mean 'dose'"),
        (Sum("mix", "show"), "'show' is categorical"),
        (Sum("mix", "heat"), "'heat' is in 'K', the measurement in 'g'"),
        (Sum("mix", tolerance=-1.0), "tolerance is -1"),
        (Sum("state"), "is categorical"),
        (Sum("hits"), "is a count"),
        (Sum("mass"), "single value"),
        (Sum("most", 5.0), "support ends at 2, below the total"),
        (Sum("most", "dose"), "leave its end away"),
        (Monotone("mass", "time"), "has no dim 'time'; it has none"),
        (NonNegative("debt"), "leaves nothing above 0"),
    ],
)
def test_constraints_that_cannot_hold_are_refused(constraint, message):
    measurements = (
        MIX,
        Measurement("state", kind="categorical", categories=("a", "b")),
        Measurement("hits", kind="count", dims=("bin",), shape=(5,)),
        Measurement("mass"),
        Measurement("most", units="g", support=(0, 2), dims=("part",), shape=(4,)),
        Measurement("debt", support=(-5, 0)),
    )
    parameters = (DOSE, SHOW, Parameter("heat", units="K"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        bind([constraint], measurements, parameters)


def test_non_negative_becomes_the_support():
    (bound,), bonds = bind([NonNegative("mix")], (MIX,), ())
    assert bound.support == (0, np.inf)
    assert not bonds


def test_two_constraints_on_one_measurement_are_refused_and_the_same_twice_is_one():
    assert bind([Sum("mix"), Sum("mix")], (MIX,), ())[1] == {"mix": Sum("mix")}
    with pytest.raises(ConfigError, match=r"'mix' has two constraints, .*; keep one of them"):
        bind([Sum("mix"), Monotone("mix", "part")], (MIX,), ())
