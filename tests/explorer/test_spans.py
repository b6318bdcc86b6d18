"""What sliders cover, where a page starts, and what its params.toml says."""

import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.conditioning import Parameter
from virtlab.config import parse_params
from virtlab.explorer.pictures import bins_of
from virtlab.explorer.sampling import Sampler
from virtlab.explorer.spans import candidates, spans_of, starting_setting
from virtlab.explorer.wording import params_of


def span_of(parameter, low, high):
    """Span of one parameter that had these values in the data."""
    model = SimpleNamespace(
        parameters=(parameter,), manifest={"parameters": [{"range": [low, high]}]}
    )
    return spans_of(model)[0]


def test_a_slider_goes_a_little_beyond_the_data():
    span = span_of(Parameter("theta"), 0.5, 200)
    assert span.low == 0  # but not below zero, where no value ever was
    assert span.high == 230
    assert span.step == 1


def test_a_slider_stays_within_bounds():
    span = span_of(Parameter("power", bounds=(0.3, 10.2)), 0.5, 10)
    assert (span.low, span.high) == (0.3, 10.2)


def test_a_logarithmic_slider_has_values_that_read_well():
    span = span_of(Parameter("dose", scale="log", bounds=(0.1, 1e5)), 1, 1e4)
    assert span.log
    assert 10**span.low == pytest.approx(10**-0.6)
    values = span.values(np.linspace(0, 1, 7))
    assert values[0] == 1
    assert values[-1] == 1e4
    assert all(float(f"{value:.3g}") == value for value in values)


def test_integers_are_whole():
    span = span_of(Parameter("n", kind="integer", bounds=(1, 12)), 2, 12)
    assert (span.low, span.high, span.step) == (1, 12, 1)
    assert all(value == int(value) for value in span.values(np.linspace(0, 1, 9)))


def test_a_whole_turn_of_a_cyclic_parameter():
    span = span_of(Parameter("phase", kind="cyclic", period=360), 0, 330)
    assert (span.low, span.high) == (0, 360)


def test_what_never_varied_has_no_slider():
    span = span_of(Parameter("release"), 20, 20)
    assert span.step == 0
    assert span.told() == "data: always 20"


@given(
    low=st.floats(-1e12, 1e12, allow_subnormal=False),
    width=st.floats(1e-9, 1e12),
    scale=st.sampled_from(["linear", "log", "reciprocal"]),
)
def test_any_data_have_a_slider_that_reaches_them(low, width, scale):
    high = low + width
    if not high > low or (scale != "linear" and low <= 0):
        return
    span = span_of(Parameter("x", scale=scale), low, high)
    assert span.low < span.high
    assert span.step > 0
    ends = np.log10([low, high]) if span.log else np.array([low, high])
    slack = 1e-9 * max(abs(low), abs(high))
    assert span.low <= ends[0] + slack
    assert ends[1] <= span.high + slack
    assert all(low <= value <= high for value in span.values(np.linspace(0, 1, 5)))


def test_a_page_starts_inside_the_data(tiny):
    spans = spans_of(tiny)
    start = starting_setting(tiny, spans)
    arrays = {name: np.array([value]) for name, value in start.items()}
    assert tiny.domain.distance(tiny.conditions(arrays))[0] <= 1
    assert starting_setting(tiny, spans) == start


def test_candidates_are_settings_that_the_model_takes(tiny):
    found = candidates(spans_of(tiny), 40, np.random.default_rng(2))
    assert {setting["material"] for setting in found} == {"glass", "steel"}
    assert all(0.5 <= setting["power"] <= 10 for setting in found)


def sampler(tmp_path):
    file = SimpleNamespace(path=tmp_path / 'a "model" \\ of mine.virtlab')
    return SimpleNamespace(model=SimpleNamespace(file=file), trials=30, seed=2**63 - 1)


def test_params_say_exactly_what_is_shown(tmp_path):
    setting = {"power": 0.1 + 0.2, "n": 1e22, "drop": 'ä "b"\\ \n \x7f'}
    text = params_of(sampler(tmp_path), [setting])
    params = parse_params(text)
    assert params.parameters == setting
    assert (params.trials, params.seed, params.design) == (30, 2**63 - 1, "grid")
    assert params.model == str(tmp_path / 'a "model" \\ of mine.virtlab')


def test_params_of_two_settings_list_what_differs(tmp_path):
    pair = [{"power": 1.0, "kind": "a"}, {"power": 2.5, "kind": "a"}]
    found = tomllib.loads(params_of(sampler(tmp_path), pair))
    assert found["parameters"] == {"power": [1, 2.5], "kind": "a"}
    assert found["design"] == "zip"


def test_bins_hold_whole_numbers_one_by_one():
    assert bins_of(np.array([2, 3, 3, 7]), whole=True).tolist() == list(np.arange(1.5, 8))


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [-1e9, -1e9], [1e-12, 2e-12], [0, 1e300]])
def test_bins_hold_any_values(values):
    edges = bins_of(np.array(values), whole=False)
    assert (np.diff(edges) > 0).all()
    assert np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].sum() == len(values)


def test_trials_drawn_in_portions_are_those_drawn_at_once(tiny):
    sampler = Sampler(tiny, trials=700, seed=4)
    setting = starting_setting(tiny, sampler.spans)
    whole = sampler.draw(setting)
    part = sampler.draw(setting, 130)
    assert part.trials == 130
    rest = sampler.draw(setting, known=part)
    assert rest.trials == whole.trials == 700
    virtual = tiny.simulate(setting, trials=700, seed=4)
    for name, values in whole.measurements.items():
        assert (rest.measurements[name] == values).all()
        assert (virtual[name].values == values).all()


@pytest.mark.parametrize("trials", [1, 320, 321, 5_000, 100_000])
@pytest.mark.parametrize(("values", "first"), [(1, 99_840), (65, 1280), (707, 320), (10**7, 320)])
def test_portions_begin_with_few_wide_trials_and_end_with_all(trials, values, first):
    model = SimpleNamespace(
        runtime=SimpleNamespace(call=320, values=values),
        parameters=(),
        manifest={"parameters": []},
    )
    portions = Sampler(model, trials=trials, seed=0).portions
    assert portions[0] == (first if 2 * first < trials else trials)
    assert portions[-1] == trials
    assert portions == sorted(set(portions))
    assert len(portions) <= 6
