"""Every preset, through the one loop: it learns a known law, and exports what it learned."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from virtlab.config.experiment import ModelTable
from virtlab.gan.branches import Branches
from virtlab.gan.export import TRIAL_ROWS, export
from virtlab.gan.fit import fit
from virtlab.gan.games import GAMES
from virtlab.gan.mixture import Mixture
from virtlab.gan.options import Options
from virtlab.gan.predict import held_out_draws
from virtlab.gan.presets import alternatives

NOISE = 0.4


@pytest.fixture(scope="module")
def law():
    """300 trials at 60 settings: a signal of 24 samples, its height the condition plus noise."""
    from virtlab.gan.blocks import Blocks, Layout, Part

    rng = np.random.default_rng(0)
    setting = np.repeat(np.arange(60), 5)
    condition = np.linspace(-1.7, 1.7, 60)[setting].astype(np.float32)
    height = condition + NOISE * rng.standard_normal(300)
    shape = np.sin(np.linspace(0, np.pi, 24))
    values = np.concatenate([height[:, None], height[:, None] * shape], axis=1)
    values += np.append(0, np.full(24, 0.05)) * rng.standard_normal(values.shape)
    layout = Layout(
        reach=np.full(25, 10, np.float32),
        weight=np.append(1, np.full(24, 24**-0.5)).astype(np.float32),
        levels=(),
        atom=np.zeros((0, 25), np.float32),
        replaces=np.zeros((0, 25), np.float32),
        level_weight=np.zeros(0, np.float32),
        step=np.zeros(25, np.float32),
        parts=(Part("height", 0, 1, ()), Part("signal", 1, 25, (24,), latents=2)),
    )
    return Blocks(
        conditions=condition[:, None],
        values=values.astype(np.float32),
        observed=np.ones((300, 25), np.float32),
        codes=np.zeros((300, 0), np.int32),
        setting=setting,
        layout=layout,
    )


@pytest.mark.parametrize("preset", GAMES)
def test_every_preset_learns_a_known_law_and_exports_it(law, preset, few_steps):
    game = 800 if GAMES[preset].critic_steps == 1 else 300
    with few_steps(likelihood=200, game=game, every=100):
        fitted = fit(law, Options(preset=preset, seed=1, members=2))
    assert fitted.health == ("healthy",)
    # 1 is the marginal's score; the law's own is 0.4 / sqrt(0.4**2 + 1) of it.
    assert fitted.scores.max() < 0.6
    held = held_out_draws(fitted, law, draws=100, max_rows=1000, seed=0)
    height, signal = held.values[..., 0], held.values[..., 1:]
    off = height.mean(axis=0) - law.conditions[held.rows, 0]
    assert np.sqrt(np.mean(off**2)) < 0.35
    assert 0.4 * NOISE < height.std(axis=0).mean() < 2 * NOISE
    # Measurements of one trial belong together.
    peak = signal[..., 10:14].mean(axis=-1)
    assert np.corrcoef(height.ravel(), peak.ravel())[0, 1] > 0.9

    drawn, expected = draw_twice(fitted)
    np.testing.assert_allclose(drawn, expected, atol=2e-5)


def draw_twice(fitted):
    """Values from the exported generator and from TensorFlow, of the same latents."""
    generator, members = fitted.generator, fitted.folds.members
    weights = {name: tf.constant(value) for name, value in fitted.weights.items()}
    rng = np.random.default_rng(2)
    conditions = rng.standard_normal((members, TRIAL_ROWS, 1)).astype(np.float32)
    parameters = np.array(generator.setting_part(weights, tf.constant(conditions)))
    numbers, picks = parameters, 0
    if isinstance(generator, Mixture):
        branches = Branches.of(generator, fitted.weights).setting_part(weights, conditions)[0]
        numbers, picks = np.asarray(branches)[:, :, 0], generator.components
        parameters[..., :picks] = np.where(np.arange(picks) == 0, 50, -50)
    uniform = rng.random((members, TRIAL_ROWS, generator.uniforms), dtype=np.float32)
    normal = rng.standard_normal((members, TRIAL_ROWS, generator.normals), dtype=np.float32)
    values, _ = generator.trial_part(
        weights, *(tf.constant(x) for x in (parameters, uniform, normal))
    )
    trial = Interpreter(model_content=export(fitted), num_threads=1).get_signature_runner("trial")
    taken = {name: detail["shape"][-1] for name, detail in trial.get_input_details().items()}
    if taken["normal"] < generator.normals:  # an idle residual's are not asked for
        at = generator.layout.features
        normal = np.delete(normal, range(at, at + generator.noise), axis=-1)
    latents = {"uniform": uniform[..., picks:], "normal": normal}
    given = {name: array for name, array in latents.items() if name in taken}
    return trial(parameters=numbers, **given)["values"], np.asarray(values)


def test_processes_are_doubted_where_that_does_not_take_long(law):
    layout = law.layout
    plain = replace(layout, parts=tuple(replace(part, latents=0) for part in layout.parts))
    signal, scalars = (Mixture(1, each, 1, 16, processes=(0,), bins=16) for each in (layout, plain))
    assert alternatives(scalars) == [scalars, replace(scalars, processes=())]
    assert alternatives(signal) == [signal]


def test_experiment_toml_offers_every_preset_and_no_other():
    offered = ModelTable.model_fields["preset"].annotation.__args__
    assert set(offered) == set(GAMES)
