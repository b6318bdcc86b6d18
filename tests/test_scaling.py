"""Trials to columns and back."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from virtlab.errors import DataError
from virtlab.scaling import column_from_dict, column_to_dict, fit_column
from virtlab.trials import Measurement

INF = math.inf
SUPPORTS = [(-INF, INF), (0, INF), (-INF, 5), (0, 1), (-2.5, 7.3), (1e-3, INF)]


def within(support, size=60, seed=0, share_on_limits=0.0):
    """Values inside a support, some on its limits."""
    low, high = support
    rng = np.random.default_rng(seed)
    u = rng.random(size)
    if math.isfinite(low) and math.isfinite(high):
        values = low + u * (high - low)
    elif math.isfinite(low):
        values = low + rng.gamma(2, 1, size)
    elif math.isfinite(high):
        values = high - rng.gamma(2, 1, size)
    else:
        values = rng.normal(3, 2, size)
    for limit in support:
        if math.isfinite(limit):
            values[rng.random(size) < share_on_limits] = limit
    return values


def back(column, values):
    """There and back."""
    scaled, _, codes = column.scale_down(values)
    return column.scale_up(scaled, codes.clip(0) if column.levels else None)


@pytest.mark.parametrize("support", SUPPORTS)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.1, 0.6, 1.0]))
@settings(max_examples=20)
def test_limits_come_back_exactly_and_the_rest_in_single_precision(support, seed, share):
    values = within(support, seed=seed, share_on_limits=share)
    column = fit_column(Measurement("y", support=support), values)
    found = back(column, values)
    assert found.dtype == np.float32
    on_limit = np.isin(values, support)
    low, high = np.float32(support[0]), np.float32(support[1])
    assert np.all((found >= low) & (found <= high))
    np.testing.assert_allclose(found[on_limit], values[on_limit], rtol=2e-7)
    scale = np.ptp(values) or 1.0
    np.testing.assert_allclose(found, values, rtol=3e-5, atol=3e-5 * scale)


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)))
def test_any_values_come_back(values):
    column = fit_column(Measurement("y"), values)
    np.testing.assert_allclose(
        back(column, values), values, rtol=1e-5, atol=1e-5 * max(np.ptp(values), 1e-30)
    )


@given(
    arrays(np.float64, st.integers(10, 50), elements=st.floats(1e-2, 1e2)),
    st.floats(0, 0.9),
    st.integers(0, 100),
)
def test_zeros_come_back_as_exact_zeros(values, share, seed):
    values[np.random.default_rng(seed).random(len(values)) < share] = 0
    column = fit_column(Measurement("y", support=(0, INF)), values)
    np.testing.assert_array_equal(back(column, values) == 0, values == 0)


@given(arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 10**5)))
def test_counts_come_back_exactly(values):
    column = fit_column(Measurement("n", kind="count"), values.astype(float))
    found = back(column, values.astype(float))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, values)


@given(st.lists(st.sampled_from(["a", "b", "ü", ""]), min_size=1, max_size=40))
def test_categories_come_back_exactly_and_missing_ones_are_told(names):
    values = np.array(names, dtype=object)
    column = fit_column(Measurement("c", kind="categorical", categories=("a", "b", "ü")), values)
    scaled, observed, codes = column.scale_down(values)
    assert scaled.shape == observed.shape == (len(values), 0)
    np.testing.assert_array_equal(codes < 0, values == "")
    known = values != ""
    np.testing.assert_array_equal(column.scale_up(scaled[known], codes[known]), values[known])


EXTREMES = st.floats(-1e4, 1e4, width=32)


@pytest.mark.parametrize("kind", ["continuous", "count"])
@pytest.mark.parametrize("support", [*SUPPORTS, (0.1, 0.3), (1 / 3, 2 / 3)])
@given(scaled=arrays(np.float32, (8, 1), elements=EXTREMES), seed=st.integers(0, 5))
@settings(max_examples=25)
def test_nothing_scaled_up_leaves_the_support(support, kind, scaled, seed):
    low, high = support
    if kind == "count":
        low, high = math.ceil(max(low, 0)), math.floor(high) if math.isfinite(high) else INF
        if low >= high:
            return
    values = within((low, high), seed=seed, share_on_limits=0.3 * (seed % 2))
    values = np.round(values) if kind == "count" else values
    column = fit_column(Measurement("y", kind, support=(low, high)), values)
    scaled[0], scaled[1] = 1e4, -1e4
    found = column.scale_up(scaled, np.zeros(8, np.int64) if column.levels else None)
    # Compared as exact numbers: a float32 just past a float64 limit is past it.
    assert np.all(found.astype(np.float64) >= low)
    assert np.all(found.astype(np.float64) <= high)


@pytest.mark.parametrize(
    ("warp", "support", "values"),
    [
        ("none", (-INF, INF), np.arange(50.0)),
        ("above", (0, INF), np.linspace(1, 5, 50)),
        ("log", (0, INF), np.geomspace(1e-4, 1e3, 50)),
        ("below", (-INF, 0), np.linspace(-5, -1, 50)),
        ("between", (0, 1), np.linspace(0.1, 0.9, 50)),
    ],
)
def test_warp_follows_support_and_spread(warp, support, values):
    column = fit_column(Measurement("y", support=support), values)
    assert column.warp == warp
    scaled, _, _ = column.scale_down(values)
    assert scaled.mean() == pytest.approx(0, abs=1e-5)
    assert scaled.std() == pytest.approx(1, rel=1e-5)


def test_heavy_tails_come_back_to_their_own_precision():
    values = np.geomspace(1e-5, 1e4, 200)
    column = fit_column(Measurement("y", support=(0, INF)), values)
    np.testing.assert_allclose(back(column, values), values, rtol=1e-5)


def test_counts_beyond_the_support_never_come_up():
    values = np.repeat([0.0, 1, 2, 3], 10)
    column = fit_column(Measurement("n", kind="count", support=(0, 3)), values)
    found = column.scale_up(np.array([[9.0], [-9.0]], np.float32), None)
    np.testing.assert_array_equal(found, [3, 0])


@pytest.mark.parametrize("kind", ["continuous", "count"])
def test_constant_measurement_comes_back_whatever_is_drawn(kind):
    values = np.full(20, 7.0)
    column = fit_column(Measurement("y", kind), values)
    np.testing.assert_array_equal(back(column, values), values)
    if column.levels:
        drawn = column.scale_up(np.array([[3.0]], np.float32), np.array([1]))
        np.testing.assert_array_equal(drawn, [7.0])


@pytest.mark.parametrize("shape", [(), (30,)])
def test_measurement_that_is_missing_throughout_is_masked(shape):
    values = np.full((12, *shape), np.nan)
    dims = ("t",) * len(shape)
    column = fit_column(Measurement("y", dims=dims, shape=shape), values)
    scaled, observed, codes = column.scale_down(values)
    assert not observed.any()
    assert not scaled.any()
    assert np.all(codes == -1)
    assert np.isfinite(column.scale_up(scaled, None)).all()


def test_missing_values_are_masked_and_do_not_shift_the_scale():
    values = np.random.default_rng(0).normal(5, 2, 100)
    gaps = values.copy()
    gaps[::4] = np.nan
    column = fit_column(Measurement("y"), gaps)
    scaled, observed, codes = column.scale_down(gaps)
    np.testing.assert_array_equal(observed[:, 0] == 0, np.isnan(gaps))
    np.testing.assert_array_equal(codes == -1, np.isnan(gaps))
    np.testing.assert_array_equal(scaled[::4], 0)
    assert column.center[0] == pytest.approx(np.nanmean(gaps))


def test_pile_up_on_one_value_becomes_an_atom():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 200)
    values[:30] = 9.9  # a saturated detector, not declared
    values[values > 9.9] = 9.9
    column = fit_column(Measurement("y"), values)
    assert column.atoms == (9.9,)
    assert column.levels == 2
    _, _, codes = column.scale_down(values)
    np.testing.assert_array_equal(codes == 1, values == 9.9)
    # Nothing lay beyond it: nothing will.
    high = column.scale_up(np.array([[50.0]], np.float32), np.array([0]))
    assert high <= np.float32(9.9)


def test_values_measured_in_steps_are_no_atoms():
    values = np.repeat(np.arange(20) / 10, 10)
    assert fit_column(Measurement("y"), values).atoms == ()


def signal(n=40, width=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, width)).cumsum(axis=1) + 50


def test_signal_comes_back_entry_by_entry():
    values = signal()
    column = fit_column(Measurement("s", dims=("t",), shape=(30,)), values)
    found = back(column, values)
    assert found.shape == values.shape
    np.testing.assert_allclose(found, values, rtol=1e-5)


def test_floor_of_a_signal_comes_back_exactly_and_nothing_goes_below():
    values = np.maximum(signal() - 50, 0)
    assert 0.05 < (values == 0).mean() < 0.95
    column = fit_column(Measurement("s", dims=("t",), shape=(30,)), values)
    assert column.floor
    scaled, _, _ = column.scale_down(values)
    np.testing.assert_array_equal(scaled == 0, values == 0)
    assert scaled.min() == 0
    np.testing.assert_array_equal(back(column, values) == 0, values == 0)
    low = column.scale_up(np.full((1, 30), -1e4, np.float32), None)
    np.testing.assert_array_equal(low, 0)


def test_image_keeps_its_shape():
    values = np.random.default_rng(0).normal(size=(12, 5, 6))
    column = fit_column(Measurement("i", dims=("y", "x"), shape=(5, 6)), values)
    scaled, observed, _ = column.scale_down(values)
    assert scaled.shape == observed.shape == (12, 30)
    np.testing.assert_allclose(back(column, values), values, atol=1e-6)


def test_entries_of_a_signal_that_hardly_vary_count_little():
    values = signal()
    values[:, 3] = 50 + 1e-9 * values[:, 3]
    column = fit_column(Measurement("s", dims=("t",), shape=(30,)), values)
    scaled, _, _ = column.scale_down(values)
    assert np.abs(scaled[:, 3]).max() < 1e-3


def test_counting_signal_is_whole_and_never_negative():
    values = np.random.default_rng(0).poisson(2, (30, 12)).astype(float)
    column = fit_column(Measurement("h", kind="count", dims=("b",), shape=(12,)), values)
    np.testing.assert_array_equal(back(column, values), values)
    low = column.scale_up(np.full((1, 12), -1e4, np.float32), None)
    np.testing.assert_array_equal(low, 0)
    np.testing.assert_allclose(column.step, 1 / np.array(column.scale), rtol=1e-6)


@pytest.mark.parametrize(
    ("measurement", "values"),
    [
        (Measurement("y", support=(0, INF), units="J"), within((0, INF), share_on_limits=0.3)),
        (Measurement("y", support=(0, 1)), within((0, 1), share_on_limits=0.2)),
        (Measurement("n", kind="count"), np.arange(30.0)),
        (
            Measurement("c", kind="categorical", categories=("a", "b")),
            np.array(["a", "b"] * 5, dtype=object),
        ),
        (Measurement("s", dims=("t",), shape=(30,)), np.maximum(signal() - 50, 0)),
        (Measurement("y"), np.full(12, np.nan)),
    ],
)
def test_column_survives_json_without_infinities(measurement, values):
    column = fit_column(measurement, values)
    text = json.dumps(column_to_dict(column), allow_nan=False)
    assert column_from_dict(json.loads(text)) == column


def test_values_that_single_precision_would_blur_stay_double():
    values = 1e9 + np.random.default_rng(0).normal(size=100)
    column = fit_column(Measurement("frequency"), values)
    found = back(column, values)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found - 1e9, values - 1e9, atol=1e-4)
    assert back(fit_column(Measurement("y"), values - 1e9), values - 1e9).dtype == np.float32


def test_a_measurement_that_is_always_at_a_limit_comes_up_nowhere_else():
    values = np.repeat([0.0, 1.0], [20, 30])
    column = fit_column(Measurement("y", support=(0, 1)), values)
    scaled = np.linspace(-3, 3, 30, dtype=np.float32)[:, None]
    assert set(column.scale_up(scaled, np.zeros(30, np.int64))) == {0.0, 1.0}
    np.testing.assert_array_equal(back(column, values), values)


def test_values_too_large_to_calculate_with_are_refused():
    with pytest.raises(DataError, match=r"'y': found the value 1e\+200, expected at most"):
        fit_column(Measurement("y"), np.array([1.0, -1e200, np.nan]))


def test_counts_over_decades_come_back_exactly_and_are_seen_on_a_log_scale():
    counts = np.round(10 ** np.linspace(0.3, 9, 60))
    column = fit_column(Measurement("photons", kind="count"), counts)
    assert column.warp == "log"
    assert not column.step.any()
    scaled, _, codes = column.scale_down(counts)
    back = column.scale_up(scaled, codes)
    np.testing.assert_allclose(back, counts, rtol=1e-5)
    np.testing.assert_array_equal(back[counts < 1000], counts[counts < 1000])


def test_counts_never_leave_their_limits_however_far_the_generator_draws():
    counts = np.round(10 ** np.linspace(0, 6, 60))
    column = fit_column(Measurement("photons", kind="count", support=(0, 2e6)), counts)
    drawn = column.scale_up(np.array([[-1e4], [1e4]], np.float32), None)
    assert drawn.tolist() == [0, 2_000_000]
