"""From experiment.toml to a model file."""

import re

import numpy as np
import pytest

from virtlab.config import parse_experiment
from virtlab.errors import DataError, OutputError, VirtlabError
from virtlab.modelfile import read_model
from virtlab.storage import open_trials
from virtlab.training import train
from virtlab.training.checkpoint import checkpoint_path
from virtlab.training.deadline import EXPORTING
from virtlab.training.learnable import make_learnable
from virtlab.training.learning import LOOKS_AFTER
from virtlab.training.train import default_output


@pytest.fixture
def nothing_is_read(monkeypatch):
    from virtlab import storage

    monkeypatch.setattr(
        storage, "open_within", lambda *_, **__: pytest.fail("read the lab files"), raising=False
    )


# trials made ready


@pytest.fixture(scope="module")
def tiny_trials(tiny_experiment):
    return open_trials(tiny_experiment)


def learn(trials, tiny_experiment, *edits):
    text = tiny_experiment.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return make_learnable(trials, parse_experiment(text, tiny_experiment))


def test_numbers_are_standardised_and_indicators_become_signs(tiny_trials, tiny_experiment):
    found = learn(tiny_trials, tiny_experiment)
    assert found.labels == ("power", "material=glass", "material=steel")
    assert found.conditions.dtype == np.float32
    assert found.conditions[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert found.conditions[:, 0].std() == pytest.approx(1, rel=1e-5)
    assert set(np.unique(found.conditions[:, 1:])) == {-1, 1}


def test_settings_are_numbered(tiny_trials, tiny_experiment):
    found = learn(tiny_trials, tiny_experiment)
    assert found.settings == 40
    np.testing.assert_array_equal(np.bincount(found.setting), 3)
    for row in range(1, 120):
        same = (found.conditions[row] == found.conditions[0]).all()
        assert same == (found.setting[row] == found.setting[0])


def test_parameter_that_never_varied_stays_finite(tiny_trials, tiny_experiment):
    constant = tiny_trials.copy()
    constant["power"] = constant["power"] * 0 + 7.3
    constant["power"].attrs = tiny_trials["power"].attrs
    found = learn(constant, tiny_experiment)
    assert found.settings == 2
    np.testing.assert_array_equal(found.conditions[:, 0], 0)


def test_trials_at_one_setting_are_refused(tiny_trials, tiny_experiment):
    one = tiny_trials.isel(trial=[0, 2, 4])
    with pytest.raises(DataError, match="all 3 trials are at one setting") as caught:
        learn(one, tiny_experiment)
    assert "power = 0.5" in str(caught.value)


def test_categories_are_those_in_the_trials(tiny_trials, tiny_experiment):
    parameter = learn(tiny_trials, tiny_experiment).parameters[1]
    assert (parameter.kind, parameter.categories) == ("categorical", ("glass", "steel"))


# where the model goes


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tiny", "tiny.virtlab"),
        ("Größe / 3 mm", "Gr_e_3_mm.virtlab"),
        ("../up", "up.virtlab"),
        ("…", "model.virtlab"),
    ],
)
def test_default_output_is_the_experiments_name_beside_it(tiny_experiment, name, file):
    text = tiny_experiment.read_text().replace('name = "tiny"', f'name = "{name}"')
    found = default_output(parse_experiment(text, tiny_experiment))
    assert found == tiny_experiment.parent / file


def test_existing_output_is_refused_before_anything_is_read(
    tiny_experiment, tmp_path, nothing_is_read
):
    path = tmp_path / "m.virtlab"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"m\.virtlab exists; use --force"):
        train(tiny_experiment, output=path)
    assert path.read_text() == "precious"


def test_missing_folder_is_refused_before_anything_is_read(
    tiny_experiment, tmp_path, nothing_is_read
):
    with pytest.raises(OutputError, match=r"none does not exist; make it first"):
        train(tiny_experiment, output=tmp_path / "none" / "m.virtlab")


# training


@pytest.fixture
def given_to_fit(monkeypatch):
    """What `train` hands to a `fit` that is interrupted at once."""
    from virtlab.gan import fit

    found = {}

    def interrupt(blocks, options, **more):
        found.update(more, blocks=blocks, options=options)
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "fit", interrupt)
    return found


def test_resuming_without_a_checkpoint_starts_anew(tiny_experiment, tmp_path, given_to_fit):
    with pytest.raises(VirtlabError):
        train(tiny_experiment, output=tmp_path / "m.virtlab", resume=True)
    assert given_to_fit["resume"] is None


def test_fit_gets_what_experiment_toml_asks_for(tiny_experiment, tmp_path, given_to_fit):
    text = tiny_experiment.read_text()
    text += 'max_time = "2 min"\nstop_when = { energy_score = 0.3 }\n'
    with pytest.raises(VirtlabError):
        train(parse_experiment(text, tiny_experiment), output=tmp_path / "m.virtlab")
    options = given_to_fit["options"]
    assert (options.preset, options.seed, options.members) == ("auto", 5, 4)
    assert (options.generators, options.critics, options.critic) == (1, 1, "auto")
    assert 90 < options.max_seconds < 120 - EXPORTING  # what reading has left of it
    assert (options.looks_after, options.stop_at) == (LOOKS_AFTER, 0.3)
    assert len(given_to_fit["blocks"]) == 120


def test_ctrl_c_before_there_is_a_model_says_that_nothing_was_written(
    tiny_experiment, tmp_path, given_to_fit
):
    with pytest.raises(VirtlabError, match="stopped before there was a model"):
        train(tiny_experiment, output=tmp_path / "m.virtlab")
    assert list(tmp_path.iterdir()) == []


class Killed(Exception):
    """Stands for a process that ends amid training."""


def test_killed_training_resumes_to_the_same_bytes_as_one_that_never_stopped(
    tiny_experiment, tiny_model, tmp_path, few_steps, monkeypatch
):
    from virtlab.gan import attempt

    def kill(progress):
        if progress.stage == "refinement":
            raise Killed

    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "m.virtlab"
    with few_steps():
        with pytest.raises(Killed):
            train(tiny_experiment, output=path, report=kill)
        assert not path.exists()
        assert checkpoint_path(path).exists()
        train(tiny_experiment, output=path, resume=True)
    assert path.read_bytes() == tiny_model.read_bytes()
    assert not checkpoint_path(path).exists()


def test_textbook_preset_trains_and_simulates(tiny_experiment, tmp_path, few_steps):
    model = 'members = 2\npreset = "vanilla"\ngenerators = 2\ncritics = 2\ncritic = "gru"'
    text = tiny_experiment.read_text().replace("members = 4", model)
    experiment = parse_experiment(text, tiny_experiment)
    told = []
    with few_steps():
        model = train(experiment, output=tmp_path / "v.virtlab", seed=9, report=told.append)
    training = model.manifest["training"]
    assert (training["preset"], training["members"]) == ("vanilla", 4)  # two networks each
    assert (training["generators"], training["critics"]) == (2, 2)
    assert model.manifest["seed"] == 9
    assert model.manifest["calibration"] == {}
    found = model.simulate({"power": [1, 5], "material": "glass"}, trials=300)
    assert float(found["light"].min()) >= 0
    assert 0 < float((found["light"] == 0).mean()) < 1

    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages[0] == "reading"
    assert stages[-3:] == ["exporting", "writing", "done"]
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


# what the model file says


def test_manifest_says_what_was_learned_from_what(tiny_model, tiny_experiment, tiny_trials):
    manifest = read_model(tiny_model).manifest
    assert manifest["experiment"] == {"name": "tiny", "text": tiny_experiment.read_text()}
    assert manifest["seed"] == 5
    assert manifest["conditioner"]["name"] == "generic"
    assert manifest["data"]["files"] == ["lab.h5"]
    assert (manifest["data"]["trials"], manifest["data"]["settings"]) == (120, 40)
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["data"]["sha256"])
    assert [p["range"] for p in manifest["parameters"]] == [[0.5, 10.0], None]
    assert manifest["coords"]["time"]["units"] == "s"
    np.testing.assert_array_equal(manifest["coords"]["time"]["values"], tiny_trials["time"])
    assert manifest["training"]["members"] == 4
    assert manifest["training"]["history"][0]["step"] == 50
    assert manifest["training"]["health"] == ["healthy"]
    assert set(manifest["calibration"]) == {"light", "clicks", "trace"}


def test_model_file_holds_nothing_of_this_machine(tiny_model):
    manifest = str(read_model(tiny_model).manifest)
    assert str(tiny_model.parent) not in manifest
    assert "/tmp" not in manifest
