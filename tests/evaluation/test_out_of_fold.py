import numpy as np
import pytest

from virtlab.errors import ModelFileError
from virtlab.evaluation import evaluate
from virtlab.evaluation.scoring import LEVELS


def scored(evaluation, name="light"):
    return scored_in(evaluation.comparison, name)


def scored_in(comparison, name):
    return {s.measurement.name: s for s in comparison.measurements}[name]


@pytest.fixture(scope="module")
def held_out(kept_model):
    """Evaluations without new trials, of right and wrong models that keep held-out draws."""
    return {
        "true": evaluate(kept_model()),
        "shifted": evaluate(kept_model(shift=2.0)),
        "marginal": evaluate(kept_model(marginal=True)),
    }


def test_without_new_trials_the_kept_ones_are_judged(held_out):
    comparison = held_out["true"].comparison
    assert comparison.held_out
    assert comparison.trials == 200
    assert comparison.settings == 50
    assert "on held-out settings" in held_out["true"].headline


@pytest.mark.parametrize("name", ["light", "clicks", "trace", "image", "state"])
def test_true_draws_score_at_the_floor_and_those_of_any_setting_at_the_ceiling(held_out, name):
    true = scored(held_out["true"], name)
    assert true.model.low < 1.02 * true.floor
    assert true.model.high > 0.98 * true.floor
    assert true.model.value == pytest.approx(true.floor, rel=0.1)
    marginal = scored(held_out["marginal"], name)
    assert marginal.model.value == pytest.approx(marginal.marginal.value, rel=0.1)


def test_whole_trials_score_at_the_floor_and_are_covered_jointly(held_out):
    joint = held_out["true"].comparison.joint
    assert joint.score.value == pytest.approx(joint.floor, rel=0.05)
    assert joint.score.high < joint.marginal
    assert [found.value for found in joint.coverage][4] == pytest.approx(0.5, abs=0.12)


def test_members_that_disagree_are_judged_as_the_ensemble_that_they_are(kept_model):
    found = {}
    for members in (1, 2, 10):
        model = kept_model()
        values = model.arrays["drawn/values"]  # of the first member, then of another
        values[:, :60, 0] += 0.2
        values[:, 60:, 0] -= 0.2
        model.arrays["drawn/jury"] = np.array([2, 0, members])
        found[members] = evaluate(model, baselines=()).comparison
    light = {members: scored_in(comparison, "light") for members, comparison in found.items()}
    # Alone each is off; together they are wider, and nearer to the middle.
    assert light[1].model.value > 1.05 * light[2].model.value
    assert light[2].model.value > 1.02 * light[10].model.value
    covered = {members: s.coverage[LEVELS.index(0.5)].value for members, s in light.items()}
    assert covered[1] < covered[2] < covered[10]
    assert found[1].joint.score.value > found[10].joint.score.value
    other = [scored_in(comparison, "clicks").model.value for comparison in found.values()]
    np.testing.assert_allclose(other, other[0], rtol=0.01)


def test_shares_told_of_all_members_are_shares(kept_model):
    model = kept_model()
    values = model.arrays["drawn/values"]  # of two members that are far off on either side
    values[:, :60] += 4.0
    values[:, 60:] -= 4.0
    model.arrays["drawn/jury"] = np.array([2, 0, 10])
    comparison = evaluate(model, baselines=()).comparison
    light = scored_in(comparison, "light")
    found = [*light.coverage, *comparison.joint.coverage]
    assert max(each.value for each in found) == 1
    for each in found:
        assert 0 <= each.low <= each.value <= each.high <= 1
    assert min(each.low for each in light.pit) >= 0


def test_members_whose_training_the_trials_ended_say_only_how_far_members_are_apart(kept_model):
    model = kept_model()
    model.arrays["drawn/values"][:, 60:, 0] += 3.0
    model.arrays["drawn/jury"] = np.array([1, 1, 2])
    found = evaluate(model, baselines=()).comparison
    light = scored_in(found, "light")
    assert found.draws == 60
    assert abs(light.mean.bias.value) < 0.3  # of the judges' draws alone
    assert (
        light.model.value
        < scored_in(evaluate(kept_model(), baselines=()).comparison, "light").model.value
    )


@pytest.mark.parametrize("jury", [[0, 0, 1], [1, -1, 5], [7, 0, 10], [1, 0, 0]])
def test_a_jury_that_cannot_be_is_refused(kept_model, jury):
    model = kept_model()
    model.arrays["drawn/jury"] = np.array(jury)
    with pytest.raises(ModelFileError, match="does not fit the rest"):
        evaluate(model)


def test_a_shifted_model_loses_to_simpler_ones_and_is_told_so(held_out):
    said = held_out["shifted"].verdict
    assert any("light" in sentence and "does better: use it" in sentence for sentence in said)
    assert "a simpler model does better" in held_out["shifted"].headline


def test_nothing_simpler_beats_the_truth(held_out):
    for baseline in held_out["true"].comparison.baselines:
        for name, gap in baseline.behind.items():
            assert gap.high > 0, (baseline.name, name)
        assert baseline.joint_behind.value > 0


def test_the_model_that_ignores_the_parameters_is_called_useless(held_out):
    assert "not clearly better than ignoring the parameters" in held_out["marginal"].headline


def test_baselines_learn_from_other_folds_alone(kept_model, monkeypatch):
    from virtlab.evaluation import baselines, learners

    seen = []

    def spy(lesson, rng, memory):
        draw = learners.nearest_settings(lesson, rng, memory)
        seen.append((set(map(tuple, lesson.conditions)), asked := set()))

        def spied(conditions, draws):
            asked.update(map(tuple, conditions))
            return draw(conditions, draws)

        return spied

    monkeypatch.setitem(baselines.LEARNERS, "nearest settings", spy)
    evaluate(kept_model(), baselines=["nearest settings"])
    assert len(seen) == 5
    assert all(learned and asked and not learned & asked for learned, asked in seen)


def test_a_private_model_tells_what_its_file_says(model):
    found = evaluate(model)
    assert found.comparison is None
    assert found.to_dict()["held_out_trials"] is None


@pytest.mark.parametrize("which", ["constant", "decided by a category", "known at few settings"])
def test_a_measurement_with_nothing_to_learn_is_judged_all_the_same(kept_model, which):
    model = kept_model()
    arrays = model.file.arrays("held_out.safetensors")
    if which == "known at few settings":
        arrays["seen/0"] = np.arange(200)[:, None] < 12
    else:
        steel = arrays["parameter/1"][arrays["setting"]]
        arrays["real/0"] = np.float32(steel if which != "constant" else steel * 0 + 5)[:, None]
    model.file.arrays = lambda _name: arrays
    found = evaluate(model, baselines=["nearest settings"])
    useful = {each.measurement for each in found.comparison.usefulness}
    assert ("light" in useful) == (which == "decided by a category")
    assert "clicks" in useful
    assert found.lines()


def test_kept_trials_that_do_not_fit_are_refused(kept_model):
    model = kept_model()
    arrays = model.file.arrays("held_out.safetensors")
    arrays["setting"] = arrays["setting"] + 1000
    model.file.arrays = lambda _name: arrays
    with pytest.raises(ModelFileError, match="does not fit the rest"):
        evaluate(model)


def test_missing_values_drop_out(kept_model):
    model = kept_model()
    arrays = model.file.arrays("held_out.safetensors")
    arrays["seen/0"] = np.arange(200)[:, None] % 4 > 0
    model.file.arrays = lambda _name: arrays
    found = scored(evaluate(model, baselines=["quantile forest"]))
    assert found.trials == 150
    assert found.model.value == pytest.approx(found.floor, rel=0.1)
