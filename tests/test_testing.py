from __future__ import annotations

from itertools import count
from pathlib import Path

import h5py
import numpy as np
import pytest

from virtlab import plugins
from virtlab.conditioning import (
    Conditioner,
    NonNegative,
    Parameter,
    Sum,
    encode_parameter,
    generic,
)
from virtlab.config import parse_experiment
from virtlab.errors import DataError, PluginError, SettingError
from virtlab.plugins import RawArray, RawTrials, Reader
from virtlab.testing import check_conditioner, check_reader
from virtlab.trials import Measurement

HEAT = Parameter("heat", bounds=(0, 10))
GLUE = Parameter("glue", kind="categorical", categories=("a", "b"))

EXPERIMENT = parse_experiment("""
[experiment]
name = "x"
[data]
files = ["lab.h5"]
[parameters]
heat.path = "heat"
gain.path = "gain"
state.index = "parity"
[measurements.trace]
path = "trace"
dims = ["time"]
coords.time.path = "time"
""")


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        file["heat"] = np.arange(5.0)
        file["gain"] = 3.0
        file["trace"] = np.arange(15.0).reshape(5, 3)
        file["trace"][1, 1] = np.nan
        file["time"] = np.arange(3.0)
    return path


def read(path, experiment):
    with h5py.File(path) as file:
        return RawTrials(
            {"heat": RawArray(file["heat"][()]), "gain": RawArray(np.asarray(file["gain"][()]))},
            {"trace": RawArray(file["trace"][()])},
            {"time": RawArray(file["time"][()])},
        )


def encode_all(settings, parameters, options):
    features = {}
    for name, parameter in parameters.items():
        features |= encode_parameter(settings[name], parameter)
    return features


def refused(encode, parameters=(HEAT, GLUE), **kwargs):
    with pytest.raises(PluginError) as caught:
        check_conditioner(Conditioner("mine", "a test's", encode), parameters, **kwargs)
    return str(caught.value)


def changed(**changes):
    """Make a reader that returns the lab's trials with some of its arrays replaced."""

    def read_changed(path, experiment):
        raw = read(path, experiment)
        roles = {
            role: dict(getattr(raw, role)) for role in ("parameters", "measurements", "coords")
        }
        for role, arrays in changes.items():
            roles[role] |= arrays
            roles[role] = {name: array for name, array in roles[role].items() if array is not None}
        return RawTrials(**roles)

    return read_changed


def reader_refused(lab, function):
    with pytest.raises(PluginError) as caught:
        check_reader(Reader("mine", "a test's", function), lab, EXPERIMENT)
    return str(caught.value)


def test_generic_conforms_for_any_parameters():
    check_conditioner(generic)


@pytest.mark.parametrize(
    "parameter",
    [
        Parameter("x"),
        Parameter("x", bounds=(5, np.inf)),
        Parameter("x", bounds=(-np.inf, -1e6)),
        Parameter("x", scale="log"),
        Parameter("x", scale="log", bounds=(1e-9, np.inf)),
        Parameter("x", scale="reciprocal"),
        Parameter("x", kind="integer", bounds=(0.5, 9.5)),
        Parameter("x", kind="cyclic", period=360),
        Parameter("x", kind="categorical", categories=tuple(map(str, range(200)))),
    ],
)
def test_settings_are_drawn_within_any_bounds(parameter):
    check_conditioner(generic, [parameter])


def test_conditioner_with_declared_parameters_needs_no_others():
    check_conditioner(Conditioner("mine", "a test's", encode_all, parameters=(HEAT, GLUE)))


def test_refuses_conditioner_that_draws_random_numbers():
    calls = count()
    told = refused(lambda s, p, o: encode_all(s, p, o) | {"x": s["heat"] + next(calls)})
    assert "gave other conditions for the same settings; it must be pure" in told


def test_refuses_conditioner_that_scales_by_what_came_in():
    told = refused(lambda s, p, o: encode_all(s, p, o) | {"x": s["heat"] / s["heat"].max()})
    assert "the condition of a setting depends on the other settings" in told


def test_refuses_conditioner_whose_labels_follow_the_values():
    told = refused(lambda s, _p, _o: {f"is {g}": s["glue"] == g for g in sorted(set(s["glue"]))})
    assert "labels depend on the settings" in told


def test_refuses_conditioner_that_changes_its_settings():
    def encode(settings, parameters, options):
        settings["heat"] += 1
        return encode_all(settings, parameters, options)

    assert "read-only" in refused(encode)


def test_refuses_conditioner_that_changes_its_options():
    def encode(settings, parameters, options):
        options["names"].append("x")
        return encode_all(settings, parameters, options)

    conditioner = Conditioner("mine", "a test's", encode, options={"names": "some"})
    with pytest.raises(PluginError, match="changed its options"):
        check_conditioner(conditioner, [HEAT], {"names": []})


def test_refuses_conditioner_that_ignores_a_parameter_unless_that_is_meant():
    def encode(settings, _parameters, _options):
        return {"heat": settings["heat"]}

    assert "parameter 'glue' changes no condition" in refused(encode)
    check_conditioner(Conditioner("mine", "a test's", encode), [HEAT, GLUE], ignores=["glue"])


@pytest.mark.parametrize("label", ["", "a\nb"])
def test_refuses_labels_that_are_no_text(label):
    assert "is not printable text" in refused(
        lambda s, p, o: {**encode_all(s, p, o), label: s["heat"]}
    )


def test_refuses_one_label_for_two_features():
    told = refused(lambda s, _p, _o: {1: s["heat"], "1": s["glue"] == "a"})
    assert "the label '1' stands for several features" in told


def test_refuses_what_is_no_plugin(lab):
    with pytest.raises(PluginError, match=r"expected a virtlab\.Conditioner, found function"):
        check_conditioner(encode_all)
    with pytest.raises(PluginError, match=r"expected a virtlab\.Reader, found function"):
        check_reader(read, lab, EXPERIMENT)


def test_asks_for_categories_to_draw_from():
    with pytest.raises(PluginError, match="'x': give it categories"):
        check_conditioner(generic, [Parameter("x", kind="categorical")])


def test_sound_reader_conforms(lab):
    check_reader(Reader("mine", "a test's", read), lab, EXPERIMENT)


def test_built_in_reader_conforms(lab):
    check_reader(plugins.reader("table"), lab, EXPERIMENT)


def test_real_lab_file_is_read_in_conformance():
    shared = Path(__file__).parents[2] / "shared" / "data" / "crossed_barrel" / "crossed_barrel.h5"
    if not shared.exists():
        pytest.skip("no shared data here")
    experiment = parse_experiment("""
        [experiment]
        name = "crossed-barrel"
        [data]
        files = ["*.h5"]
        [parameters]
        theta.path = "parameters/theta"
        [measurements]
        toughness.path = "measurements/toughness"
    """)
    check_reader(plugins.reader("table"), shared, experiment)


def test_error_of_a_reader_stays_what_it_is(lab):
    def refuse(path, experiment):
        raise DataError("no such dataset")

    with pytest.raises(DataError, match="no such dataset"):
        check_reader(Reader("mine", "a test's", refuse), lab, EXPERIMENT)


def test_refuses_reader_that_leaves_the_file_open(lab):
    left = []

    def read_open(path, experiment):
        left.append(path.open("rb"))
        return read(path, experiment)

    try:
        assert "left lab.h5 open; read it inside a with" in reader_refused(lab, read_open)
    finally:
        left[0].close()


def constrained(declare):
    return Conditioner("mine", "a test's", encode_all, constraints=declare)


ZONES = Measurement("zones", dims=("zone",), shape=(3,))


def test_takes_conditioner_whose_constraints_hold():
    check_conditioner(
        constrained(lambda *_: [Sum("zones", "heat"), NonNegative("zones")]),
        (HEAT, GLUE),
        measurements=[ZONES],
    )


def test_refuses_constraints_that_change():
    calls = count(1)
    with pytest.raises(PluginError, match="gave other constraints the second time"):
        check_conditioner(
            constrained(lambda *_: [Sum("zones", float(next(calls)))]),
            (HEAT,),
            measurements=[ZONES],
        )


def test_refuses_constraints_that_are_none():
    with pytest.raises(PluginError, match="returned a str, expected NonNegative, Sum or Monotone"):
        check_conditioner(constrained(lambda *_: ["zones"]), (HEAT,), measurements=[ZONES])


def test_refuses_constraints_that_fail():
    with pytest.raises(PluginError, match="failed to name its constraints: ZeroDivisionError"):
        check_conditioner(constrained(lambda *_: [1 / 0]), (HEAT,), measurements=[ZONES])


def test_refuses_a_total_that_may_be_below_zero():
    cold = Parameter("heat", bounds=(-5, 5))
    with pytest.raises(SettingError, match="'heat': -5 is below 0, but zones sums to it"):
        check_conditioner(
            constrained(lambda *_: [Sum("zones", "heat")]), (cold,), measurements=[ZONES]
        )


def test_refuses_reader_that_writes_into_the_file(lab):
    def read_and_write(path, experiment):
        with h5py.File(path, "r+") as file:
            file.attrs["read"] = True
        return read(path, experiment)

    assert "changed lab.h5; open lab files for reading only" in reader_refused(lab, read_and_write)


def test_refuses_reader_that_reads_something_else_each_time(lab):
    calls = count()
    noise = lambda: {"heat": RawArray(np.arange(5.0) + next(calls))}  # noqa: E731
    told = reader_refused(lab, lambda path, exp: changed(parameters=noise())(path, exp))
    assert "read something else the second time" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"heat": None}}, "returned the parameters ['gain'], the experiment names"),
        ({"parameters": {"state": RawArray(np.zeros(5))}}, "returned the parameters ['gain', 'he"),
        (
            {"measurements": {"x": RawArray(np.zeros(5))}},
            "returned the measurements ['trace', 'x']",
        ),
        ({"coords": {"time": None}}, "returned the coords [], the experiment names ['time']"),
        ({"parameters": {"heat": RawArray([1.0] * 5)}}, "'heat' is no RawArray of a numpy array"),
        ({"parameters": {"heat": np.zeros(5)}}, "'heat' is no RawArray of a numpy array"),
        ({"parameters": {"heat": RawArray(np.zeros(4))}}, "the first axis must count trials"),
        ({"measurements": {"trace": RawArray(np.array(1.0))}}, "the first axis must count trials"),
    ],
)
def test_refuses_reader_that_breaks_its_contract(lab, changes, message):
    assert message in reader_refused(lab, changed(**changes))


def test_refuses_reader_that_returns_something_else(lab):
    assert "returned a dict, expected a virtlab.RawTrials" in reader_refused(lab, lambda _p, _e: {})
