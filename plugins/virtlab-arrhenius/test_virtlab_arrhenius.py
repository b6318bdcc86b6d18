from __future__ import annotations

import numpy as np
import pytest
from virtlab_arrhenius import conditioner

from virtlab import plugins
from virtlab.conditioning import (
    Monotone,
    NonNegative,
    Parameter,
    Sum,
    condition,
    constraints_of,
)
from virtlab.errors import ConfigError, SettingError
from virtlab.testing import check_conditioner
from virtlab.trials import Measurement

TEMPERATURE = Parameter("temperature", units="degC", bounds=(20, 150))
ACID = Parameter("acid", units="mol/L", bounds=(0.1, 2))
AMINE = Parameter("amine", units="mM", bounds=(0, 500))
SOLVENT = Parameter("solvent", kind="categorical", categories=("DMF", "water"))
REACTION = (TEMPERATURE, ACID, AMINE, SOLVENT)


def features(settings, parameters=REACTION, options=None):
    conditions = condition(conditioner, settings, parameters, options)
    return dict(zip(conditions.labels, conditions.values.T, strict=True))


def reaction(temperature=25.0, acid=1.0, amine=500.0):
    return {
        "temperature": np.array([temperature]),
        "acid": np.array([acid]),
        "amine": np.array([amine]),
        "solvent": np.array(["water"]),
    }


def test_conforms():
    check_conditioner(conditioner, REACTION)


def test_conforms_with_options_and_without_bounds():
    unbounded = (Parameter("T", units="K", bounds=(250, 500)), Parameter("dose"), SOLVENT, AMINE)
    check_conditioner(
        conditioner, unbounded, {"temperature": "T", "reagents": ["amine"], "floor": 1e-3}
    )


CURVE = Measurement("curve", dims=("time",), shape=(20,))
PRODUCTS = Measurement("products", dims=("species",), shape=(3,))


def test_conforms_with_constraints():
    options = {"fractions": ["products"], "conversions": ["curve"]}
    check_conditioner(conditioner, REACTION, options, measurements=[CURVE, PRODUCTS])


def test_fractions_sum_to_one_and_conversions_never_fall():
    options = {"fractions": ["products"], "conversions": ["curve"]}
    found = constraints_of(conditioner, (CURVE, PRODUCTS), REACTION, options)
    assert found == (Sum("products", 1.0), NonNegative("curve"), Monotone("curve", "time"))
    assert constraints_of(conditioner, (CURVE, PRODUCTS), REACTION) == ()


def test_refuses_constraints_on_what_is_not_measured():
    with pytest.raises(ConfigError, match=r"fractions: no measurement is named 'product'; did"):
        constraints_of(conditioner, (PRODUCTS,), REACTION, {"fractions": ["product"]})
    with pytest.raises(ConfigError, match=r"conversions: expected a list"):
        constraints_of(conditioner, (CURVE,), REACTION, {"conversions": "curve"})


def test_is_found_by_its_name():
    assert plugins.conditioner("arrhenius") is conditioner


@pytest.mark.parametrize(("units", "value"), [("K", 373.15), ("degC", 100.0), ("degF", 212.0)])
def test_sees_the_same_temperature_in_any_unit(units, value):
    parameters = (Parameter("T", units=units),)
    found = features({"T": np.array([value])}, parameters)["1000/T"]
    assert found == pytest.approx(1000 / 373.15 - 1000 / 298.15, abs=1e-5)


def test_rate_by_arrhenius_is_linear_in_the_feature():
    celsius = np.linspace(20, 150, 20)
    rate = 1e9 * np.exp(-60_000 / (8.314 * (celsius + 273.15)))
    parameters = (TEMPERATURE,)
    feature = features({"temperature": celsius}, parameters)["1000/temperature"]
    assert np.corrcoef(feature, np.log(rate))[0, 1] == pytest.approx(-1, abs=1e-6)


def test_ratio_of_reagents_converts_their_units():
    found = features(reaction(acid=1.0, amine=500.0))["log(amine/acid)"]
    assert found == pytest.approx(np.log(0.5), abs=1e-6)


def test_absent_reagent_has_a_flag_and_the_log_of_the_floor():
    found = features(reaction(amine=0.0))
    assert found["amine>0"] == 0
    assert found["log(amine)"] == pytest.approx(np.log(0.5e-3), abs=1e-5)
    assert features(reaction(amine=1.0))["amine>0"] == 1


def test_reagent_that_is_never_absent_has_no_flag():
    assert "acid>0" not in features(reaction())


def test_first_reagent_listed_is_the_reference():
    labels = features(reaction(), options={"reagents": ["amine", "acid"]})
    assert "log(acid/amine)" in labels


def test_refuses_zero_without_a_floor():
    parameters = (TEMPERATURE, Parameter("base", units="M"))
    with pytest.raises(SettingError, match="'base': 0 has no logarithm; give the parameter bounds"):
        features({"temperature": np.array([25.0]), "base": np.array([0.0])}, parameters)


def test_refuses_a_temperature_below_absolute_zero():
    with pytest.raises(SettingError, match="-300 degC is not above absolute zero"):
        features({"T": np.array([-300.0])}, (Parameter("T", units="degC"),))


def test_refuses_a_negative_concentration():
    parameters = (TEMPERATURE, Parameter("base", units="M"))
    with pytest.raises(SettingError, match="'base': -1 M is below zero"):
        features({"temperature": np.array([25.0]), "base": np.array([-1.0])}, parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": "temprature"}, "no parameter is named 'temprature'; did you mean"),
        ({"temperature": "acid"}, "has units 'mol/L', expected K, degC or degF"),
        ({"temperature": 3}, "no parameter is named 3"),
        ({"reagents": "acid"}, "expected a list of parameters, found 'acid'"),
        ({"reagents": ["acid", "acid"]}, "stands in it twice"),
        ({"reagents": ["solvent"]}, "'solvent' is categorical, expected numbers"),
        ({"reagents": ["acid", "temperature"]}, "have no common ratio"),
        ({"floor": 0}, "conditioner.floor: expected a number above 0, found 0"),
        ({"florr": 1}, "conditioner.florr: .*no such option; did you mean 'floor'"),
    ],
)
def test_refuses_options_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        features(reaction(), options=options)


def test_refuses_an_experiment_without_temperature():
    with pytest.raises(ConfigError, match="no parameter has units K, degC or degF"):
        features({"acid": np.array([1.0])}, (ACID,))
