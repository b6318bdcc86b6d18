"""Noise made as wide as held-out settings ask for."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.training.assessment import assess
from virtlab.training.calibration import (
    WORTH,
    Noise,
    _too_much,
    _truest,
    calibrate,
    value_slices,
)


def test_overconfident_measurement_is_widened_and_the_other_left(known):
    fit, blocks, columns = known(factors=(0.5, 1.0))
    before = assess(fit, blocks, columns, seed=0)
    calibrated, spread = calibrate(fit, blocks, columns, seed=0)
    after = assess(calibrated, blocks, columns, seed=0)
    assert spread["wide"].width > 1.4
    assert spread["narrow"].width == pytest.approx(1, abs=0.2)
    assert spread["wide"].tail == spread["narrow"].tail == 0
    assert before["wide"]["coverage_90"] < 0.7
    assert after["wide"]["coverage_90"] == pytest.approx(0.9, abs=0.07)
    np.testing.assert_allclose(
        calibrated.weights["spread.features"],
        np.broadcast_to([spread["wide"].width, spread["narrow"].width], (4, 1, 2)),
        rtol=1e-6,
    )


def test_timid_measurement_is_narrowed(known):
    _, spread = calibrate(*known(factors=(1.6, 1.0)), seed=0)
    assert spread["wide"].width < 0.8


def test_true_spread_is_left_nearly_alone(known):
    _, spread = calibrate(*known(), seed=0)
    assert all(0.8 < noise.width < 1.25 for noise in spread.values())


def truest(widths, off, too_much):
    """Width that is chosen where no tails are tried."""
    noise, _ = _truest([Noise(width) for width in widths], off, too_much, 0.0)
    assert noise.tail == 0
    return noise.width


def test_spread_is_found_between_those_that_are_tried():
    off = np.array([[-0.1, -0.1], [0.1, 0.1]])  # at half and at full spread
    tried, free = np.array([0.5, 1.0]), np.zeros(2)
    assert truest(tried, off, free) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert truest(tried, off - 1, free) == 1
    assert truest(tried, off * np.nan, free) == 1


def test_heavier_tails_are_chosen_where_no_width_makes_all_intervals_true():
    tried = [Noise(width, tail) for tail in (0.0, 0.2) for width in (0.5, 1.0, 2.0)]
    off = np.array([[-0.3, -0.2], [0.0, -0.1], [0.3, 0.05], [-0.3, -0.1], [0.0, 0.01], [0.3, 0.09]])
    noise, loss = _truest(tried, off, np.zeros(6), chance=0.001)
    assert (noise.width, noise.tail) == (pytest.approx(1.0, rel=0.1), 0.2)
    assert loss < 0.001
    plain, loss = _truest(tried, off, np.zeros(6), chance=0.02)  # that much is chance
    assert plain.tail == 0
    assert 0.005 < loss < 0.0101  # a little wider is nearer


def test_noise_with_rare_large_deviations_gets_tails(known):
    fit, blocks, columns = known()
    values, rng = blocks.values.copy(), np.random.default_rng(1)
    mean = fit.generator.slope * blocks.conditions + fit.generator.offset
    rare = np.where(rng.random(len(values)) < 0.25, 2.2, 0.35)
    values[:, 0] = mean[:, 0] + (values - mean)[:, 0] * rare
    before = assess(fit, replace(blocks, values=values), columns, seed=0)["wide"]
    calibrated, noise = calibrate(fit, replace(blocks, values=values), columns, seed=0)
    after = assess(calibrated, replace(blocks, values=values), columns, seed=0)["wide"]
    assert noise["wide"].tail > 0.1 > noise["narrow"].tail == 0
    assert noise["wide"].width < 1
    assert np.hypot(after["coverage_50"] - 0.5, after["coverage_90"] - 0.9) < 0.8 * np.hypot(
        before["coverage_50"] - 0.5, before["coverage_90"] - 0.9
    )
    assert after["model"] < before["model"]


def test_spread_that_intervals_ask_for_is_not_chosen_where_it_costs_too_much():
    tried, off = np.array([0.5, 1.0, 2.0]), np.array([[-0.1], [0.1], [0.3]])
    cost = np.array([0.1, -0.1, 0.1])  # half-way down it is worth it
    assert truest(tried, off, cost) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert truest(tried, off - 0.1, cost) == pytest.approx(1.0, rel=0.01)
    assert truest(tried, off - 0.4, cost) == pytest.approx(np.sqrt(2), rel=0.01)


def test_where_nothing_was_learned_the_spread_of_the_best_score_is_chosen():
    lost = np.array([[1.1, 1.1], [1.0, 1.0], [1.2, 1.2], [1.3, 1.3]])
    unlearned = np.array([0.9, 0.9])  # even better: chance
    too_much = _too_much(lost, unlearned, np.arange(2), None)
    off = np.array([[0.0], [0.1], [0.2], [0.3]])
    assert truest([0.6, 0.7, 0.9, 1.3], off, too_much) == pytest.approx(0.7)


def test_true_intervals_may_cost_a_share_of_what_was_learned_or_what_is_lost_in_noise():
    rng, setting = np.random.default_rng(0), np.arange(400)
    common = rng.normal(1, 0.5, 400)  # to the scores of all widths
    unlearned = common + 2

    def rows(rise, wobble, settings=400):
        """Scores that differ by setting, and by `rise` on the mean."""
        by_setting = rng.permutation(np.resize([-wobble, wobble], settings))
        return common + rise + np.repeat(by_setting, 400 // settings)

    worth = WORTH * 2
    lost = np.stack([rows(rise, 0.0) for rise in (3 * worth, worth / 2, 0.0, worth)])
    expected = [2 * worth, -worth / 2, -worth, 0.0]
    np.testing.assert_allclose(_too_much(lost, unlearned, setting, None), expected, atol=1e-12)
    # Forty trials of one setting are one observation: ten say too little to tell.
    few = np.stack([rows(rise, 0.3, settings=10) for rise in (0.05, 0.0)])
    assert _too_much(few, common, setting, None)[0] > 0
    assert _too_much(few, common, setting // 40, None)[0] < 0


def test_missing_values_say_nothing_of_a_spread():
    lost = np.array([[1.0, np.nan, 1.0], [2.0, np.nan, 2.0]])
    found = _too_much(lost, np.array([3.0, 3, 5]), np.array([4, 5, 6]), np.array([1.0, 1, 3]))
    np.testing.assert_allclose(found, [-WORTH * 3.5, 1 - WORTH * 3.5])
    assert not _too_much(lost * np.nan, np.ones(3), np.arange(3), None).any()


def test_few_settings_are_trusted_little(known):
    fit, blocks, columns = known(factors=(0.5, 1.0))
    blocks.setting[:] = blocks.setting // 12  # ten settings' worth of evidence
    _, few = calibrate(fit, blocks, columns, seed=0)
    assert 1.05 < few["wide"].width < 1.3


def test_generator_without_a_spread_is_left_as_it_is(known):
    fit, blocks, columns = known()
    del fit.weights["spread.features"]
    assert calibrate(fit, blocks, columns, seed=0) == (fit, {})


def test_slices_follow_the_columns(tiny):
    found = value_slices(tiny.columns)
    assert found == {"light": slice(0, 1), "clicks": slice(1, 2), "trace": slice(2, 26)}
