"""Seed, setting and trial decide every byte; what else is simulated, and how, decides none."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtlab.modelfile import GENERATOR
from virtlab.runtime import BLOCK, Runtime
from virtlab.simulation import load

POWERS = st.lists(st.floats(0.5, 19.5), min_size=1, max_size=6, unique=True)
MATERIALS = st.permutations(["glass", "steel"]).flatmap(
    lambda names: st.integers(1, 2).map(lambda count: names[:count])
)
SEEDS = st.integers(0, 2**63 - 1)
some = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def bytes_of(dataset, at=None, trials=None):
    """Every byte of what was drawn: of all of it, or of one setting's first trials."""
    chosen = dataset if at is None else dataset.sel(at)
    chosen = chosen if trials is None else chosen.isel(trial=slice(trials))
    return {
        name: values.tolist() if values.dtype == object else values.tobytes()
        for name, values in ((name, found.values) for name, found in chosen.data_vars.items())
    }


@given(powers=POWERS, materials=MATERIALS, seed=SEEDS, data=st.data())
@some
def test_a_setting_alone_has_the_trials_that_it_has_in_any_design(
    tiny, powers, materials, seed, data
):
    grid = tiny.simulate({"power": powers, "material": materials}, trials=13, seed=seed)
    power, material = data.draw(st.sampled_from(powers)), data.draw(st.sampled_from(materials))
    at = {"power": power, "material": material}
    alone = tiny.simulate(at, trials=13, seed=seed)
    inside = {name: value for name, value in at.items() if name in grid.dims}
    assert bytes_of(grid, inside) == bytes_of(alone)


@given(powers=POWERS, seed=SEEDS, rows=st.integers(1, 400), trials=st.integers(1, 120))
@some
def test_how_trials_are_grouped_for_the_arithmetic_decides_no_byte(
    tiny, powers, seed, rows, trials
):
    def drawn():
        return tiny.simulate({"power": powers, "material": "glass"}, trials=trials, seed=seed)

    whole = drawn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny.runtime, "rows", rows)
        assert bytes_of(drawn()) == bytes_of(whole)


@given(few=st.integers(1, 60), more=st.integers(0, BLOCK + 100), seed=SEEDS)
@some
def test_the_first_trials_are_the_same_however_many_follow(tiny, few, more, seed):
    at = {"power": [2.5, 4.0], "material": "steel"}
    first = tiny.simulate(at, trials=few, seed=seed)
    longer = tiny.simulate(at, trials=few + more, seed=seed)
    assert bytes_of(longer, trials=few) == bytes_of(first)


@given(power=st.floats(0.5, 19.5), seed=SEEDS, trials=st.integers(1, 300))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_how_many_threads_calculate_decides_no_byte(tiny, tiny_model, threads, power, seed, trials):
    other = load(tiny_model)
    other.__dict__["runtime"] = Runtime(other.file.member(GENERATOR), threads=threads)
    at = {"power": power, "material": ["glass", "steel"]}
    a, b = (model.simulate(at, trials=trials, seed=seed) for model in (tiny, other))
    assert bytes_of(a) == bytes_of(b)


@given(
    change=st.sampled_from(["seed", "power"]),
    power=st.floats(1, 19),
    seed=st.integers(0, 2**63 - 2),
)
@some
def test_another_seed_or_setting_gives_other_trials(tiny, change, power, seed):
    at, other_seed = {"power": power, "material": "glass"}, seed
    other = dict(at)
    if change == "seed":
        other_seed += 1
    else:
        other["power"] = float(np.nextafter(power, 20))
    a = tiny.simulate(at, trials=5, seed=seed)["trace"].values
    b = tiny.simulate(other, trials=5, seed=other_seed)["trace"].values
    assert (a != b).any()
