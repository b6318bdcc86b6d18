"""Inside, at the edge of, or outside the data."""

import numpy as np
import pytest

from virtlab import domain
from virtlab.domain import Domain, learn_domain, verdicts

RNG = np.random.default_rng(0)


def line(n=21):
    """Settings one apart."""
    return np.arange(n, dtype=np.float32)[:, None]


def test_training_settings_are_inside():
    rows = RNG.normal(size=(200, 3)).astype(np.float32)
    found = learn_domain(rows, RNG)
    np.testing.assert_array_equal(found.distance(rows), 0)
    assert set(verdicts(found.distance(rows))) == {"inside"}


def test_reach_is_the_usual_gap():
    assert learn_domain(line(), RNG).reach == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("at", "verdict"),
    [
        (10.5, "inside"),
        (21.0, "inside"),
        (21.5, "edge"),
        (22.0, "edge"),
        (22.5, "outside"),
        (-100, "outside"),
    ],
)
def test_verdict_follows_the_distance_in_units_of_the_usual_gap(at, verdict):
    found = learn_domain(line(), RNG)
    distance = found.distance(np.array([[at]], np.float32))
    assert verdicts(distance).tolist() == [verdict]


def test_replicates_do_not_shrink_the_reach():
    assert learn_domain(np.repeat(line(), 50, axis=0), RNG).reach == pytest.approx(1, rel=1e-5)


def test_a_single_setting_knows_itself_only():
    found = learn_domain(np.ones((5, 2), np.float32), RNG)
    distance = found.distance(np.array([[1, 1], [1, 1.1]], np.float32))
    assert verdicts(distance).tolist() == ["inside", "outside"]


def test_distances_equal_those_computed_pair_by_pair_whatever_the_table_holds(monkeypatch):
    reference = RNG.normal(size=(60, 4)).astype(np.float32)
    rows = RNG.normal(size=(50, 4)).astype(np.float32)
    pairs = np.linalg.norm(rows[:, None].astype(float) - reference, axis=-1)
    found = Domain(reference, 0.5)
    whole = found.distance(rows)
    np.testing.assert_allclose(whole, pairs.min(axis=1) / 0.5, atol=1e-6)
    monkeypatch.setattr(domain, "_TABLE", 200)
    np.testing.assert_allclose(found.distance(rows), whole, atol=1e-12)


def test_many_settings_are_represented_by_some(monkeypatch):
    monkeypatch.setattr(domain, "MOST_REFERENCES", 30)
    rows = RNG.normal(size=(100, 2)).astype(np.float32)
    found = learn_domain(rows, np.random.default_rng(1))
    assert len(found.reference) == 30
    assert {tuple(row) for row in found.reference} <= {tuple(row) for row in rows}
    again = learn_domain(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(found.reference, again.reference)
