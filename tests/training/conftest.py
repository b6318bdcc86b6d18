"""Trials and fits whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from virtlab.scaling import fit_columns
from virtlab.trials import measurements_of


@pytest.fixture
def trials():
    """Make 120 settings with 3 replicates: wide is 3 x + noise of 2, narrow x + noise of 0.5."""

    def make(seed=0):
        rng = np.random.default_rng(seed)
        x = np.repeat(np.linspace(-1.7, 1.7, 120), 3)
        attrs = {"units": "V", "kind": "continuous"}
        return xr.Dataset(
            {
                "wide": ("trial", 3 * x + 2 * rng.standard_normal(360), attrs),
                "narrow": ("trial", x + 0.5 * rng.standard_normal(360), attrs),
            },
            {"x": ("trial", x)},
        )

    return make


@dataclass(frozen=True)
class Known:
    """A generator that draws from a linear law with Gaussian noise, in scaled units."""

    layout: object
    slope: np.ndarray
    offset: np.ndarray
    noise: np.ndarray
    uniforms: int = 0

    @property
    def normals(self):
        return len(self.slope)

    def setting_part(self, _weights, conditions):
        return conditions

    def trial_part(self, weights, parameters, uniform, normal, **_):
        from virtlab.gan.draws import with_tails

        noise = with_tails(normal, weights["spread.tails"]) * weights["spread.features"]
        return parameters * self.slope + self.offset + self.noise * noise, uniform


@pytest.fixture
def known(trials):
    """Make a fit that knows the law of the trials up to a factor on its noise."""
    from virtlab.gan.fit import Fit
    from virtlab.gan.folds import split_by_setting
    from virtlab.training.blocks import make_blocks

    def make(factors=(1.0, 1.0), slopes=(3.0, 1.0)):
        found = trials()
        columns = fit_columns(found, measurements_of(found))
        x = found["x"].values.astype(np.float32)
        setting = np.unique(x, return_inverse=True)[1]
        blocks = make_blocks(found, columns, x[:, None], setting)
        center, scale = (np.array([getattr(c, a)[0] for c in columns]) for a in ("center", "scale"))
        law = (np.array(slopes) / scale, -center / scale, np.array([2, 0.5]) * factors / scale)
        generator = Known(blocks.layout, *(part.astype(np.float32) for part in law))
        folds = split_by_setting(setting, members=4, folds=2, rng=np.random.default_rng(0))
        weights = {
            "spread.features": np.ones((4, 1, 2), np.float32),
            "spread.values": np.ones((4, 1, 2), np.float32),
            "spread.tails": np.zeros((4, 1, 2), np.float32),
        }
        fit = Fit(generator, weights, {}, folds, np.ones(4), "likelihood", 0, 0, [], "all steps")
        return fit, blocks, columns

    return make
