"""params.toml to a file: the same bytes, a plan before, a summary after."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import ConfigError, DomainError, OutputError, SettingError, VirtlabError
from virtlab.simulation import plan, simulate_to_file


def digest(path):
    """sha256 of a file, or of all files of a folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = {
        str(file.relative_to(path)): digest(file) for file in path.rglob("*") if file.is_file()
    }
    return json.dumps(found, sort_keys=True)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_equal_params_give_equal_bytes_and_another_seed_others(params, tmp_path, suffix):
    paths = [tmp_path / f"{name}.{suffix}" for name in "abc"]
    for path, seed in zip(paths, (3, 3, 4), strict=True):
        simulate_to_file(params(), output=path, seed=seed)
    first, again, other = map(digest, paths)
    assert first == again != other


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_file_holds_what_the_model_simulates(params, tmp_path, suffix, tiny):
    path = tmp_path / f"v.{suffix}"
    simulate_to_file(params(), output=path)
    made = tiny.simulate({"power": [1, 2.5, 4], "material": ["glass", "steel"]}, trials=20, seed=3)
    opened = xr.open_dataset(path) if suffix == "nc" else xr.open_zarr(path, consolidated=False)
    with opened as found:
        for name in ("light", "clicks", "trace", "member", "domain_distance"):
            np.testing.assert_array_equal(found[name], made[name])
        for name in ("state", "domain", "material"):
            np.testing.assert_array_equal(found[name].values.astype(object), made[name])
        assert found.attrs["params"] == params().text
        assert found.attrs["model_sha256"] == tiny.file.digest
        assert found.attrs["virtual_data"] == 1


def test_relative_output_lies_beside_params(params, tmp_path):
    simulate_to_file(params())
    assert (tmp_path / "virtual.nc").exists()


def test_arguments_win_over_the_file(params, tmp_path):
    summary = simulate_to_file(params(), output=tmp_path / "x.nc", seed=11, trials=4)
    assert summary.seed == 11
    assert summary.plan.trials == 4
    with xr.open_dataset(tmp_path / "x.nc") as found:
        assert found.sizes["trial"] == 4
        assert found.attrs["seed"] == "11"


def test_progress_rises_to_the_end(params):
    told = []
    simulate_to_file(params(), report=told.append)
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {progress.stage for progress in told} == {"simulating", "writing"}


# before


def test_plan_counts_settings_trials_values_and_bytes_and_writes_nothing(params, tmp_path):
    found = plan(params(trials=50))
    assert (found.settings, found.trials) == (6, 50)
    assert found.values == 6 * 50 * (1 + 1 + 1 + 24)
    # light and trace as float32, clicks as int64, state as "down", member as int16
    assert 0 < found.bytes - 6 * 50 * (25 * 4 + 8 + 4 + 2) < 1000
    assert found.bytes / 3 < found.file_bytes < found.bytes
    assert found.output == tmp_path / "virtual.nc"
    assert list(tmp_path.iterdir()) == []


def test_plan_takes_the_same_arguments(params, tmp_path):
    found = plan(params(), output=tmp_path / "x.zarr", trials=7)
    assert (found.trials, found.output) == (7, tmp_path / "x.zarr")


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_more_than_the_disk_holds_is_refused_before_anything_is_made(params, tmp_path, suffix):
    path = tmp_path / f"v.{suffix}"
    said = (
        r"6 settings x 1,000,000,000 trials need about [\d.]+ (GB|TB), more than the disk holds "
        r"with 16.8 MB to spare \([\d.]+ (MB|GB|TB) free"
    )
    with pytest.raises(OutputError, match=said):
        simulate_to_file(params(trials=10**9), output=path)
    assert list(tmp_path.iterdir()) == []
    found = plan(params(trials=10**9), output=path)
    assert found.file_bytes > found.free_bytes


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_predicted_size_is_about_that_of_the_file(params, tmp_path, suffix):
    path = tmp_path / f"v.{suffix}"
    told = plan(params(trials=4000), output=path).file_bytes
    simulate_to_file(params(trials=4000), output=path)
    files = [path] if suffix == "nc" else [file for file in path.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) == pytest.approx(told, rel=0.15)


def test_existing_output_is_replaced_by_force_only(params, tmp_path):
    simulate_to_file(params())
    before = digest(tmp_path / "virtual.nc")
    with pytest.raises(OutputError, match="exists; use --force"):
        simulate_to_file(params(), seed=8)
    assert digest(tmp_path / "virtual.nc") == before
    simulate_to_file(params(), seed=8, force=True)
    assert digest(tmp_path / "virtual.nc") != before


def test_output_is_checked_before_anything_is_drawn(params, tmp_path, monkeypatch):
    from virtlab.simulation import run

    monkeypatch.setattr(run, "load", lambda *_args: pytest.fail("loaded the model"))
    with pytest.raises(OutputError, match=r"none does not exist"):
        simulate_to_file(params(), output=tmp_path / "none" / "v.nc")


def test_missing_output_is_told(params):
    missing = params().model_copy(update={"output": None})
    with pytest.raises(ConfigError, match=r"params\.toml: no output; add output"):
        simulate_to_file(missing)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"trials": 0}])
def test_impossible_arguments_are_told(params, wrong):
    with pytest.raises(VirtlabError, match=next(iter(wrong))):
        simulate_to_file(params(), **wrong)


def test_impossible_setting_names_its_key_and_nothing_is_written(params, tmp_path):
    with pytest.raises(SettingError, match=r"params\.toml: parameters\.power: 99 W is outside"):
        simulate_to_file(params(power="[1, 99]"))
    assert list(tmp_path.iterdir()) == []


# after


def test_summary_agrees_with_the_file(params, tmp_path):
    summary = simulate_to_file(params(trials=200))
    with xr.open_dataset(tmp_path / "virtual.nc") as found:
        for name in ("light", "clicks", "trace"):
            told, values = summary.measurements[name], found[name].values
            assert told["mean"] == pytest.approx(values.mean(dtype=float), rel=1e-6)
            assert told["sd"] == pytest.approx(values.std(dtype=float), rel=1e-6)
            quantiles = np.quantile(values, [0.05, 0.5, 0.95])
            np.testing.assert_allclose(list(told["quantiles"].values()), quantiles, rtol=1e-6)
        share = float((found["state"].astype(str) == "up").mean())
    assert summary.measurements["state"]["shares"]["up"] == pytest.approx(share)
    assert sum(summary.measurements["state"]["shares"].values()) == pytest.approx(1)


def test_summary_is_json(params):
    summary = simulate_to_file(params())
    found = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert found["domain"] == {"inside": 6, "edge": 0, "outside": 0}
    assert found["worst"] is None


def test_summary_lines_tell_trials_measurements_and_file(params):
    lines = simulate_to_file(params()).lines()
    assert lines[0] == "120 virtual trials at 6 settings, seed 3; over all of them:"
    assert any(line.startswith("light") and " lm " in line for line in lines)
    assert any(line.startswith("state: ") and "%" in line for line in lines)
    assert "settings: 6 inside, 0 edge, 0 outside the training data" in lines
    assert lines[-1].endswith("virtual.nc")


def test_settings_outside_the_data_are_warned_of_by_name(params):
    summary = simulate_to_file(params(power="[5, 15, 20]", material='"glass"'))
    assert summary.domain == {"inside": 1, "edge": 0, "outside": 2}
    assert summary.outside.setting == {"power": 20.0, "material": "glass"}
    text = "\n".join(summary.lines())
    assert "warning: 2 of 3 settings lie outside the data, where the model guesses" in text
    assert "power = 20, material = glass" in text
    found = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert found["worst"]["setting"]["power"] == 20


def test_strict_refuses_settings_outside_the_data_before_anything_is_drawn(params, tmp_path):
    asked = params(power="[5, 15, 20]", material='"glass"')
    for refused in (simulate_to_file, plan):
        with pytest.raises(DomainError, match=r"2 of 3 settings lie outside .* power = 20, mat"):
            refused(asked, strict=True)
    assert list(tmp_path.iterdir()) == []
    summary = simulate_to_file(params(), strict=True)
    assert summary.domain["outside"] == 0


def test_simulate_to_netcdf_imports_neither_tensorflow_nor_what_else_is_slow(params, tmp_path):
    (tmp_path / "params.toml").write_text(params().text)
    code = (
        "import sys\n"
        "from virtlab.config import read_params\n"
        "from virtlab.simulation import simulate_to_file\n"
        "from pathlib import Path\n"
        "simulate_to_file(read_params(Path('params.toml')))\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'jax', 'torch', 'xarray', 'pandas', 'zarr'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
    assert Path(tmp_path / "virtual.nc").exists()


def test_another_process_gives_the_same_bytes(params, tmp_path):
    (tmp_path / "params.toml").write_text(params().text)
    simulate_to_file(params(), output=tmp_path / "here.nc")
    code = (
        "from pathlib import Path\n"
        "from virtlab.config import read_params\n"
        "from virtlab.simulation import simulate_to_file\n"
        "simulate_to_file(read_params(Path('params.toml')), output=Path('there.nc'))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert digest(tmp_path / "here.nc") == digest(tmp_path / "there.nc")
