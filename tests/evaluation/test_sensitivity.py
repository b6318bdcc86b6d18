"""Sobol indices that are known, and what drives the tiny lab's measurements."""

import json

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.evaluation import sensitivity
from virtlab.evaluation.ranges import Range, settings_at
from virtlab.evaluation.sensitivity import find_indices, sample_unit, sense


def by_name(indices):
    return {index.parameter: index for index in indices}


def test_indices_of_the_ishigami_function_are_the_known_ones():
    a, b, c = (2 * sample_unit(3, 512) - 1).T * np.pi
    values = np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)
    found = by_name(find_indices(values[:, None], "abc"))
    known = {"a": (0.314, 0.558), "b": (0.442, 0.442), "c": (0.0, 0.244)}
    for name, (first, total) in known.items():
        for estimate, truth in ((found[name].first, first), (found[name].total, total)):
            assert estimate.value == pytest.approx(truth, abs=0.06)
            assert estimate.low < truth < estimate.high


def test_values_of_a_signal_count_by_their_variance():
    a, b = sample_unit(2, 256).T
    together = np.stack([3 * a, b, np.full(len(a), 5.0)], axis=1)
    found = by_name(find_indices(together, "ab"))
    for index, truth in ((found["a"], 0.9), (found["b"], 0.1)):
        assert index.first.value == pytest.approx(truth, abs=0.03)
        assert index.total.value == pytest.approx(truth, abs=0.03)


def test_members_that_disagree_widen_the_intervals():
    points = sample_unit(2, 256)
    weights = np.random.default_rng(0).normal([[1.0], [1.0]], 0.3, (8, 2, 1))
    members = np.einsum("pi,mik->mpk", points, weights)
    alone = by_name(find_indices(members.mean(axis=0), "ab"))
    alike = by_name(find_indices(members.mean(axis=0), "ab", np.tile(members.mean(0), (8, 1, 1))))
    apart = by_name(find_indices(members.mean(axis=0), "ab", members))

    def width(index):
        return index.total.high - index.total.low

    for name in "ab":
        assert apart[name].total.value == alone[name].total.value
        assert width(alike[name]) == pytest.approx(width(alone[name]))
        assert width(apart[name]) > 2 * width(alone[name])
        truth = np.square(weights[:, "ab".index(name), 0]) / np.square(weights[..., 0]).sum(axis=1)
        spread = 2 * 1.645 * truth.std(ddof=1)
        assert width(apart[name]) == pytest.approx(np.hypot(spread, width(alone[name])), rel=0.1)


def test_parameters_come_sorted_by_what_they_do():
    points = sample_unit(3, 128)
    found = find_indices(points @ [[0.1], [3.0], [1.0]], "abc")
    assert [index.parameter for index in found] == ["b", "c", "a"]


# ranges


@pytest.mark.parametrize(
    ("parameter", "low", "high", "expected"),
    [
        (Parameter("x"), 2, 4, [2, 3, 4]),
        (Parameter("x", scale="log"), 1, 100, [1, 10, 100]),
        (Parameter("x", scale="reciprocal"), 1, 4, [1, 1.6, 4]),
        (Parameter("x", kind="integer"), 1, 3, [1, 2, 3]),
        (Parameter("x", kind="categorical", categories=("a", "b", "c")), 0, 0, ["a", "b", "c"]),
    ],
)
def test_ranges_are_crossed_evenly_on_their_scale(parameter, low, high, expected):
    found = Range(parameter, low, high).at(np.array([0, 0.5, 1])).tolist()
    assert found == (expected if isinstance(expected[0], str) else pytest.approx(expected))


def test_whole_numbers_and_categories_are_equally_frequent_and_all_in_a_grid():
    count = Range(Parameter("n", kind="integer"), 0, 4)
    values = count.at(sample_unit(1, 512)[:, 0])
    assert np.bincount(values.astype(int)).min() > 0.9 * len(values) / 5
    assert count.at(count.grid(11)).tolist() == [0, 1, 2, 3, 4]


def test_what_never_varied_stays_as_it_was():
    ranges = [Range(Parameter("a"), 3, 3), Range(Parameter("b"), 0, 1)]
    found = settings_at(ranges, np.array([[0.25], [0.5]]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "a": [3, 3],
        "b": [0.25, 0.5],
    }


# a trained model


@pytest.fixture(scope="module")
def sensed(tiny):
    return sense(tiny)


def test_a_trained_model_shows_what_drives_which_measurement(sensed):
    effects = {effect.measurement: effect for effect in sensed.effects}
    clicks, state, trace = (by_name(effects[n].mean) for n in ("clicks", "state", "trace"))
    assert clicks["power"].total.value > 0.9 > 0.1 > clicks["material"].total.value
    assert trace["power"].first.value > 0.8
    assert state["material"].total.value > state["power"].total.value
    # Its mean is 0.7 (gain power + 0.8), gain 3 or 1, power 0.5 to 10.
    light = by_name(effects["light"].mean)
    assert light["power"].total.value == pytest.approx(0.577, abs=0.15)
    assert light["material"].total.value == pytest.approx(0.539, abs=0.15)
    assert effects["state"].spread == ()
    assert 0.5 < effects["trace"].settled < 1
    assert effects["state"].settled < effects["trace"].settled


def test_the_spread_is_taken_apart_for_itself(sensed):
    clicks = next(effect for effect in sensed.effects if effect.measurement == "clicks")
    assert by_name(clicks.spread)["power"].total.value > 0.5  # Poisson: it grows with the mean


def test_curves_follow_the_lab(sensed):
    curves = {(c.measurement, c.parameter): c for c in sensed.curves}
    clicks = curves["clicks", "power"]
    np.testing.assert_allclose(clicks.at[::10], [0.5, 10])
    np.testing.assert_allclose(clicks.mean, 1 + np.array(clicks.at), atol=2.5)
    assert (np.array(clicks.low) <= clicks.mean).all()
    assert (np.array(clicks.high) >= clicks.mean).all()
    assert clicks.spread[-1] > clicks.spread[0]
    state = curves["state", "material"]
    assert state.at == ("glass", "steel")
    assert state.what in ("share of up", "share of down")
    assert abs(state.mean[0] - state.mean[1]) > 0.3
    assert curves["trace", "power"].what == "mean over time"


def test_what_it_found_is_json_and_text(sensed):
    found = json.loads(json.dumps(sensed.to_dict(), allow_nan=False))
    assert found["effects"][1]["mean"][0]["parameter"] == "power"
    text = "\n".join(sensed.lines())
    assert "clicks: settings decide" in text
    assert "its mean follows power" in text
    assert "categories are taken as equally frequent" in text


def test_the_same_model_gives_the_same_numbers(sensed, tiny):
    assert sense(tiny) == sensed


def test_without_salib_it_says_how_to_get_it(tiny, monkeypatch):
    monkeypatch.setattr(sensitivity.importlib.util, "find_spec", lambda _name: None)
    found = sense(tiny)
    assert found.effects == ()
    assert found.lines() == ["note: sensitivities need SALib: pip install 'virtlab[report]'"]


def test_combinations_outside_the_data_are_told(tiny, monkeypatch):
    monkeypatch.setattr(
        type(tiny.domain), "distance", lambda _domain, conditions: np.full(len(conditions), 3.0)
    )
    assert any(
        "100% of their combinations lie outside the data" in said for said in sense(tiny).notes
    )
