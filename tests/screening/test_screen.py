"""The ranking: what comes first, what is listed apart, what a result knows of itself."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from virtlab.conditioning import Parameter
from virtlab.design import design_from
from virtlab.errors import ConfigError, OutputError
from virtlab.screening import findings, outcomes, screen
from virtlab.trials import is_virtual

ONLY_GOAL = ('require = ["max(trace) < 3.5"]', "")


def order(found):
    """Power and glass of the ranked settings, best first."""
    ranked = found.dataset.isel(setting=slice(0, found.ranked))
    return list(zip(ranked["power"].values.tolist(), ranked["glass"].values.tolist(), strict=True))


def fault(params, **options):
    with pytest.raises(ConfigError) as caught:
        screen(params, **options)
    return str(caught.value)


# the order


def test_best_comes_first(lamp, asked):
    lamp()
    found = screen(asked(ONLY_GOAL))
    assert order(found)[:5] == [(p, "clear") for p in (4, 3, 2, 1)] + [(4, "milky")]
    assert found.dataset["expected_objective"].values[:5].tolist() == [14, 13, 12, 11, 4]


def test_minimize_turns_the_order_round(lamp, asked):
    lamp()
    found = screen(asked(ONLY_GOAL, ("maximize", "minimize")))
    assert order(found)[:2] == [(1, "milky"), (2, "milky")]


def test_settings_outside_the_data_are_listed_apart_nearest_first(lamp, asked):
    lamp()
    found = screen(asked(ONLY_GOAL))  # the brightest, 9 W, nobody has run
    assert found.ranked == 8
    assert found.dataset["rank"].values.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 0, 0]
    apart = found.dataset.isel(setting=slice(8, None))
    assert apart["power"].values.tolist() == [9, 9]
    assert (apart["domain"] == "outside").all()
    assert {"inside", "edge"} == set(found.dataset["domain"].values[:8].tolist())


def test_nothing_is_ranked_where_all_is_outside(lamp, asked):
    lamp()
    found = screen(asked(("power = [1, 2, 3, 4, 9]", "power = [9, 10]")))
    assert found.ranked == 0
    assert found.to_dict()["ranked"] == []
    assert "no setting lies inside the training data" in "\n".join(found.lines())


def test_settings_unlikely_to_meet_the_requirement_come_behind(lamp, asked):
    lamp()
    found = screen(asked())  # at 4 W the trace peaks at 4, above 3.5
    assert order(found)[0] == (3, "clear")
    assert order(found)[-2:] == [(4, "clear"), (4, "milky")]
    chances = found.dataset["require_probability"].values[: found.ranked]
    assert chances.tolist() == [1] * 6 + [0] * 2


def test_requirements_alone_rank_by_probability(lamp, asked):
    lamp(noise=0.5)
    found = screen(asked(('maximize = "light"\n', "")))
    chances = found.dataset["require_probability"].values[: found.ranked]
    assert (np.diff(chances) <= 0).all()
    assert 0 < chances[-1] < 0.5 < chances[0]
    assert "expected_objective" not in found.dataset
    assert "P(require)" in "\n".join(found.lines())


def test_all_requirements_have_to_hold_in_the_same_trial(lamp, asked):
    lamp(noise=1.0)
    both = '["max(trace) < 3", "light > 13"]'
    found = screen(asked(('["max(trace) < 3.5"]', both)), trials=400).dataset
    at = (found["power"] == 3) & (found["glass"] == "clear")
    # light is above 13 exactly where noise is above 0, the trace below 3 where it is below
    assert found["require_probability"].values[at.values] == 0


# what is found


def test_noise_and_ignorance_are_given_apart(lamp, asked):
    lamp(noise=0.1, ignorance=2.0)
    found = screen(asked(ONLY_GOAL), trials=400).dataset
    np.testing.assert_allclose(found["objective_noise"], 0.1, rtol=0.2)
    np.testing.assert_allclose(found["objective_ignorance"], 2 * np.sqrt(5 / 3), rtol=0.02)


def test_what_is_found_is_what_the_drawn_trials_say(lamp, asked):
    made = lamp(noise=0.5)
    found = screen(asked()).dataset.isel(setting=0)
    one = design_from(
        {"power": float(found["power"]), "glass": found["glass"].item()}, made.parameters
    )
    drawn = made.draw(None, one, trials=40, seed=3)
    light, peak = drawn.measurements["light"], drawn.measurements["trace"].max(axis=-1)
    assert float(found["expected_objective"]) == pytest.approx(light.mean(), rel=1e-6)
    assert float(found["require_probability"]) == (peak < 3.5).mean()


def test_a_settings_numbers_depend_on_nothing_else(lamp, asked, monkeypatch):
    made = lamp(noise=0.5, ignorance=0.2)
    whole = screen(asked()).dataset
    assert made.drawn_at_once == [10, 8]  # the ranked ones again, to be compared
    for together in (1, 3):
        monkeypatch.setattr(outcomes, "ROWS_AT_ONCE", together * 40)
        xr.testing.assert_identical(screen(asked()).dataset, whole)
        assert max(made.drawn_at_once[2:]) == together
        made.drawn_at_once[2:] = []


def test_same_seed_repeats_and_another_does_not(lamp, asked):
    lamp(noise=0.5)
    first, again, other = screen(asked()), screen(asked()), screen(asked(), seed=4)
    xr.testing.assert_identical(first.dataset, again.dataset)
    assert other.dataset.attrs["seed"] == "4"
    assert (other.dataset["objective_noise"] != first.dataset["objective_noise"]).any()


# the result


def test_result_cannot_be_mistaken_for_measured_data(lamp, asked):
    lamp()
    found = screen(asked()).dataset
    assert is_virtual(found)
    assert found.attrs["model_sha256"] == "0" * 64
    assert found.attrs["training_data_sha256"] == "1" * 64
    assert found.attrs["objective"] == "maximize light, require max(trace) < 3.5"
    assert (found.attrs["trials_per_setting"], found.attrs["members"]) == (40, 4)
    assert "power = [1, 2, 3, 4, 9]" in found.attrs["params"]
    assert found["power"].attrs["units"] == "W"
    assert found["expected_objective"].attrs["units"] == "lm"


def test_lines_show_what_varies_and_how_sure_the_order_is(lamp, asked):
    lamp(noise=0.5, ignorance=0.5)
    said = screen(asked(('["clear", "milky"]', '"milky"'))).lines()
    assert said[0].startswith("maximize light, require max(trace) < 3.5: 5 settings, 40 virtual")
    assert said[1] == "at glass = milky"
    heads = ["rank", "power [W]", "objective [lm]", "90 %", "noise", "ignorance", "P(best)"]
    heads += ["P(require)", "replicates", "domain"]
    assert re.split(r"\s{2,}", said[2].strip()) == heads
    assert said[3].split()[:2] == ["1", "3"]
    assert any("90 % intervals of 2 more settings overlap that of rank 1" in line for line in said)
    assert any("3 of 4 ranked settings meet what is required" in line for line in said)
    apart = said.index(next(line for line in said if line.startswith("not ranked: 1 of 5")))
    assert said[apart + 2].split()[:2] == ["–", "9"]
    assert said[-1] == "trust: light: hardly better than ignoring the parameters"


def test_lines_show_the_ten_best_and_count_the_others(lamp, asked):
    lamp()
    many = ("[1, 2, 3, 4, 9]", "{ start = 1, stop = 4, num = 31 }")
    said = screen(asked(many, ONLY_GOAL)).lines()
    ranks = [line.split()[0] for line in said if line.split()[0].isdigit()]
    assert ranks == [str(place) for place in range(1, 11)]
    assert "… and 52 more" in said


def test_result_as_json_holds_every_setting(lamp, asked):
    lamp()
    found = json.loads(json.dumps(screen(asked()).to_dict()))
    assert found["objective"] == {
        "goals": ["maximize light"],
        "require": ["max(trace) < 3.5"],
        "cost": None,
    }
    assert (len(found["ranked"]), len(found["outside"])) == (8, 2)
    assert found["ranked"][0]["setting"] == {"power": 3, "glass": "clear"}
    assert found["ranked"][0]["expected_objective"] == 13
    assert found["outside"][0]["rank"] == 0
    assert found["trust"] == ["light: hardly better than ignoring the parameters"]


def test_repr_is_the_table(lamp, asked):
    lamp()
    found = screen(asked())
    assert repr(found).splitlines()[1:] == found.lines()


def test_progress_ends_at_one(lamp, asked, monkeypatch):
    lamp()
    monkeypatch.setattr(outcomes, "ROWS_AT_ONCE", 120)
    told = []
    screen(asked(), report=told.append)
    assert [round(progress.fraction, 1) for progress in told] == [0.3, 0.6, 0.9, 1.0, 1.0]


# refused


def test_params_without_an_objective_are_told_how_to_write_one(lamp, asked):
    lamp()
    message = fault(asked(objective=False))
    assert message.startswith("params.toml: no [objective]; say what to look for")
    assert 'maximize = "light"' in message


def test_faults_of_all_expressions_are_told_at_once(lamp, asked):
    lamp()
    message = fault(
        asked(('"light"', '"lihgt"'), ('["max(trace) < 3.5"]', '["trace < 3", "glass"]'))
    )
    assert "params.toml: objective.maximize: unknown name 'lihgt'" in message
    assert "params.toml: objective.require[item 1]: trace has many values" in message
    assert "params.toml: objective.require[item 2]: glass is a category" in message


def test_goal_that_is_no_number_in_some_trial_is_refused_with_the_setting(lamp, asked):
    lamp()
    message = fault(asked(('"light"', '"log(light - 2)"')))
    assert "params.toml: objective.maximize: log(light - 2) is not a finite number" in message
    assert "in 40 of 40 virtual trials at power = 1, glass = milky (inside the data)" in message


def test_too_few_trials_to_tell_noise_from_ignorance_are_refused(lamp, asked):
    lamp()
    message = fault(asked(), trials=7)
    assert "trials = 7" in message
    assert "ask for 8 or more" in message
    assert screen(asked(), trials=8).ranked == 8


def test_more_trials_than_memory_holds_are_refused(lamp, asked):
    lamp()
    assert "those of one setting alone need 64.0 GB" in fault(asked(), trials=10**9)


def test_parameter_with_a_results_name_is_refused_before_the_work(lamp, asked):
    made = lamp()
    made.parameters = (made.parameters[0], Parameter("rank"))
    message = fault(asked(('glass = ["clear", "milky"]', "rank = 1")))
    assert "the parameter 'rank' has a name that a screen's result needs" in message
    assert made.drawn_at_once == []


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("screen.txt", ConfigError, "expected a name that ends in .html, .csv, .json"),
        ("missing/screen.csv", OutputError, "missing does not exist; create it first"),
        ("folder.csv", OutputError, "is not a regular file"),
        ("there.csv", OutputError, "there.csv exists"),
        ("there.nc", OutputError, "there.nc exists"),
    ],
)
def test_output_is_refused_before_the_work(lamp, asked, tmp_path, name, error, said):
    made = lamp()
    (tmp_path / "folder.csv").mkdir()
    for there in ("there.csv", "there.nc"):
        (tmp_path / there).write_text("old")
    with pytest.raises(error) as caught:
        screen(asked(), output=tmp_path / name)
    assert said in str(caught.value)
    assert made.drawn_at_once == []
    assert (tmp_path / "there.csv").read_text() == "old"


def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_cells(lamp, asked):
    lamp(noise=0.5)
    found = screen(asked())
    wide, narrow = found.lines(), found.lines(80)
    at = next(i for i, line in enumerate(narrow) if line.startswith("rank"))
    names, units = narrow[at - 1 : at + 1]
    assert len(units) <= 80
    assert "replicates" not in units
    for name in ("glass", "[W]", "[lm]", "P(require)", "domain"):
        assert name in units
    assert names.split() == ["power", "objective"]
    assert max(map(len, narrow)) <= 80
    assert "replicates" in next(line for line in wide if line.startswith("rank"))
    assert any(line.startswith("no room for ignorance, P(best)") for line in narrow)
    assert not any(line.startswith("no room") for line in wide)


def test_of_too_many_settings_it_is_told_that_chance_ranks_them(lamp, asked, monkeypatch):
    lamp(noise=0.5)
    assert not any("to chance, too" in line for line in screen(asked()).lines())
    monkeypatch.setattr(findings, "MOST_ON_FRONT", 3)
    found = screen(asked())
    assert "best_probability" not in found.dataset
    assert any("the first owe their place to chance, too" in line for line in found.lines())


def test_long_categories_are_cut_where_they_can_be_told_apart(lamp, asked):
    lamp()
    found = screen(asked(ONLY_GOAL))
    long = {"clear": "clear " + "x" * 40, "milky": "milky " + "x" * 40}
    names = np.array([long[name] for name in found.dataset["glass"].values], object)
    cut = replace(found, dataset=found.dataset.assign_coords(glass=("setting", names))).lines()
    assert any("clear xxxxxxxxxxxx…xxxxxxxxxxx" in line for line in cut)
    alike = np.array([f"{'x' * 20}{name}{'x' * 20}" for name in names], object)
    whole = replace(found, dataset=found.dataset.assign_coords(glass=("setting", alike))).lines()
    assert any(alike[0] in line for line in whole)
