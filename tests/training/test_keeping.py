"""What a model file keeps of held-out trials."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.gan import folds
from virtlab.training import keeping
from virtlab.training.assessment import draw_held_out
from virtlab.training.keeping import keep_held_out


@pytest.fixture
def keep(known, trials):
    """Keep what a known law drew; some of the fit's blocks changed as a test asks."""

    def make(**changes):
        fit, blocks, columns = known()
        blocks = replace(blocks, **changes)
        held = draw_held_out(fit, blocks, seed=0)
        values = {name: variable.values for name, variable in trials().variables.items()}
        kept = keep_held_out(
            held, fit, blocks, columns, [Parameter("x")], values, generators=1, seed=0
        )
        return kept, fit, blocks

    return make


def test_every_setting_has_draws_and_every_trial_is_there(keep):
    kept, _, blocks = keep()
    assert kept["drawn/values"].shape == (120, 300, 2)
    assert kept["drawn/values"].dtype == np.float16
    assert kept["drawn/codes"].shape == (120, 300, 0)
    assert kept["drawn/first"].tolist() == [150]
    np.testing.assert_array_equal(kept["setting"], blocks.setting)
    np.testing.assert_array_equal(kept["judged"], np.arange(120))
    assert "seen/0" not in kept


def test_the_draws_follow_the_law_at_their_settings(keep):
    kept, _, blocks = keep()
    mean = kept["drawn/values"].astype(float).mean(axis=1)
    rows = np.unique(blocks.setting, return_index=True)[1]
    expected = 3 * kept["parameter/0"]
    center, scale = blocks.values[:, 0].mean(), 1.0
    assert center == pytest.approx(0, abs=1e-5)
    assert np.corrcoef(mean[:, 0], expected)[0, 1] > 0.99
    assert np.abs(mean[:, 0] - expected / expected.std() * mean[:, 0].std()).max() < 0.3 * scale
    np.testing.assert_allclose(kept["parameter/0"], blocks.conditions[rows, 0], atol=1e-6)


def test_a_fold_is_what_one_member_of_the_first_split_held_out(keep):
    kept, fit, blocks = keep()
    for member in range(2):
        train = set(blocks.setting[fit.folds.train[member]].tolist())
        fold = set(np.flatnonzero(kept["fold"] == member).tolist())
        assert fold
        assert not fold & train
        assert len(fold | train) == 120


@pytest.mark.parametrize(("judging", "labels"), [(1, 12), (2, 11)])
def test_where_a_fold_ends_training_members_miss_their_own_and_know_the_one_half_way(
    known, trials, judging, labels
):
    fit, blocks, columns = known()
    rng = np.random.default_rng(0)
    split = folds.split_by_setting(
        blocks.setting, members=12, folds=12, rng=rng, judging=judging, stop=True
    )
    weights = {name: np.tile(array[:1], (12, 1, 1)) for name, array in fit.weights.items()}
    fit = replace(fit, folds=split, weights=weights)
    values = {name: variable.values for name, variable in trials().variables.items()}
    held = draw_held_out(fit, blocks, seed=0)
    kept = keep_held_out(held, fit, blocks, columns, [Parameter("x")], values, generators=1, seed=0)
    assert kept["unseen"].tolist() == [judging + 1]
    assert kept["fold"].max() + 1 == labels
    # The first of the draws are by the member of a setting's own number, the last by the one whose
    # training it ended.
    assert kept["drawn/first"].item() * (judging + 1) == kept["drawn/values"].shape[1]
    assert kept["drawn/jury"].tolist() == [judging, 1, 12]
    for fold in range(labels):
        own = np.flatnonzero(kept["fold"] == fold)
        known_by = [set(blocks.setting[rows]) for rows in split.train]
        assert not set(own) & known_by[fold]
        assert set(own) <= known_by[(fold + labels // 2) % labels]


@pytest.fixture
def apart(known, monkeypatch):
    """A fit of so many settings that some are kept from all members."""
    monkeypatch.setattr(folds, "MANY_SETTINGS", 100)
    monkeypatch.setattr(folds, "APART", 0.2)
    return known()


def test_settings_kept_apart_are_a_fold_of_their_own(apart, trials):
    fit, blocks, columns = apart
    held = draw_held_out(fit, blocks, seed=0)
    values = {name: variable.values for name, variable in trials().variables.items()}
    kept = keep_held_out(held, fit, blocks, columns, [Parameter("x")], values, generators=1, seed=0)
    expected = np.unique(blocks.setting[fit.folds.apart])
    assert len(expected) == 24
    np.testing.assert_array_equal(np.flatnonzero(kept["fold"] == 2), expected)
    np.testing.assert_array_equal(kept["judged"], expected)
    # Two of the four members are the first split.
    assert kept["drawn/first"].item() == kept["drawn/values"].shape[1] // 2


def test_where_room_is_little_half_of_it_is_for_trials_to_learn_from(apart, trials, monkeypatch):
    fit, blocks, columns = apart
    monkeypatch.setattr(keeping, "MOST_TRIALS", 60)
    held = draw_held_out(fit, blocks, seed=0)
    values = {name: variable.values for name, variable in trials().variables.items()}
    kept = keep_held_out(held, fit, blocks, columns, [Parameter("x")], values, generators=1, seed=0)
    assert (kept["fold"][kept["setting"]] == 2).sum() == 30
    assert len(kept["setting"]) == 60


def test_missing_values_are_marked_and_finite(known, trials):
    fit, blocks, columns = known()
    values = {name: variable.values.copy() for name, variable in trials().variables.items()}
    values["narrow"][:7] = np.nan
    held = draw_held_out(fit, blocks, seed=0)
    kept = keep_held_out(held, fit, blocks, columns, [Parameter("x")], values, generators=1, seed=0)
    assert np.isfinite(kept["real/1"]).all()
    np.testing.assert_array_equal(kept["seen/1"][:, 0], np.arange(360) >= 7)


def test_little_room_keeps_fewer_settings_with_few_draws_and_fewer_trials(keep, monkeypatch):
    monkeypatch.setattr(keeping, "MOST_BYTES", 2_000)
    kept, _, _ = keep()
    settings, draws, _ = kept["drawn/values"].shape
    assert settings == 20
    assert draws >= 24
    assert kept["drawn/values"].nbytes <= 2_000
    assert len(kept["setting"]) == 250
    # Trials at settings with draws come first.
    assert np.isin(np.arange(len(kept["judged"])), kept["setting"]).all()
    counts = np.bincount(kept["setting"])
    assert (counts[kept["judged"]] == 3).all()


def test_weights_are_kept(keep):
    weight = np.linspace(0.5, 1.5, 360)
    kept, _, _ = keep(weight=weight)
    np.testing.assert_allclose(kept["weight"], weight, rtol=1e-6)
