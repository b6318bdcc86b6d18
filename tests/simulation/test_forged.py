"""A model file whose manifest was forged is refused with a message, or does no harm."""

import copy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtlab.errors import ModelFileError, VirtlabError
from virtlab.modelfile import read_model
from virtlab.simulation import Model

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
WORDS = st.sampled_from(["categorical", "count", "cyclic", "log", "between", "nearest", "-inf"])
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(found, here=()):
    """Keys and indices that lead to every value of a manifest; of long lists to three."""
    inner = found.items() if isinstance(found, dict) else enumerate(found[:3])
    for key, value in inner:
        yield (*here, key)
        if isinstance(value, dict | list):
            yield from places(value, (*here, key))


@given(data=st.data(), value=JSON, drop=st.booleans())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_value_of_a_manifest_may_be_forged(tiny, data, value, drop):
    manifest = copy.deepcopy(dict(tiny.manifest))
    known = [place for place in places(manifest) if place[0] not in ("format", "members")]
    *before, last = data.draw(st.sampled_from(known))
    table = manifest
    for key in before:
        table = table[key]
    if drop:
        del table[last]
    else:
        table[last] = value
    try:
        model = Model(replace(tiny.file, manifest=manifest))
        assert model.summary()
        model.simulate({"power": 3, "material": "glass"}, trials=3)
    except VirtlabError:
        pass


def test_what_is_forged_is_named(tiny_model):
    file = read_model(tiny_model)
    manifest = copy.deepcopy(dict(file.manifest))
    manifest["parameters"][0]["bounds"] = "wide"
    del manifest["scores"]
    with pytest.raises(ModelFileError, match=r"parameters\.0\.bounds: .*; scores: .*train again"):
        Model(replace(file, manifest=manifest))
