import numpy as np
import pytest

from virtlab.evaluation import evaluate
from virtlab.evaluation.scoring import LEVELS

NUMERIC = ("light", "clicks", "trace", "image")


def scored(evaluation, name="light"):
    return {s.measurement.name: s for s in evaluation.comparison.measurements}[name]


@pytest.mark.parametrize("name", [*NUMERIC, "state"])
def test_the_true_simulator_scores_at_the_replicate_floor(judged, name):
    found = scored(judged["true"], name)
    assert found.model.value == pytest.approx(found.floor, rel=0.06)
    assert found.gain.low > 0


@pytest.mark.parametrize("name", [*NUMERIC, "state"])
def test_the_marginal_scores_at_the_ceiling(judged, name):
    found = scored(judged["marginal"], name)
    assert found.model.value == pytest.approx(found.marginal.value, rel=0.08)
    assert found.model.value > 1.15 * found.floor


def test_the_true_simulator_is_praised_and_nothing_of_the_new_trials_held_against_it(judged):
    assert "does better than ignoring the parameters" in judged["true"].headline
    reservations = [said for said in judged["true"].verdict if not said.startswith("in training: ")]
    assert reservations == [
        "the model file keeps no trials, so that simpler models could not be compared with"
    ]


def test_the_marginal_is_called_no_better_than_the_marginal(judged):
    assert "not clearly better" in judged["marginal"].headline
    assert any(
        "ignoring the parameters does as well" in said for said in judged["marginal"].verdict
    )


@pytest.mark.parametrize("name", NUMERIC)
def test_the_true_simulator_is_calibrated_at_every_level(judged, name):
    found = scored(judged["true"], name)
    for level, held in zip(LEVELS, found.coverage, strict=True):
        assert held.value == pytest.approx(level, abs=0.1)
        assert held.low <= held.value <= held.high
    assert [share.value for share in found.pit] == pytest.approx([1.0] * 10, abs=0.55)
    assert np.mean([share.value for share in found.pit]) == pytest.approx(1.0)


def test_the_true_simulator_has_no_bias_and_the_right_spread(judged):
    found = scored(judged["true"])
    assert found.mean.bias.value == pytest.approx(0, abs=0.2)
    assert found.spread_ratio == pytest.approx(1.0, abs=0.12)
    assert found.spread.bias.low < 0.05
    assert found.spread.rmse.low < 1.1 * found.spread.floor


def test_a_classifier_cannot_tell_the_true_simulator_from_the_lab(judged):
    auc = judged["true"].comparison.two_sample.auc
    assert auc.low < 0.53
    assert auc.value == pytest.approx(0.5, abs=0.06)


def test_replicates_that_are_copies_are_told(model, trials):
    assert not evaluate(model, trials).comparison.copied
    twice = trials.isel(trial=[*range(trials.sizes["trial"]), *range(0, 40, 4)])
    found = evaluate(model, twice)
    assert found.comparison.copied == 20
    assert any("20 of 210 trials that share their setting equal" in s for s in found.verdict)


def test_a_shifted_model_is_caught(judged):
    found = scored(judged["shifted"])
    assert found.mean.bias.value == pytest.approx(2.0, abs=0.2)
    assert found.pit[0].value > 3
    assert judged["shifted"].comparison.two_sample.auc.low > 0.6
    assert any(
        "light: virtual trials lie" in said and "above" in said
        for said in judged["shifted"].verdict
    )


def test_a_collapsed_model_is_caught(judged):
    found = scored(judged["collapsed"])
    assert found.spread_ratio == pytest.approx(0.2, abs=0.03)
    assert found.spread.bias.high < -0.6
    assert found.spread.rmse.low > found.spread.floor
    assert found.coverage[LEVELS.index(0.9)].high < 0.5
    assert found.pit[0].value > 2
    assert found.pit[-1].value > 2
    assert judged["collapsed"].comparison.two_sample.auc.low > 0.6
    said = judged["collapsed"].verdict
    assert any(sentence.startswith("light: intervals are too narrow") for sentence in said)
    assert any("classifier tells virtual from real" in sentence for sentence in said)


def test_both_wrong_models_score_worse_than_the_truth(judged):
    right = scored(judged["true"]).model.value
    assert scored(judged["shifted"]).model.value > 1.3 * right
    assert scored(judged["collapsed"]).model.value > 1.1 * right
