"""Training on trials that memory does not hold."""

import gc

import h5py
import numpy as np
import pytest
from tensorflow.data import Iterator

from virtlab.config import parse_experiment
from virtlab.errors import DataError, OutputError
from virtlab.modelfile import read_model
from virtlab.report import evaluate_to_report
from virtlab.storage import data_digest, open_trials
from virtlab.training import train
from virtlab.training.checkpoint import checkpoint_path
from virtlab.training.large import DistinctCount, setting_keys

LARGE = """
[experiment]
name = "large"
[data]
files = ["*.h5"]
[parameters]
x = { path = "x" }
gas = { path = "gas" }
[measurements]
light = { path = "light", support = [0, inf] }
clicks = { path = "clicks", kind = "count" }
state = { path = "state" }
[measurements.trace]
path = "trace"
dims = ["time"]
[model]
members = 2
[training]
seed = 3
memory = "MEMORY"
"""

SETTINGS, REPLICATES = 100, 36


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """3,600 trials in two files, sorted by setting, with gaps; one has a gas of its own."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    n = SETTINGS * REPLICATES
    x = np.repeat(np.linspace(-1, 1, SETTINGS), REPLICATES)
    gas = np.array(["argon", "neon"])[(np.arange(n) // REPLICATES) % 2]
    gas[17] = "radon"
    light = np.where(rng.random(n) < 0.2, 0, np.exp(x) + rng.gamma(2, 0.1, n))
    light[100:140] = np.nan
    wave = np.sin(np.linspace(0, 6, 12) + rng.normal(0, 0.3, (n, 1))) * (2 + x[:, None])
    wave[50:60, 4] = np.nan
    for name, here in (("a.h5", slice(0, n // 3)), ("b.h5", slice(n // 3, n))):
        with h5py.File(folder / name, "w") as file:
            file["x"], file["light"], file["trace"] = x[here], light[here], wave[here]
            file["gas"] = gas[here].astype("S5")
            file["clicks"] = rng.poisson(3 + x[here])
            up = rng.random(len(x[here])) < 0.5 + 0.4 * x[here]
            file["state"] = np.where(up, "up", "down").astype("S4")
    return folder


@pytest.fixture(scope="module")
def experiment(lab):
    """Of the lab, granting trials so much memory."""
    return lambda memory: parse_experiment(LARGE.replace("MEMORY", memory), lab / "experiment.toml")


@pytest.fixture(scope="module")
def streamed_model(experiment, few_steps, tmp_path_factory):
    path = tmp_path_factory.mktemp("streamed") / "m.virtlab"
    told = []
    with few_steps(likelihood=400):
        train(experiment("60 kB"), output=path, report=told.append)
    # One that lives on when Python ends waits for its thread, which waits for Python.
    assert not [each for each in gc.get_objects() if isinstance(each, Iterator)]
    assert list(path.parent.iterdir()) == [path]
    assert any("shuffling on disk: 3,600 of 3,600" in progress.message for progress in told)
    return path


def test_streamed_training_is_as_good_as_in_memory(experiment, streamed_model, few_steps, tmp_path):
    with few_steps(likelihood=400):
        train(experiment("10 MB"), output=tmp_path / "m.virtlab")
    found, whole = read_model(streamed_model).manifest, read_model(tmp_path / "m.virtlab").manifest
    for name, score in whole["scores"].items():
        assert found["scores"][name]["model"] == pytest.approx(score["model"], rel=0.1)
        assert found["scores"][name]["model"] < 1.1 * score["floor"]


def test_manifest_speaks_of_all_trials(experiment, streamed_model):
    manifest = read_model(streamed_model).manifest
    trials = open_trials(experiment("10 MB"))
    data = manifest["data"]
    assert data["sha256"] == data_digest(trials)
    assert (data["trials"], data["settings"]) == (3600, SETTINGS + 1)
    assert data["missing"] == {"light": 40, "clicks": 0, "state": 0, "trace": 10}
    assert manifest["parameters"][0]["range"] == [-1, 1]
    assert manifest["parameters"][1]["categories"] == ["argon", "neon", "radon"]


def test_settings_are_left_out_of_trials_that_memory_does_not_hold(
    lab, experiment, few_steps, tmp_path
):
    text = 'x > 0.5 and gas == "neon"'
    path, data = tmp_path / "m.virtlab", tmp_path / "experiment.toml"
    data.write_text(LARGE.replace("MEMORY", "60 kB").replace("*.h5", f"{lab}/*.h5"))
    trials = open_trials(experiment("10 MB"))
    out = (trials.x.values > 0.5) & (trials.gas.values == "neon")
    with few_steps(likelihood=50, game=10):
        model = train(data, output=path, leave_out=text)
    told = model.manifest["data"]
    assert told["left_out"] == {"expression": text, "trials": out.sum()}
    assert told["trials"] == (~out).sum()
    assert told["sha256"] == data_digest(trials.isel(trial=~out))
    with pytest.raises(DataError, match="would flatter"):
        evaluate_to_report(path, data, leave_out='x <= 0.5 or gas != "neon"', baselines="none")
    found = evaluate_to_report(path, data, leave_out=text, baselines="none")
    assert found.to_dict()["data"]["drawn_from"] == out.sum()
    assert any(f"drawn at random from {out.sum():,}" in said for said in found.verdict)
    with pytest.raises(DataError, match="holds for none of the trials; x is -1 to 1"):
        train(data, output=tmp_path / "n.virtlab", leave_out="x > 7")
    with pytest.raises(DataError, match="none of its 3,600 trials is chosen"):
        train(data, output=tmp_path / "n.virtlab", leave_out="x < 7")


class Killed(Exception):
    """Stands for a process that ends amid training."""


def test_killed_streamed_training_resumes_to_the_same_bytes(
    experiment, streamed_model, tmp_path, few_steps, monkeypatch
):
    from virtlab.gan import attempt

    def kill(progress):
        if progress.stage == "refinement":
            raise Killed

    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "m.virtlab"
    with few_steps(likelihood=400):
        with pytest.raises(Killed):
            train(experiment("60 kB"), output=path, report=kill)
        assert list(tmp_path.iterdir()) == [checkpoint_path(path)]
        train(experiment("60 kB"), output=path, resume=True)
    assert path.read_bytes() == streamed_model.read_bytes()


def test_full_disk_ends_training_with_a_message(experiment, tmp_path, monkeypatch):
    from virtlab.storage import scratch

    monkeypatch.setattr(scratch, "SPARE", 10**18)
    with pytest.raises(OutputError, match=r"needs .* GB of scratch space here while it lasts"):
        train(experiment("60 kB"), output=tmp_path / "m.virtlab")
    assert list(tmp_path.iterdir()) == []


# settings by their hash


def test_equal_settings_have_equal_keys_and_others_others():
    rng = np.random.default_rng(0)
    conditions = rng.standard_normal((100_000, 3)).astype(np.float32)
    conditions[:50_000, 1:] = 0  # a grid that differs in one condition only
    keys = setting_keys(conditions)
    assert len(np.unique(keys)) == len(np.unique(conditions, axis=0))
    np.testing.assert_array_equal(setting_keys(conditions[::7]), keys[::7])
    zeros = np.zeros((1, 2), np.float32)
    assert setting_keys(zeros) == setting_keys(-zeros)
    assert setting_keys(conditions[:, :2])[0] != setting_keys(conditions[:, [1, 0]])[0]


@pytest.mark.parametrize("folds", [2, 5])
def test_keys_spread_settings_evenly_over_folds(folds):
    grid = np.stack(np.meshgrid(np.arange(100), np.arange(100)), -1).reshape(-1, 2)
    keys = setting_keys(grid.astype(np.float32))
    np.testing.assert_allclose(np.bincount(keys % folds) / 10_000, 1 / folds, rtol=0.06)


def test_distinct_keys_are_counted_exactly_while_they_are_few_and_closely_when_many():
    keys = setting_keys(np.arange(50_000, dtype=np.float32)[:, None])
    few, many = DistinctCount(most=60_000), DistinctCount(most=2000)
    for start in range(0, 50_000, 5000):
        for _ in range(2):
            few.add(keys[start : start + 6000])
            many.add(keys[start : start + 6000])
    assert few.estimate == 50_000
    assert many.estimate == pytest.approx(50_000, rel=0.08)
    assert len(many.least) == 2000
