import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import ConfigError, OutputError
from virtlab.storage.output import check_output, write_virtual_trials

SUFFIXES = [".nc", ".zarr"]


@pytest.fixture
def virtual():
    rng = np.random.default_rng(3)
    return xr.Dataset(
        {
            "yield": (
                ("n", "trial"),
                rng.normal(size=(3, 50)).astype("f4"),
                {"units": "percent", "support": [0.0, np.inf]},
            ),
            "colour": (("n", "trial"), np.array([["rot", "grün", ""] * 16 + ["x", "y"]] * 3, "O")),
            "member": ("trial", np.arange(50, dtype="i4")),
            "mean": ((), 2.5),
        },
        coords={
            "n": ("n", [6.0, 8.0, 10.0], {"units": "1"}),
            "base": ("n", np.array(["BTMG", "MTBD", "日本"], dtype=object)),
            "temperature": 350.0,
            "solvent": "DMSO",
            "trial": np.arange(50),
        },
        attrs={"virtual_data": 1, "seed": 7, "params": 'trials = 50\n# "é"\n', "who": ["a", "b"]},
    )


def reopen(path: Path) -> xr.Dataset:
    if path.suffix == ".nc":
        return xr.load_dataset(path, engine="h5netcdf")
    dataset = xr.open_dataset(path, engine="zarr", consolidated=False).load()
    assert dataset.attrs.pop("complete") == 1
    return dataset


def digest(path: Path) -> str:
    found = hashlib.sha256()
    for file in sorted([path, *path.rglob("*")]):
        if file.is_file():
            found.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return found.hexdigest()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_xarray_reads_back_what_was_written(virtual, tmp_path, suffix):
    before = virtual.copy(deep=True)
    write_virtual_trials(virtual, tmp_path / f"v{suffix}")
    found = reopen(tmp_path / f"v{suffix}")
    xr.testing.assert_identical(found, before)
    assert found["yield"].dtype == np.float32
    assert found["member"].dtype == np.int32
    assert np.isnan(found["yield"].encoding["_FillValue"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_leaves_the_given_dataset_as_it_was(virtual, tmp_path, suffix):
    virtual["yield"].encoding = {"zlib": False}
    virtual.attrs["flag"] = True
    write_virtual_trials(virtual, tmp_path / f"v{suffix}")
    assert virtual["yield"].encoding == {"zlib": False}
    assert virtual.attrs["flag"] is True
    assert reopen(tmp_path / f"v{suffix}").attrs["flag"] == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_trials_give_the_same_bytes_at_another_time(virtual, tmp_path, suffix):
    write_virtual_trials(virtual, tmp_path / f"a{suffix}")
    time.sleep(1.1)  # HDF5 counts times in seconds
    write_virtual_trials(virtual, tmp_path / f"b{suffix}")
    assert digest(tmp_path / f"a{suffix}") == digest(tmp_path / f"b{suffix}")


def test_netcdf_compresses_measurements_and_marks_missing_numbers(virtual, tmp_path):
    import h5py

    write_virtual_trials(virtual, tmp_path / "v.nc")
    with h5py.File(tmp_path / "v.nc") as file:
        measured = file["yield"]
        assert (measured.compression, measured.compression_opts, measured.shuffle) == (
            "gzip",
            1,
            True,
        )
        assert np.isnan(measured.attrs["_FillValue"])
        assert "_FillValue" not in file["n"].attrs


def test_a_lost_zarr_chunk_never_reads_as_a_plausible_number(virtual, tmp_path):
    store = tmp_path / "v.zarr"
    write_virtual_trials(virtual, store)
    for chunk in [*store.glob("yield/c/**/*"), *store.glob("member/c/**/*")]:
        if chunk.is_file():
            chunk.unlink()
    found = xr.open_dataset(store, engine="zarr", consolidated=False)
    assert np.isnan(found["yield"].values).all()
    assert (found["member"].values < 0).all()


def test_a_flipped_bit_in_a_zarr_chunk_is_noticed(virtual, tmp_path):
    store = tmp_path / "v.zarr"
    write_virtual_trials(virtual, store)
    chunk = next(file for file in store.glob("yield/c/**/*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        xr.open_dataset(store, engine="zarr", consolidated=False)["yield"].load()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_output_is_refused_without_force(virtual, tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    write_virtual_trials(virtual, path)
    before = digest(path)
    with pytest.raises(OutputError, match=r"exists; use --force to replace it"):
        write_virtual_trials(virtual * 2, path)
    assert digest(path) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_force_replaces_virtual_trials_and_leaves_nothing_beside_them(virtual, tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    write_virtual_trials(virtual, path)
    write_virtual_trials(virtual.isel(n=[0]), path, force=True)
    assert reopen(path).sizes["n"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["v.csv", "v", "v.nc4", "v.zarr.zip"])
def test_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.nc"):
        check_output(tmp_path / name)


def test_missing_folder_is_refused_before_any_work(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere does not exist; create it first"):
        check_output(tmp_path / "nowhere" / "v.nc")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file is not a folder"):
        check_output(tmp_path / "file" / "v.nc")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write"):
        check_output(tmp_path / "v.nc")


def test_folder_that_cannot_be_written_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(OutputError, match="no permission to write"):
        check_output(tmp_path / "v.nc")


def test_folder_at_a_netcdf_path_is_never_replaced(tmp_path):
    (tmp_path / "v.nc").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "v.nc", force=True)


def test_pipe_at_a_netcdf_path_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "v.nc")
    with pytest.raises(OutputError, match="not a regular file"):
        check_output(tmp_path / "v.nc", force=True)


def _thesis(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years")


def _measured_store(path):
    xr.Dataset({"y": ("trial", [1.0])}).to_zarr(path, zarr_format=3, consolidated=False)


def _file(path):
    path.write_text("text")


def _link(path):
    _thesis(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("make", [_thesis, _measured_store, _file, _link])
def test_force_never_deletes_what_is_not_virtual_trials(virtual, tmp_path, make):
    path = tmp_path / "v.zarr"
    make(path)
    before = digest(tmp_path)
    with pytest.raises(OutputError, match="never deletes, not even with --force"):
        write_virtual_trials(virtual, path, force=True)
    assert digest(tmp_path) == before


def test_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "v.nc").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists"):
        check_output(tmp_path / "v.nc")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failure_leaves_the_old_output_and_no_scraps(virtual, tmp_path, monkeypatch, suffix):
    path = tmp_path / f"v{suffix}"
    write_virtual_trials(virtual, path)
    before = digest(path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device"):
        write_virtual_trials(virtual * 2, path, force=True)
    monkeypatch.undo()
    assert digest(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_old_store_comes_back_when_the_new_one_cannot_be_moved(virtual, tmp_path, monkeypatch):
    path = tmp_path / "v.zarr"
    write_virtual_trials(virtual, path)
    rename, before = Path.rename, digest(path)

    def refuse_new(source, target):
        if ".unfinished" in source.name:
            raise OSError(5, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OutputError, match="Input/output error"):
        write_virtual_trials(virtual * 2, path, force=True)
    assert digest(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ctrl_c_leaves_no_scraps(virtual, tmp_path, monkeypatch, suffix):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_virtual_trials(virtual, tmp_path / f"v{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{"a": 1}, None, [[1]], "a\0b", b"bytes", 1j])
def test_attribute_that_no_format_holds_is_refused(virtual, tmp_path, value):
    virtual["yield"].attrs["odd"] = value
    with pytest.raises(OutputError, match=r"attribute 'odd' of 'yield' cannot be stored"):
        write_virtual_trials(virtual, tmp_path / "v.nc")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_users_umask_decides_who_may_read(virtual, tmp_path, suffix):
    old = os.umask(0o022)
    try:
        write_virtual_trials(virtual, tmp_path / f"v{suffix}")
    finally:
        os.umask(old)
    assert (tmp_path / f"v{suffix}").stat().st_mode & 0o044 == 0o044


def test_checking_an_output_imports_nothing_slow():
    code = (
        "import sys; from pathlib import Path; from virtlab.storage.output import check_output; "
        "check_output(Path('v.nc')); "
        "print([m for m in ('xarray', 'h5py', 'zarr', 'pandas', 'pint') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
