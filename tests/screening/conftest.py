"""A model that draws what a test tells it to, and the example's own model."""

import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.config import read_params
from virtlab.screening import outcomes, screen
from virtlab.simulation.drawing import Drawn
from virtlab.trials import Measurement

EXAMPLE = Path(__file__).parents[2] / "example_experiments" / "damped_oscillator"
MEMBERS = 4

PARAMS = """
model = "lamp.virtlab"
trials = 40
seed = 3

[parameters]
power = [1, 2, 3, 4, 9]
glass = ["clear", "milky"]

[objective]
maximize = "light"
require = ["max(trace) < 3.5"]
"""


class Lamp:
    """Light is the power, plus 10 if the glass is clear; a trace peaks at the power.

    Stands in for a `virtlab.Model`: the rooms below have tests of their own.
    """

    measurements = (
        Measurement("light", units="lm"),
        Measurement("trace", units="V", dims=("time",), shape=(6,)),
        Measurement("clicks", kind="count"),
    )
    parameters = (
        Parameter("power", units="W", bounds=(0, 10)),
        Parameter("glass", kind="categorical", categories=("clear", "milky")),
    )
    runtime = SimpleNamespace(members=MEMBERS)
    file = SimpleNamespace(digest="0" * 64)

    def __init__(self, noise=0.0, ignorance=0.0):
        self.noise, self.ignorance = noise, ignorance
        self.manifest = {
            "experiment": {"name": "lamp"},
            "conditioner": {"name": "generic", "distribution": "virtlab", "version": "0"},
            "data": {"sha256": "1" * 64},
            "coords": {"time": {"dims": ["time"], "values": [0, 1, 2, 3, 4, 5], "units": "s"}},
            "verdict": ["light: hardly better than ignoring the parameters"],
        }
        self.drawn_at_once = []

    def draw(self, _model, design, *, trials, seed):
        """Trials of each setting depend on its values alone, as the real ones do."""
        self.drawn_at_once.append(design.size)
        power, clear = design.settings["power"], design.settings["glass"] == "clear"
        keys = [zlib.crc32(repr(row).encode()) for row in zip(power.tolist(), clear, strict=True)]
        member = np.stack([(np.arange(trials) + key) % MEMBERS for key in keys]).astype(np.int16)
        noise = np.stack(
            [np.random.default_rng([seed, key]).normal(0, self.noise, trials) for key in keys]
        )
        light = (power + 10 * clear)[:, None] + noise + self.ignorance * (member - 1.5)
        shape = np.array([0.1, 0.5, 1, 0.5, 0.2, 0])
        distance = np.where(power > 8, 3.0, np.where(power > 3.5, 1.5, 0.5))
        return Drawn(
            measurements={
                "light": light.astype(np.float32),
                "trace": ((power[:, None] + noise)[..., None] * shape).astype(np.float32),
                "clicks": np.round(light).astype(np.int64),
            },
            member=member,
            domain=np.array(["inside", "edge", "outside"], object)[np.digitize(distance, [1, 2])],
            domain_distance=distance,
        )


@pytest.fixture
def lamp(monkeypatch):
    """What `screen` loads and draws from in place of a model file; returns how to set it."""

    def use(**spread):
        made = Lamp(**spread)
        monkeypatch.setattr(sys.modules[screen.__module__], "load", lambda _path: made)
        monkeypatch.setattr(outcomes, "draw", made.draw)
        return made

    return use


@pytest.fixture
def asked(tmp_path):
    """params.toml, with changes, as `screen` takes it."""

    def read(*changes, objective=True):
        text = PARAMS if objective else PARAMS.partition("[objective]")[0]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "params.toml").write_text(text)
        return read_params(tmp_path / "params.toml")

    return read
