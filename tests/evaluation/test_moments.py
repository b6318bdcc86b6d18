import numpy as np
import pytest

from virtlab.evaluation.compared import Compared
from virtlab.evaluation.moments import judge_mean, judge_spread
from virtlab.trials import Measurement

SETTINGS, DRAWS = 2000, 200


def compared_at(spread, virtual_spread, replicates, seed=0):
    """Gaussian trials whose mean is 0 everywhere, beside draws; spreads ``(setting,)``."""
    rng = np.random.default_rng(seed)
    setting = np.repeat(np.arange(len(spread)), replicates)
    drawn = virtual_spread[:, None] * rng.standard_normal((len(spread), DRAWS))
    none = np.full(len(setting), np.nan)
    return Compared(
        measurement=Measurement("y", units="V"),
        real=(spread[setting] * rng.standard_normal(len(setting)))[:, None],
        setting=setting,
        weight=np.ones(len(setting)),
        score=none,
        marginal=none,
        ranks=none[None, :, None],
        shares=np.ones(1),
        one=none[:, None],
        draws=DRAWS,
        mean=drawn.mean(axis=1, keepdims=True),
        variance=drawn.var(axis=1, ddof=1, keepdims=True),
        quantiles=np.zeros((len(spread), 3, 1)),
        examples=(),
    )


@pytest.mark.parametrize("replicates", [2, 3, 30])
def test_the_true_spread_has_no_bias_and_the_floors_error_however_few_replicates(replicates):
    true = np.random.default_rng(1).uniform(1, 3, SETTINGS)
    found = judge_spread(compared_at(true, true, replicates), np.random.default_rng(0))
    assert found.bias.low < 0 < found.bias.high
    assert found.rmse.value == pytest.approx(found.floor, rel=0.05)
    assert found.ceiling > 1.02 * found.floor


def test_a_spread_that_is_too_narrow_or_the_same_everywhere_is_told_from_the_truth():
    true = np.random.default_rng(1).uniform(1, 3, SETTINGS)
    rng = np.random.default_rng(0)
    narrow = judge_spread(compared_at(true, 0.5 * true, 5), rng)
    assert narrow.bias.value == pytest.approx(-1, abs=0.05)
    assert narrow.rmse.low > narrow.floor
    same = judge_spread(compared_at(true, np.full(SETTINGS, 2.0), 5), rng)
    assert same.bias.value == pytest.approx(0, abs=0.06)
    assert same.rmse.value == pytest.approx(same.ceiling, rel=0.02)


def test_nothing_is_said_of_the_spread_where_no_setting_was_repeated():
    once = compared_at(np.ones(50), np.ones(50), 1)
    rng = np.random.default_rng(0)
    assert judge_spread(once, rng) is None
    mean = judge_mean(once, rng)
    assert np.isnan(mean.floor)
    assert mean.rmse.value == pytest.approx(mean.ceiling, rel=0.1)


def test_settings_whose_trials_have_no_value_or_no_weight_drop_out():
    true = np.ones(60)
    whole = compared_at(true, true, 4)
    whole.real[:80] = np.nan
    whole.real[80:120] = 1e6
    whole.weight[80:120] = 0
    rng = np.random.default_rng(0)
    assert judge_spread(whole, rng).rmse.high < 2
    mean = judge_mean(whole, rng)
    assert mean.rmse.high < 2
    assert mean.ceiling < 2
