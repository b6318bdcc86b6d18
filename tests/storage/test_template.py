"""Regions and chunks: every trial in one of each, none too large, and sizes alone decide."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.storage.template import REGION_BYTES, chunk_of, cut

SHAPES = st.lists(st.integers(1, 60), max_size=3).flatmap(
    lambda lead: st.integers(1, 5000).map(lambda trials: (*lead, trials))
)


@given(shape=SHAPES, trial_bytes=st.integers(1, 2**18), block=st.sampled_from([1, 64, 1024]))
@settings(max_examples=60, deadline=None)
def test_regions_hold_every_setting_and_trial_once(shape, trial_bytes, block):
    regions = cut(shape, trial_bytes, block)
    if len(regions) > 3000:
        return
    held = np.zeros(shape, np.int8)
    for region in regions:
        held[region] += 1
        found = held[region]
        assert found.size * trial_bytes <= max(REGION_BYTES, block * trial_bytes)
    assert (held == 1).all()
    assert len(list(regions)) == len(regions)


@given(shape=SHAPES, trial_bytes=st.integers(1, 2**18))
@settings(max_examples=60, deadline=None)
def test_a_region_is_a_run_of_settings_in_the_designs_order(shape, trial_bytes):
    regions = cut(shape, trial_bytes, 64)
    order = np.arange(math.prod(shape[:-1])).reshape(shape[:-1])
    for region, _ in zip(regions, range(50), strict=False):
        np.testing.assert_array_equal(np.ravel(order[region[:-1]]), regions.settings(region))


def test_pieces_of_a_settings_trials_are_whole_blocks():
    assert cut((3, 10**6), 32, 1024).piece == (1, 2**19)
    assert cut((10**6,), 2**20, 64).piece == (64,)
    assert cut((1000, 3, 1000), 2**10, 1024).piece == (4, 3, 1000)


@given(shape=SHAPES, width=st.sampled_from([1, 2, 4, 8]), limit=st.integers(2**8, 2**16))
@settings(max_examples=60, deadline=None)
def test_chunks_fill_a_piece_evenly_and_are_never_much_larger_than_asked(shape, width, limit):
    chunk = chunk_of(shape, shape, width, limit)
    assert all(length % step == 0 for length, step in zip(shape, chunk, strict=True))


@pytest.mark.parametrize(
    ("limit", "chunk"),
    [
        (2**20, (2, 100, 1000)),
        (2**12, (1, 1, 1000)),
        (2**10, (1, 1, 250)),
        (2**30, (10, 100, 1000)),
    ],
)
def test_chunks_are_bounded_and_keep_trials_together(limit, chunk):
    assert chunk_of((10, 100, 1000), (10, 100, 1000), 4, limit) == chunk
