"""Workers of a real Dask cluster write the bytes that this process would, even if one is killed."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.errors import ClusterError, ConfigError, OutputError
from virtlab.simulation import simulate_to_file
from virtlab.storage import template

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
DASK = [sys.executable, "-m", "distributed.cli"]


def content(store):
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in store.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def small_regions(monkeypatch):
    monkeypatch.setattr(template, "REGION_BYTES", 2**15)


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two workers, each a process of its own: its address, and the workers."""
    scheduler = subprocess.Popen(
        [*DASK[:2], "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
    )
    address = None
    for line in scheduler.stderr:
        if "Scheduler at:" in line:
            address = line.split()[-1].replace(line.split()[-1].split(":")[1], "//127.0.0.1")
            break
    worker = [*DASK[:2], "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
    options = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    workers = [subprocess.Popen([*worker, "--nthreads", "1"], **options) for _ in range(2)]
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()
    scheduler.stderr.close()


def test_two_workers_write_the_bytes_of_one_process_though_one_is_killed(
    params, tmp_path, small_regions, cluster
):
    address, workers = cluster
    asked = params(trials=5000)
    here = simulate_to_file(asked, output=tmp_path / "here.zarr")
    told = []

    def kill_one(progress):
        told.append(progress.fraction)
        if len(told) == 5:
            workers[0].send_signal(signal.SIGKILL)

    logging.getLogger("distributed").setLevel(logging.ERROR)
    there = simulate_to_file(
        asked, output=tmp_path / "there.zarr", cluster=address, report=kill_one
    )
    assert workers[0].wait(5) == -signal.SIGKILL
    assert len(told) > 10
    assert content(tmp_path / "there.zarr") == content(tmp_path / "here.zarr")
    assert there.measurements == here.measurements


def test_processes_of_its_own_go_on_with_what_was_left(params, tmp_path, small_regions):
    asked = params(trials=3000)
    simulate_to_file(asked, output=tmp_path / "here.zarr")
    simulate_to_file(asked, output=tmp_path / "there.zarr")
    left = tmp_path / "there.zarr.unfinished"
    (tmp_path / "there.zarr").rename(left)
    root = left / "zarr.json"
    root.write_text(root.read_text().replace(',\n    "complete": 1', ""))
    for shard in list(left.glob("light/c/*/1/*")):
        shard.unlink()
    simulate_to_file(asked, output=tmp_path / "there.zarr", resume=True, workers=1)
    assert content(tmp_path / "there.zarr") == content(tmp_path / "here.zarr")


def test_ctrl_c_stops_the_workers_too_and_is_told_in_a_line(params, tmp_path):
    (tmp_path / "params.toml").write_text(params(trials=300_000).text)
    command = [sys.executable, "-m", "virtlab", "simulate", "params.toml", "-q", "-o", "v.zarr"]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(tmp_path.glob("v.zarr.unfinished/*/c/*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers hear it, too
    _, said = process.communicate()
    assert (process.returncode, said.strip()) == (130, "error: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["params.toml"]


def test_nobody_at_the_address_is_told(params, tmp_path, monkeypatch):
    from virtlab.simulation import cluster

    monkeypatch.setattr(cluster, "TIMEOUT", "300ms")
    with pytest.raises(ClusterError, match=r"tcp://127.0.0.1:9: .*dask scheduler"):
        simulate_to_file(params(), output=tmp_path / "v.zarr", cluster="tcp://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_several_workers_need_a_store_and_one_cluster(params, tmp_path):
    with pytest.raises(ConfigError, match="only write a Zarr store"):
        simulate_to_file(params(), output=tmp_path / "v.nc", workers=2)
    with pytest.raises(ConfigError, match="give one of them"):
        simulate_to_file(params(), output=tmp_path / "v.zarr", workers=2, cluster="tcp://x:1")


# URLs


def test_a_store_behind_a_url_has_the_bytes_of_one_in_a_folder(params, tmp_path):
    import fsspec

    asked = params()
    simulate_to_file(asked, output=tmp_path / "here.zarr")
    simulate_to_file(asked, output="memory://results/there.zarr")
    files = fsspec.filesystem("memory")
    found = {
        key.removeprefix("/results/there.zarr/"): files.cat_file(key)
        for key in files.find("/results/there.zarr")
    }
    assert found == content(tmp_path / "here.zarr")
    with xr.open_zarr("memory://results/there.zarr", consolidated=False) as store:
        assert store.attrs["complete"] == 1
        assert np.isfinite(store["trace"]).all()


def test_a_store_behind_a_url_is_gone_on_with(params, small_regions):
    import fsspec

    asked, url = params(trials=2000), "memory://results/again.zarr"
    simulate_to_file(asked, output=url)
    files = fsspec.filesystem("memory")
    whole = {key: files.cat_file(key) for key in files.find("/results/again.zarr")}
    root = "/results/again.zarr/zarr.json"
    files.pipe_file(root, whole[root].replace(b',\n    "complete": 1', b""))
    for key in list(whole)[::7]:
        if "/c/" in key and "trace" in key:
            files.rm(key)
    simulate_to_file(asked, output=url, resume=True)
    assert {key: files.cat_file(key) for key in files.find("/results/again.zarr")} == whole


def test_what_stands_behind_a_url_is_not_replaced_without_a_word(params):
    import fsspec

    files, url = fsspec.filesystem("memory"), "memory://results/stands.zarr"
    simulate_to_file(params(trials=5), output=url)
    before = {key: files.cat_file(key) for key in files.find("/results/stands.zarr")}
    with pytest.raises(OutputError, match=r"exists; .*--force replaces it"):
        simulate_to_file(params(trials=6), output=url)
    with pytest.raises(OutputError, match="left by a run of other trials"):
        simulate_to_file(params(trials=6), output=url, resume=True)
    assert {key: files.cat_file(key) for key in files.find("/results/stands.zarr")} == before
    simulate_to_file(params(trials=6), output=url, force=True)
    with xr.open_zarr(url, consolidated=False) as store:
        assert store.sizes["trial"] == 6


@pytest.mark.parametrize("asked", [{}, {"force": True}, {"resume": True}])
@pytest.mark.parametrize("name", ["notes.txt", "zarr.json"])
def test_what_is_not_ours_behind_a_url_is_never_deleted(params, asked, name):
    import fsspec

    files, root = fsspec.filesystem("memory"), f"/results/foreign-{name}-{len(asked)}.zarr"
    files.pipe_file(f"{root}/{name}", b'{"node_type": "group", "attributes": {}}')
    with pytest.raises(OutputError, match="virtlab never deletes"):
        simulate_to_file(params(trials=5), output=f"memory:/{root}", **asked)
    assert files.find(root) == [f"{root}/{name}"]


@pytest.mark.parametrize(
    ("url", "said"),
    [("memory://v.nc", "URL that ends in .zarr"), ("nonsense://v.zarr", "nonsense")],
)
def test_urls_that_lead_nowhere_are_told(tmp_path, params, url, said):
    (tmp_path / "params.toml").write_text(params().text)
    result = CliRunner().invoke(main, ["simulate", str(tmp_path / "params.toml"), "-q", "-o", url])
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "internal" not in result.stderr
