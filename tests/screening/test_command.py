"""``virtlab screen`` on the example's own model."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.simulation import load

EXAMPLE = Path(__file__).parents[2] / "example_experiments" / "damped_oscillator"

PARAMS = """
model = "damped_oscillator.virtlab"
trials = 50
seed = 7

[parameters]
stiffness = [20, 40, 80]
drag = [0.4, 1, 5]
release = 20

[objective]
minimize = "overshoot"
require = ["max(abs(position)) < 40", "min(position) < 0"]
"""


@pytest.fixture
def folder(tmp_path):
    shutil.copy(EXAMPLE / "damped_oscillator.virtlab", tmp_path)
    (tmp_path / "params.toml").write_text(PARAMS)
    return tmp_path


def run(folder, *options, code=0):
    result = CliRunner().invoke(main, ["screen", str(folder / "params.toml"), *map(str, options)])
    assert result.exit_code == code, result.output
    return result


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_table_goes_to_stdout_and_talk_to_stderr(folder):
    result = run(folder)
    assert result.stdout.startswith("minimize overshoot, require max(abs(position)) < 40, require")
    assert "at release = 20 mm\n" in result.stdout
    assert "stiffness [N/m]  drag [kg/s]  objective [mm]" in result.stdout
    assert result.stderr.startswith("screening ")
    assert run(folder, "-q").stderr == ""
    assert [path.name for path in folder.glob("*screen*")] == []


def test_oil_far_thicker_than_any_on_the_bench_is_not_ranked(folder):
    found = json.loads(run(folder, "--json", "-q").stdout)
    assert {row["setting"]["drag"] for row in found["ranked"]} == {0.4, 1.0}
    assert {row["setting"]["drag"] for row in found["outside"]} == {5.0}
    assert {row["domain"] for row in found["outside"]} == {"outside"}


def test_numbers_are_those_of_the_virtual_trials_that_simulate_gives(folder):
    found = json.loads(run(folder, "--json", "-q").stdout)
    model = load(folder / "damped_oscillator.virtlab")
    for row in found["ranked"]:
        virtual = model.simulate(row["setting"], trials=50, seed=7)
        mean = float(virtual["overshoot"].astype("f8").mean())
        assert row["expected_objective"] == pytest.approx(mean, rel=1e-9)
        peak = abs(virtual["position"]).max("time")
        met = (peak < 40) & (virtual["position"].min("time") < 0)
        assert row["require_probability"] == pytest.approx(float(met.mean()))
    means = [row["expected_objective"] for row in found["ranked"]]
    likely = [row["require_probability"] >= 0.5 for row in found["ranked"]]
    first = means[: sum(likely)]
    assert first == sorted(first)


def test_same_seed_gives_the_same_bytes_and_another_seed_others(folder):
    for name, options in {"a": (), "b": (), "c": ("--seed", 8), "d": ("--trials", 60)}.items():
        run(folder, "-q", "-o", folder / f"{name}.csv", *options)
    first, again, *others = (digest(folder / f"{name}.csv") for name in "abcd")
    assert first == again
    assert len({first, *others}) == 3


def test_csv_holds_every_setting_and_is_replaced_by_force_only(folder):
    path = folder / "screen.csv"
    assert f"written to {path}" in run(folder, "-o", path).stdout
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 9
    before = digest(path)
    refused = run(folder, "-o", path, "--seed", 8, code=1)
    assert refused.stdout == ""
    assert "use --force to replace it" in refused.stderr
    assert digest(path) == before
    run(folder, "-o", path, "--seed", 8, "--force")
    assert digest(path) != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"overshoot"', '"overshot"', "unknown name 'overshot'; did you mean 'overshoot'?"),
        ('"overshoot"', '"position"', "position has many values per trial (along time)"),
        ('minimize = "overshoot"', "minimise = 1", "did you mean 'minimize'?"),
        ('"overshoot"', "\"__import__('os')\"", 'objective.minimize: "\'" is not allowed here'),
        ("[objective]", "[objectiv]", "did you mean 'objective'?"),
        ("drag = [0.4, 1, 5]", "drag = [0.4, 1, 50]", "outside its bounds"),
        ("trials = 50", "trials = 3", "too few to tell noise from ignorance"),
    ],
)
def test_faulty_params_are_named_and_nothing_is_written(folder, old, new, said):
    (folder / "params.toml").write_text(PARAMS.replace(old, new))
    result = run(folder, "-q", "-o", folder / "screen.csv", code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert not (folder / "screen.csv").exists()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_screen_in_a_process_of_its_own_gives_the_same_bytes_without_tensorflow(folder, threads):
    run(folder, "-q", "-o", folder / "here.csv")
    code = (
        "import sys\n"
        "from virtlab.cli import main\n"
        "try: main(['screen', 'params.toml', '-o', 'there.csv', '-q'])\n"
        "except SystemExit as done: assert not done.code\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy.stats'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
        check=True,
        capture_output=True,
    )
    assert digest(folder / "here.csv") == digest(folder / "there.csv")
