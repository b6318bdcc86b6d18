"""A lab whose truth is known, and models of it that are right or wrong in a known way."""

import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from virtlab.conditioning import Parameter, check_settings
from virtlab.design import Design
from virtlab.domain import learn_domain
from virtlab.evaluation import evaluate
from virtlab.modelfile import HELD_OUT
from virtlab.scaling import fit_columns
from virtlab.trials import SETTING, TRIAL, Measurement

POWERS = np.linspace(1, 10, 25)
TIME = np.linspace(0, 1, 20)
PARAMETERS = (
    Parameter("power", units="W", bounds=(0, 30)),
    Parameter("material", kind="categorical", categories=("glass", "steel")),
)
MEASUREMENTS = (
    Measurement("light", units="lm"),
    Measurement("clicks", kind="count"),
    Measurement("state", kind="categorical", categories=("down", "up")),
    Measurement("trace", units="V", dims=("time",), shape=(20,)),
    Measurement("image", dims=("row", "column"), shape=(6, 5)),
)


def measure(power, material, rng, *, shift=0.0, noise=1.0):
    """One trial per entry of `power`: the truth, or it with its light shifted or its noise cut."""
    n, bright = len(power), np.where(material == "glass", 3.0, 1.0)
    gain = 1 + noise * rng.normal(0, 0.15, (n, 1))
    spot = np.exp(-np.square(np.arange(6) - 2.5)[:, None] - np.square(np.arange(5) - 2) / 3)
    return {
        "light": power * bright + shift + noise * rng.normal(0, 1.0, n),
        "clicks": rng.poisson(1 + power),
        "state": np.where(rng.random(n) < np.where(bright > 2, 0.9, 0.2), "up", "down"),
        "trace": power[:, None] * gain * np.sin(6 * TIME) + noise * rng.normal(0, 0.3, (n, 20)),
        "image": rng.poisson(power[:, None, None] * 3 * spot).astype(float),
    }


def as_dataset(found, dims, coords):
    data = {}
    for measurement in MEASUREMENTS:
        values = found[measurement.name]
        values = values.astype(object) if measurement.kind == "categorical" else values
        attrs = {"units": measurement.units, "kind": measurement.kind}
        data[measurement.name] = ((*dims, *measurement.dims), values, attrs)
    return xr.Dataset(data, coords)


def new_trials(*, powers=POWERS + 0.17, replicates=4, seed=1):
    """Real trials: each power with both materials, `replicates` times."""
    power = np.repeat(powers, 2 * replicates)
    material = np.tile(np.repeat(["glass", "steel"], replicates), len(powers)).astype(object)
    found = measure(power, material, np.random.default_rng(seed))
    coords = {
        "power": (TRIAL, power, {"units": "W", "kind": "continuous"}),
        "material": (TRIAL, material, {"kind": "categorical"}),
        "time": ("time", TIME, {"units": "s"}),
    }
    return as_dataset(found, (TRIAL,), coords).assign_attrs(files=["new.h5"])


class KnownModel:
    """Stands in for `virtlab.Model`: simulates `measure`, distorted as a test asks."""

    def __init__(self, *, marginal=False, name="known", **distortion):
        self.file = SimpleNamespace(path=Path("known.virtlab"), digest="5" * 64)
        self.parameters, self.measurements, self.columns = PARAMETERS, MEASUREMENTS, ()
        self.marginal, self.distortion = marginal, distortion
        grid = {
            "power": np.repeat(POWERS, 2),
            "material": np.tile(np.array(["glass", "steel"], object), len(POWERS)),
        }
        self.domain = learn_domain(self.conditions(grid), np.random.default_rng(0))
        self.manifest = known_manifest(name)
        self.scores = self.manifest["scores"]

    def conditions(self, settings):
        checked = check_settings(settings, PARAMETERS)
        glass = np.where(checked["material"] == "glass", 1.0, -1.0)
        return np.stack([(checked["power"] - 5.5) / 2.6, glass], axis=1).astype(np.float32)

    def simulate(self, design, *, trials, seed):
        key = [seed, *(np.abs(design.settings["power"]) * 1e6).astype(np.int64).tolist()]
        rng = np.random.default_rng(key)
        power, material = (np.repeat(design.settings[p.name], trials) for p in PARAMETERS)
        if self.marginal:
            power = rng.uniform(1, 10, len(power))
            material = rng.choice(["glass", "steel"], len(power)).astype(object)
        found = measure(power, material, rng, **self.distortion)
        shaped = {k: v.reshape(design.size, trials, *v.shape[1:]) for k, v in found.items()}
        return as_dataset(shaped, (SETTING, TRIAL), {})


class KeptModel(KnownModel):
    """The same with trials and held-out draws in its file, as training would keep them."""

    def __init__(self, *, folds=5, draws=120, **distortion):
        super().__init__(**distortion)
        trials = new_trials(powers=POWERS)
        self.columns = fit_columns(trials, MEASUREMENTS)
        self.manifest["members"] = {HELD_OUT: {}}
        power, material = np.repeat(POWERS, 2), np.tile(["glass", "steel"], len(POWERS))
        drawn = self.simulate(
            Design({"power": power, "material": material.astype(object)}), trials=draws, seed=3
        )
        values, codes = [], []
        for column in self.columns:
            found = drawn[column.measurement.name].values.reshape(-1, *column.measurement.shape)
            scaled, _, code = column.scale_down(found)
            values.append(scaled.reshape(len(power), draws, -1))
            codes += [code.reshape(len(power), draws, 1)] if column.levels else []
        self.arrays = {
            "fold": np.arange(len(power)) % folds,
            "setting": np.repeat(np.arange(len(power)), 4),
            "judged": np.arange(len(power)),
            "drawn/values": np.concatenate(values, axis=-1).astype(np.float16),
            "drawn/codes": np.concatenate(codes, axis=-1).astype(np.int16),
            "drawn/first": np.array([draws // 2]),
            "parameter/0": power,
            "parameter/1": (material == "steel").astype(np.int32),
        }
        for i, measurement in enumerate(MEASUREMENTS):
            found = trials[measurement.name].values
            if measurement.kind == "categorical":
                found = (found == "up").astype(np.int32)
            else:
                found = found.reshape(len(found), -1).astype(np.float32)
            self.arrays[f"real/{i}"] = found
        self.file.arrays = lambda _name: dict(self.arrays)


def known_manifest(name):
    """What a model file would say of itself."""
    score = {"model": 1.2, "marginal": 4.0, "nearest": 1.5, "floor": 1.0, "trials": 200}
    covered = {"coverage_50": 0.52, "coverage_90": 0.88}
    history = [
        {"stage": stage, "step": step, "loss": 1.0, "score": 0.5, "best": 0.4}
        for stage in ("likelihood", "refinement")
        for step in (50, 100, 150)
    ]
    return {
        "virtlab": "0.1.0",
        "experiment": {"name": name, "text": ""},
        "seed": 0,
        "conditioner": {"name": "generic", "distribution": "virtlab", "version": "0.1.0"},
        "parameters": [
            asdict(PARAMETERS[0]) | {"range": [1.0, 10.0]},
            asdict(PARAMETERS[1]) | {"range": None},
        ],
        "columns": [{"measurement": asdict(m)} for m in MEASUREMENTS],
        "coords": {"time": {"dims": ["time"], "values": TIME.tolist(), "units": "s"}},
        "data": {
            "sha256": "d" * 64,
            "files": ["lab.h5"],
            "trials": 300,
            "settings": 50,
            "missing": dict.fromkeys((m.name for m in MEASUREMENTS), 0),
            "dropped_trials": 0,
        },
        "calibration": {"light": 1.1},
        "domain": {"reach": 0.15},
        "scores": {
            m.name: score | (dict.fromkeys(covered) if m.kind == "categorical" else covered)
            for m in MEASUREMENTS
        },
        "training": {
            "preset": "auto",
            "members": 10,
            "stage": "likelihood",
            "ended": "all steps done",
            "health": ["healthy"],
            "score": 0.3,
            "refinement_gain": 0.01,
            "refinement_gain_error": 0.02,
            "history": history,
        },
        "verdict": ["only 12 settings: held-out scores are themselves uncertain"],
    }


@pytest.fixture(scope="session")
def kept_model():
    """Make a model that keeps trials and held-out draws, distorted as a test asks."""
    return KeptModel


@pytest.fixture
def model():
    """A model that makes exactly what the lab makes."""
    return KnownModel()


@pytest.fixture
def trials():
    """New trials of the lab."""
    return new_trials()


@pytest.fixture
def trials_at():
    """Make new trials at some powers."""
    return lambda powers: new_trials(powers=powers)


@pytest.fixture(scope="session")
def judged():
    """Evaluations of right and wrong models on the same trials, made once."""
    models = {
        "true": KnownModel(),
        "marginal": KnownModel(marginal=True),
        "shifted": KnownModel(shift=2.0),
        "collapsed": KnownModel(noise=0.2),
    }
    return {name: evaluate(model, new_trials()) for name, model in models.items()}


@pytest.fixture(scope="session")
def known():
    """This module: the known truth."""
    return sys.modules[__name__]
