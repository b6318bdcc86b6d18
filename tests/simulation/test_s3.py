"""Virtual trials in a bucket: moto's S3 server, a process of its own on loopback."""

import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.simulation import simulate_to_file
from virtlab.storage import template

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")
# s3fs leaves closing its sessions to the interpreter's end.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def server():
    """Address of the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urlopen(address, timeout=5).close()
            break
        except URLError:
            assert process.poll() is None, "moto's server does not start"
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def bucket(server, monkeypatch):
    """Files of an empty bucket named ``lab``; the environment leads there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(template, "REGION_BYTES", 2**15)
    files = s3fs.S3FileSystem(use_listings_cache=False)
    files.mkdir("lab")
    yield files
    files.rm("lab", recursive=True)


@pytest.fixture
def simulated(params, tmp_path, bucket):
    """Run `virtlab simulate` with some options, into the bucket unless they say otherwise."""

    def run(*options, output="s3://lab/v.zarr", trials=1500):
        path = tmp_path / "params.toml"
        path.write_text(params(trials=trials).text)
        return CliRunner().invoke(main, ["simulate", str(path), "-q", "-o", output, *options])

    return run


def content(files):
    return {key: files.cat_file(key) for key in files.find("lab/v.zarr")}


def test_a_store_in_a_bucket_has_the_bytes_of_one_in_a_folder(params, tmp_path, bucket, simulated):
    result = simulated()
    assert result.exit_code == 0, result.stderr
    here = tmp_path / "here.zarr"
    simulate_to_file(params(trials=1500), output=here)
    assert {key.removeprefix("lab/v.zarr/"): data for key, data in content(bucket).items()} == {
        str(file.relative_to(here)): file.read_bytes() for file in here.rglob("*") if file.is_file()
    }
    with xr.open_zarr("s3://lab/v.zarr", consolidated=False) as store:
        assert store.attrs["complete"] == 1
        assert store.sizes["trial"] == 1500
        assert np.isfinite(store["trace"]).all()


def test_workers_write_to_a_bucket(bucket, simulated):
    assert simulated().exit_code == 0
    whole = content(bucket)
    result = simulated("--force", "--workers", "2")
    assert result.exit_code == 0, result.stderr
    assert content(bucket) == whole


def test_an_interrupted_run_in_a_bucket_is_gone_on_with(bucket, simulated):
    assert simulated().exit_code == 0
    whole = content(bucket)
    root = "lab/v.zarr/zarr.json"
    bucket.pipe_file(root, whole[root].replace(b',\n    "complete": 1', b""))
    lost = [key for key in whole if "/c/" in key][::5]
    assert lost
    bucket.rm(lost)
    result = simulated("--resume")
    assert result.exit_code == 0, result.stderr
    assert content(bucket) == whole


def test_what_stands_in_a_bucket_is_not_replaced_without_a_word(bucket, simulated):
    assert simulated(trials=5).exit_code == 0
    before = content(bucket)
    refused = simulated(trials=6)
    assert (refused.exit_code, content(bucket)) == (1, before)
    assert "s3://lab/v.zarr exists; --force replaces it" in refused.stderr
    assert simulated("--force", trials=6).exit_code == 0
    assert content(bucket) != before


def test_a_bucket_that_is_not_there_is_told(simulated):
    result = simulated(output="s3://nowhere/v.zarr", trials=5)
    assert result.exit_code == 1
    assert "s3://nowhere/v.zarr" in result.stderr
    assert "internal" not in result.stderr
