"""The core learns latents of signals before heads learn with it."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.gan import pretraining
from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks
from virtlab.gan.fit import fit
from virtlab.gan.folds import split_by_setting
from virtlab.gan.heads import of_head
from virtlab.gan.judge import Judge
from virtlab.gan.mixture import Mixture
from virtlab.gan.options import Options
from virtlab.gan.presets import sizes_for
from virtlab.gan.pretraining import pretrained
from virtlab.gan.start import start_heads

MEMBERS, TRIALS = 2, 120


def signals(layout, seed=0):
    """Trials whose every value is a wave of the condition, and some of them missing."""
    rng = np.random.default_rng(seed)
    condition = rng.uniform(-1.7, 1.7, (TRIALS, 1)).astype(np.float32)
    phase = np.linspace(0, 3, layout.values)
    values = np.sin(2 * condition + phase) + 0.1 * rng.standard_normal((TRIALS, layout.values))
    observed = np.ones_like(values, np.float32)
    for part in layout.parts:
        observed[rng.random(TRIALS) < 0.1, part.start : part.stop] = 0
        if part.floor:
            values[:, part.start : part.stop] = np.maximum(values[:, part.start : part.stop], 0)
    return Blocks(
        conditions=condition,
        values=(values * observed).astype(np.float32),
        observed=observed,
        codes=rng.integers(0, 2, (TRIALS, len(layout.levels))).astype(np.int32),
        setting=np.arange(TRIALS),
        layout=layout,
    )


def taught(blocks, *, seed=3, seconds=np.inf, report=lambda _score: None):
    """Generator, weights before, what pretraining made of them, and folds."""
    rng = np.random.default_rng(0)
    folds = split_by_setting(blocks.setting, members=MEMBERS, folds=2, rng=rng)
    generator = Mixture(1, blocks.layout, components=1, width=16)
    start = start_heads(generator, generator.init(rng, MEMBERS), blocks, folds)
    given = {"batch": 32, "rate": 3e-3, "decay": 0.01, "seed": seed, "seconds": seconds}
    found = pretrained(generator, start, blocks, None, folds, **given, report=report)
    return generator, start, found, folds


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(pretraining, "STEPS", 200)


@pytest.mark.parametrize("name", ["wide", "heads"])
def test_signals_follow_the_condition_before_heads_have_learned_anything(layouts, name):
    blocks = signals(layouts[name]())
    generator, start, found, folds = taught(blocks)
    judge = Judge(generator, TrainingSet(blocks), folds, 0)
    before, after = judge.scores(start), judge.scores(found.weights)
    assert np.all(after < 0.6 * before)
    assert np.all(after < 0.8)  # 1: whatever the condition


def test_heads_stay_as_they_are_and_the_core_does_not(layouts):
    _, start, found, _ = taught(signals(layouts["wide"]()))
    same = {name: np.array_equal(found.weights[name], start[name]) for name in start}
    assert all(same[name] for name in start if of_head(name))
    assert not any(same[name] for name in ("trunk.0.w", "head.0.w", "head.0.b"))


def test_equal_seeds_teach_the_same_and_others_do_not(layouts):
    blocks = signals(layouts["wide"]())
    one, same, other = (taught(blocks, seed=seed)[2].weights for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["head.0.w"], other["head.0.w"])


def test_it_tells_how_it_gets_on_and_ends_when_its_time_is_over(layouts):
    blocks, told, short = signals(layouts["wide"]()), [], []
    taught(blocks, report=told.append)
    assert len(told) > 2
    assert min(told) < told[0]
    taught(blocks, seconds=0.0, report=short.append)
    assert not short


def test_levels_and_atoms_are_taught_beside_latents(layouts):
    wide, coded = layouts["wide"](), layouts["coded"]()
    atom, replaces = (np.zeros((5, wide.values), np.float32) for _ in range(2))
    atom[1, -1], replaces[1, -1] = -2.0, 1
    layout = replace(
        wide, levels=coded.levels, atom=atom, replaces=replaces, level_weight=coded.level_weight
    )
    blocks = signals(layout)
    blocks.values[blocks.codes[:, 0] == 1, -1] = -2.0
    _, start, found, _ = taught(blocks)
    assert all(np.isfinite(array).all() for array in found.weights.values())
    assert not np.array_equal(found.weights["head.0.w"], start["head.0.w"])


@pytest.mark.parametrize(("clearly", "settled"), [(0.0, False), (np.inf, True)])
def test_likelihood_goes_on_with_the_core_unless_the_energy_score_did_clearly_better(
    layouts, monkeypatch, clearly, settled
):
    monkeypatch.setattr(pretraining, "CLEARLY", clearly)
    blocks = signals(layouts["wide"]())
    assert taught(blocks)[2].settled is settled
    kept = {}
    original = pretraining.pretrained

    def remembered(*given, **more):
        kept["found"] = original(*given, **more)
        return kept["found"]

    monkeypatch.setattr("virtlab.gan.fit.pretrained", remembered)
    monkeypatch.setattr("virtlab.gan.fit.CLEAR_GAIN", np.inf)  # refinement is not kept
    sizes = replace(sizes_for(blocks, "auto", 2), likelihood_steps=50, game_steps=50)
    monkeypatch.setattr("virtlab.gan.fit.sizes_for", lambda *_: sizes)
    found = fit(blocks, Options(seed=0, members=2))
    same = {
        name: np.allclose(found.weights[name], kept["found"].weights[name], rtol=0, atol=1e-5)
        for name in ("trunk.0.w", "head.0.b", "decoder0.0.w")
    }
    assert same == {"trunk.0.w": settled, "head.0.b": settled, "decoder0.0.w": False}
