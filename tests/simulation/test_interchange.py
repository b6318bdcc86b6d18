"""Virtual trials for other tools: plain HDF5, Parquet, InferenceData; the same trials in each."""

import importlib.util
import math
import os
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.errors import ConfigError, OutputError
from virtlab.simulation import simulate_to_file
from virtlab.storage import inspect_file, open_trials, template

GRID = {"power": [1, 2.5, 4], "material": ["glass", "steel"]}
EXPERIMENT = """
[experiment]
name = "again"
[data]
files = ["v.h5"]
reader = "table"
[parameters.power]
path = "parameters/power"
units = "W"
[parameters.material]
path = "parameters/material"
[measurements.light]
path = "measurements/light"
units = "lm"
support = [0, inf]
[measurements.clicks]
path = "measurements/clicks"
kind = "count"
[measurements.state]
path = "measurements/state"
[measurements.trace]
path = "measurements/trace"
units = "V"
dims = ["time"]
coords.time = { path = "axes/time", units = "s" }
"""


@pytest.fixture
def made(tiny):
    """The same trials in memory, one row each."""
    return tiny.simulate(GRID, trials=2000, seed=3).stack(row=("power", "material", "trial"))


@pytest.fixture(params=[2**15, 2**24])
def regions(request, monkeypatch):
    """Many regions, or one."""
    monkeypatch.setattr(template, "REGION_BYTES", request.param)


def test_plain_hdf5_is_read_back_by_the_table_reader(params, tmp_path, made, regions):
    simulate_to_file(params(trials=2000), output=tmp_path / "v.h5")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    found = open_trials(tmp_path / "experiment.toml")
    assert found.sizes == {"trial": 12000, "time": 24}
    for name in ("power", "material", "light", "clicks", "state"):
        np.testing.assert_array_equal(found[name], made[name], err_msg=name)
    np.testing.assert_array_equal(found["trace"], made["trace"].transpose("row", "time"))
    np.testing.assert_array_equal(found["time"], made["time"])


def test_plain_hdf5_says_that_it_was_simulated(params, tmp_path):
    simulate_to_file(params(trials=5), output=tmp_path / "v.h5")
    found = inspect_file(tmp_path / "v.h5")
    assert found.kind == "virtual"
    text = str(found)
    assert "virtual trials, simulated" in text
    assert "trial 30" in text
    for name in ("power", "light", "trace", "model_sha256", "seed"):
        assert name in text
    with h5py.File(tmp_path / "v.h5") as file:
        assert file.attrs["virtual_data"] == 1
        assert file["measurements/light"].attrs["units"] == "lm"
        assert set(file["parameters/domain"][:]) == {b"inside"}


def test_parquet_is_a_long_table(params, tmp_path, made, regions):
    simulate_to_file(params(trials=2000), output=tmp_path / "v.parquet")
    found = pd.read_parquet(tmp_path / "v.parquet")
    assert len(found) == 12000
    for name in ("power", "material", "trial", "light", "clicks", "state", "member"):
        np.testing.assert_array_equal(found[name], made[name], err_msg=name)
    trace = np.stack(found["trace"].to_numpy())
    np.testing.assert_array_equal(trace, made["trace"].transpose("row", "time"))


def test_parquet_says_where_it_comes_from(params, tmp_path):
    import pyarrow.parquet

    simulate_to_file(params(), output=tmp_path / "v.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "v.parquet")
    assert schema.metadata[b"virtual_data"] == b"1"
    assert b"simulated, not measured" in schema.metadata[b"source"]
    assert schema.field("light").metadata[b"units"] == b"lm"


def test_inference_data_has_chain_and_draw_first(params, tmp_path, tiny, regions):
    path = tmp_path / "v.nc"
    simulate_to_file(params(trials=2000), output=path, inference=True)
    made = tiny.simulate(GRID, trials=2000, seed=3)
    with xr.open_dataset(path, group="posterior_predictive") as found:
        assert found["trace"].dims == ("chain", "draw", "power", "material", "time")
        assert found["chain"].values.tolist() == [0]
        turned = found.load().isel(chain=0).rename(draw="trial")
        for name in ("light", "clicks", "trace", "member"):
            here = turned[name].transpose(*made[name].dims)
            np.testing.assert_array_equal(here, made[name], err_msg=name)
        here = turned["state"].transpose(*made["state"].dims)
        np.testing.assert_array_equal(here.values.astype(object), made["state"])
        assert found.attrs["inference_library"] == "virtlab"
    with xr.open_dataset(path, group="constant_data") as known:
        np.testing.assert_array_equal(known["domain_distance"], made["domain_distance"])
        assert set(np.unique(known["domain"].astype(str))) == {"inside"}
    with xr.open_dataset(path) as root:
        assert root.attrs["virtual_data"] == 1


@pytest.mark.skipif(not importlib.util.find_spec("arviz"), reason="ArviZ is not installed")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # when ArviZ is imported
def test_arviz_reads_inference_data(params, tmp_path):
    import arviz

    simulate_to_file(params(), output=tmp_path / "v.nc", inference=True)
    found = arviz.from_netcdf(tmp_path / "v.nc")
    assert found.posterior_predictive["light"].dims[:2] == ("chain", "draw")


@pytest.mark.parametrize("name", ["v.h5", "v.parquet", "v.nc"])
def test_same_params_give_the_same_bytes(params, tmp_path, regions, name):
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / name
        simulate_to_file(params(trials=1500), output=path, inference=name == "v.nc")
        found.append(path.read_bytes())
        time.sleep(1.1)  # HDF5 counts times in seconds
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["v.h5", "v.parquet"])
def test_only_virtual_trials_are_replaced(params, tmp_path, name):
    path = tmp_path / name
    simulate_to_file(params(), output=path)
    with pytest.raises(OutputError, match="exists; use --force"):
        simulate_to_file(params(), output=path)
    simulate_to_file(params(), output=path, seed=9, force=True)
    if name == "v.h5":
        with h5py.File(path, "w") as file:
            file["years"] = [1, 2]
    else:
        pd.DataFrame({"years": [1, 2]}).to_parquet(path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="never deletes, not even with --force"):
        simulate_to_file(params(), output=path, force=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["v.h5", "v.parquet", "v.nc"])
def test_failure_leaves_nothing(params, tmp_path, monkeypatch, name):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        simulate_to_file(params(), output=tmp_path / name, inference=name == "v.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_table_from_one_setting_with_constant_parameters(params, tmp_path):
    asked = params(power="3", material='"glass"', trials=9)
    simulate_to_file(asked, output=tmp_path / "v.parquet")
    found = pd.read_parquet(tmp_path / "v.parquet")
    assert found["power"].tolist() == [3] * 9
    assert found["domain"].tolist() == ["inside"] * 9
    simulate_to_file(asked, output=tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5") as file:
        np.testing.assert_array_equal(file["measurements/light"], found["light"])
        assert set(file["parameters/material"][:]) == {b"glass"}
    assert found["trial"].tolist() == list(range(9))
    assert math.isfinite(found["light"].sum())


def test_inference_data_is_netcdf(params, tmp_path):
    with pytest.raises(ConfigError, match="InferenceData is a NetCDF file"):
        simulate_to_file(params(), output=tmp_path / "v.zarr", inference=True)


def test_the_command_line_knows_them(params, tmp_path):
    (tmp_path / "params.toml").write_text(params().text)
    for name, more in {"v.h5": [], "v.parquet": [], "v.nc": ["--to", "inference-data"]}.items():
        command = ["simulate", str(tmp_path / "params.toml"), "-q", "-o", str(tmp_path / name)]
        result = CliRunner().invoke(main, command + more)
        assert result.exit_code == 0, result.stderr
