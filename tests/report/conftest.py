"""The lab and the models of the evaluation's tests, and evaluations of them to report on."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from virtlab.evaluation import evaluate

_path = Path(__file__).parents[1] / "evaluation" / "conftest.py"
_spec = importlib.util.spec_from_file_location("known_truth", _path)
known_truth = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(known_truth)

HOSTILE = "<script>alert(1)</script>$\\frac{&\"'"


@pytest.fixture(scope="session")
def held_out():
    """Without new trials."""
    return evaluate(known_truth.KnownModel())


@pytest.fixture(scope="session")
def compared():
    """With new trials, some of them outside."""
    trials = known_truth.new_trials(powers=[2.2, 3.3, 5.5, 7.7, 8.8, 15.0], replicates=5)
    return evaluate(known_truth.KnownModel(), trials)


@pytest.fixture(scope="session")
def hostile():
    """Every name and text of the model file and the trials is an attack on the page."""
    names = {m.name: f"{m.name}{HOSTILE}" for m in known_truth.MEASUREMENTS}
    with pytest.MonkeyPatch.context() as patch:
        renamed = tuple(
            replace(m, name=names[m.name], units="lm" if m.units else "")
            for m in known_truth.MEASUREMENTS
        )
        trials = known_truth.new_trials(powers=[2.2, 5.5], replicates=4).rename(names)
        measure = known_truth.measure
        patch.setattr(known_truth, "MEASUREMENTS", renamed)
        patch.setattr(
            known_truth,
            "measure",
            lambda *a, **k: {names[n]: v for n, v in measure(*a, **k).items()},
        )
        model = known_truth.KnownModel(name=HOSTILE)
        model.file.path = Path(f"{HOSTILE.replace('/', '')}.virtlab")
        model.manifest["verdict"] = [HOSTILE, "half a pair \ud800"]
        model.manifest["parameters"][1]["categories"] = [HOSTILE]
        model.manifest["training"]["history"][0]["stage"] = HOSTILE
        for trial in trials.values():
            trial.attrs["units"] = trial.attrs["units"].replace("V", "lm")
        return evaluate(model, trials)


@pytest.fixture
def known():
    """The module of the known truth."""
    return known_truth


@pytest.fixture(scope="session")
def out_of_fold():
    """Without new trials, of a model that keeps trials and held-out draws."""
    return evaluate(known_truth.KeptModel())
