"""`evaluate`: what a model is worth, as an object, as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from virtlab.errors import DataError, ModelFileError
from virtlab.evaluation.comparison import Comparison, compare
from virtlab.evaluation.matching import where_from
from virtlab.evaluation.scoring import LEVELS, Scored
from virtlab.evaluation.wording import headline, in_words
from virtlab.simulation.remarks import remarks
from virtlab.trials import TRIAL

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model


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
        Virtual beside new real trials; None without any.
    """

    name: str
    digest: str
    manifest: Mapping[str, Any]
    data_digest: str | None = None
    comparison: Comparison | None = None

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return headline(self.manifest["scores"], self.comparison)

    @property
    def verdict(self) -> list[str]:
        """The verdict in full, a sentence each; the bad first."""
        return in_words(self.manifest, self.comparison)

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
            "data": None,
        }
        if self.comparison is not None:
            found["data"] = _comparison_dict(self.comparison) | {"sha256": self.data_digest}
        return found

    def lines(self) -> list[str]:
        """For the terminal."""
        comparison = self.comparison
        lines = [self.headline, ""]
        if comparison is None:
            lines += _held_out_table(self.manifest)
            lines += ["", "scores: CRPS (energy score) on held-out settings; lower is better"]
            lines += remarks(self.manifest["data"])
        else:
            lines += _new_table(comparison)
            lines += [
                "",
                f"scores: CRPS (energy score) on {comparison.trials:,} new trials at "
                f"{comparison.settings:,} settings, 90 % intervals in brackets;",
                "marginal: these very trials, whatever their setting: a generous baseline",
            ]
        return lines + [f"note: {said}" for said in self.verdict]


def evaluate(
    model: Model,
    trials: xr.Dataset | None = None,
    report: Callable[[float], None] | None = None,
) -> Evaluation:
    """Say how far a model can be trusted.

    Parameters
    ----------
    model
        A trained model.
    trials
        New trials, which the model was not trained on: virtual ones are simulated at their
        settings and held against them. Without them, what the model file says of settings
        that were held out in training.
    report
        Called with the fraction done.

    Raises
    ------
    DataError
        The trials are the model's training data, or not of its kind.
    ModelFileError
        The model file does not say how well it does.
    """
    digest, comparison = None, None
    if trials is not None:
        from virtlab.storage import data_digest

        if not trials.sizes.get(TRIAL):
            raise DataError(f"{where_from(trials)}: no trials to evaluate on")
        digest = data_digest(trials)
        if digest == model.manifest["data"]["sha256"]:
            raise DataError(
                f"{where_from(trials)} are the very trials that the model was trained on; scores "
                "on them would flatter it: name an experiment.toml with other trials, or leave "
                "--data away to see the scores on held-out settings"
            )
        comparison = compare(model, trials, report)
    found = Evaluation(model.file.path.name, model.file.digest, model.manifest, digest, comparison)
    try:
        found.lines()
        found.to_dict()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelFileError(
            f"{model.file.path}: its manifest.json lacks or garbles {error}; train again"
        ) from error
    return found


def _comparison_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "trials": comparison.trials,
        "settings": comparison.settings,
        "settings_trained_on": comparison.known,
        "draws": comparison.draws,
        "seed": comparison.seed,
        "domain": comparison.region_counts,
        "two_sample": asdict(comparison.two_sample),
        "measurements": {s.measurement.name: _scored_dict(s) for s in comparison.measurements},
    }


def _scored_dict(scored: Scored) -> dict[str, Any]:
    levels = (f"{level:.0%}".rstrip("%") for level in LEVELS)
    return {
        "units": scored.measurement.units,
        "trials": scored.trials,
        "model": asdict(scored.model),
        "marginal": asdict(scored.marginal),
        "gain": asdict(scored.gain),
        "floor": scored.floor,
        "coverage": {
            level: asdict(found) for level, found in zip(levels, scored.coverage, strict=False)
        },
        "pit": [asdict(found) for found in scored.pit],
        "bias": None if scored.bias is None else asdict(scored.bias),
        "spread_ratio": scored.spread_ratio,
        "regions": {name: asdict(region) for name, region in scored.regions.items()},
    }


def _held_out_table(manifest: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("measurement", "unit", "model", "marginal", "nearest", "floor", "90 % held")
    ]
    units = {c["measurement"]["name"]: c["measurement"]["units"] for c in manifest["columns"]}
    for name, found in manifest["scores"].items():
        cells = [_number(found[key]) for key in ("model", "marginal", "nearest", "floor")]
        rows.append((name, units[name] or "-", *cells, _share(found["coverage_90"])))
    return _aligned(rows)


def _new_table(comparison: Comparison) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("measurement", "unit", "model", "", "marginal", "floor", "90 % held")
    ]
    for scored in comparison.measurements:
        interval = f"[{_number(scored.model.low)}, {_number(scored.model.high)}]"
        held = scored.coverage[LEVELS.index(0.9)].value if scored.coverage else None
        cells = [_number(scored.model.value), interval]
        cells += [_number(scored.marginal.value), _number(scored.floor), _share(held)]
        rows.append((scored.measurement.name, scored.measurement.units or "-", *cells))
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0%}"
