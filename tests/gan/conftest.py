"""Small layouts and blocks: plain arrays, as the networks see them."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.gan.blocks import Blocks, Layout, Part

ATOM = -1.5


def plain(values=1):
    """Scalars only."""
    return Layout(
        reach=np.full(values, 1e6, np.float32),
        weight=np.ones(values, np.float32),
        levels=(),
        atom=np.zeros((0, values), np.float32),
        replaces=np.zeros((0, values), np.float32),
        level_weight=np.zeros(0, np.float32),
        step=np.zeros(values, np.float32),
    )


def coded():
    """Two scalars, the second with an atom, and a category of three."""
    atom, replaces = np.zeros((5, 2), np.float32), np.zeros((5, 2), np.float32)
    atom[1, 1], replaces[1, 1] = ATOM, 1
    return replace(
        plain(2),
        levels=(2, 3),
        atom=atom,
        replaces=replaces,
        level_weight=np.array([0, 0, 0.7, 0.7, 0.7], np.float32),
    )


def of_parts(**wanted):
    """Measurements side by side: each a shape, or what else to say of its `Part` beside it."""
    parts, at = [], 0
    for name, found in wanted.items():
        shape, more = (found, {}) if isinstance(found, tuple) else (found.pop("shape"), found)
        stop = at + int(np.prod(shape))
        parts.append(Part(name, at, stop, shape, **more))
        at = stop
    sizes = [part.stop - part.start for part in parts]
    weight = np.concatenate([np.full(size, size**-0.5, np.float32) for size in sizes])
    return replace(plain(at), weight=weight, parts=tuple(parts))


def wide(values=9, latents=2):
    """A signal with a head, and a scalar beside it."""
    return of_parts(signal={"shape": (values,), "latents": latents}, height=())


def heads():
    """Scalars before, between and after signals and images of every sort."""
    return of_parts(
        first=(),
        trace={"shape": (65,), "latents": 3},
        second=(),
        image={"shape": (7, 12), "latents": 2, "floor": True, "log": (-1.0, 0.8)},
        both={"shape": (2, 64), "latents": 2},
        short=(5,),
    )


@pytest.fixture(params=["plain", "coded", "wide", "heads"])
def layout(request):
    """Each kind of layout in turn."""
    return {"plain": plain(3), "coded": coded(), "wide": wide(), "heads": heads()}[request.param]


@pytest.fixture
def layouts():
    """Functions that make layouts, by name."""
    return {"plain": plain, "coded": coded, "wide": wide, "heads": heads, "of_parts": of_parts}


@pytest.fixture
def gaussian_blocks():
    """Make trials whose only value has the condition as its mean and a noise of 0.5."""

    def make(settings=40, replicates=5, noise=0.5, seed=0):
        rng = np.random.default_rng(seed)
        setting = np.repeat(np.arange(settings), replicates)
        condition = np.linspace(-1.7, 1.7, settings)[setting].astype(np.float32)
        values = condition + noise * rng.standard_normal(len(condition))
        return Blocks(
            conditions=condition[:, None],
            values=values[:, None].astype(np.float32),
            observed=np.ones((len(values), 1), np.float32),
            codes=np.zeros((len(values), 0), np.int32),
            setting=setting,
            layout=plain(),
        )

    return make


@pytest.fixture(scope="session")
def coded_blocks():
    """120 trials at 24 settings: a scalar, one with an atom, a category, gaps in each."""
    rng = np.random.default_rng(3)
    layout, n = coded(), 120
    condition = rng.standard_normal((24, 2)).astype(np.float32)[np.arange(n) % 24]
    values = condition + 0.3 * rng.standard_normal((n, 2)).astype(np.float32)
    codes = np.stack([rng.integers(0, 2, n), rng.integers(0, 3, n)], axis=1).astype(np.int32)
    values[codes[:, 0] == 1, 1] = ATOM
    observed = np.ones((n, 2), np.float32)
    observed[:10, 0], observed[5:15, 1], codes[5:15, 0], codes[20:30, 1] = 0, 0, -1, -1
    return Blocks(condition, values * observed, observed, codes, np.arange(n) % 24, layout)
