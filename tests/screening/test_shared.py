"""What all members may miss together: its draws, and what it does to intervals and order."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.screening.ignorance import Ignorance
from virtlab.screening.shared import Shared
from virtlab.screening.spread import expect, widened

EXAMPLE = Path(__file__).parents[2] / "example_experiments" / "damped_oscillator"


@pytest.fixture(scope="module")
def shared():
    """Three places were measured, the middle one well; settings stand along a line."""
    measured = Ignorance(
        places=np.array([[0.0, 0], [1, 0], [2, 0]]),
        noise=np.array([0.5, 0.01, 0.5]),
        length=1.0,
        variance=4.0,
    )
    places = np.stack([np.linspace(-1, 6, 15), np.zeros(15)], axis=1)
    return Shared((measured, None), places)


def test_draws_have_the_deviation_and_correlation_of_the_process(shared):
    rows = np.ones(15, bool)
    draws = shared.draws(rows, 20_000, np.random.default_rng(0))[..., 0]
    np.testing.assert_allclose(draws.std(axis=0), shared.deviation()[:, 0], rtol=0.12, atol=0.05)
    covariance = shared.ignorance[0].covariance(shared.places)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.5)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.1)


def test_error_is_small_where_was_measured_and_all_of_it_far_away(shared):
    deviation = shared.deviation()[:, 0]
    assert deviation[4] < 0.25  # at 1
    assert deviation[-1] == pytest.approx(2, rel=0.01)


def test_goal_of_which_nothing_is_known_has_no_error(shared):
    assert (shared.deviation()[:, 1] == 0).all()
    assert (shared.draws(np.ones(15, bool), 3, np.random.default_rng(0))[..., 1] == 0).all()


def test_interval_widens_by_what_errors_exceed_disagreement():
    member = np.tile(np.arange(40) % 4, (2, 1))
    found = expect(2.0 * member + np.array([[0.0], [9.0]]), member, 4)
    own = found.by_member.std(axis=1, ddof=1) * np.sqrt(5 / 4)
    wide = widened(found, np.array([5.0, 0.1]))
    assert wide.shared[0] == pytest.approx(np.sqrt(25 - own[0] ** 2))
    before = (found.high - found.low) / 2
    after = (wide.high - wide.low) / 2
    assert after[0] == pytest.approx(np.hypot(before[0], 1.645 * wide.shared[0]))
    assert wide.shared[1] == 0
    assert after[1] == pytest.approx(before[1])


@pytest.fixture
def screened(tmp_path, monkeypatch):
    """Screens the example, whose model keeps its trials; gives the ranked rows."""

    def run(objective):
        shutil.copy(EXAMPLE / "damped_oscillator.virtlab", tmp_path)
        text = (EXAMPLE / "params.toml").read_text() + f"\n[objective]\n{objective}\n"
        (tmp_path / "params.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        done = CliRunner().invoke(main, ["screen", "params.toml", "-q", "--json"])
        return json.loads(done.stdout)["ranked"]

    return run


def test_intervals_of_a_model_that_keeps_its_trials_hold_what_it_missed(screened):
    rows = screened('minimize = "overshoot"')
    assert all(row["objective_shared"] >= 0 for row in rows)
    assert any(row["objective_shared"] > 0 for row in rows)
    for row in rows:
        half = (row["objective_high"] - row["objective_low"]) / 2
        assert half > 1.6 * row["objective_shared"]
    assert sum(row["best_probability"] for row in rows) == pytest.approx(1, abs=0.01)


def test_requirement_near_its_limit_may_be_off_by_more_than_members_say(screened, monkeypatch):
    requirement = 'require = ["overshoot < 12", "stiffness < 60"]'
    known = screened(requirement)
    monkeypatch.setattr("virtlab.screening.shared.make_record", lambda *_: None)
    alone = screened(requirement)
    errors = np.array(
        [[row["require_probability_error"] for row in rows] for rows in (known, alone)]
    )
    assert [r["require_probability"] for r in known] == [r["require_probability"] for r in alone]
    assert (errors[0] >= errors[1]).all()
    assert (errors[0] > 1.01 * errors[1]).any()
