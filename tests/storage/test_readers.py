"""The built-in readers on layouts that labs use."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage import open_trials

GROUPS = """
[experiment]
name = "shots"
[data]
files = ["*.h5"]
reader = "groups"
groups = "/shots/*"
[parameters.power]
path = "@power"
[parameters.gain]
path = "camera/gain"
[parameters.gas]
path = "/gas"
[measurements.trace]
path = "trace"
units = "V"
dims = ["time"]
coords.time = { path = "/time" }
[measurements.peak]
path = "peak"
"""


def shots(path, n=12):
    with h5py.File(path, "w") as file:
        file["gas"] = "argon"
        file["time"] = [0.0, 1, 2, 3]
        for i in range(n):
            group = file.create_group(f"shots/shot_{i}")
            group.attrs["power"] = float(i)
            group["camera/gain"] = [i % 3]
            group["trace"] = np.full(4, i, "f4")
            group["trace"].attrs["units"] = "mV"
            group["peak"] = i / 2
    return path


def test_groups_reads_one_trial_per_group(lab):
    shots(lab.folder / "a.h5")
    trials = open_trials(lab.experiment(GROUPS))
    assert trials.sizes == {"trial": 12, "time": 4}
    np.testing.assert_array_equal(trials.power, np.arange(12))
    np.testing.assert_array_equal(trials.gain, np.arange(12) % 3)
    assert set(trials.gas.values) == {"argon"}
    np.testing.assert_allclose(trials.trace[5], 0.005)
    np.testing.assert_array_equal(trials.peak, np.arange(12) / 2)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda g: g.__delitem__("peak"), "'/shots/shot_3' has no 'peak' (it holds: camera, trace"),
        (lambda g: g.attrs.__delitem__("power"), "'/shots/shot_3@power': no such attribute"),
        (
            lambda g: (g.__delitem__("trace"), g.create_dataset("trace", data=np.zeros(5))),
            "'/shots/shot_3/trace': found shape (5,)",
        ),
        (
            lambda g: g["trace"].attrs.__setitem__("units", "V"),
            "'/shots/shot_3/trace': found units 'V', expected 'mV' as in '/shots/shot_0/trace'",
        ),
        (
            lambda g: (g.__delitem__("peak"), g.create_dataset("peak", data="high")),
            "'/shots/shot_3/peak': found shape () and type object",
        ),
    ],
)
def test_groups_refuses_groups_that_differ_and_names_the_first(lab, break_it, words):
    with lab.edit(shots(lab.folder / "a.h5")) as file:
        break_it(file["shots/shot_3"])
    with pytest.raises(DataError) as caught:
        open_trials(lab.experiment(GROUPS))
    assert words in str(caught.value)


def test_groups_refuses_a_pattern_without_groups(lab):
    shots(lab.folder / "a.h5")
    with pytest.raises(DataError) as caught:
        open_trials(lab.experiment(GROUPS.replace("/shots/*", "/shot/*")))
    assert "'/' has no 'shot' (it holds: gas, shots, time); did you mean 'shots'?" in str(
        caught.value
    )


FILES = """
[experiment]
name = "settings"
[data]
files = ["run*.h5"]
reader = "files"
[parameters.angle]
path = "settings@angle"
units = "degree"
[parameters.field]
path = "field"
[measurements.y]
path = "y"
dims = ["t"]
"""


def run(lab, number, y):
    with h5py.File(lab.folder / f"run{number:02}.h5", "w") as file:
        file.create_group("settings").attrs["angle"] = str(30 * number)
        file["field"] = [number / 10]
        file["y"] = y


def test_files_repeats_what_is_constant_in_a_file(lab):
    for number in range(3):
        run(lab, number, np.full((4 + number, 2), number))
    trials = open_trials(lab.experiment(FILES))
    assert trials.sizes == {"trial": 15, "t": 2}
    np.testing.assert_array_equal(trials.angle, np.repeat([0, 30, 60], [4, 5, 6]))
    np.testing.assert_allclose(trials.field, np.repeat([0, 0.1, 0.2], [4, 5, 6]))
    np.testing.assert_array_equal(trials.y[:, 0], np.repeat([0, 1, 2], [4, 5, 6]))


def test_files_takes_a_file_without_trial_axis_for_one_trial(lab):
    for number in range(11):
        run(lab, number, np.full(2, number))
    trials = open_trials(lab.experiment(FILES))
    assert trials.sizes == {"trial": 11, "t": 2}
    np.testing.assert_array_equal(trials.angle, 30 * np.arange(11))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_files_takes_a_scalar_for_one_trial(lab, shape):
    for number in range(11):
        run(lab, number, np.full(shape, number))
    trials = open_trials(lab.experiment(FILES.replace('dims = ["t"]', "")))
    np.testing.assert_array_equal(trials.y, np.arange(11))


def test_table_refuses_a_measurement_without_trial_axis_and_names_the_other_reader(lab):
    run(lab, 0, np.zeros(2))
    with pytest.raises(DataError, match='for one trial per file, use reader = "files"'):
        open_trials(lab.experiment(FILES.replace('reader = "files"', "")))
