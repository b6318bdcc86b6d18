"""The exported generator at work: latents, members, and bits that depend on nothing else."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from virtlab.errors import ModelFileError
from virtlab.modelfile import GENERATOR, read_model
from virtlab.runtime import BLOCK, Runtime, Trials, _branches, _Source, member_of, setting_key


@pytest.fixture(scope="module")
def generator(tiny_model):
    return read_model(tiny_model).member(GENERATOR)


@pytest.fixture(scope="module")
def runtime(generator):
    return Runtime(generator, threads=1)


@pytest.fixture(scope="module")
def parameters(runtime):
    """The settings' part of 20 settings."""
    rng = np.random.default_rng(0)
    return runtime.setting_part(rng.standard_normal((20, runtime.features)).astype(np.float32))


def draw(runtime, parameters, *runs, seed=3):
    return runtime.draw(parameters, [Trials(*run) for run in runs], seed)


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_shapes_are_what_the_generator_says(runtime, parameters):
    assert parameters.numbers.shape[:2] == (runtime.members, 20) == (4, 20)
    values, levels = draw(runtime, parameters, (0, 7, 0, 300))
    assert values.shape == (300, runtime.values) == (300, 26)
    assert levels.shape == (300, runtime.levels) == (300, 4)
    assert values.dtype == np.float32


def test_settings_come_out_alike_alone_and_together(runtime):
    rng = np.random.default_rng(1)
    conditions = rng.standard_normal((37, runtime.features)).astype(np.float32)
    together = runtime.setting_part(conditions)
    for at in (0, 15, 16, 36):
        alone = runtime.setting_part(conditions[at : at + 1])
        np.testing.assert_array_equal(alone.numbers[:, 0], together.numbers[:, at])


def test_one_thread_or_two_give_the_same_bits(generator, runtime, parameters):
    two = Runtime(generator, threads=2)
    runs = [(0, 7, 0, BLOCK), (3, 9, 0, 500)]
    assert equal(draw(runtime, parameters, *runs), draw(two, parameters, *runs))


def test_a_second_runtime_gives_the_same_bits(generator, runtime, parameters):
    again = Runtime(generator)
    assert equal(draw(runtime, parameters, (2, 5, 0, 100)), draw(again, parameters, (2, 5, 0, 100)))


@given(
    first=st.integers(0, 2 * BLOCK),
    count=st.integers(1, 60),
    before=st.integers(0, 3),
)
@settings(max_examples=15, deadline=None)
def test_trials_are_the_same_wherever_a_run_is_cut(runtime, parameters, first, count, before):
    block = first // BLOCK
    count = min(count, (block + 1) * BLOCK - first)
    whole = draw(runtime, parameters, (1, 99, block * BLOCK, BLOCK))
    others = [(2, 5, 0, 10 * (i + 1)) for i in range(before)]
    part = draw(runtime, parameters, *others, (1, 99, first, count))
    skip = first - block * BLOCK
    for all_rows, rows in zip(whole, part, strict=True):
        np.testing.assert_array_equal(rows[-count:], all_rows[skip : skip + count])


def test_runs_come_back_in_their_order(runtime, parameters):
    a, b = (0, 7, 0, 30), (5, 8, 0, 40)
    ab, ba = draw(runtime, parameters, a, b), draw(runtime, parameters, b, a)
    for forth, back in zip(ab, ba, strict=True):
        np.testing.assert_array_equal(forth, np.concatenate([back[40:], back[:40]]))


@pytest.mark.parametrize("change", ["seed", "key", "block"])
def test_other_seeds_settings_and_blocks_have_other_latents(runtime, parameters, change):
    usual = draw(runtime, parameters, (1, 99, 0, 50))
    other = {
        "seed": lambda: draw(runtime, parameters, (1, 99, 0, 50), seed=4),
        "key": lambda: draw(runtime, parameters, (1, 99 + 4, 0, 50)),  # the same members
        "block": lambda: draw(runtime, parameters, (1, 99, BLOCK, 50)),
    }[change]()
    shared = np.isin(usual[0][:, 1], other[0][:, 1])
    assert not shared.any()


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_seeds_at_the_ends_of_their_range_work(runtime, parameters, seed):
    values, _ = draw(runtime, parameters, (1, 2**64 - 1, 0, 20), seed=seed)
    assert np.isfinite(values).all()


@pytest.mark.parametrize(("seed", "key"), [(3, 2**63 + 4), (2**63 - 5, 2**63 + 4)])
def test_every_bit_of_seed_and_key_counts(runtime, parameters, seed, key):
    usual = draw(runtime, parameters, (1, key, 0, 20), seed=seed)
    assert not equal(usual, draw(runtime, parameters, (1, key + 4, 0, 20), seed=seed))
    assert not equal(usual, draw(runtime, parameters, (1, key, 0, 20), seed=seed + 1))


@pytest.mark.parametrize("width", [2, 3])
def test_latents_have_the_distributions_that_they_should(width):
    runs = [Trials(0, 5, 1, 100_000), Trials(1, 6, 0, 100_000)]
    source = _Source(1)
    for kind, latents in (
        ("norm", source.normal(runs, width)),
        ("uniform", source.uniform(runs, width)),
    ):
        assert latents.shape == (200_000, width)
        for run in (latents[:100_000], latents[100_000:]):
            assert all(kstest(column, kind).pvalue > 1e-3 for column in run.T)
        beside = np.concatenate([latents[:100_000], latents[100_000:]], axis=1)
        shared = np.corrcoef(beside, rowvar=False) - np.eye(2 * width)
        assert np.abs(shared).max() < 0.02
    assert 4 < np.abs(source.normal(runs, width)).max() < 7


def test_levels_are_one_hot(runtime, parameters):
    _, levels = draw(runtime, parameters, (1, 99, 0, 500))
    assert set(np.unique(levels)) == {0, 1}
    np.testing.assert_array_equal(levels[:, :2].sum(axis=1), 1)
    np.testing.assert_array_equal(levels[:, 2:].sum(axis=1), 1)


def test_members_take_turns_from_a_start_that_the_setting_says():
    for key in (0, 1, 7, 2**64 - 1):
        member = member_of(key, np.arange(400), 4)
        np.testing.assert_array_equal(np.bincount(member), [100] * 4)
        assert member[0] == key % 4
        np.testing.assert_array_equal(member[4:], member[:-4])


def test_each_trial_is_drawn_by_its_member(runtime, parameters):
    only = parameters._replace(numbers=parameters.numbers.copy())
    only.numbers[[0, 1, 3]] = 0  # member 2 alone knows of the setting
    usual, changed = (draw(runtime, p, (1, 99, 0, 40))[0] for p in (parameters, only))
    same = (usual == changed).all(axis=1)
    np.testing.assert_array_equal(same, member_of(99, np.arange(40), 4) == 2)


def test_key_depends_on_values_and_not_on_their_order():
    key = setting_key({"a": 1.5, "b": "glass"})
    assert key == setting_key({"b": "glass", "a": 1.5})
    assert 0 <= key < 2**64
    others = [
        {"a": 1.5000000000000002, "b": "glass"},
        {"a": 1.5, "b": "steel"},
        {"b": 1.5, "a": "glass"},
        {"a": "1.5", "b": "glass"},
        {"a": 1.5},
    ]
    assert len({key, *map(setting_key, others)}) == 6


def test_key_is_the_same_in_every_process():
    code = "from virtlab.runtime import setting_key; print(setting_key({'a': 0.1, 'b': 'ü'}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == setting_key({"a": 0.1, "b": "ü"})


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(4000)])
def test_what_is_no_generator_is_told(content):
    with pytest.raises(ModelFileError, match="the generator cannot be loaded"):
        Runtime(content)


def test_branches_are_drawn_as_often_as_their_chances_say():
    chances = np.array([[[0.2, 0.2, 1]], [[0, 0.9, 1]]], np.float32)  # of two members
    for member, expected in ((0, [0.2, 0, 0.8]), (1, [0, 0.9, 0.1])):
        uniform = np.random.default_rng(member).random(100_000, dtype=np.float32)
        place = _branches(chances, np.full(100_000, member), uniform)
        found = np.bincount(place, minlength=6)[3 * member : 3 * member + 3]
        np.testing.assert_allclose(found / 100_000, expected, atol=0.005)
        assert found.sum() == 100_000
        assert set(np.flatnonzero(expected)) == set(np.flatnonzero(found))
