"""Who gets the page, and what `virtlab explore` says when it cannot serve it."""

import contextlib
import hashlib
import http.client
import json
import socket
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtlab.cli import main


def ask(explorer, path, **headers):
    """Status and body of a request to the server."""
    connection = http.client.HTTPConnection("127.0.0.1", explorer.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def own(explorer):
    """The token's folder."""
    return "/" + explorer.address.split("/")[3] + "/"


def test_the_page_is_there_for_who_has_the_token(explorer, own):
    status, page = ask(explorer, own)
    assert status == 200
    assert "<h1>tiny</h1>" in page
    assert ask(explorer, f"{own}static/js/bokeh.min.js")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/ws", "/static/js/bokeh.min.js", "/metadata", "/favicon.ico", "/../", "//", "/%00"],
)
def test_without_the_token_nothing_is_told(explorer, path):
    status, said = ask(explorer, path)
    assert status == 403
    assert "tiny" not in said


def test_a_token_that_is_nearly_right_is_wrong(explorer, own):
    assert ask(explorer, own[:-2] + ("x" if own[-2] != "x" else "y") + "/")[0] == 403
    assert ask(explorer, own[:-2] + "/")[0] == 403
    assert ask(explorer, f"/tiny{own}")[0] == 403


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_pages_of_others_get_nothing_even_with_the_token(explorer, own, headers):
    assert ask(explorer, own, **headers)[0] == 403
    assert ask(explorer, f"{own}ws", **headers)[0] == 403


def test_no_folder_is_reachable_beside_the_pages_own_files(explorer, own):
    for path in ("static/../../../../etc/passwd", "static/%2e%2e/%2e%2e/setup.cfg", "static//etc"):
        assert ask(explorer, own + path)[0] in (403, 404)


def test_only_this_machine_is_served(explorer):
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in addresses - {"127.0.0.1", "::1"}:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, explorer.port), timeout=2).close()


def test_ctrl_c_ends_it_quietly(tiny_model, start_explorer):
    running = start_explorer(tiny_model, "--trials", "10")
    assert ask(running, "/")[0] == 403
    code, said = running.interrupt()
    assert code == 0
    assert said.splitlines() == [f"loading {tiny_model}", "Ctrl-C ends"]


def test_a_browser_is_not_started_with_the_token_but_with_a_file_that_leads_there(
    tiny_model, start_explorer, tab, tmp_path
):
    told, browser = tmp_path / "told", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {told}.part && mv {told}.part {told}\n')
    browser.chmod(0o700)
    running = start_explorer(tiny_model, "--trials", "50", browser=browser)
    end = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < end, "no browser was started"
        time.sleep(0.05)
    address = told.read_text().strip()
    assert address.startswith("file://")
    door = Path(address.removeprefix("file://"))
    assert door.stat().st_mode & 0o077 == door.parent.stat().st_mode & 0o077 == 0
    tab.open(address)
    assert tab.evaluate("location.href") == running.address
    assert not tab.complaints
    assert running.interrupt()[0] == 0
    assert not door.parent.exists()


def test_a_port_that_is_taken_is_named(tiny_model, explorer):
    done = CliRunner().invoke(
        main, ["explore", str(tiny_model), "--no-browser", "-q", "--port", str(explorer.port)]
    )
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: port {explorer.port} of 127.0.0.1: it is taken")


def test_what_is_no_model_is_told_of(tmp_path):
    path = tmp_path / "no.virtlab"
    path.write_text("nothing")
    done = CliRunner().invoke(main, ["explore", str(path), "--no-browser", "-q"])
    assert done.exit_code == 1
    assert str(path) in done.stderr
    assert CliRunner().invoke(main, ["explore", "gone.virtlab", "-q"]).exit_code == 1


def test_more_trials_than_can_be_looked_at_are_refused(tiny_model):
    done = CliRunner().invoke(main, ["explore", str(tiny_model), "--trials", "200000", "-q"])
    assert done.exit_code == 2
    assert "100000" in done.stderr


def test_without_bokeh_the_extra_is_named(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    done = CliRunner().invoke(main, ["explore", str(tiny_model), "--no-browser", "-q"])
    assert done.exit_code == 1
    assert done.stderr == "error: the page needs bokeh: pip install 'virtlab[explore]'\n"


def test_names_in_a_strangers_model_are_text(tiny_model, tmp_path, start_explorer, tab):
    hostile = "<img src=x onerror=alert(1)>$$\\href{http://evil.example}{x}$$</script>"
    path = tmp_path / "hostile.virtlab"
    with zipfile.ZipFile(tiny_model) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                for word in ("tiny", "light", "up", "glass", "material=glass"):
                    content = content.replace(
                        json.dumps(word).encode(), json.dumps(word + hostile).encode()
                    )
                new.comment = hashlib.sha256(content).hexdigest().encode()
            new.writestr(name, content)
    running = start_explorer(path, "--trials", "50")
    tab.open(running.address)
    assert tab.evaluate("document.querySelector('h1').textContent") == f"tiny{hostile}"
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert not tab.complaints
    assert all("evil" not in url for url in tab.requests)
