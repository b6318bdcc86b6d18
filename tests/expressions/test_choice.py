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
    ("text", "told"),
    [
        ("temprature > 80", "did you mean 'temperature'"),
        ("temperature", "is no comparison"),
        ("light > 1", "unknown name 'light'"),
        ("trial_weight > 1", "unknown name 'trial_weight'"),
        ("solvent == 1", "solvent is a category"),
        ("__import__('os').system('true')", "not allowed"),
    ],
)
def test_what_is_no_comparison_of_numeric_parameters_is_refused(trials, text, told):
    with pytest.raises(ConfigError, match="here") as caught:
        chosen(trials, text, "here")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "which"), [("temperature > 0", "all"), ("temperature < 0", "none")]
)
def test_a_choice_of_all_or_none_tells_the_range(trials, text, which):
    with pytest.raises(DataError, match=rf"holds for {which} of the trials; .* 20 to 120"):
        chosen(trials, text, "here")
