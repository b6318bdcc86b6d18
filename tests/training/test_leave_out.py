"""Settings left out on purpose, to see how far a model extrapolates."""

import numpy as np
import pytest

from virtlab.errors import ConfigError, DataError
from virtlab.report import evaluate_to_report
from virtlab.storage import open_trials
from virtlab.training import train


@pytest.fixture(scope="module")
def left_out(tiny_experiment, tmp_path_factory, few_steps):
    """A model that has learned nothing from high powers, and the power above which."""
    power = open_trials(tiny_experiment)["power"].values
    most = float(np.quantile(power, 0.7))
    path = tmp_path_factory.mktemp("models") / "low.virtlab"
    with few_steps():
        return train(tiny_experiment, output=path, leave_out=f"power > {most}"), most


def test_the_model_has_not_seen_what_was_left_out_and_says_so(left_out):
    model, most = left_out
    told = {p["name"]: p["range"] for p in model.manifest["parameters"]}
    assert told["power"][1] <= most
    assert model.manifest["data"]["left_out"]["expression"] == f"power > {most}"
    assert model.manifest["data"]["trials"] + model.manifest["data"]["left_out"]["trials"] == 120
    assert "left out on purpose" in model.summary()


def test_it_is_judged_on_what_was_left_out(left_out, tiny_experiment):
    model, most = left_out
    found = evaluate_to_report(model.file.path, tiny_experiment, leave_out=f"power > {most}")
    comparison = found.comparison
    assert comparison.trials == model.manifest["data"]["left_out"]["trials"]
    assert comparison.values["power"].min() > most
    assert comparison.known == 0
    assert comparison.region_counts["inside"] < comparison.settings


def test_leave_out_needs_data_and_a_comparison_that_holds_for_some(left_out, tiny_experiment):
    path = left_out[0].file.path
    with pytest.raises(ConfigError, match="among the trials of --data"):
        evaluate_to_report(path, leave_out="power > 1")
    with pytest.raises(DataError, match="holds for none"):
        evaluate_to_report(path, tiny_experiment, leave_out="power > 1e9")


def test_a_category_that_was_left_out_can_be_asked_for_and_is_outside(
    tiny_experiment, tmp_path, few_steps
):
    text, path = 'material == "steel"', tmp_path / "glass.virtlab"
    with few_steps(likelihood=50, game=10):
        glass = train(tiny_experiment, output=path, leave_out=text)
    steel = open_trials(tiny_experiment).material.values == "steel"
    left = glass.manifest["data"]["left_out"]
    assert left == {"expression": text, "trials": steel.sum()}
    found = evaluate_to_report(path, tiny_experiment, leave_out=text, baselines="none")
    assert found.comparison.region_counts["outside"] == found.comparison.settings
