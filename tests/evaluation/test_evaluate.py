import json
import subprocess
import sys

import numpy as np
import pytest

from virtlab.errors import DataError, ModelFileError
from virtlab.evaluation import evaluate
from virtlab.evaluation.estimates import estimate_mean
from virtlab.evaluation.two_sample import tell_apart
from virtlab.storage import data_digest
from virtlab.trials import TRIAL, WEIGHT, Measurement


def test_without_trials_it_says_what_the_model_file_says(model):
    found = evaluate(model)
    assert found.comparison is None
    assert "better than simpler models on held-out settings" in found.headline
    assert found.verdict == model.manifest["verdict"]
    assert found.to_dict()["held_out"]["light"]["floor"] == 1.0
    assert "all 5 measurements" in found.headline


def test_a_simpler_model_that_does_as_well_is_named(model):
    for name in model.scores:
        model.scores[name]["nearest"] = 1.1
    assert "do not rely on the model" in evaluate(model).headline
    model.scores["light"]["nearest"] = 2.0
    assert "for light" in evaluate(model).headline


def test_refuses_the_training_data(model, trials):
    model.manifest["data"]["sha256"] = data_digest(trials)
    with pytest.raises(DataError, match="would flatter"):
        evaluate(model, trials)


def test_a_manifest_without_scores_is_refused(model):
    del model.manifest["scores"]["light"]["marginal"]
    with pytest.raises(ModelFileError, match="marginal"):
        evaluate(model)


def test_the_same_trials_give_the_same_numbers(model, trials):
    first, second = (evaluate(model, trials).to_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


def test_the_trials_are_not_changed(model, trials):
    before = trials.copy(deep=True)
    trials["light"].attrs["units"] = before["light"].attrs["units"] = "klm"
    evaluate(model, trials)
    assert trials.identical(before)


def test_units_are_converted_to_the_models(model, trials):
    other = trials.copy(deep=True)
    other["light"] = (other["light"] / 1000).assign_attrs(units="klm", kind="continuous")
    other["power"] = (TRIAL, other["power"].values * 1000, {"units": "mW", "kind": "continuous"})
    here, there = (evaluate(model, t).comparison.measurements[0] for t in (trials, other))
    assert there.model.value == pytest.approx(here.model.value, rel=0.03)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_vars("power"), "no parameter 'power'"),
        (lambda t: t.drop_vars("light"), "no measurement 'light'"),
        (lambda t: t.rename(light="lights"), "did you mean 'lights'"),
        (lambda t: t.isel(trial=slice(0)), "no trials"),
        (lambda t: t.isel(time=slice(5)), r"dims \(time: 5\), the model makes dims \(time: 20\)"),
        (lambda t: t.assign_coords(time=t.time * 2), "another axis 'time'"),
        (
            lambda t: t.assign_coords(material=t.material.where(t.material == "glass", "wood")),
            "unknown category 'wood'",
        ),
        (
            lambda t: t.assign(state=t.state.where(t.state == "up", "left")),
            "cannot make: 'left'",
        ),
        (lambda t: t.assign_coords(power=t.power + 25), "outside its bounds"),
        (lambda t: t.assign(light=t.state), "holds text"),
        (lambda t: t.assign(state=t.light), "holds numbers"),
        (
            lambda t: t.assign(light=t.light.assign_attrs(units="s")),
            "measurement 'light': units 's' cannot be converted",
        ),
    ],
)
def test_trials_of_another_kind_are_refused_with_their_file(model, trials, change, told):
    with pytest.raises(DataError, match=told) as caught:
        evaluate(model, change(trials))
    assert "new.h5" in str(caught.value)


def test_own_dims_may_stand_in_another_order(model, trials):
    turned = trials.assign(image=trials.image.transpose(TRIAL, "column", "row"))
    here, there = (evaluate(model, t).comparison.measurements[4] for t in (trials, turned))
    assert there.model == here.model


def test_missing_values_drop_out(model, trials):
    rng = np.random.default_rng(3)
    holes = trials.copy(deep=True)
    holes["light"][rng.random(holes.sizes[TRIAL]) < 0.3] = np.nan
    holes["trace"] = holes["trace"].where(rng.random(holes["trace"].shape) > 0.2)
    holes["trace"][:7] = np.nan
    holes["state"][::5] = ""
    whole, partly = (evaluate(model, t).comparison for t in (trials, holes))
    for before, after in zip(whole.measurements, partly.measurements, strict=True):
        assert after.model.value == pytest.approx(before.model.value, rel=0.2)
        assert np.isfinite([after.marginal.value, after.floor]).all()
    assert partly.measurements[0].trials < whole.measurements[0].trials
    assert partly.measurements[2].trials == np.sum(holes["state"].values != "")
    assert partly.two_sample.auc.value == pytest.approx(0.5, abs=0.1)


def test_a_measurement_without_any_value_is_said_so(model, trials):
    empty = trials.assign(light=trials.light * np.nan)
    found = evaluate(model, empty)
    assert "light: no new trial has a value" in found.verdict
    json.dumps(found.to_dict())


def test_settings_are_told_apart_by_where_they_lie(model, trials_at):
    found = evaluate(model, trials_at(np.array([5.2, 5.6, 10.5, 15.0])))
    assert found.comparison.region_counts == {"inside": 4, "edge": 2, "outside": 2}
    light = found.comparison.measurements[0]
    assert [light.regions[name].trials for name in ("inside", "edge", "outside")] == [16, 8, 8]
    assert any("2 of 8 settings lie outside" in said for said in found.verdict)


def test_settings_that_were_trained_on_are_counted(model, trials_at):
    found = evaluate(model, trials_at(np.array([1.0, 10.0, 4.2])))
    assert found.comparison.known == 4
    assert any("4 of 6 settings are among those" in said for said in found.verdict)


def test_a_few_replicates_do_not_speak_for_the_rest(model, trials_at):
    powers = np.linspace(1, 10, 60)
    trials = trials_at(powers).isel(trial=slice(None, None, 4))  # one trial of each setting
    trials = trials.isel(trial=[*range(trials.sizes[TRIAL]), 0])
    found = evaluate(model, trials)
    light = found.comparison.measurements[0]
    assert light.repeated == 2
    assert np.isnan([light.floor, light.mean.floor, light.spread_ratio]).all()
    assert light.spread is None
    assert any("light: only 2 of 121 trials (1.7%) repeat a setting" in s for s in found.verdict)


def test_scores_of_new_trials_are_weighted(model, trials):
    trials["light"] = trials["light"] + np.where(np.arange(trials.sizes[TRIAL]) % 2, 0.0, 50.0)
    trials["light"].attrs = {"units": "lm", "kind": "continuous"}

    def light(weight):
        weighted = trials.assign_coords({WEIGHT: (TRIAL, weight)})
        return evaluate(model, weighted).comparison.measurements[0]

    spoilt = np.arange(trials.sizes[TRIAL]) % 2 == 0
    plain = evaluate(model, trials).comparison.measurements[0]
    assert light(np.full(len(spoilt), 3.0)).model == plain.model
    heavy, none = light(np.where(spoilt, 1.0, 1e-9)), light(np.where(spoilt, 1e-9, 1.0))
    assert heavy.model.value > 40
    assert none.model.value < 1.5
    assert none.coverage[8].value > 0.8 > 0.2 > heavy.coverage[8].value
    with pytest.raises(DataError, match="trial_weight: expected one number of 0 or more"):
        light(np.full(len(spoilt), -1.0))


def test_values_that_new_trials_lack_are_counted(model, trials):
    trials["light"][:7] = np.nan
    found = evaluate(model, trials)
    assert f"light: 7 of {trials.sizes[TRIAL]} new trials have no value" in found.verdict


def test_one_setting_alone_can_be_evaluated(model, trials_at):
    one = trials_at(np.array([4.2])).isel(trial=slice(3))
    found = evaluate(model, one)
    assert found.comparison.settings == 1
    assert found.comparison.two_sample.auc is None
    assert any("cannot be told from 3 trials" in said for said in found.verdict)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        setting = np.repeat(np.arange(30), 3)
        values = rng.normal(0, 1, 30)[setting] + rng.normal(0, 0.5, 90)
        found = estimate_mean(values, np.ones(90), setting, rng)
        held += found.low <= 0 <= found.high
    assert 0.82 <= held / 200 <= 0.96


def test_a_classifier_tells_what_only_the_shape_of_a_signal_shows():
    rng = np.random.default_rng(5)
    setting = np.repeat(np.arange(40), 5)
    smooth = np.cumsum(rng.normal(size=(200, 50)), axis=1)
    shuffled = rng.permuted(np.cumsum(rng.normal(size=(200, 50)), axis=1), axis=1)
    found = tell_apart(
        np.zeros((200, 1), np.float32),
        setting,
        [Measurement("trace", dims=("t",), shape=(50,))],
        {"trace": smooth},
        {"trace": shuffled},
        seed=0,
    )
    assert found.auc.low > 0.9


def test_single_precision_alone_gives_nothing_away():
    rng = np.random.default_rng(6)
    setting = np.repeat(np.arange(40), 5)
    real = rng.choice([0.1, 0.2, 0.3], (200, 1))
    virtual = rng.choice([0.1, 0.2, 0.3], (200, 1)).astype(np.float32).astype(float)
    found = tell_apart(
        np.zeros((200, 1), np.float32),
        setting,
        [Measurement("dose")],
        {"dose": real},
        {"dose": virtual},
        seed=0,
    )
    assert found.auc.value == pytest.approx(0.5, abs=0.1)


def test_neither_evaluate_nor_report_imports_tensorflow():
    code = (
        "import sys, virtlab.evaluation, virtlab.report, virtlab.cli.evaluate;"
        "assert not {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'jinja2'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
