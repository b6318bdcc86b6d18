"""Weights of trials: read like a parameter, and refused where they are none."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.errors import DataError, PluginError
from virtlab.plugins import RawArray, RawTrials, Reader
from virtlab.storage import data_digest, open_trials
from virtlab.trials import WEIGHT, measurements_of

X = np.arange(12.0)


def weighted(lab, weights, **items):
    lab.write(parameters__x=X, measurements__y=2 * X, weights=weights, **items)
    return lab.experiment(data='weights = "weights"')


def test_weights_are_neither_parameter_nor_measurement(lab):
    trials = open_trials(weighted(lab, X + 0.5))
    np.testing.assert_array_equal(trials[WEIGHT], X + 0.5)
    assert WEIGHT in trials.coords
    assert [m.name for m in measurements_of(trials)] == ["y"]


def test_one_weight_may_stand_for_all_trials_of_a_file(lab):
    for name, weight in (("a.h5", 2.0), ("b.h5", 0.5)):
        lab.write(name, parameters__x=X, measurements__y=X, weights=weight)
    trials = open_trials(lab.experiment(data='weights = "weights"'))
    np.testing.assert_array_equal(trials[WEIGHT], [2.0] * 12 + [0.5] * 12)


def test_each_group_has_its_own_weight(lab):
    with lab.edit(lab.folder / "a.h5") as file:
        for i in range(12):
            shot = file.create_group(f"shots/{i:02}")
            shot.attrs["x"], shot.attrs["weight"], shot["y"] = i, 0.1 * (i + 1), 2.0 * i
    text = lab.experiment(data='reader = "groups"\ngroups = "/shots/*"\nweights = "@weight"').text
    text = text.replace("parameters/x", "@x").replace("measurements/y", "y")
    trials = open_trials(lab.experiment(text))
    np.testing.assert_allclose(trials[WEIGHT], 0.1 * (X + 1))


def test_a_gridded_scan_has_a_weight_per_point(lab):
    weights = np.arange(1.0, 13).reshape(3, 4)
    lab.write(
        parameters__x=np.arange(4.0),
        parameters__z=np.arange(3.0),
        measurements__y=np.ones((3, 4)),
        weights=weights,
    )
    z = '[parameters.z]\npath = "parameters/z"'
    keys = 'weights = "weights"\ngrid = ["z", "x"]'
    trials = open_trials(lab.experiment(data=keys + "\n" + z))
    np.testing.assert_array_equal(trials[WEIGHT], weights.ravel())


def test_weight_zero_leaves_a_trial_out_and_is_counted(lab):
    trials = open_trials(weighted(lab, np.where(X < 2, 0.0, 1.0)))
    assert trials.sizes["trial"] == trials.attrs["dropped_trials"] + 8 == 10
    assert trials.attrs["dropped_reasons"] == ["2 of weight 0"]


def test_digest_tells_weights_apart(lab):
    first = data_digest(open_trials(weighted(lab, X + 1)))
    assert data_digest(open_trials(weighted(lab, X + 2))) != first


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({3: -0.5}, "the weight of trial 3 is -0.5;"),
        (
            {4: np.nan, 7: -1},
            "the weight of trial 4 is missing or not finite, and 1 more are wrong",
        ),
        ({11: np.inf}, "the weight of trial 11 is missing or not finite"),
    ],
)
def test_refuses_what_is_no_weight_and_names_file_path_and_trial(lab, edit, told):
    weights = np.ones(12)
    weights[list(edit)] = list(edit.values())
    with pytest.raises(DataError, match=told) as caught:
        open_trials(weighted(lab, weights))
    assert str(lab.folder / "a.h5") in str(caught.value)
    assert "'/weights'" in str(caught.value)
    assert "expected numbers of 0 or more" in str(caught.value)


def test_refuses_weights_that_are_all_zero(lab):
    with pytest.raises(DataError, match="weights = 'weights': all 12 weights are 0"):
        open_trials(weighted(lab, np.zeros(12)))


def test_refuses_another_number_of_weights_than_trials(lab):
    with pytest.raises(DataError, match=r"\[data\] weights \(/?weights\) has 11"):
        open_trials(weighted(lab, np.ones(11)))


def test_refuses_weights_that_are_text(lab):
    with pytest.raises(DataError, match=r"\[data\] weights: expected numbers"):
        open_trials(weighted(lab, np.array([b"much"] * 12)))


def test_reader_that_knows_no_weights_is_named(lab, monkeypatch):
    from virtlab import plugins

    def read(path, experiment):
        return RawTrials({"x": RawArray(X)}, {"y": RawArray(X)})

    monkeypatch.setattr(plugins, "reader", lambda name: Reader(name, "a test", read))
    with pytest.raises(PluginError, match="reader 'table' returned no weights"):
        open_trials(weighted(lab, np.ones(12)))


def test_weights_come_in_parts_with_their_trials(lab):
    from virtlab.storage.large import open_within

    weights = np.arange(1.0, 5001)
    weights[7] = 0
    lab.write(parameters__x=np.arange(5000.0), measurements__y=np.zeros(5000), weights=weights)
    experiment = lab.experiment(data='weights = "weights"')
    large = open_within(experiment, 20_000, seed=0)
    found = np.concatenate([part[WEIGHT].values for part in large.parts()])
    np.testing.assert_array_equal(found, weights[weights > 0])
    assert large.digest == data_digest(open_trials(experiment))
    with lab.edit(lab.folder / "a.h5") as file:
        file["weights"][4321] = -1
    with pytest.raises(DataError, match="the weight of trial 4321 is -1;"):
        open_within(experiment, 20_000, seed=0)
