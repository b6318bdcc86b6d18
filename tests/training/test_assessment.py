"""Held-out scores of fits whose truth is known, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.training.assessment import assess, verdict


def test_perfect_generator_scores_at_the_floor(known):
    found = assess(*known(), seed=0)
    for name, noise in (("wide", 2.0), ("narrow", 0.5)):
        floor = noise / np.sqrt(np.pi)
        assert found[name]["floor"] == pytest.approx(floor, rel=0.1)
        assert found[name]["model"] == pytest.approx(found[name]["floor"], rel=0.07)
        assert found[name]["trials"] == 360


def test_perfect_generator_covers_what_it_states(known):
    for score in assess(*known(), seed=0).values():
        assert score["coverage_50"] == pytest.approx(0.5, abs=0.06)
        assert score["coverage_90"] == pytest.approx(0.9, abs=0.04)
        assert score["dispersion"] == pytest.approx(1, abs=0.1)


def test_generator_that_ignores_the_parameters_scores_as_the_marginal(known):
    spread = [np.hypot(slope * 0.99, noise) / noise for slope, noise in ((3, 2), (1, 0.5))]
    for score in assess(*known(factors=spread, slopes=(0.0, 0.0)), seed=0).values():
        assert score["model"] == pytest.approx(score["marginal"], rel=0.05)


def test_baselines_lie_above_the_floor_and_the_nearest_below_the_marginal(known):
    for score in assess(*known(), seed=0).values():
        assert score["floor"] * 0.95 < score["nearest"] < 0.9 * score["marginal"]


def test_marginal_is_that_of_training_trials(known, trials):
    found = assess(*known(), seed=0)
    values = trials()["wide"].values
    expected = np.abs(values[:, None] - values).mean() / 2
    assert found["wide"]["marginal"] == pytest.approx(expected, rel=0.05)


def test_missing_values_are_not_scored(known):
    fit, blocks, columns = known()
    observed = blocks.observed.copy()
    observed[:60, 0] = 0
    found = assess(fit, replace(blocks, observed=observed), columns, seed=0)
    assert found["wide"]["trials"] == 300
    assert found["narrow"]["trials"] == 360
    assert found["wide"]["model"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.1)


def test_a_category_is_scored_by_the_share_of_mistaken_draws(tiny):
    score = tiny.scores["state"]
    # 0.5 (1 - sum of squared shares), averaged over glass (0.9, 0.1) and steel (0.2, 0.8),
    # is the expected fair score of the truth: its floor.
    truth = 0.5 * np.mean([1 - 0.9**2 - 0.1**2, 1 - 0.2**2 - 0.8**2])
    assert score["floor"] == pytest.approx(truth, abs=0.05)
    assert truth - 0.04 < score["model"] < score["marginal"]
    assert score["coverage_90"] is None


def test_scores_of_the_trained_model_are_sensible(tiny):
    for name in ("light", "clicks", "trace"):
        score = tiny.scores[name]
        assert 0.9 * score["floor"] < score["model"] < score["marginal"]
        assert 90 < score["trials"] <= 120


def said(known, settings=100, ended="all steps done", health=("healthy",), members=4, **changes):
    score = {
        "model": 1.0,
        "marginal": 2.0,
        "nearest": 1.5,
        "floor": 0.9,
        "repeated": [0, 100],
        "coverage_50": 0.5,
        "coverage_90": 0.9,
        "dispersion": 1.0,
    }
    fit, _, _ = known()
    folds = fit.folds.some(slice(0, members))  # two of them: each setting is held out for one
    fit = replace(fit, ended=ended, health=health, folds=folds)
    return verdict({"y": score | changes}, fit, settings)


def test_nothing_is_said_of_a_good_model(known):
    assert said(known) == []


def test_narrow_intervals_of_single_members_say_that_all_together_are_wider(known):
    (narrow,) = said(known, members=2, coverage_90=0.7)
    (wide,) = said(known, members=2, coverage_90=0.99)
    (known_together,) = said(known, members=4, coverage_90=0.7)
    assert narrow.endswith(
        "held 70% on held-out settings (of single members: all together are wider)"
    )
    assert "members" not in wide + known_together


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ended": "interrupted"}, "interrupted"),
        ({"health": ("2 of 4 members diverged",)}, "2 of 4 members diverged"),
        ({"marginal": 0.95}, "y: ignoring the parameters does as well"),
        ({"nearest": 0.8}, "y: resampling the nearest settings does better"),
        ({"dispersion": 2.0}, "y: a few virtual trials stray far"),
        ({"floor": None}, "y: no setting was repeated"),
        (
            {"floor": None, "repeated": [41, 9568]},
            "y: only 41 of 9,568 trials (0.4%) repeat a setting",
        ),
        ({"coverage_90": 0.7}, "intervals stated as 90 % held 70%"),
        ({"coverage_90": 0.99}, "intervals stated as 90 % held 99%"),
        ({"settings": 12}, "only 12 settings"),
    ],
)
def test_each_reservation_is_one_sentence(known, changes, words):
    found = said(known, **changes)
    assert len(found) == 1
    assert words in found[0]
