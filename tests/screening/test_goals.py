"""Several goals, targets, and what a trial costs."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.config import parse_params
from virtlab.design import make_design
from virtlab.errors import ConfigError
from virtlab.expressions import known_names
from virtlab.screening import screen
from virtlab.screening.objective import read_objective
from virtlab.screening.outcomes import draw_outcomes, join_outcomes

MAXIMIZE = 'maximize = "light"\nrequire = ["max(trace) < 3.5"]'
TWO = (MAXIMIZE, 'maximize = "light"\nminimize = "max(trace)"')


def test_nearest_to_the_target_comes_first(lamp, asked):
    lamp()
    found = screen(asked((MAXIMIZE, "target = { light = 12.2 }"))).dataset
    assert (found["power"][0], found["glass"][0]) == (2, "clear")
    np.testing.assert_allclose(found["expected_objective"][:3], [0.2, 0.8, 1.2], rtol=1e-5)
    assert found["expected_objective"].attrs["units"] == "lm"
    assert found.attrs["objective"] == "target light = 12.2"


def test_scatter_round_the_target_counts(lamp, asked):
    """What is near the target in each trial is wanted, not on average alone."""
    lamp(noise=2.0)
    found = screen(asked((MAXIMIZE, "target = { light = 12 }")), trials=400).dataset
    np.testing.assert_allclose(found["expected_objective"][0], 2 * np.sqrt(2 / np.pi), rtol=0.15)


def test_pareto_front_comes_first(lamp, asked):
    """Clear glass is brighter at each power, so that milky glass is never on the front."""
    lamp()
    found = screen(asked(TWO)).dataset
    ranked = found.isel(setting=slice(0, 8))
    assert ranked["front"].values.tolist() == [1] * 4 + [2] * 4
    assert ranked["glass"].values.tolist() == ["clear"] * 4 + ["milky"] * 4
    assert ranked["front_probability"].values.tolist() == [1] * 4 + [0] * 4
    assert found["goal"].values.tolist() == ["maximize light", "minimize max(trace)"]
    assert found["goal_units"].values.tolist() == ["lm", "V"]
    assert found["expected_objective"].dims == ("setting", "goal")
    np.testing.assert_allclose(ranked["expected_objective"][0], [11, 1])


def test_what_lies_outside_or_fails_is_on_no_front(lamp, asked):
    lamp()
    require = TWO[1] + '\nrequire = ["max(trace) < 3.5"]'
    found = screen(asked((MAXIMIZE, require))).dataset
    none = found.where(found["power"] >= 4, drop=True)
    assert (none["front"] == 0).all()
    assert none["front_probability"].isnull().all()
    assert found["front_probability"][:3].values.tolist() == [1, 1, 1]


def test_front_is_less_sure_where_members_disagree(lamp, asked):
    lamp(noise=3.0)
    chance = screen(asked(TWO)).dataset["front_probability"].values[:8]
    assert ((chance > 0) & (chance < 1)).sum() > 3


def test_two_goals_have_their_own_columns(lamp, asked, tmp_path):
    lamp()
    found = screen(asked(TWO), output=tmp_path / "screen.csv")
    head, first = (tmp_path / "screen.csv").read_text().splitlines()[:2]
    assert "expected_objective[maximize light],expected_objective[minimize max(trace)]" in head
    assert first.startswith("1,1.0,clear,1,1.0,11.0,1.0,")
    assert found.to_dict()["ranked"][0]["expected_objective"] == [11, 1]
    heads = found.lines()[1]
    assert "maximize light [lm]" in heads
    assert "P(front)" in heads


def test_cost_of_a_trial_stands_beside_the_rest(lamp, asked):
    lamp()
    found = screen(asked((MAXIMIZE, MAXIMIZE + '\ncost = "5 + power ** 2"'))).dataset
    np.testing.assert_allclose(found["cost"], 5 + found["power"] ** 2)
    assert found.attrs["objective"].endswith("cost 5 + power ** 2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cost = "power - 1"', "cost: power - 1 is 0 at power = 1, glass = clear; expected"),
        ('cost = "light"', "cost: unknown name 'light'"),
        ('cost = "powr + 1"', "did you mean 'power'?\n    powr + 1\n    ^^^^"),
        ('minimize = ["light * 2", "trase"]', "minimize[item 2]: unknown name 'trase'"),
        ('target = { "max(trase)" = 3 }', "target: unknown name 'trase'; did you mean 'trace'?\n"),
    ],
)
def test_faults_are_named_with_their_key_and_place(lamp, asked, text, said):
    lamp()
    with pytest.raises(ConfigError) as caught:
        screen(asked((MAXIMIZE, f"{MAXIMIZE}\n{text}")))
    assert said in str(caught.value)


def test_outcomes_hold_every_trial(lamp):
    made = lamp(noise=0.5, ignorance=0.2)
    params = parse_params(
        'model = "lamp.virtlab"\ntrials = 16\n[parameters]\npower = [1, 4]\n'
        'glass = ["clear", "milky"]\n[objective]\nmaximize = "light"\n'
        'target = { "max(trace)" = 2 }\nrequire = ["light > 11"]\ncost = "power"'
    )
    objective = read_objective(params, known_names(made.measurements, made.parameters))
    design = make_design(params, made.parameters)
    found = join_outcomes(list(draw_outcomes(made, design, objective, params)))
    drawn = made.draw(None, design, trials=16, seed=0)
    np.testing.assert_allclose(found.values[0], drawn.measurements["light"])
    peak = drawn.measurements["trace"].max(axis=-1)
    np.testing.assert_allclose(found.gains[1], -abs(peak - 2.0), rtol=1e-5)
    np.testing.assert_array_equal(found.member, drawn.member)
    np.testing.assert_array_equal(found.met, drawn.measurements["light"] > 11)
    np.testing.assert_allclose(found.feasibility, found.met.mean(axis=1))
    assert found.cost.tolist() == [1, 1, 4, 4]


def test_category_can_be_required_and_pursued(lamp, asked):
    lamp()
    clear = (MAXIMIZE, 'minimize = "light"\nrequire = [\'glass == "clear"\']')
    found = screen(asked(clear)).dataset
    assert (found["power"][0], found["glass"][0]) == (1, "clear")
    chance = found["require_probability"].values
    np.testing.assert_array_equal(chance, (found["glass"] == "clear").values)
    milky = screen(asked((MAXIMIZE, "maximize = 'glass == \"milky\"'"))).dataset
    assert milky["glass"].values[:4].tolist() == ["milky"] * 4
    assert milky["expected_objective"].values[:5].tolist() == [1, 1, 1, 1, 0]


def test_interval_holds_no_impossible_value(lamp, asked):
    made = lamp(ignorance=4.0)
    made.measurements = (replace(made.measurements[0], support=(0, 14)), *made.measurements[1:])
    found = screen(asked((MAXIMIZE, 'maximize = "light"'))).dataset
    assert (float(found["objective_low"].min()), float(found["objective_high"].max())) == (0, 14)
    near = screen(asked((MAXIMIZE, "target = { light = 3 }"))).dataset
    assert float(near["objective_low"].min()) == 0
    assert float(near["objective_high"].max()) > 14
