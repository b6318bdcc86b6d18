import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from virtlab.errors import ConfigError, OutputError
from virtlab.evaluation import evaluate
from virtlab.report import check_report, page, render, write_report

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements of a page; fails where they do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="session")
def pages(held_out, compared, hostile, out_of_fold):
    named = {"held_out": held_out, "compared": compared, "hostile": hostile}
    return {name: render(found) for name, found in (named | {"out_of_fold": out_of_fold}).items()}


@pytest.mark.parametrize("name", ["held_out", "compared", "hostile", "out_of_fold"])
def test_the_page_parses_and_its_figures_are_sound_xml(pages, name):
    Page(pages[name])
    figures = re.findall(r"<svg.*?</svg>", pages[name], re.DOTALL)
    assert len(figures) >= 6
    for svg in figures:
        ElementTree.fromstring(svg)


@pytest.mark.parametrize("name", ["held_out", "compared", "hostile", "out_of_fold"])
def test_the_page_asks_nothing_of_the_network_and_runs_nothing(pages, name):
    text, page = pages[name], Page(pages[name])
    assert not re.search(r"https?://|@import|javascript:", text)
    assert not page.named("script")
    assert not page.named("link")
    for _, attrs in page.elements:
        assert not any(key.startswith("on") for key in attrs)
        for key in ("src", "href", "xlink:href"):
            assert attrs.get(key, "#").startswith(("#", "data:image/png;base64,"))
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.named("meta"))


def test_every_figure_says_what_is_seen(pages):
    figures = Page(pages["compared"]).named("svg")
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 30 for svg in figures)
    assert len({svg["aria-label"] for svg in figures}) > len(figures) / 2


def test_no_figure_brings_colours_of_its_own(pages):
    styles = re.findall(r'style="([^"]*)"', pages["compared"])
    assert any("var(--virtual)" in style for style in styles)
    assert not {c for style in styles for c in re.findall(r"#[0-9a-f]{6}", style)} - {"#000000"}


def test_references_inside_figures_lead_somewhere(pages):
    text = pages["compared"]
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert wanted
    assert wanted <= set(re.findall(r'id="([^"]+)"', text))


def test_the_top_tells_what_was_learned_and_three_numbers(pages, compared):
    text = pages["compared"]
    top = text[: text.index("<section>")]
    assert "300 trials at 50 settings" in top
    assert "60 new real trials at 12 settings" in top
    assert compared.headline in top
    assert top.count('class="number"') == 3
    assert "1 to 10" in top
    assert "glass, steel" in top
    for sentence in compared.verdict:
        assert sentence in top


def test_new_trials_bring_pictures_of_every_kind_of_measurement(pages):
    labels = " ".join(svg["aria-label"] for svg in Page(pages["compared"]).named("svg"))
    assert "Distributions of light" in labels
    assert "Shares of state" in labels
    assert "real signals over the band" in labels
    assert "real images above" in labels
    assert "Calibration curve" in labels
    assert "PIT histogram" in labels
    assert "Distances of new settings" in labels
    assert len(Page(pages["compared"]).named("image")) >= 8


def test_provenance_names_digests_versions_and_seed(pages):
    end = pages["compared"][pages["compared"].index("<h2>Provenance") :]
    for text in ("5" * 64, "d" * 64, "virtlab 0.1.0, seed 0", "lab.h5", "seed of the evaluation"):
        assert text in end


def test_hostile_names_are_text(pages):
    assert "<script" not in pages["hostile"]
    assert "&lt;script&gt;" in pages["hostile"]
    assert "$\\frac{" in pages["hostile"]


def test_the_same_evaluation_gives_the_same_bytes(pages, compared):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "axes.grid": True}):
        assert render(compared) == pages["compared"]


def test_a_report_is_written_whole_and_never_over_another(held_out, tmp_path):
    path = tmp_path / "report.html"
    write_report(held_out, path)
    assert path.read_text().endswith("</html>\n") or path.read_text().endswith("</html>")
    path.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        write_report(held_out, path)
    assert path.read_text() == "mine"
    write_report(held_out, path, force=True)
    assert path.read_text() != "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_half_a_surrogate_pair_does_not_stop_the_report(hostile, tmp_path):
    write_report(hostile, tmp_path / "r.html")
    assert b"half a pair ?" in (tmp_path / "r.html").read_bytes()


def test_places_that_cannot_be_written_are_refused_first(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        check_report(tmp_path / "metrics.json")
    with pytest.raises(OutputError, match="does not exist"):
        check_report(tmp_path / "no" / "r.html")
    (tmp_path / "d.html").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_report(tmp_path / "d.html", force=True)


def test_missing_libraries_are_named_with_the_line_that_brings_them(monkeypatch, tmp_path):
    found = page.importlib.util.find_spec
    monkeypatch.setattr(
        page.importlib.util, "find_spec", lambda name: None if name == "jinja2" else found(name)
    )
    with pytest.raises(OutputError, match=r"needs jinja2: pip install 'virtlab\[report\]'"):
        check_report(tmp_path / "r.html")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.isel(trial=[0]),
        lambda t: t.isel(trial=slice(3)),
        lambda t: t.assign(light=t.light * float("nan"), trace=t.trace * float("nan")),
        lambda t: t.assign(
            light=t.light * 0 + 5, clicks=t.clicks * 0, state=t.state.where(False, "")
        ),
    ],
)
def test_trials_that_say_little_still_make_a_report(known, change):
    trials = change(known.new_trials(powers=[2.2, 5.5]))
    Page(render(evaluate(known.KnownModel(), trials)))


def test_simpler_models_stand_in_one_table_with_the_model(pages):
    text = pages["out_of_fold"]
    start = text.index("Beside simpler models")
    table = text[start : text.index("</table>", start)]
    order = [
        "replicate floor",
        "this model",
        "nearest settings",
        "quantile forest",
        "Gaussian process",
        "ignore parameters",
    ]
    assert all(f"<td>{name}</td>" in table for name in order)
    assert table.index("replicate floor") < table.index("this model")
    assert "Beside simpler models" not in pages["held_out"]


def test_it_is_told_where_virtual_trials_are_useful_varied_and_bad(pages):
    text = pages["out_of_fold"]
    for part in ("Fréchet distance", "virtual are worth", "along each parameter", "Joint regions"):
        assert part in text
    assert "effective categories of state" in text
    assert "hold no information that the training trials do not" in text


def test_wide_figures_are_no_larger_than_their_text_allows(pages):
    widths = re.findall(r'style="max-width: (\d+)px" viewBox="0 0 ([\d.]+)', pages["out_of_fold"])
    assert widths
    assert all(float(width) <= 1.51 * float(points) for width, points in widths)
