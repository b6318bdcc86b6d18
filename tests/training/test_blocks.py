"""Trials as the networks see them."""

import numpy as np
import pytest
import xarray as xr

from virtlab.conditioning import Sum
from virtlab.scaling import fit_columns
from virtlab.storage import open_trials
from virtlab.training.blocks import FEW_VALUES, make_blocks
from virtlab.trials import measurements_of


def blocks_of(trials):
    n = trials.sizes["trial"]
    columns = fit_columns(trials, measurements_of(trials))
    return make_blocks(trials, columns, np.zeros((n, 1), np.float32), np.arange(n)), columns


@pytest.fixture(scope="module")
def tiny_blocks(tiny_experiment):
    return blocks_of(open_trials(tiny_experiment))


def test_measurements_stand_side_by_side(tiny_blocks):
    blocks, _ = tiny_blocks
    assert blocks.values.shape == blocks.observed.shape == (120, 26)
    assert blocks.layout.levels == (2, 2)  # light's zero, and the state
    assert blocks.codes.shape == (120, 2)
    assert (blocks.observed == 1).all()


def test_parts_say_where_each_measurement_stands_and_its_shape(tiny_blocks):
    parts = tiny_blocks[0].layout.parts  # a category has no values
    assert [part.name for part in parts] == ["light", "clicks", "trace"]
    assert [(part.start, part.stop) for part in parts] == [(0, 1), (1, 2), (2, 26)]
    assert [part.shape for part in parts] == [(), (), (24,)]


def test_measurements_count_alike_in_the_joint_distance(tiny_blocks):
    weight = tiny_blocks[0].layout.weight.astype(float)
    squares = [(weight[part] ** 2).sum() for part in (slice(0, 1), slice(1, 2), slice(2, 26))]
    np.testing.assert_allclose(squares, 1, rtol=1e-6)


def test_atoms_replace_their_value_and_categories_replace_none(tiny_blocks):
    blocks, columns = tiny_blocks
    layout = blocks.layout
    np.testing.assert_array_equal(np.argwhere(layout.replaces), [[1, 0]])
    assert layout.atom[1, 0] == columns[0].scaled_atoms[0]
    np.testing.assert_allclose(layout.level_weight, [0, 0, 0.5**0.5, 0.5**0.5])
    dark = blocks.codes[:, 0] == 1
    assert 0.2 < dark.mean() < 0.4
    np.testing.assert_array_equal(blocks.values[dark, 0], layout.atom[1, 0])


def test_only_counts_are_blurred(tiny_blocks):
    step = tiny_blocks[0].layout.step
    assert step[1] > 0
    assert not np.delete(step, 1).any()


def test_signals_have_a_head_and_scalars_have_none(tiny_blocks):
    layout = tiny_blocks[0].layout
    light, clicks, trace = layout.parts
    assert light.latents == clicks.latents == 0
    # Two components carry the trace, its height and a drift; noise is not alike everywhere.
    assert 2 <= trace.latents <= 4
    assert not trace.floor
    np.testing.assert_array_equal(layout.plain, [0, 1])
    assert layout.features == 2 + trace.latents


def test_no_value_is_beyond_the_reach_and_the_reach_is_not_far(tiny_blocks):
    blocks, _ = tiny_blocks
    largest = np.abs(blocks.values).max(axis=0)
    np.testing.assert_allclose(blocks.layout.reach, 1.25 * largest, rtol=1e-6)


def signal(width, n=40):
    rng = np.random.default_rng(0)
    attrs = {"units": "V", "kind": "continuous"}
    return xr.Dataset({"s": (("trial", "t"), rng.normal(size=(n, width)), attrs)})


def test_short_signal_needs_no_head():
    blocks, _ = blocks_of(signal(FEW_VALUES))
    assert not blocks.layout.wide
    np.testing.assert_array_equal(blocks.layout.plain, np.arange(FEW_VALUES))
    assert blocks_of(signal(FEW_VALUES + 1))[0].layout.wide


def test_short_signal_with_a_floor_has_a_head():
    trials = signal(3)
    trials["s"][:] = np.maximum(trials["s"], 0)
    (part,) = blocks_of(trials)[0].layout.parts
    assert part.floor
    assert 1 <= part.latents <= 3


@pytest.mark.parametrize("least", [0.0, 0.1])
@pytest.mark.parametrize("dim", [None, "t"])
def test_of_a_few_values_that_sum_up_one_follows_from_the_others(least, dim):
    rng = np.random.default_rng(0)
    parts = np.maximum(rng.gamma(2.0, 1.0, (200, 2, 3)), 1e-6) + least
    parts[0, 0, 0] *= 1e-6 ** (least == 0)  # too small for a logarithm
    parts /= parts.sum(axis=(1, 2) if dim is None else 2, keepdims=True)
    attrs = {"units": "1", "kind": "continuous", "support": [0.0, np.inf]}
    trials = xr.Dataset({"s": (("trial", "r", "t"), parts, attrs)})
    columns = fit_columns(trials, measurements_of(trials), {"s": Sum("s", dim=dim)})
    assert columns[0].ratios == (least > 0)
    zeros = np.zeros(200)
    blocks = make_blocks(trials, columns, zeros[:, None].astype(np.float32), zeros.astype(int))
    ties = blocks.layout.ties
    assert len(ties) == (1 if dim is None else 2)
    for tie in ties:
        found = blocks.values[:, list(tie.columns)] @ np.array(tie.weights)
        np.testing.assert_allclose(found, tie.total, atol=1e-5)
    assert blocks.layout.features == 6 - len(ties)


def waves(n, modes):
    """Signals of many strong components and faint noise."""
    trials, rng = signal(50, n=n), np.random.default_rng(1)
    shapes = rng.standard_normal((modes, 50))
    shapes /= np.linalg.norm(shapes, axis=0)
    trials["s"][:] = rng.standard_normal((n, modes)) @ shapes + 0.01 * trials["s"].values
    return trials


def test_latents_are_no_more_than_the_trials_support():
    assert blocks_of(waves(12, modes=4))[0].layout.features == 3
    assert blocks_of(waves(400, modes=4))[0].layout.features == 4
    assert blocks_of(waves(400, modes=20))[0].layout.features == 16


def test_noise_alone_has_the_least_latents():
    assert blocks_of(signal(50, n=400))[0].layout.features == 2


def test_signal_that_never_varies_is_left_to_the_scale():
    trials = signal(20)
    trials["s"][:] = 5.0
    blocks, _ = blocks_of(trials)
    assert not blocks.values.any()
    assert not blocks.layout.reach.any()


def test_floor_of_a_signal_is_told_with_the_logarithms_above_it():
    trials = signal(20)
    trials["s"][:] = np.maximum(trials["s"], 0)
    blocks, _ = blocks_of(trials)
    (part,) = blocks.layout.parts
    assert part.floor
    logs = np.log(blocks.values[blocks.values > 0])
    assert part.log == pytest.approx((logs.mean(), logs.std()), rel=1e-4)


def test_entries_that_vary_count_alike_however_bright():
    trials = signal(20, n=400)
    trials["s"][:] = np.maximum(trials["s"], 0) * np.where(np.arange(20) < 10, 1.0, 5.0)
    trials["s"][:, 3] = 0  # a dead pixel
    blocks, _ = blocks_of(trials)
    spread = (blocks.values * blocks.layout.weight).std(axis=0)
    np.testing.assert_allclose(np.delete(spread, 3), 20**-0.5, rtol=1e-4)
    assert spread[3] == 0
    assert np.isfinite(blocks.layout.weight).all()


def test_categories_alone_leave_one_value_that_was_never_seen():
    values = np.array(["a", "b", ""] * 4, dtype=object)
    trials = xr.Dataset({"c": ("trial", values, {"kind": "categorical"})})
    blocks, _ = blocks_of(trials)
    assert blocks.values.shape == (12, 1)
    assert not blocks.observed.any()
    np.testing.assert_array_equal(blocks.codes[:, 0], [0, 1, -1] * 4)


def test_missing_values_are_masked():
    trials = signal(20)
    trials["s"][3, 5:9] = np.nan
    trials["s"][7] = np.nan
    blocks, _ = blocks_of(trials)
    np.testing.assert_array_equal(blocks.observed == 0, np.isnan(trials["s"]))
    assert np.isfinite(blocks.values).all()
