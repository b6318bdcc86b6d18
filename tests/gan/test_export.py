"""The exported generator computes what TensorFlow computes."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from scipy.stats import ks_2samp

from virtlab.gan.blocks import Part
from virtlab.gan.export import SETTING_ROWS, export, trial_rows
from virtlab.gan.fit import Fit
from virtlab.gan.folds import split_by_setting
from virtlab.gan.generators import Convolutional, Textbook
from virtlab.gan.heads import CONTEXT
from virtlab.gan.mixture import Mixture
from virtlab.runtime import Runtime, Trials, member_of

MEMBERS = 2


def random_fit(generator, noise=0.3, seed=0):
    """A fit with random weights everywhere, the residual's too."""
    rng = np.random.default_rng(seed)
    start = generator.init(rng, MEMBERS)
    weights = {
        name: (value + noise * rng.standard_normal(value.shape)).astype(np.float32)
        for name, value in start.items()
    }
    folds = split_by_setting(np.arange(8), members=MEMBERS, folds=2, rng=rng)
    return Fit(generator, weights, {}, folds, np.ones(MEMBERS), "likelihood", 0, 0, [], "done")


def with_parts(layouts, name):
    """Two scalars with codes and what is beside them, or a signal alone."""
    if name == "signal":
        return replace(layouts["plain"](20), parts=(Part("s", 0, 20, (20,)),))
    shape = {"image": (7, 6), "channels": (2, 11)}[name]
    size, base = int(np.prod(shape)), layouts["coded"]()
    wider = layouts["plain"](2 + size)
    atom, replaces = (np.pad(a, [(0, 0), (0, size)]) for a in (base.atom, base.replaces))
    return replace(
        wider,
        levels=base.levels,
        level_weight=base.level_weight,
        atom=atom,
        replaces=replaces,
        parts=(Part("a", 0, 1, ()), Part("b", 1, 2, ()), Part("x", 2, 2 + size, shape)),
    )


def make(kind, layouts):
    name, layout = kind.split()
    if name == "textbook":
        return Textbook(3, layouts[layout](), width=16)
    if name == "convolutional":
        return Convolutional(3, with_parts(layouts, layout), width=16)
    return Mixture(3, layouts[layout](), components=3, width=16)


@pytest.mark.parametrize(
    "kind",
    [
        "mixture plain",
        "mixture coded",
        "mixture wide",
        "mixture heads",
        "textbook coded",
        "textbook wide",
        "convolutional image",
        "convolutional channels",
        "convolutional signal",
    ],
)
def test_exported_generator_equals_tensorflows(kind, layouts):
    generator = make(kind, layouts)
    # Deep decoders with an exponential at their end would magnify what rounding differs by.
    fit = random_fit(generator, noise=0.03 if "heads" in kind else 0.3)
    interpreter = Interpreter(model_content=export(fit), num_threads=1)
    rng = np.random.default_rng(1)
    weights = {name: tf.constant(value) for name, value in fit.weights.items()}

    conditions = rng.standard_normal((SETTING_ROWS, 3)).astype(np.float32)
    found = interpreter.get_signature_runner("setting")(conditions=conditions)
    shared = tf.tile(conditions[None], (MEMBERS, 1, 1))
    expected = np.array(generator.setting_part(weights, shared))
    branches = 1
    if isinstance(generator, Mixture):
        branches = generator.components
        pi = generator.split(tf.constant(expected))["pi"]
        np.testing.assert_allclose(found["chances"], np.cumsum(tf.nn.softmax(pi), -1), atol=1e-5)
    else:
        np.testing.assert_allclose(found["parameters"], expected, atol=1e-5, rtol=1e-5)
    for branch in range(branches):
        compare(interpreter, generator, weights, found["parameters"], expected, branch)


def compare(interpreter, generator, weights, found, expected, branch):
    """Draw from one branch of `found`, and from the same in TensorFlow's `expected`."""
    rng = np.random.default_rng(2)
    rows, drawn_from, numbers = trial_rows(generator.layout.values), expected.copy(), found
    picks = 0
    if isinstance(generator, Mixture):
        picks, numbers = generator.components, found[:, :, branch]
        drawn_from[..., :picks] = np.where(np.arange(picks) == branch, 50, -50)
    times = (1, rows // SETTING_ROWS, 1)
    numbers, drawn_from = np.tile(numbers, times), np.tile(drawn_from, times)
    uniform = rng.random((MEMBERS, rows, generator.uniforms), dtype=np.float32)
    normal = rng.standard_normal((MEMBERS, rows, generator.normals), dtype=np.float32)
    latents = {"uniform": uniform[..., picks:]} if generator.uniforms > picks else {}
    drawn = interpreter.get_signature_runner("trial")(parameters=numbers, normal=normal, **latents)
    values, levels = generator.trial_part(
        weights, *(tf.constant(x) for x in (drawn_from, uniform, normal))
    )
    np.testing.assert_allclose(drawn["values"], values, atol=1e-4, rtol=1e-5)
    assert np.asarray(values).std() > 0.1
    if generator.layout.levels:
        np.testing.assert_array_equal(drawn["levels"], levels)
    else:
        assert set(drawn) == {"values"}


def test_a_residual_that_stayed_at_zero_is_not_exported(layouts):
    generator = Mixture(3, layouts["plain"](4), components=2, width=16)
    fit = random_fit(generator)
    idle = {name: np.zeros_like(fit.weights[name]) for name in ("residual.1.w", "residual.1.b")}
    pruned = replace(fit, weights=fit.weights | idle)
    taken = [
        Interpreter(model_content=export(each)).get_signature_runner("trial").get_input_details()
        for each in (fit, pruned)
    ]
    assert [each["normal"]["shape"][-1] for each in taken] == [4 + generator.noise, 4]
    own = 4 + 4 * 5 // 2
    assert [each["parameters"]["shape"][-1] for each in taken] == [own + CONTEXT, own]


def test_trials_of_several_components_are_distributed_as_tensorflows(layouts):
    generator, count = Mixture(3, layouts["plain"](2), components=3, width=16), 20_000
    fit, rng = random_fit(generator), np.random.default_rng(3)
    runtime = Runtime(export(fit))
    condition = rng.standard_normal((1, 3)).astype(np.float32)
    parameters = runtime.setting_part(condition)
    whole = range(0, MEMBERS * count, runtime.block)
    runs = [Trials(0, 5, at, min(runtime.block, MEMBERS * count - at)) for at in whole]
    values = runtime.draw(parameters, runs, seed=1)[0]
    member = member_of(5, np.arange(MEMBERS * count), MEMBERS)
    uniform = rng.random((MEMBERS, count, generator.uniforms), dtype=np.float32)
    normal = rng.standard_normal((MEMBERS, count, generator.normals), dtype=np.float32)
    weights = {name: tf.constant(value) for name, value in fit.weights.items()}
    shared = tf.tile(condition[None], (MEMBERS, count, 1))
    expected = generator.trial_part(
        weights, generator.setting_part(weights, shared), tf.constant(uniform), tf.constant(normal)
    )[0].numpy()
    for m in range(MEMBERS):
        for value in range(2):
            assert ks_2samp(values[member == m, value], expected[m, :, value]).pvalue > 1e-3


def test_wide_trials_go_through_in_fewer_rows():
    assert [trial_rows(values) for values in (1, 128, 200, 2048, 10**6)] == [256, 128, 64, 8, 4]
