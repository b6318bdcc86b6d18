"""The best measured trial: where it is known from, and what goes beyond it."""

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.screening import screen

MAXIMIZE = 'maximize = "light"\nrequire = ["max(trace) < 3.5"]'

EXPERIMENT = """
[experiment]
name = "lamp"
[data]
files = ["lab.h5"]
[parameters.power]
path = "power"
units = "W"
[parameters.glass]
path = "glass"
[measurements.light]
path = "light"
units = "klm"
[measurements.trace]
path = "trace"
units = "V"
dims = ["time"]
coords.time = { path = "time", units = "s" }
"""


@pytest.fixture
def lab(tmp_path):
    """A lab of four kinds of trials, light in thousands of lumens; gives its experiment.toml."""

    def write(light=(0.011, 0.0125, 0.020, np.nan), peak=(1.0, 2.0, 9.0, 1.0), entries=6):
        light, peak = np.resize(light, 12), np.resize(peak, 12)
        with h5py.File(tmp_path / "lab.h5", "w") as file:
            file["power"], file["glass"] = np.arange(12.0), np.array(["clear"] * 12, "S")
            file["power"].attrs["units"], file["light"] = "W", light
            file["light"].attrs["units"] = "klm"
            file["trace"] = peak[:, None] * np.eye(entries)[2]
            file["trace"].attrs["units"] = "V"
            file["time"] = np.arange(entries) * 1.0
            file["time"].attrs["units"] = "s"
        (tmp_path / "experiment.toml").write_text(EXPERIMENT)
        return tmp_path / "experiment.toml"

    return write


def at(found, power):
    """The setting of clear glass at this power."""
    here = (found["power"] == power) & (found["glass"] == "clear")
    return found.isel(setting=int(np.argmax(here.values)))


def test_best_measured_is_the_best_that_meets_the_requirement(lamp, asked, lab):
    """20 lm failed, the last one was not measured, 12.5 lm remains."""
    lamp()
    found = screen(asked(), data=lab()).dataset
    assert found.attrs["best_measured"] == pytest.approx([12.5])
    assert found.attrs["best_measured_source"] == "of 12 trials of --data"
    assert float(at(found, 3)["expected_improvement"]) == pytest.approx(0.5)
    assert float(at(found, 3)["improvement_probability"]) == 1
    assert float(at(found, 2)["expected_improvement"]) == 0
    assert found["expected_improvement"].attrs["units"] == "lm"


def test_trial_that_fails_the_requirement_improves_nothing(lamp, asked, lab):
    lamp()
    found = at(screen(asked(), data=lab()).dataset, 4)
    assert (float(found["improvement_probability"]), float(found["expected_improvement"])) == (0, 0)


def test_params_may_say_what_the_best_has_reached(lamp, asked):
    lamp(noise=1.0)
    found = screen(asked((MAXIMIZE, 'maximize = "light"\nbest = 13')), trials=4000)
    found = at(found.dataset, 3)  # 13 on average: half of the trials are better
    assert float(found["improvement_probability"]) == pytest.approx(0.5, abs=0.03)
    # the mean of the better half of a normal, times its half
    assert float(found["expected_improvement"]) == pytest.approx(1 / np.sqrt(2 * np.pi), abs=0.03)


def test_minimize_and_target_improve_downwards(lamp, asked):
    lamp()
    less = screen(asked((MAXIMIZE, 'minimize = "light"\nbest = 2.5'))).dataset
    np.testing.assert_allclose(less["expected_improvement"][:3], [1.5, 0.5, 0])
    near = screen(asked((MAXIMIZE, "target = { light = 12.2 }\nbest = 11"))).dataset
    np.testing.assert_allclose(near["expected_improvement"][:3], [1.0, 0.4, 0], atol=1e-5)


def test_of_several_goals_a_trial_improves_that_no_measured_one_beats(lamp, asked, lab):
    lamp()
    two = (MAXIMIZE, 'maximize = "light"\nminimize = "max(trace)"')
    found = screen(asked(two), data=lab((0.0125, 0.005, 0.002, 0.1), (2, 1.5, 1.5, 9))).dataset
    assert "expected_improvement" not in found
    assert float(at(found, 2)["improvement_probability"]) == 0  # 12 lm at 2 V
    assert float(at(found, 1)["improvement_probability"]) == 1  # 11 lm at 1 V
    assert float(at(found, 3)["improvement_probability"]) == 1  # 13 lm at 3 V


def test_nothing_is_made_up_where_the_best_is_not_known(lamp, asked):
    lamp()
    found = screen(asked())
    assert "expected_improvement" not in found.dataset
    assert "best measured: not known" in "\n".join(found.lines())


def test_where_no_measured_trial_qualifies_every_one_that_does_improves(lamp, asked, lab):
    lamp()
    found = screen(asked(), data=lab(peak=(9, 9, 9, 9)))
    assert "best_measured" not in found.dataset.attrs
    assert "expected_improvement" not in found.dataset
    assert float(at(found.dataset, 2)["improvement_probability"]) == 1
    assert "no measured trial meets all requirements" in "\n".join(found.lines())


def test_data_that_do_not_fit_the_objective_are_refused(lamp, asked, lab):
    lamp()
    with pytest.raises(DataError, match=r"'trace' has .* describe it as in"):
        screen(asked(), data=lab(entries=7))
    path = lab()
    path.write_text(path.read_text().replace("measurements.light", "measurements.lights"))
    with pytest.raises(DataError, match=r"no 'light', .* did you mean 'lights'"):
        screen(asked(), data=path)
