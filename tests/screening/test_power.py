"""Power: against answers that are known, and on the example's own model."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.screening.permutation import STATISTICS, p_values
from virtlab.screening.power import _point, share_interval

EXAMPLE = Path(__file__).parents[2] / "example_experiments" / "damped_oscillator"
STUDIES = 2000


def rng(seed=0):
    return np.random.default_rng(seed)


def rejected(first, second, statistic="mean", alpha=0.05):
    return float((p_values(first, second, STATISTICS[statistic], rng(9)) <= alpha).mean())


@pytest.mark.parametrize("statistic", ["mean", "median", "sd"])
@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_equal_arms_are_told_apart_as_often_as_alpha_says(statistic, draw):
    first, second = getattr(rng(), draw)((2, STUDIES, 15))
    alarms = rejected(first, second, statistic)
    # 0.05, give or take what 2,000 studies with shuffles in common can be off
    assert 0.03 < alarms < (0.08 if statistic == "sd" else 0.07)


def test_equal_shares_are_told_apart_at_most_as_often_as_alpha_says():
    first, second = (rng().random((2, STUDIES, 12)) < 0.3).astype(float)
    assert rejected(first, second) < 0.065


@pytest.mark.parametrize(("trials", "known"), [(17, 0.807), (23, 0.915), (8, 0.463)])
def test_power_for_normal_arms_is_that_of_the_t_test(trials, known):
    # one standard deviation apart, two-sided 0.05: Cohen 1988, or statsmodels' TTestIndPower
    first, second = rng().standard_normal((2, STUDIES, trials))
    assert rejected(first, second + 1) == pytest.approx(known, abs=0.035)


def test_a_difference_in_spread_alone_is_found_by_sd_and_not_by_mean():
    first, second = rng().standard_normal((2, STUDIES, 30))
    assert rejected(first, 3 * second, "sd") > 0.95
    assert rejected(first, 3 * second, "mean") < 0.08
    assert rejected(first, second + 5, "sd") < 0.08


def test_three_trials_can_never_tell_at_five_percent():
    first, second = rng().standard_normal((2, 50, 3))
    assert rejected(first, second + 1e6) == 0


def test_members_that_disagree_have_powers_of_their_own():
    noise = rng().standard_normal((2, 4, 500))
    arms = noise + np.array([[[0.0]] * 4, [[0.0], [0.5], [1.0], [2.0]]])
    found = _point(arms, 17, STATISTICS["mean"], 0.05, rng(1))
    assert list(np.argsort(found.by_member)) == [0, 1, 2, 3]
    assert found.by_member[0] < 0.12
    assert found.by_member[2] == pytest.approx(0.8, abs=0.12)
    assert found.by_member[3] > 0.98
    assert found.low < found.power < found.high
    assert found.careful < found.power


def test_intervals_of_shares_stay_between_0_and_1():
    assert share_interval(0, 100) == (0, pytest.approx(0.026, abs=0.001))
    assert share_interval(100, 100)[1] == 1
    assert share_interval(50, 100) == (
        pytest.approx(0.419, abs=0.001),
        pytest.approx(0.581, abs=1e-3),
    )


PARAMS = """
model = "damped_oscillator.virtlab"
seed = 7

[parameters]
stiffness = 37
drag = [0.4, 0.55]
release = 20

[objective]
maximize = "overshoot"
"""


@pytest.fixture
def folder(tmp_path):
    shutil.copy(EXAMPLE / "damped_oscillator.virtlab", tmp_path)
    (tmp_path / "params.toml").write_text(PARAMS)
    return tmp_path


def run(folder, *options, code=0):
    command = ["power", str(folder / "params.toml"), "-q", *map(str, options)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code, result.output
    return result


def test_the_command_tells_how_many_trials_are_enough(folder):
    found = json.loads(run(folder, "--json").stdout)
    powers = {point["trials"]: point["power"] for point in found["curve"]}
    enough = found["trials_per_arm"]
    assert powers[enough] >= 0.8 > powers[enough - 1]
    assert found["trials_per_arm_careful"] >= enough
    assert json.loads(run(folder, "--json").stdout) == found
    more = json.loads(run(folder, "--json", "--power", 0.95).stdout)
    assert more["trials_per_arm"] > enough
    text = run(folder).stdout
    assert f"trials per arm for a power of 80%: {enough}\n" in text
    assert "mean of overshoot: " in text
    assert "inside the data" in text


def test_a_share_and_a_spread_are_compared_too(folder):
    text = PARAMS.replace('maximize = "overshoot"', 'require = ["overshoot > 12"]')
    (folder / "params.toml").write_text(text)
    assert "share of trials with overshoot > 12: " in run(folder).stdout
    assert "has no sd" in run(folder, "--statistic", "sd", code=2).stderr
    (folder / "params.toml").write_text(PARAMS)
    assert "sd of overshoot: " in run(folder, "--statistic", "sd", "--most", 20).stdout


def test_where_nothing_differs_no_number_is_enough(folder):
    design = PARAMS.replace("[0.4, 0.55]", "[0.4, 0.40001]")
    (folder / "params.toml").write_text(design)
    assert "more than 12" in run(folder, "--most", 12).stdout


def test_what_all_members_may_miss_makes_a_careful_plan_larger(folder, monkeypatch):
    """The plan itself hardly changes: what is missed may be on either side."""
    known = json.loads(run(folder, "--json").stdout)
    assert known["effect"]["shared"] > 0
    monkeypatch.setattr("virtlab.screening.power.shared_errors", lambda *_: None)
    alone = json.loads(run(folder, "--json").stdout)
    assert alone["effect"]["shared"] == 0
    assert np.std(known["effect"]["by_member"]) > np.std(alone["effect"]["by_member"])
    assert known["effect"]["mean"] == pytest.approx(alone["effect"]["mean"])
    assert known["trials_per_arm_careful"] > alone["trials_per_arm_careful"]
    assert "without what all of them may miss" in run(folder).stdout


def test_a_plan_is_written_whole_and_replaced_by_force_only(folder):
    for suffix in ("csv", "json", "nc"):
        path = folder / f"plan.{suffix}"
        found = json.loads(run(folder, "--most", 30, "--json", "-o", path).stdout)
        assert "use --force to replace it" in run(folder, "-o", path, code=1).stderr
        before = path.read_bytes()
        run(folder, "--most", 30, "-o", path, "--force")
        assert path.read_bytes() == before
    with (folder / "plan.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["power"]) for row in rows] == [each["power"] for each in found["curve"]]
    assert json.loads((folder / "plan.json").read_text())["curve"] == found["curve"]
    with xr.open_dataset(folder / "plan.nc") as plan:
        assert plan.attrs["virtual_data"] == 1
        assert plan["power_by_member"].dims == ("trials", "member")
        np.testing.assert_allclose(plan["power"], [each["power"] for each in found["curve"]])
    (folder / "plan.json").write_text("{}")
    assert "is no plan" in run(folder, "-o", folder / "plan.json", "--force", code=1).stderr
    assert "expected a name that ends in .csv" in run(folder, "-o", "plan.html", code=2).stderr


def test_where_members_disagree_which_is_more_it_is_said(folder):
    design = PARAMS.replace("[0.4, 0.55]", "0.4").replace("stiffness = 37", "stiffness = [27, 37]")
    (folder / "params.toml").write_text(design)
    text = run(folder, "--most", 12).stdout
    assert "members do not agree which setting has more" in text


def test_an_arm_outside_the_data_is_pointed_out(folder):
    (folder / "params.toml").write_text(PARAMS.replace("[0.4, 0.55]", "[0.4, 5]"))
    assert "OUTSIDE the data" in run(folder, "--most", 5).stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[0.4, 0.55]", "0.4", "expected two settings to tell apart, found 1"),
        ("[0.4, 0.55]", "[0.4, 0.5, 0.6]", "found 3; give one parameter two values"),
        ('"overshoot"', '["overshoot", "max(position)"]', "expected one goal to compare, found 2"),
        ('"overshoot"', '"overshot"', "did you mean 'overshoot'?"),
    ],
)
def test_what_cannot_be_planned_is_told(folder, old, new, said):
    (folder / "params.toml").write_text(PARAMS.replace(old, new))
    assert said in run(folder, code=2).stderr
