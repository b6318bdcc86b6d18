"""Spellings and conversion of units."""

from __future__ import annotations

import time

import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage.units import convert


def converted(value, found, wanted):
    return float(convert(np.array([value], dtype=np.float64), found, wanted)[0])


@pytest.mark.parametrize(
    ("value", "found", "wanted", "expected"),
    [
        (1500, "mV", "V", 1.5),
        (20, "degC", "K", 293.15),
        (293.15, "K", "degC", 20),
        (20, "C", "K", 293.15),
        (20, "°C", "kelvin", 293.15),
        (20, "deg C", "degF", 68),
        (1, "C", "mC", 1000),
        (180, "degrees", "rad", np.pi),
        (180, "deg", "degree", 180),
        (90, "°", "degree", 90),
        (50, "percent", "1", 0.5),
        (0.5, "", "%", 50),
        (0.5, "fraction", "percent", 50),
        (3, "microseconds", "us", 3),
        (3, "µs", "ns", 3000),
        (2, "Angstroem", "nm", 0.2),
        (2, "Å", "nm", 0.2),
        (5, "m s-1", "m/s", 5),
        (5, "m s^-1", "cm/s", 500),
        (5, "mol/L", "mol/m^3", 5000),
        (5, "mol m⁻³", "mol/L", 0.005),
        (1, "1/h", "1/s", 1 / 3600),
        (1, "J/(mol K)", "kJ/mol/K", 0.001),
        (2, "Kelvin", "K", 2),
        (2, "MHz", "Hz", 2e6),
    ],
)
def test_converts(value, found, wanted, expected):
    assert converted(value, found, wanted) == pytest.approx(expected)


@pytest.mark.parametrize("found", ["", "1", "a.u.", "arb. units", "#", "dimensionless"])
@pytest.mark.parametrize("wanted", ["", "1", "a.u."])
def test_takes_all_ways_of_writing_no_unit_for_one(found, wanted):
    assert converted(7, found, wanted) == 7


def test_leaves_equal_units_alone_though_nobody_knows_them():
    assert converted(7, "flux quanta per pixel!", "flux quanta per pixel!") == 7


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        ("V", "s", "units 'V' cannot be converted to 's'"),
        ("V", "", "units 'V' cannot be converted to ''"),
        ("a.u.", "V", "'a.u.' is arbitrary"),
        ("a.u.", "percent", "'a.u.' is arbitrary"),
        ("florp", "V", "units 'florp' are unknown"),
        ("V", "florp", "units 'florp' are unknown"),
        ("degC", "V", "units 'degC' cannot be converted to 'V'"),
    ],
)
def test_refuses_what_cannot_be_converted(found, wanted, message):
    with pytest.raises(DataError) as caught:
        converted(7, found, wanted)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "hostile",
    [
        "10**10**10",
        "9**9**9**9",
        "m**99999999",
        "(" * 5000,
        "__import__('os').system('true')",
        "m" * 10_000,
        "m" + "*m" * 5000,
        "\x1b[2J",
        "V; V",
        "lambda: V",
    ],
)
def test_refuses_hostile_units_at_once(hostile):
    converted(1, "mV", "V")  # the first use of pint takes its time
    start = time.perf_counter()
    with pytest.raises(DataError) as caught:
        converted(7, hostile, "V")
    assert time.perf_counter() - start < 0.5
    assert len(str(caught.value)) < 300
