"""Backtests: on a tiny lab, and on courses whose figures are known."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.config import read_experiment, read_params
from virtlab.errors import ConfigError
from virtlab.screening import Game, backtest
from virtlab.screening.baselines import choose_by_process, per_parameter
from virtlab.screening.course import Course, Step
from virtlab.screening.pool import make_pool
from virtlab.storage import open_trials

LAB = """
[experiment]
name = "lamps"
[data]
files = ["lab.h5"]
[parameters.power]
path = "power"
[parameters.glass]
path = "glass"
[measurements.light]
path = "light"
[model]
members = 2
"""
PARAMS = """
model = "unused.virtlab"
trials = 40
[objective]
maximize = "light"
require = ["power < 9.5"]
"""
GAME = Game(start=8, batch=3, rounds=1, seeds=(4,))


def light(power, glass):
    return 20 - (power - 6) ** 2 + 5 * (glass == b"clear")


def write_lab(folder):
    """experiment.toml and params.toml of 24 settings with two trials each."""
    power = np.repeat(np.linspace(0, 11, 12), 4)
    glass = np.tile(np.repeat([b"clear", b"milky"], 2), 12)
    noise = 0.1 * np.random.default_rng(0).standard_normal(48)
    with h5py.File(folder / "lab.h5", "w") as file:
        file["power"], file["glass"] = power, glass
        file["light"] = light(power, glass) + noise
    (folder / "experiment.toml").write_text(LAB)
    (folder / "params.toml").write_text(PARAMS)
    return folder


@pytest.fixture
def lab(tmp_path):
    return write_lab(tmp_path)


@pytest.fixture(scope="module")
def course(tmp_path_factory, few_steps):
    """A backtest of the lab, and its CSV's text."""
    folder = write_lab(tmp_path_factory.mktemp("lab"))
    with few_steps(likelihood=50, game=10, every=10):
        return played(folder, output=folder / "course.csv"), (folder / "course.csv").read_text()


def played(lab, game=GAME, **options):
    return backtest(
        read_experiment(lab / "experiment.toml"), read_params(lab / "params.toml"), game, **options
    )


def pool_of(lab):
    experiment = read_experiment(lab / "experiment.toml")
    return make_pool(experiment, open_trials(experiment), read_params(lab / "params.toml"))


def test_pool_knows_what_the_lab_measured_setting_by_setting(lab):
    pool = pool_of(lab)
    assert pool.size == 24
    truth = light(pool.settings["power"], pool.settings["glass"].astype("S5"))
    np.testing.assert_allclose(pool.goal, truth, atol=0.4)
    assert pool.good.sum() == 20
    assert pool.best(np.arange(24)) == pytest.approx(25, abs=0.4)
    assert np.isnan(pool.best(np.flatnonzero(~pool.good)))
    assert list(pool.rows(np.array([0, 2]))) == [0, 1, 4, 5]


def test_nothing_of_hidden_trials_reaches_who_chooses(lab, course, few_steps):
    first, _ = course
    known = {step.chosen for step in first.steps if step.round == 0}
    assert len(known) == 1
    hidden = np.setdiff1d(np.arange(24), list(known.pop()))
    rows = pool_of(lab).rows(hidden)
    with h5py.File(lab / "lab.h5", "a") as file:
        values = file["light"][:]
        values[rows] = 1e6 * np.random.default_rng(1).standard_normal(len(rows))
        file["light"][:] = values
    with few_steps(likelihood=50, game=10, every=10):
        again = played(lab)
    assert [step.chosen for step in again.steps] == [step.chosen for step in first.steps]
    assert again.winner != first.winner


def test_a_stopped_run_goes_on_where_it_was(lab, course):
    whole, text = course
    assert len(text.splitlines()) == 1 + 6
    path = lab / "course.csv"
    path.write_text("".join(text.splitlines(keepends=True)[:4]))  # without random, and GP's last
    told = []
    resumed = played(lab, output=path, resume=True, report=told.append)
    assert resumed.steps == whole.steps
    assert path.read_text() == text
    assert told[-1].fraction == 1
    (lab / "params.toml").write_text(PARAMS.replace("maximize", "minimize"))
    with pytest.raises(ConfigError, match="is of another backtest: goal is 'maximize light"):
        played(lab, output=path, resume=True)


def test_no_policy_chooses_a_setting_twice_and_all_start_alike(course):
    steps = course[0].steps
    starts = {step.chosen for step in steps if step.round == 0}
    assert len(starts) == 1
    for policy in course[0].policies:
        chosen = [at for step in steps if step.policy == policy for at in step.chosen]
        assert len(set(chosen)) == len(chosen) == 11
    assert [step.settings for step in steps if step.policy == "random"] == [8, 11]
    assert {step.trials for step in steps if step.round == 1} == {22}


def test_the_process_finds_the_top_of_a_hill(lab):
    pool = pool_of(lab)
    known = np.array([0, 3, 7, 12, 15, 22, 23])
    chosen = choose_by_process(
        pool, known, np.setdiff1d(np.arange(24), known), 4, np.random.default_rng(0)
    )
    assert pool.best(np.append(known, chosen)) == pool.best(np.arange(24))


def test_gradient_of_the_kernel_with_shared_length_scales():
    places = np.random.default_rng(0).standard_normal((7, 4))
    kernel = per_parameter(np.array([0, 0, 1, 1]))
    _, slope = kernel(places, eval_gradient=True)
    for number in range(2):
        step = np.zeros(2)
        step[number] = 1e-6
        moved = kernel.clone_with_theta(kernel.theta + step)(places)
        np.testing.assert_allclose((moved - kernel(places)) / 1e-6, slope[..., number], atol=1e-5)


def course_of(*regrets, policy="virtlab"):
    steps = tuple(
        Step(seed, policy, number, 10 + 5 * number, 20, 50 - regret, regret, (number,))
        for seed, own in enumerate(regrets)
        for number, regret in enumerate(own)
    )
    return Course(steps, "maximize light", 50.0, 99, "10 at random", "0" * 64)


def test_summary_is_of_seeds_played_to_the_end():
    found = course_of((9, 3, 0), (7, 5, 1), (8, 2))
    assert found.seeds == [0, 1]
    assert found.to_dict()["quartiles"]["virtlab"]["regret"][2] == [0.25, 0.5, 0.75]
    lines = found.lines()
    assert lines[0] == "maximize light: 99 settings, the best has 50; 10 at random; 2 seeds"
    assert "49.5, 0.5 [0.25, 0.75]" in lines[4]
    assert lines[-1] == "virtlab: the lab's best setting was found in 1 of 2 seeds"
    baseline = course_of((9, 9), policy="random").steps
    unfinished = replace(found, steps=found.steps + baseline)
    assert unfinished.seeds == []
    assert "no seed has been played to its end" in unfinished.lines()[1]


def run(lab, *options, code=0):
    command = ["screen", lab / "params.toml", "--backtest", lab / "experiment.toml", "-q", *options]
    result = CliRunner().invoke(main, list(map(str, command)))
    assert result.exit_code == code, result.output
    return result


def test_the_command_goes_on_with_a_file_and_writes_all_kinds(lab, course):
    options = ("--start", 8, "--batch", 3, "--rounds", 1, "--seeds", 1, "--seed", 4)
    (lab / "course.csv").write_text(course[1])
    refused = run(lab, *options, "-o", lab / "course.csv", code=1).stderr
    assert "use --resume to go on with it, or --force" in refused
    options = (*options, "--resume", "-o", lab / "course.csv")
    others = [part for suffix in ("svg", "html", "json") for part in ("-o", lab / f"c.{suffix}")]
    found = json.loads(run(lab, *options, "--json", *others).stdout)
    assert list(found["quartiles"]) == ["virtlab", "GP-EI", "random"]
    assert found["seeds"] == [4]
    assert (lab / "c.svg").read_text().count("<svg") == 1
    page = (lab / "c.html").read_text()
    assert page.count("<svg") == 1
    assert "virtlab: best, regret" in page
    written = json.loads((lab / "c.json").read_text())["backtest"]
    assert written == {key: value for key, value in found.items() if key != "schema_version"}
    assert "virtlab: best, regret" in run(lab, *options).stdout
    assert not list(lab.glob("*.virtlab"))


@pytest.mark.parametrize(
    ("old", "new", "options", "said"),
    [
        ("", "", ("--start", 20, "--rounds", 2), "has 24 settings"),
        ('"light"', '["light", "power"]', (), "a backtest follows one goal, found 2"),
        ('"power < 9.5"', '"power < -1"', (), "there is no winner to find"),
        ('"light"', '"lihgt"', (), "did you mean 'light'?"),
        ("", "", ("-o", "course.pdf"), "expected a name that ends in .csv, .json, .html, .svg or"),
        ("", "", ("-o", "a.csv", "-o", "b.csv"), "expected one name that ends in .csv, found 2"),
        ("", "", ("--resume",), "name it with -o"),
        ("", "", ("--suggest", 3), "--suggest does nothing with --backtest"),
    ],
)
def test_what_cannot_be_played_is_told(lab, old, new, options, said):
    (lab / "params.toml").write_text(PARAMS.replace(old, new))
    code = 1 if "no winner" in said else 2
    assert said in run(lab, *options, code=code).stderr


def test_options_of_a_backtest_alone_do_nothing(lab):
    result = CliRunner().invoke(main, ["screen", str(lab / "params.toml"), "--seeds", "3"])
    assert result.exit_code == 2
    assert "--seeds does nothing without --backtest" in result.stderr


def test_a_file_that_is_no_backtest_is_never_replaced(lab):
    (lab / "mine.csv").write_text("power,light\n1,2\n")
    assert "is no backtest" in run(lab, "-o", lab / "mine.csv", "--force", code=1).stderr
    assert (lab / "mine.csv").read_text() == "power,light\n1,2\n"
