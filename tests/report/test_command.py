"""`virtlab evaluate`, on a model that stands in for a trained one."""

import json

import pytest
from click.testing import CliRunner

from virtlab import simulation
from virtlab.cli import main
from virtlab.report import page


@pytest.fixture
def evaluate(monkeypatch, tmp_path, known):
    """Run the command in an empty folder, with a model that knows the truth."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(simulation, "load", lambda _path: known.KnownModel())
    trials = known.new_trials(powers=[2.2, 5.5, 8.8])
    monkeypatch.setattr(page, "open_new", lambda *_given: (trials, None))

    def run(*arguments):
        return CliRunner().invoke(main, ["evaluate", "known.virtlab", *arguments])

    return run


def test_prints_the_verdict_and_the_scores(evaluate):
    done = evaluate("--quiet")
    assert done.exit_code == 0
    assert done.stdout.startswith("The model does better than simpler models")
    assert "light" in done.stdout
    assert "note: only 12 settings" in done.stdout


def test_mean_and_spread_are_judged_beside_floor_and_ceiling(evaluate):
    lines = evaluate("--quiet", "--data", "experiment.toml").stdout.splitlines()
    for what in ("light: mean", "light: spread", "trace: spread"):
        assert any(line.startswith(what) for line in lines)
    assert not any(line.startswith("state: ") for line in lines[:20])


def test_json_is_one_object_with_everything(evaluate):
    done = evaluate("--json", "--quiet", "--data", "experiment.toml")
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    assert found["held_out"]["light"]["model"] == 1.2
    assert found["data"]["measurements"]["light"]["model"]["value"] > 0
    assert found["data"]["trials"] == 24
    for moment in ("mean", "spread"):
        told = found["data"]["measurements"]["light"][moment]
        assert told["bias"]["low"] < told["bias"]["high"]
        assert min(told["rmse"]["value"], told["floor"], told["ceiling"]) > 0
    assert found["report"] is None


def test_json_with_a_file_writes_the_same_there_and_prints_the_verdict(evaluate, tmp_path):
    printed = json.loads(evaluate("--json", "--quiet").stdout)
    done = evaluate("--json", "metrics.json", "--quiet")
    assert done.exit_code == 0
    assert done.stdout.startswith("The model does better")
    assert "written to metrics.json" in done.stdout
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == printed
    refused = evaluate("--json", "metrics.json", "--quiet")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert evaluate("--json=metrics.json", "--quiet", "--force").exit_code == 0


def test_json_never_takes_the_model_for_its_file(evaluate, tmp_path):
    done = CliRunner().invoke(main, ["evaluate", "--quiet", "--json", "known.virtlab"])
    assert json.loads(done.stdout)["schema_version"] == 1
    wrong = evaluate("--json=known.virtlab", "--quiet")
    assert wrong.exit_code == 2
    assert "expected a name that ends in .json" in wrong.stderr
    assert evaluate("--json", "nowhere/m.json", "--quiet").exit_code == 1
    assert not list(tmp_path.iterdir())


def test_writes_a_report_and_never_over_another(evaluate, tmp_path):
    assert evaluate("-o", "r.html", "--quiet").exit_code == 0
    first = (tmp_path / "r.html").read_bytes()
    refused = evaluate("-o", "r.html", "--quiet")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert (tmp_path / "r.html").read_bytes() == first
    again = evaluate("-o", "r.html", "--quiet", "--force", "--data", "experiment.toml")
    assert again.exit_code == 0
    assert "written to r.html" in again.stdout
    assert (tmp_path / "r.html").read_bytes() != first


def test_progress_goes_to_stderr(evaluate):
    done = evaluate("--data", "experiment.toml")
    assert "evaluating" in done.stderr
    assert "evaluating" not in done.stdout
