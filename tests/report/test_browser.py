"""The report in a real browser; skipped where there is none."""

import re
import shutil
import subprocess

import pytest

from virtlab.report import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium")


def browse(folder, text, *options):
    """Load a page headless; returns its final DOM and what the browser logged."""
    (folder / "report.html").write_text(text)
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            "--dump-dom",
            (folder / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_every_figure_and_reports_no_error(out_of_fold, tmp_path, width):
    text = render(out_of_fold)
    dom, logged = browse(tmp_path, text, f"--window-size={width},2000")
    assert not logged
    assert dom.count("<svg") == text.count("<svg")
    assert dom.count("<image") == text.count("<image")
    assert dom.rstrip().endswith("</html>")


def test_a_browser_sees_no_script_in_hostile_names(hostile, tmp_path):
    dom, logged = browse(tmp_path, render(hostile).encode(errors="replace").decode())
    assert not logged
    assert "<script" not in dom


def test_the_browser_would_have_told_of_an_error(tmp_path):
    _, logged = browse(tmp_path, "<script>console.error('seen')</script>")
    assert any("seen" in line for line in logged)


def test_nothing_is_wider_than_a_narrow_window(out_of_fold, tmp_path):
    probe = (
        "<script>document.body.dataset.excess = "
        "document.documentElement.scrollWidth - window.innerWidth</script></body>"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render(out_of_fold))
    dom, _ = browse(tmp_path, text.replace("</body>", probe), "--window-size=500,2000")
    assert float(re.search(r'data-excess="(-?\d+)"', dom)[1]) <= 0
