"""Trials chosen by what was set."""

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import ConfigError, DataError
from virtlab.expressions import chosen


@pytest.fixture
def trials():
    return xr.Dataset(
        {"light": ("trial", np.arange(4.0))},
        {
            "temperature": ("trial", [20.0, 60.0, 90.0, 120.0], {"units": "degC"}),
            "solvent": ("trial", np.array(list("abab"), object), {"kind": "categorical"}),
            "trial_weight": ("trial", np.ones(4)),
        },
    )


def test_trials_that_meet_the_comparison_are_chosen(trials):
    assert chosen(trials, "temperature > 80", "here").tolist() == [False, False, True, True]
    assert chosen(trials, "50 < temperature < 100", "here").tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('solvent == "a"', [1, 0, 1, 0]),
        ("solvent != 'a'", [0, 1, 0, 1]),
        ('temperature > 80 and solvent == "b"', [0, 0, 0, 1]),
        ('temperature < 30 or solvent == "b" and temperature > 80', [1, 0, 0, 1]),
        ("temperature > 30   and 10 < temperature < 100", [0, 1, 1, 0]),
    ],
)
def test_categories_are_compared_and_several_comparisons_joined(trials, text, expected):
    assert chosen(trials, text, "here").astype(int).tolist() == expected


def test_words_in_quotes_join_nothing_and_parameters_may_be_called_as_they_like(trials):
    named = trials.assign_coords(
        solvent=("trial", np.array(["x and y", "x or y"] * 2, object), {"kind": "categorical"})
    ).rename(temperature="and")
    assert chosen(named, 'solvent == "x and y"', "here").tolist() == [True, False, True, False]
    assert chosen(named, "and > 80", "here").tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('temperature == "hot"', "temperature is a number"),
        ("solvent == a", 'solvent == "…"'),
        ('solvent < "b"', "cannot read 'solvent < \"b\"'"),
        ('solvnt == "b"', "did you mean 'solvent'"),
        ("temperature > 80 and", "here"),
        ("temprature > 80", "did you mean 'temperature'"),
        ("temperature", "is no comparison"),
        ("light > 1", "unknown name 'light'"),
        ("trial_weight > 1", "unknown name 'trial_weight'"),
        ("solvent == 1", "solvent is a category"),
        ("__import__('os').system('true')", "cannot read"),
        ("__import__(os) > 1", "unknown function"),
    ],
)
def test_what_is_no_comparison_of_numeric_parameters_is_refused(trials, text, told):
    with pytest.raises(ConfigError, match="here") as caught:
        chosen(trials, text, "here")
    assert told in str(caught.value)


def test_an_unknown_category_holds_for_none_and_the_known_ones_are_told(trials):
    with pytest.raises(DataError, match="holds for none of the trials; solvent is a, b"):
        chosen(trials, 'solvent == "c"', "here")


@pytest.mark.parametrize(
    ("text", "which"), [("temperature > 0", "all"), ("temperature < 0", "none")]
)
def test_a_choice_of_all_or_none_tells_the_range(trials, text, which):
    with pytest.raises(DataError, match=rf"holds for {which} of the trials; .* 20 to 120"):
        chosen(trials, text, "here")
