"""One self-contained HTML file: no network, no script, the same bytes every time."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virtlab.errors import ConfigError, OutputError
from virtlab.evaluation import BASELINES, Evaluation, evaluate
from virtlab.modelfile import replace_whole
from virtlab.progress import Progress, Report
from virtlab.report.contents import contents
from virtlab.report.new_trials import open_new

SUFFIXES = (".html", ".htm")
TEMPLATE = "report.html"


def evaluate_to_report(
    model: Path,
    data: Path | None = None,
    output: Path | None = None,
    *,
    leave_out: str | None = None,
    baselines: str = "cheap",
    force: bool = False,
    report: Report | None = None,
) -> Evaluation:
    """Evaluate a model file, on the trials of an experiment.toml if one is given.

    Parameters
    ----------
    model
        The model file.
    data
        An experiment.toml with trials that the model was not trained on.
    output
        Where to write the report; None for none.
    leave_out
        A comparison over parameters: only trials at such settings of `data` are judged.
    baselines
        Simpler models to compare with: ``cheap``, ``all`` or ``none``.
    force
        Replace a report that is there.
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, the trials or the output cannot be used.
    """
    from virtlab.simulation import load

    tell = report or (lambda _progress: None)
    if leave_out is not None and data is None:
        raise ConfigError(
            "--leave-out chooses among the trials of --data: name the experiment.toml, and train "
            "with the same --leave-out before"
        )
    if output is not None:
        check_report(output, force=force)
    loaded = load(model)
    trials, drawn_from = None, None
    if data is not None:
        trials, drawn_from = open_new(data, leave_out, tell)

    def told(part: float) -> None:
        tell(Progress("evaluating", 0.1 + 0.8 * part))

    found = evaluate(loaded, trials, told, baselines=BASELINES[baselines], drawn_from=drawn_from)
    if output is not None:
        tell(Progress("writing", 0.9, message=output.name))
        write_report(found, output, force=force)
    return found


def check_report(path: Path, *, force: bool = False) -> None:
    """Refuse a report that cannot be written, before the work that fills it is done.

    Raises
    ------
    ConfigError
        Its name does not end in .html.
    OutputError
        It is there already, its folder is not, or a library is missing.
    """
    _check_name(path, SUFFIXES, "report")
    lacking = [name for name in ("jinja2", "matplotlib") if importlib.util.find_spec(name) is None]
    if lacking:
        raise OutputError(f"a report needs {' and '.join(lacking)}: pip install 'virtlab[report]'")
    _check_place(path, "-o", force=force)


def check_metrics(path: Path, *, force: bool = False) -> None:
    """As `check_report`, for a file of metrics, whose name ends in .json."""
    _check_name(path, (".json",), "metrics")
    _check_place(path, "--json", force=force)


def _check_name(path: Path, suffixes: tuple[str, ...], what: str) -> None:
    if path.suffix.lower() not in suffixes or "\0" in str(path):
        raise ConfigError(f"{what} {str(path)!r}: expected a name that ends in {suffixes[0]}")


def _check_place(path: Path, option: str, *, force: bool) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; use --force to replace it, or {option} for another name")


def write_report(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write the report whole or not at all.

    Raises
    ------
    ConfigError, OutputError
        See `check_report`; or it cannot be written.
    """
    check_report(path, force=force)
    # A stranger's model file may hold half a surrogate pair, which is no text.
    replace_whole(path, render(evaluation).encode(errors="replace"))


def render(evaluation: Evaluation) -> str:
    """The report as HTML."""
    return fill(TEMPLATE, contents(evaluation))


def fill(template: str, found: Mapping[str, Any]) -> str:
    """Fill one of the templates beside this file; everything that is not ours is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("virtlab.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(found)
