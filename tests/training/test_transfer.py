"""Training that starts from a trained model."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.conditioning import Monotone
from virtlab.config import parse_experiment
from virtlab.errors import ConfigError
from virtlab.modelfile import MEMBERS, WEIGHTS, write_model
from virtlab.simulation import load
from virtlab.storage import data_digest, open_trials
from virtlab.training import train
from virtlab.training.blocks import make_blocks
from virtlab.training.learnable import make_learnable
from virtlab.training.learning import Data, Learned
from virtlab.training.transfer import choose, match, read_parent

EXPERIMENT = """
[experiment]
name = "NAME"
[data]
files = ["NAME.h5"]
[parameters.x]
path = "x"
units = "V"
[parameters.kind]
path = "kind"
[measurements.y]
path = "y"
units = "mm"
[measurements.trace]
path = "trace"
dims = ["time"]
coords.time = { path = "time", units = "s" }
[model]
members = 4
"""
SHIFT = '[parameters.shift]\npath = "shift"\n'


def write(folder, name, rows, *, shift=None, kinds=("a", "b"), seed=0, edits=(), more=""):
    """An apparatus whose y follows sin(8 x), and a shift where there is one."""
    rng = np.random.default_rng(seed)
    x, kind = rng.uniform(-1, 1, rows), rng.choice(kinds, rows)
    level = np.sin(8 * x) + (kind == "b")
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["x"], file["kind"] = x, kind.astype("S1")
        file["time"] = np.arange(12.0)
        file["time"].attrs["units"] = "s"
        if shift is not None:
            file["shift"] = shift = rng.choice(shift, rows)
            level = level + shift
        file["y"] = level + 0.1 * rng.standard_normal(rows)
        wave = level[:, None] * np.cos(np.arange(12) / 4)
        file["trace"] = wave + 0.1 * rng.standard_normal((rows, 12))
    text = EXPERIMENT.replace("NAME", name) + more + (SHIFT if shift is not None else "")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return parse_experiment(text, path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture(scope="module")
def parent(lab, few_steps):
    with few_steps(likelihood=600):
        return train(write(lab, "parent", 200))


def matched(parent, experiment):
    trials = open_trials(experiment)
    model = read_parent(parent.file.path, experiment)
    learnable = make_learnable(trials, experiment, model.parameters)
    data = Data(trials, data_digest(trials))
    return match(model, learnable, data, experiment), learnable, trials


def means(generator, weights, conditions):
    """What depends on the setting alone, ``(member, row, parameter)``."""
    rows = np.broadcast_to(conditions, (4, *conditions.shape)).astype(np.float32)
    return np.asarray(generator.setting_part(weights, rows))


# conditions and weights


@pytest.mark.parametrize("case", ["same", "one kind", "new parameter"])
def test_networks_start_as_they_were_at_equal_settings(parent, lab, case):
    from virtlab.gan.presets import generator_for

    options = {
        "same": {},
        "one kind": {"kinds": ("a",)},
        "new parameter": {"shift": (1.0, 3.0)},
    }[case]
    found, learnable, trials = matched(parent, write(lab, "new", 40, seed=3, **options))
    blocks = make_blocks(trials, found.columns, learnable.conditions, learnable.setting)
    blocks = replace(blocks, layout=found.layout(blocks.layout))
    start = found.start(blocks.layout)
    new = start.resized(generator_for(blocks, "auto", processes=True, bins=True))
    fresh = new.init(np.random.default_rng(0), 4)
    weights = start.carried(fresh) | start._priors(4)
    settings = {"x": trials["x"].values, "kind": trials["kind"].values}
    before = parent.conditions(settings)
    old = replace(new, conditions=before.shape[1])
    expected = means(old, start.weights, before)
    assert new.processes
    np.testing.assert_allclose(
        means(new, weights, learnable.conditions), expected, rtol=1e-3, atol=3e-3
    )
    assert found.new == (("shift",) if case == "new parameter" else ())


def test_new_members_take_the_old_ones_by_turns_and_spread_starts_anew(parent, lab):
    found, learnable, trials = matched(parent, write(lab, "new", 40, seed=3))
    blocks = make_blocks(trials, found.columns, learnable.conditions, learnable.setting)
    start = found.start(blocks.layout)
    fresh = {
        "head.0.w": np.zeros((6, *start.weights["head.0.w"].shape[1:]), np.float32),
        "spread.features": np.ones((6, *start.weights["spread.features"].shape[1:]), np.float32),
        "unheard": np.full((6, 1), 7.0, np.float32),
        "head.0.b": np.zeros((6, 1, 2), np.float32),
    }
    carried = start.carried(fresh)
    for member in range(6):
        np.testing.assert_array_equal(
            carried["head.0.w"][member], start.weights["head.0.w"][member % 4]
        )
    for name in ("spread.features", "unheard", "head.0.b"):
        np.testing.assert_array_equal(carried[name], fresh[name])


def test_every_layer_that_sees_conditions_takes_their_change(parent, lab):
    from virtlab.gan.critic import Critic
    from virtlab.gan.mixture import Mixture
    from virtlab.gan.transfer import Start

    found, learnable, trials = matched(parent, write(lab, "new", 40, seed=3))
    blocks = make_blocks(trials, found.columns, learnable.conditions, learnable.setting)
    layout = found.layout(blocks.layout)
    assert [part.name for part in layout.wide] == ["trace"]
    rng = np.random.default_rng(0)
    for make in (
        lambda count: Mixture(count, layout, components=2, width=8).init(rng, 1),
        lambda count: Critic(count, layout).init(rng, 1),
    ):
        two, three = make(2), make(3)
        carried = Start(two, {}, np.eye(3, 2), np.zeros(2), layout).carried(three)
        for name, weight in three.items():
            assert carried[name].shape == weight.shape
            if not weight.any() or name.startswith("spread"):
                continue
            assert not np.array_equal(carried[name], weight), name
            if weight.shape != two[name].shape:  # the new condition's row
                assert (carried[name] == 0).all(axis=2).sum() == 1, name


# which is kept


def scored(**scores):
    return Learned(None, None, {}, {name: {"model": v} for name, v in scores.items()}, {}, 30)


def test_start_is_kept_only_where_it_does_better_on_held_out_settings(parent, lab):
    found, _, _ = matched(parent, write(lab, "new", 40, seed=3))
    better, anew = scored(y=1.0, trace=1.0), scored(y=1.2, trace=0.9)
    chosen, told = choose(better, anew, found)
    assert chosen is better
    assert told["kept"]
    assert told["score_over_anew"] == pytest.approx((1 / 1.08) ** 0.5)
    assert told["sha256"] == parent.file.digest
    chosen, told = choose(scored(y=1.0, trace=1.2), anew, found)
    assert chosen is anew
    assert not told["kept"]


@pytest.fixture(scope="module")
def child(parent, lab, few_steps):
    experiment = write(lab, "child", 30, seed=5, shift=(1.0, 1.5))
    with few_steps(likelihood=300):
        result = CliRunner().invoke(
            main,
            ["train", str(experiment.path), "--from", str(parent.file.path), "--json", "-q"],
        )
    assert result.exit_code == 0, result.output
    return load(json.loads(result.stdout)["model"])


def test_thirty_trials_with_a_related_start_beat_thirty_without(parent, child, lab, few_steps):
    with few_steps(likelihood=300):
        anew = train(lab / "child.toml", output=lab / "anew.virtlab")
    x = np.linspace(-0.9, 0.9, 13)
    settings = {"x": x, "kind": ["a", "b"], "shift": [1.0, 1.5]}
    truth = np.sin(8 * x)[:, None, None] + np.array([0, 1])[:, None] + np.array([1.0, 1.5])

    def error(model):
        found = model.simulate(settings, trials=200, seed=2)["y"].mean("trial").values
        return float(np.sqrt(np.mean(np.square(found - truth))))

    assert error(child) < 0.75 * error(anew)


def test_manifest_and_summary_tell_of_the_start(parent, child):
    told = child.manifest["training"]["start"]
    assert told["kept"]
    assert told["sha256"] == parent.file.digest
    assert told["data_sha256"] == parent.manifest["data"]["sha256"]
    assert told["new_parameters"] == ["shift"]
    assert told["score_over_anew"] < 1
    assert "started from parent.virtlab: held-out scores are 0." in child.summary()


def test_killed_training_from_a_start_resumes_to_the_same_bytes(
    parent, child, lab, few_steps, monkeypatch
):
    from virtlab.gan import attempt

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.stage == "likelihood" and progress.fraction > 0.6:
            raise Killed

    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    options = {"output": lab / "again.virtlab", "start": parent.file.path}
    with few_steps(likelihood=300):
        with pytest.raises(Killed):
            train(lab / "child.toml", report=kill, **options)
        train(lab / "child.toml", resume=True, **options)
    assert (lab / "again.virtlab").read_bytes() == child.file.path.read_bytes()
    assert not list(lab.glob("again*.checkpoint"))


# what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"edits": [('path = "y"\nunits = "mm"', 'path = "y"\nunits = "cm"')]},
            "measurement 'y': the model has units 'mm', the new trials have 'cm'",
        ),
        (
            {"edits": [('path = "y"\n', 'path = "y"\nsupport = [-9, inf]\n')]},
            "measurement 'y': the model has support -inf, inf, the new trials have -9.0, inf",
        ),
        (
            {"edits": [("[measurements.y]", "[measurements.z]")]},
            "has the measurements trace, y, new.toml has trace, z; a start needs the same",
        ),
        (
            {"edits": [("[parameters.x]", "[parameters.z]")]},
            "learned from 'x', which new.toml does not give; add the parameter x",
        ),
        (
            {"edits": [('path = "x"\nunits = "V"', 'path = "x"\nunits = "mV"')]},
            "parameter 'x' is continuous in 'V' in the model, continuous in 'mV' in new.toml",
        ),
        (
            {"edits": [("members = 4", 'preset = "energy"')]},
            "was trained with preset 'auto', new.toml says 'energy'; use the same",
        ),
        (
            {"edits": [('units = "s"', 'units = "ms"')]},
            "the axis 'time' is another one in the new trials",
        ),
    ],
)
def test_models_of_something_else_are_refused(parent, lab, options, message):
    with pytest.raises(ConfigError) as caught:
        matched(parent, write(lab, "new", 40, seed=3, **options))
    assert message in str(caught.value)
    assert str(parent.file.path) in str(caught.value)


def test_a_model_with_a_former_decoder_is_refused(parent, lab):
    assert any(name.startswith("generator/decoder0.") for name in parent.file.arrays(WEIGHTS))
    members = {name: parent.file.member(name) for name in MEMBERS}
    former = lab / "former.virtlab"
    write_model(former, parent.manifest | {"virtlab": "0.1.7"}, members)
    with pytest.raises(ConfigError, match=r"former.virtlab: its networks cannot be started from"):
        read_parent(former, write(lab, "new", 40, seed=3))


def test_another_constraint_than_the_models_is_refused(parent, lab):
    experiment = write(lab, "new", 40, seed=3)
    trials = open_trials(experiment)
    learnable = make_learnable(trials, experiment)
    y, trace = learnable.columns
    bound = replace(learnable, columns=(y, replace(trace, constraint=Monotone("trace", "time"))))
    with pytest.raises(ConfigError, match="'None', the new trials have 'trace never falls along"):
        match(read_parent(parent.file.path, experiment), bound, Data(trials, ""), experiment)


def test_the_very_trials_of_the_start_are_refused(parent, lab):
    with pytest.raises(ConfigError, match="was trained on these very trials"):
        train(lab / "parent.toml", output=lab / "twice.virtlab", start=parent.file.path)


def test_parameter_that_never_varied_may_be_missing(lab, few_steps):
    with few_steps(likelihood=50, game=50):
        old = train(write(lab, "constant", 60, shift=(2.0,)))
    found, _, _ = matched(old, write(lab, "new", 40, seed=3))
    assert found.new == ()
    assert np.isfinite(found.offset).all()
