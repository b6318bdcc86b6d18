from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.conditioning import (
    Conditioner,
    Parameter,
    categories_of,
    check_settings,
    condition,
    encode_parameter,
    generic,
    suggestion,
)
from virtlab.errors import ConfigError, PluginError, SettingError

THETA = Parameter("theta", units="degree", bounds=(0, 200))
STRUTS = Parameter("n", kind="integer")
GLUE = Parameter("glue", kind="categorical", categories=("epoxy", "hot"))
STATE = Parameter("state", kind="categorical", categories=("0", "1"))


def checked(values, parameter):
    return check_settings({parameter.name: np.asarray(values)}, [parameter])[parameter.name]


def fault(values, parameter):
    with pytest.raises(SettingError) as caught:
        checked(values, parameter)
    (found,) = caught.value.faults
    assert found.parameter == parameter.name
    return found


def conditioner_of(encode, **kwargs):
    return Conditioner("mine", "a test's", encode, **kwargs)


def run(encode, values=(1.0, 2.0), **kwargs):
    return condition(conditioner_of(encode, **kwargs), {"theta": np.array(values)}, [THETA])


@given(st.lists(st.floats(0, 200), min_size=1))
def test_settings_within_bounds_pass_unchanged(values):
    assert checked(values, THETA).tolist() == values


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_passes_or_is_told(value):
    if 0 <= value <= 200:
        assert checked([value], THETA)[0] == value
    elif not -1e-6 < value < 200 + 1e-6:
        assert fault([100.0, value], THETA).index == 1


def test_refuses_setting_outside_its_bounds_with_its_place():
    found = fault([3, 250, 300], THETA)
    assert found.index == 1
    assert found.text == "250 degree is outside its bounds [0, 200]"


def test_value_just_outside_does_not_read_like_the_bound():
    assert "200.0001 degree is outside" in fault([200.0001], THETA).text


def test_rounding_beyond_a_bound_is_moved_onto_it():
    fraction = Parameter("x", bounds=(0, 0.3))
    assert checked([0.1 * 3], fraction).tolist() == [0.3]


def test_infinite_bounds_limit_one_side():
    positive = Parameter("x", bounds=(0, np.inf))
    assert checked([1e300], positive)[0] == 1e300
    assert "-1 is outside its bounds [0, inf]" in fault([-1], positive).text


def test_negative_zero_becomes_zero():
    assert not np.signbit(checked([-0.0], THETA)).any()


def test_rounding_of_whole_numbers_is_mended():
    assert checked([0.1 * 30, 7], STRUTS).tolist() == [3, 7]


@pytest.mark.parametrize("value", [1.5, 3.0001, -0.5])
def test_refuses_broken_whole_number(value):
    assert fault([1, value], STRUTS).text == f"expected a whole number, found {value}"


@pytest.mark.parametrize(
    "values", [["10"], [True], [1 + 2j], [b"1"], [None], np.array(["2026-01-01"], "datetime64[D]")]
)
def test_refuses_what_is_no_number(values):
    assert "expected a number, found" in fault(values, THETA).text


def test_refuses_text_among_numbers_with_its_place():
    assert fault(np.array([1, 2.5, "three"], dtype=object), THETA).index == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_values_that_are_not_finite(value):
    assert "expected a finite number" in fault([1, value], THETA).text


def test_refuses_integers_beyond_floats():
    assert "below 1e308" in fault(np.array([10**400], dtype=object), THETA).text


def test_refuses_unknown_category_with_a_suggestion():
    found = fault(["hot", "epoxi"], GLUE)
    assert found.index == 1
    assert found.text == "unknown category 'epoxi'; did you mean 'epoxy'?"


@pytest.mark.parametrize("values", [[0, 1], [0.0, 1.0], ["0", "1"], [b"0", b"1"]])
def test_categories_that_are_numbers_come_in_any_type(values):
    assert checked(values, STATE).tolist() == ["0", "1"]


def test_names_of_categories_keep_their_own_precision():
    assert categories_of(np.array([0.1, 2.0], dtype=np.float32)).tolist() == ["0.1", "2"]
    assert categories_of(np.array([[True], [False]])).tolist() == [["True"], ["False"]]
    assert categories_of(np.array(["é".encode(), b"\xff"])).tolist() == ["é", "�"]
    assert categories_of(np.array([np.nan, np.inf])).tolist() == ["nan", "inf"]


def test_tells_the_first_fault_of_every_parameter_at_once():
    with pytest.raises(SettingError) as caught:
        check_settings(
            {"theta": np.array([1, 250]), "n": np.array([1.5, 2.5]), "glu": np.array([1])},
            [THETA, STRUTS, GLUE],
        )
    assert str(caught.value).split("\n") == [
        "parameter 'glu': unknown parameter; did you mean 'glue'?",
        "parameter 'theta': 250 degree is outside its bounds [0, 200]",
        "parameter 'n': expected a whole number, found 1.5",
        "parameter 'glue': missing; every parameter of the experiment needs a value",
    ]


def test_refuses_parameters_of_different_lengths():
    with pytest.raises(SettingError, match="theta has 1, n has 2"):
        check_settings({"theta": np.array([1]), "n": np.array([1, 2])}, [THETA, STRUTS])


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_refuses_other_than_one_value_per_setting(shape):
    assert "expected one value per setting" in fault(np.ones(shape), THETA).text


def test_what_was_checked_is_new_and_read_only():
    given_values = np.array([1.0, 2.0])
    values = checked(given_values, THETA)
    given_values[0] = 999
    assert values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 3


def test_a_million_settings_take_less_than_seconds():
    rng = np.random.default_rng(0)
    settings = {
        "theta": rng.uniform(0, 200, 10**6),
        "n": rng.integers(0, 9, 10**6),
        "glue": np.array(["epoxy", "hot"], dtype=object)[rng.integers(0, 2, 10**6)],
    }
    start = time.process_time()
    assert len(condition(generic, settings, [THETA, STRUTS, GLUE]).values) == 10**6
    assert time.process_time() - start < 5  # some 0.3 s on an idle core


def test_suggestion_lists_few_of_many():
    assert suggestion("x", [f"name{i}" for i in range(50)]).endswith("name19 and 30 more")


def test_generic_encodes_every_kind():
    parameters = [
        THETA,
        Parameter("k", scale="log"),
        Parameter("T", scale="reciprocal"),
        Parameter("phase", kind="cyclic", period=360),
        GLUE,
    ]
    settings = {"theta": 20, "k": np.e, "T": 4, "phase": 90, "glue": "hot"}
    found = condition(generic, {n: np.array([v]) for n, v in settings.items()}, parameters)
    assert found.labels == (
        "theta", "log(k)", "1/T", "cos(phase)", "sin(phase)", "glue=epoxy", "glue=hot",
    )  # fmt: skip
    assert found.values.dtype == np.float64
    np.testing.assert_allclose(found.values, [[20, 1, 0.25, 0, 1, 0, 1]], atol=1e-6)


@given(st.floats(0, 1e4), st.integers(-5, 5))
def test_cyclic_parameter_repeats_after_its_period(value, turns):
    phase = Parameter("phase", kind="cyclic", period=360)
    one = encode_parameter(np.array([value]), phase)
    other = encode_parameter(np.array([value + 360 * turns]), phase)
    for label, feature in one.items():
        np.testing.assert_allclose(feature, other[label], atol=1e-9)


@pytest.mark.parametrize(
    ("scale", "values", "message"),
    [("log", [1, 0], "needs values above 0"), ("reciprocal", [1, 0], "cannot take 0")],
)
def test_scale_refuses_what_it_cannot_take(scale, values, message):
    with pytest.raises(SettingError, match=f"'x': scale '{scale}' {message}"):
        condition(generic, {"x": np.array(values)}, [Parameter("x", scale=scale)])


def test_categorical_parameter_without_categories_is_refused():
    with pytest.raises(SettingError, match="'x': categorical, but no categories are known"):
        condition(generic, {"x": np.array(["a"])}, [Parameter("x", kind="categorical")])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({}, "returned no features"),
        (None, "returned no features"),
        ({"a": np.ones(3)}, r"'a' has shape \(3,\), expected \(2,\)"),
        ({"a": np.ones((2, 1))}, r"'a' has shape \(2, 1\)"),
        ({"a": 1.0}, r"'a' has shape \(\)"),
        ({"a": np.array(["x", "y"])}, "'a' is not numeric"),
        ({"a": np.array([1.0, np.nan])}, "'a' is not finite"),
        ({"a": np.array([1.0, 1e300])}, "'a' is not finite, or beyond 1e\\+100"),
    ],
)
def test_conditioner_that_breaks_its_contract_is_named(features, message):
    with pytest.raises(PluginError, match=f"conditioner 'mine'.*{message}"):
        run(lambda _settings, _parameters, _options: features)


def test_fault_in_a_conditioner_is_told_as_one():
    with pytest.raises(PluginError, match="conditioner 'mine' failed: KeyError: 'heat'"):
        run(lambda settings, _parameters, _options: settings["heat"])


def test_conditioner_cannot_change_its_settings():
    def encode(settings, parameters, options):
        settings["theta"][:] = 0
        return dict(settings)

    with pytest.raises(PluginError, match="failed: ValueError: assignment destination is read"):
        run(encode)


def test_refuses_unknown_option_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"conditioner\.flor: .*did you mean 'floor'"):
        condition(
            conditioner_of(lambda s, _p, _o: dict(s), options={"floor": "the least"}),
            {"theta": np.array([1.0])},
            [THETA],
            {"flor": 1},
        )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Parameter("thta"), "needs a parameter 'thta'; did you mean 'theta'?"),
        (Parameter("theta", units="rad"), "as continuous in 'rad', found continuous in 'degree'"),
        (Parameter("theta", kind="cyclic"), "as cyclic in '', found continuous in 'degree'"),
    ],
)
def test_declared_parameter_must_be_there_as_declared(wanted, message):
    with pytest.raises(PluginError, match=message.replace("?", r"\?")):
        run(lambda s, _p, _o: dict(s), parameters=(wanted,))


def test_declared_bounds_hold_beside_the_experiments():
    with pytest.raises(SettingError, match=r"150 is outside its bounds \[0, 100\]"):
        run(
            lambda s, _p, _o: dict(s),
            values=(50.0, 150.0),
            parameters=(Parameter("theta", bounds=(0, 100)),),
        )
