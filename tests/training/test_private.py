"""A private model: its file holds nothing of a single trial, and what still works without."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from virtlab.domain import learn_private_domain, verdicts
from virtlab.errors import ConfigError
from virtlab.evaluation import evaluate, examine
from virtlab.modelfile import HELD_OUT, MANIFEST
from virtlab.simulation import load
from virtlab.storage import open_trials
from virtlab.training import train
from virtlab.training.privacy import GROUP, refuse_open_parent, rounded_ranges

EXPERIMENT = """
[experiment]
name = "secret"
[data]
files = ["lab.h5"]
[parameters.heat]
path = "heat"
[parameters.dose]
path = "dose"
scale = "log"
[parameters.kind]
path = "kind"
[measurements.yield]
path = "yield"
support = [0, inf]
[measurements.trace]
path = "trace"
dims = ["time"]
[measurements.rising]
path = "rising"
dims = ["step"]
monotone = { dim = "step" }
[model]
members = 2
[training]
private = true
"""
TRIALS = 80


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Settings that nobody could guess, with a measurement of each kind that scaling knows."""
    folder = tmp_path_factory.mktemp("secret")
    rng = np.random.default_rng(8)
    heat, dose = rng.uniform(11, 97, TRIALS), rng.lognormal(0, 1, TRIALS)
    with h5py.File(folder / "lab.h5", "w") as file:
        file["heat"], file["dose"] = heat, dose
        file["kind"] = np.where(rng.random(TRIALS) < 0.4, "steel", "glass").astype("S5")
        file["yield"] = rng.gamma(3.0, heat / 20)
        file["trace"] = heat[:, None] * np.linspace(0, 1, 12) + rng.normal(size=(TRIALS, 12))
        file["rising"] = np.cumsum(dose[:, None] * rng.gamma(2, 1, (TRIALS, 5)), axis=1)
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="module")
def trained(lab, few_steps):
    """The private model, and what was found in it before its trials were left out."""
    before = []

    def spy(model):
        before.append(traces(model.file.path, open_trials(lab), model))
        return examine(model)

    with few_steps(likelihood=100, game=20):
        return train(lab, examine=spy), before[0]


def traces(path, trials, model):
    """Which values of trials can be found in a file: as numbers of either precision, or as text.

    Single precision is looked for in pairs of neighbours: one number of four bytes is found by
    chance.
    """
    with zipfile.ZipFile(path) as archive:
        text = archive.read(MANIFEST).decode()
        rest = b"".join(archive.read(name) for name in archive.namelist() if name != MANIFEST)
    settings = {p.name: trials[p.name].values for p in model.parameters}
    numbers = {name: trials[name].values for name in ("heat", "dose", "yield", "trace", "rising")}
    found = set()
    for name, values in numbers.items():
        flat = values.astype(np.float64).ravel()
        pairs = np.stack([flat[:-1], flat[1:]], axis=1).astype(np.float32)
        if any(row.tobytes() in rest for row in pairs) or any(v.tobytes() in rest for v in flat):
            found.add(name)
        if any(repr(float(value))[:9] in text for value in flat):
            found.add(f"{name} as text")
    conditions = model.conditions(settings)[:, :2]
    found |= {"conditions" for row in conditions if row.tobytes() in rest}
    return found


def test_no_value_of_a_trial_can_be_found_in_the_file(trained, lab):
    model, before = trained
    assert {"heat", "dose", "yield", "trace", "rising"} <= before  # the search does find them
    assert traces(model.file.path, open_trials(lab), model) == set()
    assert HELD_OUT not in model.manifest["members"]
    with zipfile.ZipFile(model.file.path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    heat = open_trials(lab)["heat"].values
    told = {p["name"]: p["range"] for p in manifest["parameters"]}
    assert told["heat"] == [np.floor(heat.min()), np.ceil(heat.max())]
    assert not list(model.file.path.parent.glob(".*"))


def test_what_it_keeps_of_settings_are_means_of_several(trained, lab):
    model, _ = trained
    trials = open_trials(lab)
    conditions = model.conditions({p.name: trials[p.name].values for p in model.parameters})
    reference = model.domain.reference
    assert len(reference) <= TRIALS / GROUP
    gaps = np.linalg.norm(conditions[:, None] - reference[None], axis=-1)
    assert gaps.min() > 1e-3
    inside = verdicts(model.domain.distance(conditions))
    assert (inside == "inside").mean() > 0.85
    far = model.conditions({"heat": [500.0], "dose": [1.0], "kind": ["glass"]})
    assert verdicts(model.domain.distance(far))[0] == "outside"


def test_it_simulates_and_evaluate_says_what_it_cannot_tell(trained):
    model, _ = trained
    drawn = model.simulate({"heat": [20.0, 60.0], "dose": 1.0, "kind": "glass"}, trials=20)
    assert np.isfinite(drawn["yield"].values).all()
    assert (np.diff(drawn["rising"].values, axis=-1) >= 0).all()
    found = evaluate(load(model.file.path))
    assert found.comparison is None
    assert found.audit.control == "held-out draws"
    assert found.audit.pairs > 20
    assert any(said.startswith("private: the model file holds no trial") for said in found.lines())
    json.dumps(found.to_dict())


def test_new_trials_judge_it_beside_no_simpler_model(trained, lab):
    model, _ = trained
    trials = open_trials(lab).isel(trial=slice(40))
    trials["yield"] = trials["yield"] + 0.01
    trials["yield"].attrs["kind"] = "continuous"
    found = evaluate(model, trials)
    assert found.comparison.baselines == []
    assert any("keeps no trials" in said for said in found.verdict)


def test_a_private_model_starts_from_private_ones_alone(trained, tiny):
    refuse_open_parent(trained[0])
    with pytest.raises(ConfigError, match="not private"):
        refuse_open_parent(tiny)


def test_ranges_are_rounded_outwards_where_few_settings_are_at_an_end():
    def rounded(values, **told):
        asked = [{"name": "x", "bounds": None, "range": [min(values), max(values)]} | told]
        return rounded_ranges(asked, {"x": np.array(values)})[0]["range"]

    assert rounded([0.123, 5.0, 9.876]) == [0.1, 9.9]
    assert rounded([0.00123, 5.0, 9.876])[0] == 0.001
    assert rounded([-3.21, 4.56], bounds=(-3.25, 4.58)) == [-3.25, 4.58]
    assert rounded([6] * GROUP + [8.5, 12.25] + [12.5] * GROUP) == [6, 12.5]
    assert rounded_ranges([{"name": "k", "range": None}], {})[0]["range"] is None


def test_combinations_of_categories_with_few_settings_are_left_out():
    rng = np.random.default_rng(0)
    kind = np.where(np.arange(63) < 3, 1, -1)
    rows = np.stack([rng.normal(size=63), kind], axis=1).astype(np.float32)
    found = learn_private_domain(rows, rng, np.ones(2, np.float32), GROUP)
    assert set(found.reference[:, 1]) == {-1.0}
    assert verdicts(found.distance(rows))[0] == "outside"
    assert (verdicts(found.distance(rows[3:])) == "inside").mean() >= 0.9
    assert not len(learn_private_domain(rows[:4], rng, np.ones(2, np.float32), GROUP).reference)


def test_a_parameter_that_varies_within_a_group_alone_may_still_vary():
    rows = np.stack([np.linspace(-2, 2, 9), np.zeros(9)], axis=1).astype(np.float32)
    found = learn_private_domain(rows, np.random.default_rng(0), np.ones(2, np.float32), GROUP)
    assert len(found.reference) == 1
    assert (verdicts(found.distance(rows)) == "inside").mean() > 0.8
    other = np.array([[0.0, 1.0]], np.float32)
    assert verdicts(found.distance(other))[0] == "outside"


def test_too_few_settings_of_every_combination_are_refused_before_anything_is_learned(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["heat"] = np.tile(np.arange(12.0), 10)
        file["kind"] = np.tile(np.array(["glass", "steel", "brass"], "S5"), 40)
        file["yield"] = rng.normal(size=120)
    (tmp_path / "experiment.toml").write_text(
        '[experiment]\nname = "few"\n[data]\nfiles = ["lab.h5"]\n'
        '[parameters.heat]\npath = "heat"\n[parameters.kind]\npath = "kind"\n'
        '[measurements.yield]\npath = "yield"\n[training]\nprivate = true\n'
    )
    stages = []
    with pytest.raises(
        ConfigError, match="no combination of categories with as many as 5 settings"
    ):
        train(tmp_path / "experiment.toml", report=lambda progress: stages.append(progress.stage))
    assert "starting TensorFlow" not in stages
