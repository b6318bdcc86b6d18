"""``virtlab screen --suggest`` on the example's own model."""

import csv
import json
import shutil
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.simulation import load
from virtlab.simulation.kept import read_kept

EXAMPLE = Path(__file__).parents[2] / "example_experiments" / "damped_oscillator"
MODEL = "damped_oscillator.virtlab"

PARAMS = """
model = "damped_oscillator.virtlab"
trials = 50
seed = 7

[parameters]
stiffness = { start = 15, stop = 100, num = 8 }
drag = { start = 0.3, stop = 4.5, num = 8 }
release = 20

[objective]
minimize = "overshoot"
require = ["max(abs(position)) < 40"]
"""


@pytest.fixture
def folder(tmp_path):
    shutil.copy(EXAMPLE / MODEL, tmp_path)
    (tmp_path / "params.toml").write_text(PARAMS)
    return tmp_path


def run(folder, *options, code=0):
    command = ["screen", str(folder / "params.toml"), "-q", *map(str, options)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code, result.output
    return result


def batch(folder, *options):
    found = json.loads(run(folder, "--json", "--suggest", 4, *options).stdout)["suggested"]
    return [(row["setting"]["stiffness"], row["setting"]["drag"]) for row in found], found


def test_a_batch_is_inside_the_data_and_numbered(folder):
    settings, rows = batch(folder)
    assert [row["suggested"] for row in rows] == [1, 2, 3, 4]
    assert len(set(settings)) == 4
    assert {row["domain"] for row in rows} <= {"inside", "edge"}
    adds = [row["adds"] for row in rows]
    assert adds == sorted(adds, reverse=True)
    assert "settings outside" not in run(folder, "--suggest", 4, "--outside").stdout
    assert " outside the training data (--outside" in run(folder, "--suggest", 4).stdout


def test_outside_is_suggested_only_when_asked_and_then_said(folder):
    domains = {row["domain"] for row in batch(folder, "--explore", "--outside")[1]}
    assert "outside" in domains
    assert "outside" not in {row["domain"] for row in batch(folder, "--explore")[1]}


def test_same_seed_same_batch(folder):
    assert batch(folder) == batch(folder)


def test_what_runs_already_is_not_suggested_again_and_taken_into_account(folder):
    before, _ = batch(folder)
    stiffness, drag = before[0]
    (folder / "running.csv").write_text(f"stiffness,drag\n{stiffness!r},{drag!r}\n")
    after, rows = batch(folder, "--pending", folder / "running.csv")
    assert before[0] not in after
    assert set(before[1:]) <= set(after)
    assert rows[0]["adds"] < batch(folder)[1][0]["adds"]


def test_what_was_measured_is_not_suggested(folder):
    measured = read_kept(load(folder / MODEL)).settings
    rows = [f"{s!r},{d!r},{r!r}" for s, d, r in zip(*map(list, measured.values()), strict=True)]
    text = "\n".join([",".join(measured), *rows[:8]]).replace("np.float64(", "").replace(")", "")
    (folder / "known.csv").write_text(text)
    result = run(folder, "--candidates", folder / "known.csv", "--suggest", 2, code=2)
    assert "none of 8 settings is left to choose: 8 were measured" in result.stderr
    (folder / "more.csv").write_text(text + "\n33.3,1.1,17.5\n")
    _, found = batch(folder, "--candidates", folder / "more.csv")
    assert [row["setting"]["stiffness"] for row in found] == [33.3]


def test_candidates_stand_in_for_the_design_without_suggest_too(folder):
    (folder / "possible.csv").write_text("drag,stiffness\n0.7,31\n2.2,64\n")
    found = json.loads(run(folder, "--json", "--candidates", folder / "possible.csv").stdout)
    assert {row["setting"]["stiffness"] for row in found["ranked"]} == {31, 64}
    assert {row["setting"]["release"] for row in found["ranked"]} == {20}
    assert found["suggested"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stiffness,drg\n30,1\n", "column 'drg' is no parameter; did you mean 'drag'?"),
        ("stiffness,drag\n30,1\n30,blue\n", "line 3: drag: expected a number, found 'blue'"),
        ("stiffness\n30\n", "no column 'drag', of which params.toml has several values"),
        ("stiffness,drag\n900,1\n", "line 2: stiffness: 900 N/m is outside its bounds"),
        ("", "is empty"),
    ],
)
def test_faulty_candidates_are_told_with_file_line_and_column(folder, text, said):
    (folder / "possible.csv").write_text(text)
    for option in ("--candidates", "--pending"):
        suggest = ["--suggest", 2] if option == "--pending" else []
        stderr = run(folder, *suggest, option, folder / "possible.csv", code=2).stderr
        assert "possible.csv" in stderr
        assert said in stderr


def test_csv_says_what_is_suggested(folder):
    run(folder, "--suggest", 3, "-o", folder / "screen.csv")
    with (folder / "screen.csv").open(newline="") as file:
        numbers = [int(row["suggested"]) for row in csv.DictReader(file)]
    assert sorted(numbers)[-4:] == [0, 1, 2, 3]


def test_best_so_far_can_be_given(folder):
    params = (folder / "params.toml").read_text()
    (folder / "params.toml").write_text(params + "best = 0.1\n")
    assert "best measured trial: 0.1, as params.toml says" in run(folder, "--suggest", 2).stdout
    target = params.replace('minimize = "overshoot"', "target = { overshoot = 10 }")
    (folder / "params.toml").write_text(target + "best = 12\n")
    assert "best measured trial: 2, as params.toml says" in run(folder, "--suggest", 2).stdout


SINCE = """
[experiment]
name = "since"
[data]
files = ["since.h5"]
[parameters]
stiffness = { path = "stiffness", units = "N/m" }
drag = { path = "drag", units = "kg/s" }
release = { path = "release", units = "mm" }
[measurements]
overshoot = { path = "overshoot", units = "mm" }
"""


def test_trials_measured_since_are_not_suggested_and_their_best_counts(folder):
    (folder / "params.toml").write_text(PARAMS.partition("require")[0])
    (folder / "possible.csv").write_text("stiffness,drag,release\n40,0.42,19\n45,0.98,19\n")
    possible = ("--candidates", folder / "possible.csv", "--suggest", 2)
    assert "nothing else is left" not in run(folder, *possible).stdout
    with h5py.File(folder / "since.h5", "w") as file:
        new = {"stiffness": (45, "N/m"), "drag": (0.98, "kg/s"), "release": (19, "mm")}
        for name, (value, unit) in (new | {"overshoot": (0.123, "mm")}).items():
            file[name] = [value] * 10  # fewer trials are no lab
            file[name].attrs["units"] = unit
    (folder / "since.toml").write_text(SINCE)
    text = run(folder, *possible, "--data", folder / "since.toml").stdout
    assert "best measured trial: 0.123, of 10 trials of --data" in text
    assert "nothing else is left: 1 of 2" in text


def test_options_that_need_suggest_say_so(folder):
    assert "need --suggest K" in run(folder, "--explore", code=2).stderr


def test_a_suggestion_needs_a_goal(folder):
    params = (folder / "params.toml").read_text().replace('minimize = "overshoot"\n', "")
    (folder / "params.toml").write_text(params)
    assert "has no goal to improve" in run(folder, "--suggest", 2, code=2).stderr
