"""params.toml beside a tiny model, and small copies of that model."""

import json

import pytest

from virtlab.config import parse_params
from virtlab.modelfile import GENERATOR, REFERENCE, WEIGHTS, read_model, write_model
from virtlab.simulation import load

PARAMS = """
model = "{model}"
trials = {trials}
seed = 3
output = "virtual.nc"
{more}
[parameters]
power = {power}
material = {material}
"""


@pytest.fixture
def params(tmp_path, tiny_model):
    """Make a params.toml in tmp_path from the values of its two parameters."""

    def make(power="[1, 2.5, 4]", material='["glass", "steel"]', trials=20, more=""):
        text = PARAMS.format(
            model=tiny_model, trials=trials, more=more, power=power, material=material
        )
        return parse_params(text, tmp_path / "params.toml")

    return make


@pytest.fixture
def altered(tmp_path, tiny_model):
    """Load a copy of the tiny model whose manifest `change` has edited in place."""

    def make(change):
        file = read_model(tiny_model)
        manifest = json.loads(json.dumps(dict(file.manifest)))
        change(manifest)
        path = tmp_path / "altered.virtlab"
        members = {name: file.member(name) for name in (GENERATOR, WEIGHTS, REFERENCE)}
        write_model(path, manifest, members)
        return load(path)

    return make
