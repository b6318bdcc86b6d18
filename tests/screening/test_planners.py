"""What planners take for prior trials: a list of dicts, loaded by Optuna as the README says."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.errors import OutputError
from virtlab.screening import screen, write_screen

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
EXAMPLE = ROOT / "example_experiments" / "damped_oscillator"
MAXIMIZE = 'maximize = "light"\nrequire = ["max(trace) < 3.5"]'


@pytest.fixture
def trials(lamp, asked, tmp_path):
    """screen.json of one goal, loaded."""
    lamp(noise=0.5, ignorance=0.3)
    screen(asked((MAXIMIZE, f'{MAXIMIZE}\ncost = "power"')), output=tmp_path / "screen.json")
    return json.loads((tmp_path / "screen.json").read_text())


def test_each_ranked_setting_is_a_trial_best_first(trials):
    assert [trial["rank"] for trial in trials] == list(range(1, 9))
    assert trials[0]["parameters"] == {"power": 3.0, "glass": "clear"}
    assert trials[0]["values"]["light"] == pytest.approx(13, abs=0.5)
    assert trials[0]["cost"] == 3
    assert {trial["virtual_data"] for trial in trials} == {1}


def test_what_lies_outside_the_data_is_no_trial(trials):
    assert all(trial["parameters"]["power"] < 9 for trial in trials)
    assert {trial["domain"] for trial in trials} == {"inside", "edge"}


def test_errors_give_a_normal_the_interval_of_the_screen(lamp, asked, tmp_path):
    lamp(noise=0.5, ignorance=0.3)
    found = screen(asked(), output=tmp_path / "screen.json").dataset
    first = json.loads((tmp_path / "screen.json").read_text())[0]
    low = first["values"]["light"] - 1.645 * first["errors"]["light"]
    assert low == pytest.approx(float(found["objective_low"][0]))


def test_several_goals_have_a_value_each(lamp, asked, tmp_path):
    lamp()
    two = (MAXIMIZE, 'maximize = "light"\ntarget = { "max(trace)" = 2 }')
    screen(asked(two), output=tmp_path / "screen.json")
    trials = json.loads((tmp_path / "screen.json").read_text())
    at = next(t for t in trials if t["parameters"] == {"power": 3.0, "glass": "clear"})
    assert at["values"] == pytest.approx({"light": 13, "abs(max(trace) - 2)": 1})


def test_json_is_replaced_by_force_only_and_never_a_labs_own(lamp, asked, tmp_path):
    lamp()
    found, path = screen(asked()).dataset, tmp_path / "screen.json"
    write_screen(found, path)
    with pytest.raises(OutputError, match="--force to replace it"):
        write_screen(found, path)
    write_screen(found, path, force=True)
    path.write_text("[1, 2]\n")
    with pytest.raises(OutputError, match="is no screen"):
        write_screen(found, path, force=True)


def test_optuna_goes_on_from_the_virtual_trials(trials):
    """As README.md has it; ask and tell then find the brightest setting."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {
        "power": optuna.distributions.FloatDistribution(1, 4),
        "glass": optuna.distributions.CategoricalDistribution(["clear", "milky"]),
    }
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params=trial["parameters"],
                distributions=distributions,
                value=trial["values"]["light"],
                user_attrs={"virtual": True},
            )
        )
    assert study.best_value == max(trial["values"]["light"] for trial in trials)
    asked_for = []
    for _ in range(30):
        trial = study.ask(distributions)
        power, glass = trial.params["power"], trial.params["glass"]
        asked_for.append(glass)
        study.tell(trial, power + 10 * (glass == "clear"))
    assert np.mean([glass == "clear" for glass in asked_for]) > 0.7
    assert study.best_trial.params["power"] > 3.5


def test_python_for_planners_in_the_readme_runs(tmp_path, monkeypatch):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (block,) = re.findall(r"^```py\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    shutil.copy(EXAMPLE / "damped_oscillator.virtlab", tmp_path)
    text = (EXAMPLE / "params.toml").read_text()
    (tmp_path / "params.toml").write_text(text + '\n[objective]\nminimize = "overshoot"\n')
    monkeypatch.chdir(tmp_path)
    command = ["screen", "params.toml", "--trials", "20", "-q", "-o", "screen.json"]
    assert CliRunner().invoke(main, command).exit_code == 0
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names["study"].trials) == 12 + 1
    assert names["study"].best_trial.params["drag"] == 1
