"""Inside, at the edge of, or outside the data."""

import numpy as np
import pytest

from virtlab import domain
from virtlab.domain import NEVER_RUN, Domain, feature_relevance, learn_domain, verdicts

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
    found = Domain(reference, 0.5, np.ones(4, np.float32))
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


# holes


def judge(found, *rows):
    return verdicts(found.distance(np.array(rows, np.float32))).tolist()


def test_a_hole_within_the_hull_is_outside():
    plane = np.stack(np.meshgrid(np.arange(15), np.arange(15)), axis=-1).reshape(-1, 2)
    hole = np.abs(plane - 7).max(axis=1) <= 3
    found = learn_domain(plane[~hole].astype(np.float32), RNG)
    assert judge(found, [7, 7], [4.8, 7], [3.5, 7], [16, 7]) == [
        "outside",
        "edge",
        "inside",
        "edge",
    ]


# what matters


def cloud(n=300, features=8):
    return np.random.default_rng(3).uniform(-1, 1, (n, features)).astype(np.float32)


def moved(row, feature, to):
    row = row.copy()
    row[feature] = to
    return row


def test_an_irrelevant_parameter_pushes_nothing_outside():
    rows = cloud(n=60, features=2)
    plain = learn_domain(rows, RNG)
    weighted = learn_domain(rows, RNG, np.array([1, 0], np.float32))
    beyond = [0, 1.7]
    assert judge(plain, beyond) == ["outside"]
    assert judge(weighted, beyond) == ["inside"]


def test_even_an_irrelevant_parameter_counts_far_beyond_the_data():
    weighted = learn_domain(cloud(features=2), RNG, np.array([1, 0], np.float32))
    assert judge(weighted, [0, 30]) == ["outside"]


def test_a_relevant_parameter_does_not_hide_among_irrelevant_ones():
    rows = cloud()
    beyond = moved(rows[0], 3, 1.2)
    weighted = learn_domain(rows, RNG, np.eye(8, dtype=np.float32)[3])
    assert judge(learn_domain(rows, RNG), beyond) == ["inside"]
    assert judge(weighted, beyond) == ["outside"]


def test_a_parameter_that_always_moved_with_a_relevant_one_counts_like_it():
    rows = np.repeat(cloud(features=1), 2, axis=1)
    weighted = learn_domain(rows, RNG, np.array([1, 0], np.float32))
    np.testing.assert_allclose(weighted.weights, 1, rtol=1e-6)
    assert judge(weighted, [0.5, -0.5]) == ["outside"]


def test_a_feature_matters_as_much_as_the_parameters_that_move_it():
    def found(rise, *features):
        return {"rise": rise, "error": 0.01, "features": list(features)}

    relevance = {"a": found(0.5, "a", "a/b"), "b": found(0.1, "a/b"), "c": found(-0.2, "c")}
    told = feature_relevance(["a", "a/b", "c", "d"], relevance)
    np.testing.assert_allclose(told, [0.51, 0.51, 0, 1], rtol=1e-6)


# never run


def test_another_value_of_what_never_varied_is_outside():
    rows = np.concatenate([line(), np.full((21, 1), 0.3, np.float32)], axis=1)
    found = learn_domain(rows, RNG)
    assert judge(found, [10, 0.3], [10, 0.31]) == ["inside", "outside"]


def categories(*levels):
    """Indicators of -1 and 1, as training makes them; `levels` of each parameter."""
    return np.concatenate([np.where(np.eye(n)[at], 1, -1) for n, at in levels], axis=1)


def pairs(n, runs, repeat):
    """Settings of two parameters of `n` categories each, and one number, `repeat` times."""
    first, second = np.repeat(np.array(runs), repeat, axis=0).T
    number = RNG.uniform(-1, 1, len(first))
    rows = np.concatenate([categories((n, first), (n, second)), number[:, None]], axis=1)
    return rows.astype(np.float32)


def test_a_category_that_was_never_run_is_outside():
    found = learn_domain(pairs(3, [(0, 0), (0, 1), (1, 0), (1, 1)], 5), RNG)
    known, new = pairs(3, [(1, 1), (1, 2)], 1)
    assert judge(found, moved(known, 6, 0)) == ["inside"]
    assert judge(found, moved(new, 6, 0)) == ["outside"]


def test_categories_that_were_never_run_together_are_outside_however_far_trials_are_apart():
    runs = [(i, j) for i in range(4) for j in range(4) if (i, j) != (1, 2)]
    rows = pairs(4, runs, 4)
    rows[:, -1] *= 50  # so far apart that another category seems near
    found = learn_domain(rows, RNG)
    new = pairs(4, [(1, 2)], 1)[0]
    assert found.distance(moved(new, 8, 0)[None])[0] == NEVER_RUN
    irrelevant = learn_domain(rows, RNG, np.array([0] * 4 + [1] * 5, np.float32))
    assert judge(irrelevant, moved(new, 8, 0)) == ["inside"]


def test_a_new_pair_is_nothing_unusual_where_most_trials_are_alone_with_theirs():
    runs = [(i, (i + k) % 8) for i in range(8) for k in range(3)]
    found = learn_domain(pairs(8, runs, 1)[:, :-1], RNG)
    assert judge(found, pairs(8, [(0, 5)], 1)[0, :-1]) == ["edge"]


def test_what_was_run_once_among_many_settings_is_known(monkeypatch):
    monkeypatch.setattr(domain, "MOST_REFERENCES", 30)
    rows = pairs(3, [(0, 0), (1, 1), (0, 1), (1, 0)], 50)
    once = pairs(3, [(2, 2)], 1)
    found = learn_domain(np.concatenate([rows, once]), np.random.default_rng(0))
    assert len(found.reference) == 30
    assert judge(found, once[0]) == ["inside"]
