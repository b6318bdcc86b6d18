"""`evaluate`: what a model is worth, as an object, as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from virtlab.errors import DataError, ModelFileError
from virtlab.evaluation.audit import MEMORISES, SOME, Audit, audit
from virtlab.evaluation.baselines import CHEAP
from virtlab.evaluation.comparison import Comparison, compare
from virtlab.evaluation.heldout import read_held_out
from virtlab.evaluation.matching import match_trials, where_from
from virtlab.evaluation.sensitivity import Sensitivity, sense
from virtlab.evaluation.tables import (
    aligned,
    as_number,
    as_share,
    comparison_dict,
    moment_table,
    score_table,
)
from virtlab.evaluation.wording import headline, in_words
from virtlab.modelfile import GENERATOR
from virtlab.simulation.kept import keeps_trials
from virtlab.simulation.remarks import remarks
from virtlab.trials import TRIAL

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model

MOMENTS_SAID = (
    "error: root mean square; of the mean beside every real trial, of the spread (the standard",
    "deviation) beside that of a setting's replicates; floor: what noise, and that replicates are",
    "few, leave even a perfect model; ceiling: one value for all settings",
)


@dataclass(frozen=True)
class Evaluation:
    """How far a model can be trusted.

    Parameters
    ----------
    name, digest
        Of the model file.
    manifest
        What the model file says of itself, its held-out scores among it.
    data_digest
        Of the new trials; None without any.
    comparison
        Virtual beside new real trials, or held-out ones; None without any.
    audit
        Whether training trials are repeated.
    sensitivity
        Which parameter drives which measurement; None where there is no generator to ask.
    drawn_from
        How many new trials those that were judged on are a random sample of; None: they are all.
    """

    name: str
    digest: str
    manifest: Mapping[str, Any]
    data_digest: str | None = None
    comparison: Comparison | None = None
    audit: Audit | None = None
    sensitivity: Sensitivity | None = None
    drawn_from: int | None = None

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return headline(self.manifest["scores"], self.comparison)

    @property
    def verdict(self) -> list[str]:
        """The verdict in full, a sentence each; the bad first."""
        said = in_words(self.manifest, self.comparison)
        if self.audit is not None and self.audit.verdict == MEMORISES:
            said.insert(0, self.audit.words)
        if self.audit is not None and self.audit.verdict == SOME:
            said.append(self.audit.words)
        if self.drawn_from is not None and self.comparison is not None:
            said.append(
                f"judged on {self.comparison.trials:,} trials drawn at random from "
                f"{self.drawn_from:,}, which memory does not hold"
            )
        return said

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        manifest = self.manifest
        found: dict[str, Any] = {
            "model": self.name,
            "model_sha256": self.digest,
            "training_data_sha256": manifest["data"]["sha256"],
            "headline": self.headline,
            "verdict": self.verdict,
            "held_out": manifest["scores"],
            "calibration": manifest["calibration"],
            "domain": manifest["domain"],
            "training": manifest["training"],
            "remarks": remarks(manifest["data"]),
            "held_out_trials": None,
            "data": None,
        }
        if self.comparison is not None:
            key = "held_out_trials" if self.comparison.held_out else "data"
            found[key] = comparison_dict(self.comparison) | {
                "sha256": self.data_digest,
                "drawn_from": self.drawn_from,
            }
        found["audit"] = None if self.audit is None else asdict(self.audit)
        found["sensitivity"] = None if self.sensitivity is None else self.sensitivity.to_dict()
        return found

    def lines(self) -> list[str]:
        """For the terminal."""
        comparison = self.comparison
        lines = [self.headline, ""]
        if comparison is None:
            lines += _held_out_table(self.manifest)
            lines += ["", "scores: CRPS (energy score) on held-out settings; lower is better"]
        else:
            lines += score_table(comparison)
            lines += [
                "",
                f"scores: CRPS (energy score) on {comparison.trials:,} {_which(comparison)} at "
                f"{comparison.settings:,} settings, 90 % intervals in brackets;",
                "marginal: these very trials, whatever their setting: a generous baseline",
            ]
        lines += remarks(self.manifest["data"])
        if comparison is not None and (moments := moment_table(comparison)):
            lines += ["", *moments, "", *MOMENTS_SAID]
        if self.sensitivity is not None:
            lines += ["", *self.sensitivity.lines()]
        if self.audit is not None and self.audit.words not in self.verdict:
            lines += ["", self.audit.words]
        return lines + [f"note: {said}" for said in self.verdict]


def _which(comparison: Comparison) -> str:
    return "held-out trials" if comparison.held_out else "new trials"


def evaluate(
    model: Model,
    trials: xr.Dataset | None = None,
    report: Callable[[float], None] | None = None,
    *,
    baselines: Sequence[str] = CHEAP,
    drawn_from: tuple[int, str] | None = None,
) -> Evaluation:
    """Say how far a model can be trusted.

    Parameters
    ----------
    model
        A trained model.
    trials
        New trials, which the model was not trained on: virtual ones are simulated at their
        settings and held against them. Without them, trials of the lab's own that the model
        file keeps, each judged by members that never saw its setting; or where it keeps none,
        being private or old, what it says of settings that were held out in training.
    report
        Called with the fraction done.
    baselines
        Simpler models to compare with, of `virtlab.evaluation.baselines.LEARNERS`.
    drawn_from
        Where the trials are a random sample of more: how many, and their digest.

    Raises
    ------
    DataError
        The trials are the model's training data, or not of its kind.
    ModelFileError
        The model file does not say how well it does.
    """
    digest, comparison = None, None

    def told(part: float) -> None:
        if report is not None:
            report(0.85 * part)

    if trials is not None:
        from virtlab.storage import data_digest

        if not trials.sizes.get(TRIAL):
            raise DataError(f"{where_from(trials)}: no trials to evaluate on")
        digest = data_digest(trials) if drawn_from is None else drawn_from[1]
        if digest == model.manifest["data"]["sha256"]:
            raise DataError(
                f"{where_from(trials)} are the very trials that the model was trained on; scores "
                "on them would flatter it: name an experiment.toml with other trials, or leave "
                "--data away to see the scores on held-out settings"
            )
        comparison = compare(model, trials, told, baselines)
    elif keeps_trials(model):
        comparison = compare(model, None, told, baselines)
    looked = _audit(model, trials)
    has_generator = GENERATOR in model.manifest.get("members", {})
    sensed = sense(model) if has_generator else None
    found = Evaluation(
        model.file.path.name,
        model.file.digest,
        model.manifest,
        digest,
        comparison,
        looked,
        sensed,
        None if drawn_from is None else drawn_from[0],
    )
    try:
        found.lines()
        found.to_dict()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelFileError(
            f"{model.file.path}: its manifest.json lacks or garbles {error}; train again"
        ) from error
    return found


def _audit(model: Model, trials: xr.Dataset | None) -> Audit | None:
    """Look for training trials among virtual ones; None where the model file is older than that."""
    if not keeps_trials(model):
        return audit(model, None) if model.manifest["data"].get("private") else None
    new = None if trials is None else match_trials(model, trials)
    return audit(model, read_held_out(model), new)


def _held_out_table(manifest: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("measurement", "unit", "model", "marginal", "nearest", "floor", "90 % held")
    ]
    units = {c["measurement"]["name"]: c["measurement"]["units"] for c in manifest["columns"]}
    for name, found in manifest["scores"].items():
        cells = [as_number(found[key]) for key in ("model", "marginal", "nearest", "floor")]
        rows.append((name, units[name] or "-", *cells, as_share(found["coverage_90"])))
    return aligned(rows)
