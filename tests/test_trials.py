from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from virtlab.trials import Measurement, is_virtual, measurements_of


@pytest.fixture
def trials():
    return xr.Dataset(
        {
            "counts": ("trial", [1.0, 2.0, np.nan], {"kind": "count", "support": (0, np.inf)}),
            "phase": ("trial", np.array(["b", "", "a"], dtype=object), {"kind": "categorical"}),
            "image": (("trial", "y", "x"), np.zeros((3, 2, 4)), {"units": "V"}),
        },
        coords={"theta": ("trial", [0.0, 1.0, 2.0])},
    )


def test_measurements_are_described_in_order(trials):
    assert measurements_of(trials) == (
        Measurement("counts", "count", support=(0, np.inf)),
        Measurement("phase", "categorical", categories=("a", "b")),
        Measurement("image", units="V", dims=("y", "x"), shape=(2, 4)),
    )


def test_parameters_are_no_measurements(trials):
    assert "theta" not in [measurement.name for measurement in measurements_of(trials)]


def test_own_dims_do_not_depend_on_where_the_trials_are(trials):
    turned = trials.transpose("y", "trial", "x")
    assert measurements_of(turned)[2].shape == (2, 4)


@pytest.mark.parametrize(("shape", "size"), [((), 1), ((3,), 3), ((3, 4), 12), ((0,), 0)])
def test_size_counts_the_values_of_a_trial(shape, size):
    assert Measurement("m", shape=shape).size == size


def test_only_a_dataset_that_says_so_is_virtual(trials):
    assert not is_virtual(trials)
    assert is_virtual(trials.assign_attrs(virtual_data=1))
    assert not is_virtual(trials.assign_attrs(virtual_data=0))


def test_describing_trials_needs_no_xarray():
    code = "import sys, virtlab.trials; print('xarray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
