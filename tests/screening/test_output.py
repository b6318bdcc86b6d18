"""screen.csv and its siblings: what stands in them, and that they are written whole."""

import csv
import os

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import OutputError
from virtlab.screening import screen, write_screen


@pytest.fixture
def found(lamp, asked):
    lamp(noise=0.5, ignorance=0.3)
    return screen(asked()).dataset


def test_csv_gives_back_every_number(found, tmp_path):
    write_screen(found, tmp_path / "screen.csv")
    with (tmp_path / "screen.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found.sizes["setting"]
    for name, variable in found.variables.items():
        if name == "rank":
            assert [row["rank"] for row in rows] == [*"12345678", "", ""]
        elif variable.dtype == object:
            assert [row[name] for row in rows] == variable.values.tolist()
        else:
            numbers = [float(row[name] or "nan") for row in rows]
            np.testing.assert_array_equal(numbers, variable.values)


def test_every_line_of_a_csv_says_that_it_is_virtual(found, tmp_path):
    write_screen(found, tmp_path / "screen.csv")
    with (tmp_path / "screen.csv").open(newline="") as file:
        assert {row["virtual_data"] for row in csv.DictReader(file)} == {"1"}


def test_csv_keeps_commas_quotes_and_lines_of_a_category(found, tmp_path):
    odd = 'soda, "lime"\nglass µ'
    glass = np.where(found["glass"] == "clear", odd, found["glass"]).astype(object)
    write_screen(found.assign_coords(glass=("setting", glass)), tmp_path / "screen.csv")
    with (tmp_path / "screen.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["glass"] == odd


@pytest.mark.parametrize("suffix", ["csv", "nc"])
def test_same_screen_gives_the_same_bytes(lamp, asked, tmp_path, suffix):
    lamp(noise=0.5)
    for name in "ab":
        screen(asked(), output=tmp_path / f"{name}.{suffix}")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert first == second


def test_netcdf_gives_back_the_dataset(found, tmp_path):
    write_screen(found, tmp_path / "screen.nc")
    with xr.open_dataset(tmp_path / "screen.nc") as back:
        xr.testing.assert_equal(back, found)
        assert back.attrs == found.attrs


def test_zarr_gives_back_the_dataset(found, tmp_path):
    write_screen(found, tmp_path / "screen.zarr")
    with xr.open_zarr(tmp_path / "screen.zarr", consolidated=False) as back:
        xr.testing.assert_equal(back.compute(), found)


def test_force_replaces_a_screen_and_leaves_nothing_else_behind(found, tmp_path):
    path = tmp_path / "screen.csv"
    write_screen(found, path)
    before = path.read_text()
    with pytest.raises(OutputError, match="--force to replace it"):
        write_screen(found.isel(setting=[0]), path)
    assert path.read_text() == before
    write_screen(found.isel(setting=[0]), path, force=True)
    assert path.read_text().splitlines() == before.splitlines()[:2]
    assert [file.name for file in tmp_path.glob("*screen*")] == ["screen.csv"]


@pytest.mark.parametrize("theirs", ["power,glass\n1,clear\n", "rank,light\n1,2\n", ""])
def test_a_labs_own_table_is_never_replaced(found, tmp_path, theirs):
    path = tmp_path / "candidates.csv"
    path.write_text(theirs)
    with pytest.raises(OutputError, match="is no screen, which virtlab never replaces"):
        write_screen(found, path, force=True)
    assert path.read_text() == theirs


def test_failed_write_leaves_the_old_file(found, tmp_path, monkeypatch):
    path = tmp_path / "screen.csv"
    write_screen(found, path)
    before = path.read_text()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_screen(found.isel(setting=[0]), path, force=True)
    assert path.read_text() == before
    assert [file.name for file in tmp_path.glob("*screen*")] == ["screen.csv"]
