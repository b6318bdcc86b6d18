"""A trained model: what it is, how far it can be trusted, and its virtual trials."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab import plugins
from virtlab.conditioning import Conditioner, Parameter, Settings, condition
from virtlab.design import Design, design_from
from virtlab.domain import Domain
from virtlab.errors import ConfigError, ModelFileError
from virtlab.modelfile import GENERATOR, REFERENCE, ModelFile, read_model
from virtlab.runtime import Runtime
from virtlab.scaling import Column, column_from_dict
from virtlab.simulation.manifest import faults_of
from virtlab.simulation.remarks import remarks
from virtlab.trials import Measurement

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation.lazy import Chunks
    from virtlab.storage.template import Template

FARTHEST = 1e30  # in standard deviations of a feature


class Model:
    """A model file, loaded; made by `load` and `virtlab.train`."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.manifest: Mapping[str, Any] = file.manifest
        faults = faults_of(self.manifest)
        if faults:
            raise ModelFileError(f"{file.path}: its manifest.json: {faults}; train again")
        try:
            self.parameters = tuple(_parameter(p) for p in self.manifest["parameters"])
            self.columns: tuple[Column, ...] = tuple(
                column_from_dict(column) for column in self.manifest["columns"]
            )
            features = self.manifest["features"]
            self._center = np.array(features["center"], np.float64)
            self._scale = np.array(features["scale"], np.float64)
            self._made_with = self.manifest["conditioner"]
            self.scores: Mapping[str, Mapping[str, Any]] = self.manifest["scores"]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{file.path}: its manifest.json lacks or garbles {error}; train again"
            ) from error

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What a virtual trial yields."""
        return tuple(column.measurement for column in self.columns)

    @cached_property
    def runtime(self) -> Runtime:
        """The generator, ready to run."""
        generator = self.file.member(GENERATOR)
        try:
            found = Runtime(generator)
        except ModelFileError as error:
            raise ModelFileError(f"{self.file.path}: {error}") from error
        makes = found.features, found.values, found.levels
        listed = (
            len(self.manifest["features"]["labels"]),
            sum(column.values for column in self.columns),
            sum(column.levels for column in self.columns),
        )
        if makes != listed:
            raise ModelFileError(
                f"{self.file.path}: its generator has {makes} features, values and levels, its "
                f"manifest.json {listed}; train again"
            )
        return found

    @cached_property
    def domain(self) -> Domain:
        """The settings that it was trained on."""
        reference, found = self.file.arrays(REFERENCE)["conditions"], self.manifest["domain"]
        # Without weights the model is older than they are: all features count alike.
        weights = np.array(found.get("weights", np.ones(reference.shape[1])), np.float32)
        if weights.shape != reference.shape[1:]:
            raise ModelFileError(
                f"{self.file.path}: its manifest.json weighs {weights.size} features of a "
                f"condition, its reference has {reference.shape[1]}; train again"
            )
        return Domain(reference, float(found["reach"]), weights, self._fixed(reference.shape[1]))

    def _fixed(self, features: int) -> tuple[int, ...] | None:
        """Features that never varied, where a private model's reference does not tell."""
        fixed = self.manifest["domain"].get("fixed")
        if fixed is None:
            return None
        if not isinstance(fixed, list) or not set(fixed) <= set(range(features)):
            raise ModelFileError(
                f"{self.file.path}: its manifest.json names fixed features that there are not; "
                "train again"
            )
        return tuple(fixed)

    @cached_property
    def _conditioner(self) -> Conditioner:
        """The plugin that it was trained with; looked up once, which reads installed packages."""
        name = self._made_with["name"]
        plugins.check_version(name, self._made_with["distribution"], self._made_with["version"])
        return plugins.conditioner(name)

    def conditions(self, settings: Settings) -> NDArray[np.float32]:
        """Encode and standardise settings as in training, ``(setting, feature)``.

        Raises
        ------
        PluginError
            The conditioner is missing, or another version than the model was trained with.
        SettingError
            A setting is impossible.
        """
        made_with = self._made_with
        encoded = condition(self._conditioner, settings, self.parameters, made_with["options"])
        if list(encoded.labels) != self.manifest["features"]["labels"]:
            raise ModelFileError(
                f"{self.file.path}: conditioner {made_with['name']!r} now makes the features "
                f"{', '.join(encoded.labels)}; the model knows "
                f"{', '.join(self.manifest['features']['labels'])}; train again"
            )
        standard = (encoded.values - self._center) / self._scale
        # Single precision has no larger numbers: such a setting would be at no distance at all.
        return np.clip(standard, -FARTHEST, FARTHEST).astype(np.float32)

    def simulate(
        self,
        settings: Mapping[str, Any] | Design,
        *,
        trials: int = 100,
        seed: int = 0,
        strict: bool = False,
        chunks: Chunks | None = None,
    ) -> xr.Dataset:
        """Simulate virtual trials.

        Parameters
        ----------
        settings
            One value or a sequence of values per parameter: all combinations are simulated;
            or a `virtlab.design.Design`.
        trials
            Virtual trials per setting.
        seed
            0 to 2^63 - 1. The same seed, setting and trial give the same bytes, whatever else
            is simulated.
        strict
            Refuse settings outside the data, instead of saying so in ``domain``.
        chunks
            Draw nothing yet: the Dataset's arrays are Dask's, and a block is drawn when it is
            looked at. Trials per block; or the length of a block by dim, -1 for all of it; or
            ``"auto"``, some 16 MB. The values are those that are drawn at once.

        Returns
        -------
        xr.Dataset
            Dims: one per parameter that varies (or ``setting``), ``trial``, then each
            measurement's own.

        Raises
        ------
        SettingError
            A setting is impossible, or a parameter is missing.
        ConfigError
            `trials` or `seed` is no whole number, or out of range.
        DomainError
            Settings lie outside the data, and `strict` was asked for.
        """
        from virtlab.simulation.dataset import make_dataset
        from virtlab.simulation.drawing import MEMBER, MOST_SEED, MOST_TRIALS, check_whole, draw
        from virtlab.simulation.labels import make_template
        from virtlab.simulation.outside import refuse_outside

        design = (
            settings if isinstance(settings, Design) else design_from(settings, self.parameters)
        )
        if strict:
            refuse_outside(design, self.domain.distance(self.conditions(design.settings)))
        check_whole("trials", trials, 1, MOST_TRIALS)
        check_whole("seed", seed, 0, MOST_SEED)
        template = make_template(self, design, trials=trials, seed=seed)
        if chunks is not None:
            return make_dataset(template, _lazy(self, design, template, seed=seed, chunks=chunks))
        drawn = draw(self, design, trials=trials, seed=seed)
        return make_dataset(template, drawn.measurements | {MEMBER: drawn.member})

    def __getstate__(self) -> dict[str, Any]:
        """Travel without what is loaded: it is read again from the model file."""
        loaded = ("runtime", "domain", "_conditioner")
        return {key: v for key, v in self.__dict__.items() if key not in loaded}

    def summary(self) -> str:
        """What it was trained on, its held-out scores and their verdict, as text."""
        data, training = self.manifest["data"], self.manifest["training"]
        lines = [
            f"{self.manifest['experiment']['name']}: {data['trials']:,} trials at "
            f"{data['settings']:,} settings, {training['members']} members, "
            f"preset {training['preset']}, kept after {training['stage']} ({training['ended']})",
            *_health(training),
            *_start_told(training.get("start")),
            "parameters: " + ", ".join(_shown(p) for p in self.manifest["parameters"]),
            *_relevance(self.manifest.get("relevance", {})),
            *(f"by construction: {c.constraint}" for c in self.columns if c.constraint),
            "",
            *_score_table(self.columns, self.scores),
            "",
            "Scores are CRPS (energy score) on settings that the judging networks never saw, in",
            "the measurement's unit; lower is better, the replicate floor is what noise allows.",
        ]
        lines += remarks(data)
        return "\n".join(lines + [f"note: {said}" for said in self.manifest["verdict"]])

    def __repr__(self) -> str:
        return f"<virtlab.Model {self.file.path.name}>\n{self.summary()}"

    def _repr_html_(self) -> str:
        name = html.escape(self.file.path.name)
        return f"<b>virtlab.Model {name}</b><pre>{html.escape(self.summary())}</pre>"


def _lazy(
    model: Model, design: Design, template: Template, *, seed: int, chunks: Chunks
) -> dict[str, Any]:
    try:
        from virtlab.simulation.lazy import lazy_arrays
    except ImportError as error:
        raise ConfigError(
            f"chunks: needs Dask ({error}); pip install 'virtlab[cluster]'"
        ) from error
    return lazy_arrays(model, design, template, seed=seed, chunks=chunks)


def _relevance(found: Mapping[str, Any]) -> list[str]:
    """Which parameters matter, most first, and which show no effect on settings held out."""
    order = sorted(found, key=lambda name: -found[name]["rise"])
    clear = [f"{name} {found[name]['rise']:.0%}" for name in order if found[name]["clear"]]
    others = [name for name in order if not found[name]["clear"]]
    lines = [f"lost where one parameter is shuffled: {', '.join(clear)}"] if clear else []
    return lines + ([f"no effect seen of: {', '.join(others)}"] if others else [])


def load(path: str | os.PathLike[str]) -> Model:
    """Load a model file.

    Raises
    ------
    ModelFileError
        It is missing, no model file, damaged, altered, or of a newer format.
    """
    return Model(read_model(Path(path)))


def _parameter(found: Mapping[str, Any]) -> Parameter:
    fields = {key: value for key, value in found.items() if key != "range"}
    bounds = fields.pop("bounds")
    categories = tuple(fields.pop("categories"))
    return Parameter(
        **fields,
        bounds=None if bounds is None else (float(bounds[0]), float(bounds[1])),
        categories=categories,
    )


def _health(training: Mapping[str, Any]) -> list[str]:
    """A line on how training went; what went wrong is told in full by the notes."""
    if "health" not in training:  # a model file older than the monitor
        return []
    healthy = training["health"] == ["healthy"]
    return ["training: " + ("healthy" if healthy else "not healthy, see the notes below")]


def _start_told(start: Mapping[str, Any] | None) -> list[str]:
    """Which model training started from, if any, and what that brought."""
    if start is None:
        return []
    ratio, name = start["score_over_anew"], start["model"]
    if ratio is None:
        return [f"started from {name}; not compared with training anew"]
    if start["kept"]:
        return [
            f"started from {name}: held-out scores are {ratio:.2f} times those of training anew"
        ]
    return [f"trained anew: started from {name}, held-out scores were {ratio:.2f} times as high"]


def _shown(parameter: Mapping[str, Any]) -> str:
    """One parameter with its range in the training data."""
    if parameter["kind"] == "categorical":
        names = parameter["categories"]
        more = f", … {len(names)} in all" if len(names) > 4 else ""
        return f"{parameter['name']} ({', '.join(names[:4])}{more})"
    low, high = parameter["range"]
    unit = "" if parameter["units"] in ("", "1") else f" {parameter['units']}"
    return f"{parameter['name']} {low:g} to {high:g}{unit}"


def _score_table(columns: tuple[Column, ...], scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Held-out scores, a line per measurement."""
    heads = ("measurement", "unit", "model", "marginal", "nearest", "floor", "50 %", "90 %")
    rows: list[tuple[str, ...]] = [heads]
    for column in columns:
        score = scores[column.measurement.name]
        cells = [f"{score[key]:.4g}" for key in ("model", "marginal", "nearest")]
        cells.append("-" if score["floor"] is None else f"{score['floor']:.4g}")
        for key in ("coverage_50", "coverage_90"):
            cells.append("-" if score[key] is None else f"{score[key]:.0%}")
        unit = column.measurement.units or "-"
        rows.append((column.measurement.name, unit, *cells))
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
