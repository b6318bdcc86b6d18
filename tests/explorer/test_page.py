"""The page in a real browser; skipped where there is none."""

import csv
import tomllib

import numpy as np
import xarray as xr
from click.testing import CliRunner

from virtlab.cli import main

DOCUMENT = "Bokeh.documents[0]"
HANDLE = (
    "document.querySelector(`[data-root-id='${Bokeh.documents[0].get_model_by_name('%s').id}']`)"
    ".firstElementChild.shadowRoot.querySelector('.noUi-handle')"
)


def read(tab, name, attribute):
    """What a widget or a text of the page holds."""
    return tab.evaluate(f"{DOCUMENT}.get_model_by_name('{name}').{attribute}")


def change(tab, name, value, attribute="value"):
    """Choose something, and wait until the page has answered."""
    before = read(tab, "params", "text")
    tab.evaluate(f"{DOCUMENT}.get_model_by_name('{name}').{attribute} = {value}")
    tab.wait(f"{DOCUMENT}.get_model_by_name('params').text !== {before!r}")


def compare(tab):
    """Show a second setting."""
    tab.evaluate(f"{DOCUMENT}.get_model_by_name('two').active = true")
    tab.wait(f"{DOCUMENT}.get_model_by_name('params').text.includes('zip')")


def picture(tab, at=0):
    """Pixels of a measurement's first figure, once they are still."""
    script = f"""(async () => {{
      const host = document.querySelector(
        `[data-root-id='${{{DOCUMENT}.get_model_by_name('figure_{at}_0').id}}']`)
      const canvases = (root) => [...root.querySelectorAll('*')].flatMap((element) => [
        ...(element.tagName === 'CANVAS' ? [element] : []),
        ...(element.shadowRoot ? canvases(element.shadowRoot) : [])])
      const seen = () => canvases(host).map((canvas) => canvas.toDataURL()).join()
      let last = ''
      while (last !== seen()) {{
        last = seen()
        await new Promise((done) => setTimeout(done, 120))
      }}
      return last
    }})()"""
    return tab.evaluate(script)


def test_a_slider_moved_by_keyboard_changes_the_picture_and_back(explorer, tab):
    tab.open(explorer.address)
    still, value = picture(tab), read(tab, "A_box_0", "value")
    tab.evaluate(f"{HANDLE % 'A_slider_0'}.focus()")
    tab.press(*["ArrowRight"] * 20)
    tab.wait(f"{DOCUMENT}.get_model_by_name('params').text.includes('power = {value + 1:g}')")
    moved = picture(tab)
    assert moved != still
    tab.press(*["ArrowLeft"] * 20)
    tab.wait(f"{DOCUMENT}.get_model_by_name('params').text.includes('power = {value:g}')")
    assert picture(tab) == still  # the same seed, the same trials
    assert not tab.complaints


def test_tab_reaches_every_control_and_enter_works_them(explorer, tab):
    tab.open(explorer.address)
    tab.wait(f"{HANDLE % 'A_slider_0'}.ariaLabel")
    focused = """(() => {
      let found = document.activeElement
      while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement
      return found.ariaLabel || found.textContent.trim() || found.tagName
    })()"""
    seen = []
    for _ in range(16):
        tab.press("Tab")
        seen.append(tab.evaluate(focused))
        if seen[-1] == "compare with a second setting":
            tab.press("Enter")
            tab.wait("document.body.classList.contains('two')")
    controls = ["fixed axes", "fitted axes", "A: power (W)", "B: power (W)", "copy as params.toml"]
    assert all(control in seen for control in controls), seen
    assert any("params.toml" in name and name not in controls for name in seen)  # what is copied
    assert not tab.complaints


def test_all_requests_stay_with_this_server(explorer, tab):
    tab.open(explorer.address)
    change(tab, "A_slider_0", 2)
    assert len(tab.requests) >= 4  # page, two scripts, websocket
    own = f"//127.0.0.1:{explorer.port}/"
    assert all(own in url or url.startswith("data:") for url in tab.requests)
    assert not any("virtlab" in url or ".nc" in url for url in tab.requests)  # no names of files


def test_another_category_changes_the_shares(explorer, tab):
    tab.open(explorer.address)
    before = read(tab, "words_2", "text")
    other = "steel" if read(tab, "A_box_1", "value") == "glass" else "glass"
    change(tab, "A_box_1", f"'{other}'")
    assert read(tab, "words_2", "text") != before
    assert "up" in before
    assert "%" in before


def test_verdict_follows_the_setting(explorer, tab):
    tab.open(explorer.address)
    assert "inside the data" in read(tab, "verdict", "text")
    change(tab, "A_box_0", 19.5)
    assert "outside the data" in read(tab, "verdict", "text")
    assert read(tab, "A_slider_0", "value") == read(tab, "A_slider_0", "end")
    assert read(tab, "A_box_0", "value") == 19.5  # the slider ends before, the box does not


def test_an_empty_box_is_told_of_and_changes_no_picture(explorer, tab):
    tab.open(explorer.address)
    still = picture(tab)
    tab.evaluate(f"{DOCUMENT}.get_model_by_name('A_box_0').value = null")
    tab.wait(f"{DOCUMENT}.get_model_by_name('verdict').text.includes('no value of power')")
    assert picture(tab) == still
    assert not tab.complaints


def test_an_impossible_setting_is_told_of(explorer, tab):
    tab.open(explorer.address)
    tab.evaluate(f"{DOCUMENT}.get_model_by_name('A_box_0').value = 1e300")
    tab.wait(f"{DOCUMENT}.get_model_by_name('verdict').text.includes('outside its bounds')")
    change(tab, "A_box_0", 3)
    assert "inside the data" in read(tab, "verdict", "text")
    assert not tab.complaints


def test_two_settings_side_by_side(explorer, tab):
    tab.open(explorer.address)
    alone = picture(tab)
    compare(tab)
    assert read(tab, "B_box_0", "value") == read(tab, "A_box_0", "value")
    change(tab, "B_slider_0", 9)
    assert picture(tab) != alone
    assert "A trial at B is higher than one at A: " in read(tab, "words_0", "text")
    change(tab, "two", "false", "active")
    assert picture(tab) == alone
    assert not tab.complaints


def test_copied_params_are_simulated_to_what_the_page_shows(explorer, tab, tmp_path, monkeypatch):
    tab.open(explorer.address)
    compare(tab)
    change(tab, "B_slider_0", 9)
    # A headless browser has no clipboard to read from.
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text }; 0")
    tab.evaluate(
        f"document.querySelector(`[data-root-id='${{{DOCUMENT}.get_model_by_name('copy').id}}']`)"
        ".firstElementChild.shadowRoot.querySelector('button').focus()"
    )
    tab.press("Enter")
    tab.wait(f"{DOCUMENT}.get_model_by_name('copy').label === 'copied'")
    text = tab.evaluate("window.copied")
    assert tomllib.loads(text)["parameters"]["power"][1] == 9
    (tmp_path / "params.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["simulate", "params.toml", "-q"])
    assert done.exit_code == 0, done.stderr
    virtual = xr.load_dataset("virtual.nc")
    medians = virtual.light.median("trial").values
    for median in medians:
        assert f"median {np.float64(median):.3g}," in read(tab, "words_0", "text")


def test_noise_and_ignorance_are_those_of_a_screen(explorer, tab, tmp_path, monkeypatch):
    tab.open(explorer.address)
    compare(tab)
    change(tab, "B_slider_0", 9)
    text = read(tab, "params", "text") + '[objective]\nmaximize = "light"\n'
    (tmp_path / "params.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["screen", "params.toml", "-o", "screen.csv", "-q"])
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "screen.csv").read_text().splitlines()))
    assert len(rows) == 2
    for row in rows:
        noise, own = float(row["objective_noise"]), float(row["objective_ignorance"])
        said = f"{own:.2g}" if own else "&lt; "
        assert f"noise {noise:.2g}, ignorance {said}" in read(tab, "words_0", "text")


def test_a_phone_shows_slider_and_picture_at_once(explorer, tab):
    tab.size(390, 844, phone=True)
    tab.open(explorer.address)
    compare(tab)
    picture(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    top, bottom = tab.evaluate(
        "(() => { const seen = document.querySelector('article').getBoundingClientRect();"
        " return [seen.top, seen.bottom] })()"
    )
    slider = tab.evaluate(f"{HANDLE % 'A_slider_0'}.getBoundingClientRect().bottom")
    panel = tab.evaluate("document.querySelector('.controls').getBoundingClientRect().top")
    assert slider <= 844  # within the window, below a picture of which most is seen
    assert min(bottom, panel) - top > 200
    assert not tab.complaints


def test_dark_and_light_have_their_own_colours(explorer, tab):
    ink = "left[0].axis_label_text_color"
    tab.open(explorer.address)
    light = read(tab, "figure_0_0", ink)
    tab.size(1280, 800, dark=True)
    dark = tab.wait(
        f"{DOCUMENT}.get_model_by_name('figure_0_0').{ink} !== '{light}' && "
        f"{DOCUMENT}.get_model_by_name('figure_0_0').{ink}"
    )
    assert (light, dark) == ("#1b1e23", "#e8eaee")


def test_every_slider_and_box_has_a_name_to_hear(explorer, tab):
    tab.open(explorer.address)
    tree = tab.send("Accessibility.getFullAXTree")["nodes"]
    heard = {
        (node["role"]["value"], node["name"]["value"])
        for node in tree
        if not node["ignored"] and "name" in node
    }
    assert ("slider", "A: power (W)") in heard
    assert ("textbox", "A: power (W)") in heard
    assert ("combobox", "A: material") in heard


def test_the_page_says_when_the_command_has_ended(tiny_model, tab, start_explorer):
    running = start_explorer(tiny_model, "--trials", "50")
    tab.open(running.address)
    assert running.interrupt()[0] == 0
    tab.wait("document.body.classList.contains('lost')")
