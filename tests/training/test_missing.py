"""Trials that lack a measurement: they teach the others, and are told of."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.config import parse_experiment
from virtlab.training import train

EXPERIMENT = """
[experiment]
name = "gaps"
[data]
files = ["FILE.h5"]
[parameters.x]
path = "x"
[measurements.y]
path = "y"
[measurements.z]
path = "z"
[measurements.trace]
path = "trace"
dims = ["time"]
[model]
members = 4
"""

WITH_Y = 40  # of 240 trials have y, all have z


def law(x):
    return np.sin(5 * x)


@pytest.fixture(scope="module")
def models(tmp_path_factory, few_steps):
    """Models of all trials, and of those alone that lack nothing."""
    folder = tmp_path_factory.mktemp("gaps")
    rng = np.random.default_rng(3)
    x = rng.random(240)
    complete = np.arange(240) < WITH_Y
    columns = {
        "x": x,
        "y": np.where(complete, 2 * x + 0.1 * rng.standard_normal(240), np.nan),
        "z": law(x) + 0.3 * rng.standard_normal(240),
        "trace": np.where(rng.random((240, 3)) < 0.02, np.nan, x[:, None] + np.arange(3)),
    }
    columns["x"][-2:] = np.nan  # no setting: nothing to learn from
    made = {}
    for name, rows in (("all", slice(None)), ("complete", complete)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for key, values in columns.items():
                file[key] = values[rows]
        text = EXPERIMENT.replace("FILE", name)
        with few_steps(likelihood=1500):
            made[name] = train(
                parse_experiment(text, folder / "e.toml"), output=folder / f"{name}.virtlab"
            )
    return made


def error(model, name, truth):
    """Root mean square error of the virtual mean over the range of x."""
    x = np.linspace(0.05, 0.95, 19)
    found = model.simulate({"x": x}, trials=400, seed=1)[name].mean("trial").values
    return float(np.sqrt(np.mean((found - truth(x)) ** 2)))


def test_trials_that_lack_a_measurement_teach_the_others(models):
    assert error(models["all"], "z", law) < 0.7 * error(models["complete"], "z", law)


def test_trials_that_lack_a_measurement_do_not_hurt_it(models):
    before = error(models["complete"], "y", lambda x: 2 * x)
    assert error(models["all"], "y", lambda x: 2 * x) < before + 0.05


def test_missing_values_and_dropped_trials_are_in_manifest_and_inspect(models):
    model = models["all"]
    data = model.manifest["data"]
    gaps = data["missing"]["trace"]
    assert data["missing"] == {"y": 198, "z": 0, "trace": gaps}
    assert data["missing_trials"]["y"] == 198
    assert 0 < data["missing_trials"]["trace"] <= gaps < 30
    shown = CliRunner().invoke(main, ["inspect", str(model.file.path)]).output
    assert "y 198 in 198 trials" in shown
    assert "missing values, masked in training: trace" in shown
    assert "trials dropped: 2 (2 without parameter 'x')" in shown


def test_missing_values_are_in_evaluation_and_report(models, tmp_path):
    path = tmp_path / "r.html"
    made = CliRunner().invoke(main, ["evaluate", str(models["all"].file.path), "-o", str(path)])
    assert "y 198 in 198 trials" in made.output
    assert "y 198 in 198 trials" in path.read_text()
