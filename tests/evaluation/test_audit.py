"""The audit catches models that repeat their training trials, and no others."""

import json
from dataclasses import replace

import numpy as np
import pytest

from virtlab.errors import ModelFileError
from virtlab.evaluation import evaluate
from virtlab.evaluation.audit import MEMORISES, NOTHING, SOME, UNKNOWN, audit, examine
from virtlab.evaluation.heldout import HeldOut, read_held_out
from virtlab.evaluation.matching import match_trials
from virtlab.jury import ALONE
from virtlab.trials import SETTING, TRIAL


@pytest.fixture(scope="module")
def lab(request):
    """The module of the known truth, training trials and as many new ones between them."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("lab", Path(__file__).with_name("conftest.py"))
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    lab.training = lab.new_trials(powers=lab.POWERS, seed=100)
    lab.new = lab.new_trials(seed=5)
    return lab


def judged(model, training, new):
    return audit(model, kept(model, training), match_trials(model, new))


def kept(model, training):
    """Training trials as a model file keeps them, without draws."""
    matched, none = match_trials(model, training), np.zeros(0, np.int64)
    folds = np.zeros(len(matched.conditions), np.int64)
    return HeldOut(matched, folds, none, drawn={}, ended={}, jury=ALONE, first=0)


def replaying(lab, jitter, measurements=None, trials=None):
    """A model that draws from the training trials of the nearest setting, and jitters them."""
    known = lab.training if trials is None else trials

    class Replaying(lab.KnownModel):
        def simulate(self, design, *, trials, seed):
            rng = np.random.default_rng(seed)
            power, material = known.power.values, known.material.values
            rows = []
            for asked, kind in zip(*(design.settings[p.name] for p in lab.PARAMETERS), strict=True):
                far = np.where(material == kind, np.abs(power - asked), np.inf)
                rows.append(rng.choice(np.flatnonzero(far <= far.min() + 1e-9), trials))
            found = {}
            for measurement in self.measurements:
                values = known[measurement.name].values[np.concatenate(rows)]
                if measurement.kind == "continuous":
                    values = values + jitter * rng.normal(size=values.shape)
                shape = (design.size, trials, *measurement.shape)
                found[measurement.name] = (
                    (SETTING, TRIAL, *measurement.dims),
                    values.reshape(shape),
                )
            return lab.xr.Dataset(found)

    model = Replaying()
    if measurements is not None:
        model.measurements = tuple(m for m in lab.MEASUREMENTS if m.name in measurements)
    return model


def test_the_true_simulator_remembers_nothing(lab):
    found = judged(lab.KnownModel(), lab.training, lab.new)
    assert found.verdict == NOTHING
    assert "nothing found in 200 training trials held against as many new trials" in found.words
    assert found.nearness.low < 0.5 < found.nearness.high
    assert found.advantage.low < 0 < found.advantage.high
    assert found.copies.value == 0
    virtual, new = found.gaps
    assert virtual == pytest.approx(new, rel=0.15)


@pytest.mark.parametrize(
    "distortion", [{"marginal": True}, {"shift": 2.0}, {"noise": 0.1}, {"noise": 2.0}]
)
def test_a_model_that_is_merely_wrong_remembers_nothing(lab, distortion):
    assert judged(lab.KnownModel(**distortion), lab.training, lab.new).verdict == NOTHING


def test_new_trials_of_a_lab_that_has_changed_accuse_nobody(lab):
    changed = lab.new.copy(deep=True)
    for name in ("light", "trace"):
        changed[name] = changed[name] + 4.0
        changed[name].attrs = lab.new[name].attrs
    found = judged(lab.KnownModel(), lab.training, changed)
    assert found.nearness.value > 0.8
    assert found.verdict == NOTHING


def test_exact_copies_are_caught(lab):
    found = judged(replaying(lab, 0), lab.training, lab.new)
    assert found.verdict == MEMORISES
    assert found.copies.value == 1
    assert "100.0% of virtual trials, more than of new trials, are exact copies" in found.words


@pytest.mark.parametrize("jitter", [0.001, 0.1])
def test_copies_with_a_little_noise_are_caught(lab, jitter):
    found = judged(replaying(lab, jitter), lab.training, lab.new)
    assert found.verdict == MEMORISES
    assert found.copies.value == 0
    assert found.nearness.low > 0.9
    assert found.advantage.low > 0.8
    assert found.gaps[0] < 0.5 * found.gaps[1]


def test_copies_of_a_single_number_are_caught_by_the_attack(lab):
    found = judged(replaying(lab, 0.01, ["light"]), lab.training, lab.new)
    assert found.verdict == MEMORISES
    assert found.advantage.low > 0.4


def test_a_trace_of_memory_is_no_accusation(lab):
    found = judged(replaying(lab, 0.3, ["light"]), lab.training, lab.new)
    assert found.verdict == SOME
    assert "it matters where the trials must stay secret" in found.words
    told = replace(evaluate(lab.KnownModel()), audit=found).verdict
    assert told[0] != found.words == told[-1]
    memory = replace(found, verdict=MEMORISES)
    assert replace(evaluate(lab.KnownModel()), audit=memory).verdict[0] == found.words


def test_values_that_recur_in_real_trials_are_no_copies(lab):
    model = lab.KnownModel()
    model.measurements = tuple(m for m in lab.MEASUREMENTS if m.name in ("clicks", "state"))
    found = judged(model, lab.training, lab.new)
    assert found.verdict == NOTHING
    assert found.copies.low <= 0


def test_settings_outside_the_data_and_gaps_in_trials_are_left_out(lab):
    new = lab.new.copy(deep=True)
    new["light"][:40] = np.nan
    new = new.assign_coords(power=new.power.where(new.power < 8, 25.0))
    found = judged(lab.KnownModel(), lab.training, new)
    assert found.pairs == np.sum((lab.new.power.values < 8)[40:])
    assert found.verdict == NOTHING


def test_what_cannot_be_told_is_said(lab):
    model = lab.KnownModel()
    new = match_trials(model, lab.new)
    assert audit(model, None, new).verdict == UNKNOWN
    assert "the model file keeps none" in audit(model, None, new).words
    few = judged(model, lab.training, lab.new.isel(trial=slice(12)))
    assert few.verdict == UNKNOWN
    assert "12 complete new trials at 3 settings" in few.words


def test_too_few_new_trials_leave_those_that_the_model_file_keeps(lab):
    model = lab.KeptModel()
    few = match_trials(model, lab.new.isel(trial=slice(12)))
    found = audit(model, read_held_out(model), few)
    assert found.control == "held-out draws"
    assert found.verdict == NOTHING


# without new trials: beside what members drew that never saw the setting


def test_a_model_that_draws_alike_where_it_was_trained_and_where_not_remembers_nothing(lab):
    for distortion in ({}, {"noise": 0.1}):
        model = lab.KeptModel(**distortion)
        found = audit(model, read_held_out(model))
        assert found.verdict == NOTHING
        assert found.control == "held-out draws"
        assert found.pairs == 200
        assert found.nearness.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("jitter", [0, 0.1])
def test_copies_where_it_was_trained_are_caught_without_new_trials(lab, jitter):
    model = lab.KeptModel()
    memory = replaying(lab, jitter, trials=lab.new_trials(powers=lab.POWERS))
    model.simulate = memory.simulate
    found = audit(model, read_held_out(model))
    assert found.verdict == MEMORISES
    assert found.advantage.low > 0.8
    assert found.nearness.low > 0.9
    assert (found.copies.value > 0.9) == (jitter == 0)


def kept_apart(lab, model):
    """What its file would keep, had no member learned from every fourth setting."""
    apart = np.arange(len(model.arrays["fold"])) % 4 == 0
    model.arrays["fold"] = np.where(apart, 5, model.arrays["fold"])
    model.arrays["judged"] = np.flatnonzero(apart)
    for name in ("drawn/values", "drawn/codes"):
        model.arrays[name] = model.arrays[name][apart]
    return read_held_out(model)


def test_trials_kept_apart_from_all_members_are_as_good_as_new_ones(lab):
    model = lab.KeptModel()
    kept = kept_apart(lab, model)
    honest = audit(model, kept)
    assert honest.verdict == NOTHING
    assert "trials kept apart" in honest.words
    seen = np.repeat(~kept.apart, 4)
    memory = replaying(lab, 0.1, trials=lab.new_trials(powers=lab.POWERS).isel(trial=seen))
    model.simulate = memory.simulate
    assert audit(model, kept).verdict == MEMORISES


def test_one_fold_alone_tells_nothing(lab):
    model = lab.KeptModel(folds=1)
    assert audit(model, read_held_out(model)).verdict == UNKNOWN


def test_the_same_trials_give_the_same_audit(lab):
    first, second = (judged(lab.KnownModel(), lab.training, lab.new) for _ in range(2))
    assert first == second


# a private model, audited when it was trained


def test_what_training_found_is_told_again_where_no_trials_are_kept(lab):
    whole = lab.KeptModel()
    private = lab.KnownModel()
    private.manifest["audit"] = json.loads(json.dumps(examine(whole)))
    assert audit(private, None) == audit(whole, read_held_out(whole))


@pytest.mark.parametrize(
    "change", [{"pairs": "many"}, {"gaps": 3}, {"copies": {"value": 1}}, {"advantage": [1, 2]}]
)
def test_an_audit_that_is_garbled_is_told(lab, change):
    private = lab.KnownModel()
    private.manifest["audit"] = examine(lab.KeptModel()) | change
    with pytest.raises(ModelFileError, match="garbles the audit"):
        audit(private, None)
