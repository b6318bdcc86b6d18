"""Where the truth is known: errors grow from inside to outside, and the distance tells which."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import gamma
from sklearn.metrics import roc_auc_score

from virtlab.cli import main
from virtlab.domain import verdicts
from virtlab.errors import DomainError, SettingError


def error_at(model, power):
    """How far the virtual light of glass is from the true median where it is not dark."""
    virtual = model.simulate({"power": power, "material": "glass"}, trials=400, seed=2)
    light = virtual.light.where(virtual.light > 0)
    truth = 3 * np.asarray(power) + gamma.median(2.0, scale=0.4)
    return np.abs(light.median("trial").values - truth), virtual


def test_errors_are_larger_outside_and_the_distance_tells_them_apart(tiny):
    power = [1.1, 2.9, 4.1, 5.7, 7.3, 9.2, 10.3, 10.7, 12, 14, 16, 18, 20]
    error, virtual = error_at(tiny, power)
    by_verdict = [error[virtual.domain == name].mean() for name in ("inside", "edge", "outside")]
    assert max(by_verdict[:2]) < by_verdict[2]
    large = error > 2 * error[virtual.domain == "inside"].max()
    assert large.any()
    assert roc_auc_score(large, virtual.domain_distance) > 0.95


def test_strict_refuses_from_python(tiny):
    with pytest.raises(DomainError, match="1 of 2 settings lies outside the data") as caught:
        tiny.simulate({"power": [5, 18], "material": "glass"}, trials=2, strict=True)
    assert "power = 18, material = glass" in str(caught.value)
    made = tiny.simulate({"power": [5, 6], "material": "glass"}, trials=2, strict=True)
    assert set(made.domain.values) == {"inside"}


def test_the_command_warns_once_and_with_strict_writes_nothing(params, tmp_path):
    (tmp_path / "params.toml").write_text(params(power="[5, 15, 20]", material='"glass"').text)
    command = ["simulate", str(tmp_path / "params.toml"), "--quiet"]
    refused = CliRunner().invoke(main, [*command, "--strict"])
    assert refused.exit_code == 1
    assert "2 of 3 settings lie outside the data" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.toml"]
    warned = CliRunner().invoke(main, command)
    assert warned.exit_code == 0
    assert warned.output.count("2 of 3 settings lie outside the data") == 1
    assert "power = 20, material = glass" in warned.output


def test_beyond_declared_bounds_is_an_error_without_strict_too(tiny):
    with pytest.raises(SettingError, match="21 W is outside its bounds"):
        tiny.simulate({"power": [5, 21], "material": "glass"}, trials=2)


def test_absurdly_far_outside_values_are_numbers_still(altered):
    def unbounded(manifest):
        manifest["parameters"][0]["bounds"] = None

    model = altered(unbounded)
    found = model.simulate({"power": [1e6, 1e90], "material": ["glass", "steel"]}, trials=200)
    assert set(found.domain.values.ravel()) == {"outside"}
    for name, values in found.data_vars.items():
        assert values.dtype.kind != "f" or np.isfinite(values).all(), name
    far = model.domain.in_sight(np.full((1, model.runtime.features), 1e30, np.float32))
    assert np.isfinite(model.runtime.setting_part(far).numbers).all()
    seen = model.domain.reference
    np.testing.assert_array_equal(model.domain.in_sight(seen), seen)


def test_the_model_file_says_what_each_feature_counts(tiny):
    weights = dict(zip(tiny.manifest["features"]["labels"], tiny.domain.weights, strict=True))
    assert weights["power"] == 1
    assert all(0 < weight <= 1 for weight in weights.values())
    assert tiny.manifest["relevance"]["material"]["features"] == [
        "material=glass",
        "material=steel",
    ]


def test_a_model_older_than_weights_counts_all_features_alike(altered):
    old = altered(lambda manifest: manifest["domain"].pop("weights"))
    assert (old.domain.weights == 1).all()


def test_a_setting_beyond_all_numbers_is_outside(tiny, monkeypatch):
    unbounded = tuple(replace(parameter, bounds=None) for parameter in tiny.parameters)
    monkeypatch.setattr(tiny, "parameters", unbounded)
    far = {"power": np.array([1e30, 1e60, -1e99]), "material": np.array(["glass"] * 3)}
    assert set(verdicts(tiny.domain.distance(tiny.conditions(far)))) == {"outside"}
