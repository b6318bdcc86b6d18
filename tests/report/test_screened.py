"""A screen's page: what stands in it, that it is sound, and that a real browser shows it."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import ConfigError, OutputError
from virtlab.report import render_screen, screen_to_files
from virtlab.screening import screen

_path = Path(__file__).parents[1] / "screening" / "conftest.py"
_spec = importlib.util.spec_from_file_location("lamps", _path)
lamps = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lamps)
lamp, asked = lamps.lamp, lamps.asked

_spec = importlib.util.spec_from_file_location(
    "browsing", Path(__file__).parent / "test_browser.py"
)
browsing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(browsing)
browser = pytest.mark.skipif(browsing.BROWSER is None, reason="no Chromium")

MAXIMIZE = 'maximize = "light"\nrequire = ["max(trace) < 3.5"]'
WANTED = {
    "one": MAXIMIZE + '\nbest = 12\ncost = "power"',
    "two": 'maximize = "light"\nminimize = "max(trace)"\nbest = [12, 2]',
    "three": 'maximize = "light"\nminimize = "max(trace)"\ntarget = { clicks = 7 }',
    "require": 'require = ["max(trace) < 3.5"]',
}
HOSTILE = "<script>alert(1)</script>$\\frac{&\"'"


@pytest.fixture(params=WANTED)
def found(request, lamp, asked):
    """A screen of each kind."""
    lamp(noise=0.5, ignorance=0.5)
    return screen(asked((MAXIMIZE, WANTED[request.param]))).dataset


def figures(text):
    """Each ``<svg>`` of a page, parsed."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def test_page_shows_the_ranking_and_the_settings_outside(lamp, asked):
    lamp(noise=0.5)
    text = render_screen(screen(asked((MAXIMIZE, WANTED["one"]))).dataset)
    assert "First: power = 3, glass = clear; expected light: 1" in text
    assert "<td>2</td><td>2</td><td>clear</td>" in text
    assert "Outside the training data" in text
    assert text.count("<td>outside</td>") == 2
    assert "best measured: 12 lm (as params.toml says)" in text
    assert "hardly better than ignoring the parameters" in text
    assert "power = [1, 2, 3, 4, 9]" in text


def test_every_figure_is_sound_xml_and_says_what_is_seen(found):
    drawn = figures(render_screen(found))
    assert len(drawn) >= 3
    for svg in drawn:
        assert len(svg.get("aria-label")) > 40
        assert "nan" not in svg.get("aria-label")


def test_page_asks_nothing_of_the_network_and_runs_nothing(found):
    text = render_screen(found)
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)


def test_several_goals_have_a_front_and_sections_of_their_own(lamp, asked):
    lamp(noise=0.2)
    pages = {
        name: render_screen(screen(asked((MAXIMIZE, WANTED[name]))).dataset)
        for name in ("two", "three")
    }
    for title in ("Pareto front", "Maximize light", "Minimize max(trace)"):
        assert f"<h2>{title}</h2>" in pages["two"]
    assert "Target clicks = 7" in pages["three"]
    assert pages["three"].count("on the Pareto front of all goals") == 3  # a figure per pair


def test_same_screen_gives_the_same_page(found):
    assert render_screen(found) == render_screen(found)


def test_page_of_a_file_is_the_page_of_the_screen(lamp, asked, tmp_path):
    lamp(noise=0.5)
    outputs = tmp_path / "screen.html", tmp_path / "screen.nc"
    screen_to_files(asked(), output=outputs)
    with xr.open_dataset(outputs[1]) as back:
        assert render_screen(back.load()) == outputs[0].read_text()


def test_page_is_never_written_over_another_unasked(lamp, asked, tmp_path):
    made = lamp()
    (tmp_path / "screen.html").write_text("old")
    with pytest.raises(OutputError, match="exists; use --force"):
        screen_to_files(asked(), output=tmp_path / "screen.html")
    assert made.drawn_at_once == []
    with pytest.raises(ConfigError, match=r"expected a name that ends in .html, .csv"):
        screen_to_files(asked(), output=[tmp_path / "a.html", tmp_path / "a.txt"])
    assert not (tmp_path / "a.html").exists()


def test_hostile_names_are_text(found):
    glass = np.where(found["glass"] == "clear", HOSTILE, found["glass"]).astype(object)
    evil = found.assign_coords(glass=("setting", glass))
    evil.attrs = {k: f"{v}{HOSTILE}" if k == "trust" else v for k, v in found.attrs.items()}
    text = render_screen(evil)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_screen_where_all_is_outside_has_a_page(lamp, asked):
    lamp()
    found = screen(asked(("power = [1, 2, 3, 4, 9]", "power = [9, 10]"))).dataset
    assert "none is ranked" in render_screen(found)


def test_a_screen_of_one_setting_has_a_page(lamp, asked):
    lamp(noise=0.1)
    one = ("power = [1, 2, 3, 4, 9]", "power = 2"), ('["clear", "milky"]', '"clear"')
    assert "expected light: 12" in render_screen(screen(asked(*one)).dataset)


def test_a_sobol_design_is_shown_by_all_its_settings(lamp, asked):
    lamp(noise=0.1)
    sobol = (
        'power = [1, 2, 3, 4, 9]\nglass = ["clear", "milky"]',
        'power = { low = 1, high = 4 }\nglass = "clear"',
    )
    size = ("seed = 3", 'seed = 3\ndesign = "sobol"\nsize = 16')
    found = screen(asked(sobol, size)).dataset
    assert "Along power, the others as in the first setting." in render_screen(found)
    both = (sobol[0], sobol[1].replace('"clear"', '["clear", "milky"]'))
    found = screen(asked(both, size)).dataset
    assert "Along glass, all settings." in render_screen(found)


@browser
@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_every_figure_and_reports_no_error(found, tmp_path, width):
    text = render_screen(found)
    dom, logged = browsing.browse(tmp_path, text, f"--window-size={width},2000")
    assert not logged
    assert dom.count("<svg") == text.count("<svg")
    assert dom.rstrip().endswith("</html>")


@browser
def test_nothing_is_wider_than_a_narrow_window(found, tmp_path):
    probe = (
        "<script>document.body.dataset.excess = "
        "document.documentElement.scrollWidth - window.innerWidth</script></body>"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render_screen(found))
    dom, _ = browsing.browse(tmp_path, text.replace("</body>", probe), "--window-size=500,2000")
    assert float(re.search(r'data-excess="(-?\d+)"', dom)[1]) <= 0
