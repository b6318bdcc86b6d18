"""`model.simulate`: the same trials always, inside their support, with their labels."""

import numpy as np
import pytest
import xarray as xr

from virtlab.config import parse_params
from virtlab.design import make_design
from virtlab.errors import ModelFileError, PluginError, SettingError, VirtlabError
from virtlab.runtime import BLOCK
from virtlab.simulation import load

MEASURED = ("light", "clicks", "state", "trace")


@pytest.fixture(scope="module")
def simulate(tiny):
    """The tiny model's `simulate`."""
    return tiny.simulate


@pytest.fixture(scope="module")
def many(tiny):
    """4,000 virtual trials at each of four settings."""
    return tiny.simulate({"power": [2, 7], "material": ["glass", "steel"]}, trials=4000, seed=1)


def assert_same(a, b):
    for name in MEASURED:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


# the same trials whatever else is asked for


def test_equal_seeds_give_equal_datasets_and_others_do_not(simulate):
    settings = {"power": [1, 2], "material": "glass"}
    first, again, other = (simulate(settings, trials=50, seed=seed) for seed in (4, 4, 5))
    assert first.identical(again)
    for name in MEASURED:
        assert (first[name].values != other[name].values).any()


def test_a_model_loaded_again_gives_the_same_trials(simulate, tiny_model):
    settings = {"power": [1, 2], "material": "glass"}
    again = load(tiny_model).simulate(settings, trials=50)
    assert simulate(settings, trials=50).identical(again)


def test_first_trials_are_the_same_however_many_are_asked_for(simulate):
    settings = {"power": 3, "material": "glass"}
    few, more = simulate(settings, trials=10), simulate(settings, trials=BLOCK + 476)
    assert_same(few, more.isel(trial=slice(10)))
    np.testing.assert_array_equal(few["member"], more["member"][:10])


def test_blocks_of_a_setting_differ(simulate):
    found = simulate({"power": 3, "material": "glass"}, trials=2 * BLOCK)["trace"].values
    assert not np.isin(found[:BLOCK, 5], found[BLOCK:, 5]).all()


def test_setting_is_the_same_alone_and_in_a_grid_in_any_order(simulate):
    powers, materials = [8, 1, 3.5], ["steel", "glass"]
    forth = simulate({"power": powers, "material": materials}, trials=30)
    back = simulate({"material": materials[::-1], "power": powers[::-1]}, trials=30)
    for power in powers:
        for material in materials:
            alone = simulate({"power": power, "material": material}, trials=30)
            at = {"power": power, "material": material}
            assert_same(alone, forth.sel(at))
            assert_same(alone, back.sel(at))


@pytest.mark.parametrize(("most", "number"), [("rows", 70), ("settings", 7)])
def test_portions_do_not_show(simulate, tiny, monkeypatch, most, number):
    settings = {"power": np.linspace(1, 9, 30), "material": ["glass", "steel"]}
    whole = simulate(settings, trials=20)
    monkeypatch.setattr(tiny.runtime, most, number)
    assert whole.identical(simulate(settings, trials=20))


def test_what_depends_on_settings_is_not_held_for_many_at_once(tiny, monkeypatch):
    asked, part = [], type(tiny.runtime).setting_part
    monkeypatch.setattr(tiny.runtime, "settings", 100)
    monkeypatch.setattr(
        type(tiny.runtime),
        "setting_part",
        lambda self, conditions: asked.append(len(conditions)) or part(self, conditions),
    )
    tiny.simulate({"power": np.linspace(1, 9, 500), "material": ["glass", "steel"]}, trials=1)
    assert asked == [100] * 10


def test_every_setting_of_a_design_has_trials_of_its_own(simulate):
    found = simulate({"power": np.linspace(1, 9, 12), "material": "glass"}, trials=5)
    assert len(np.unique(found["trace"].values[:, :, 3])) == 60


# what a virtual trial may be


def test_support_is_never_violated_and_nothing_is_missing(many):
    assert float(many["light"].min()) == 0
    assert np.isfinite(many["light"]).all()
    assert np.isfinite(many["trace"]).all()
    assert many["light"].dtype == many["trace"].dtype == np.float32


def test_counts_are_whole_and_not_negative(many):
    assert many["clicks"].dtype == np.int64
    assert int(many["clicks"].min()) >= 0
    assert len(np.unique(many["clicks"])) > 5


def test_categories_are_those_of_the_data(many):
    assert set(many["state"].values.ravel()) == {"up", "down"}


def test_exact_zeros_are_about_as_frequent_as_in_the_data(many, tiny_experiment):
    from virtlab.storage import open_trials

    measured = float((open_trials(tiny_experiment)["light"] == 0).mean())
    assert float((many["light"] == 0).mean()) == pytest.approx(measured, abs=0.12)


def test_model_has_learned_what_the_lab_holds(many, tiny):
    mean = many[["light", "clicks"]].mean("trial")
    assert (mean.sel(power=7) > mean.sel(power=2)).all()
    assert mean["light"].sel(power=7, material="glass") > mean["light"].sel(
        power=7, material="steel"
    )
    # The state does not depend on the power: of all powers together the lab tells most.
    powers = {"power": list(range(1, 11)), "material": ["glass", "steel"]}
    up = (tiny.simulate(powers, trials=800, seed=1)["state"] == "up").mean(["trial", "power"])
    assert up.sel(material="glass") > 0.6 > 0.4 > up.sel(material="steel")
    shape = many["trace"].mean("trial").sel(power=7, material="glass")
    wave = 7 * np.sin(2 * np.pi * many["time"])
    assert float(xr.corr(shape, wave)) > 0.95


def test_members_are_all_used_alike(many, tiny):
    for member in many["member"].values.reshape(4, -1):
        counts = np.bincount(member, minlength=tiny.runtime.members)
        np.testing.assert_array_equal(counts, [1000] * 4)


# labels


@pytest.mark.parametrize(
    ("settings", "dims"),
    [
        ({"power": 2, "material": "glass"}, ()),
        ({"power": [2, 3], "material": "glass"}, ("power",)),
        ({"material": ["glass", "steel"], "power": [2, 3]}, ("material", "power")),
        ({"power": [2], "material": ["glass", "steel"]}, ("material",)),
    ],
)
def test_grid_has_a_dim_per_parameter_that_varies(simulate, settings, dims):
    found = simulate(settings, trials=6)
    assert found["light"].dims == found["member"].dims == (*dims, "trial")
    assert found["trace"].dims == (*dims, "trial", "time")
    assert found["domain"].dims == found["domain_distance"].dims == dims
    for name in settings:
        assert found[name].dims == ((name,) if name in dims else ())
        np.testing.assert_array_equal(np.ravel(found[name]), np.ravel(settings[name]))


def make(tiny, tmp_path, text):
    text = f'model = "m.virtlab"\n{text}'
    return make_design(parse_params(text, tmp_path / "params.toml"), tiny.parameters)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('design = "zip"\n[parameters]\npower = [1, 2]\nmaterial = ["glass", "steel"]', 2),
        ('design = "zip"\n[parameters]\npower = 1\nmaterial = "glass"', 1),
        (
            'design = "sobol"\nsize = 8\n[parameters]\n'
            'power = { low = 1, high = 5 }\nmaterial = "glass"',
            8,
        ),
        ('design = "table"\nfile = "t.csv"', 3),
    ],
)
def test_other_designs_have_a_dim_setting_with_the_parameters_on_it(tiny, tmp_path, text, size):
    (tmp_path / "t.csv").write_text("power,material\n1,glass\n2,steel\n3,glass\n")
    design = make(tiny, tmp_path, text)
    found = tiny.simulate(design, trials=6)
    lead = ("setting",) if size > 1 else ()
    assert found["trace"].dims == (*lead, "trial", "time")
    assert found["power"].dims == found["material"].dims == lead
    assert found.sizes.get("setting", 1) == size
    np.testing.assert_array_equal(np.ravel(found["power"]), design.settings["power"])


def test_units_axes_and_names_come_along(simulate):
    found = simulate({"power": [2, 3], "material": "glass"}, trials=6)
    units = {name: found[name].attrs["units"] for name in ("light", "clicks", "trace", "power")}
    assert units == {"light": "lm", "clicks": "1", "trace": "V", "power": "W"}
    np.testing.assert_array_equal(found["time"], np.linspace(0, 1, 24))
    assert found["time"].attrs["units"] == "s"
    assert found["light"].attrs["long_name"] == "virtual light"


def test_attrs_say_that_nothing_was_measured_and_where_it_comes_from(simulate, tiny):
    attrs = simulate({"power": 2, "material": "glass"}, trials=2, seed=9).attrs
    assert attrs["virtual_data"] == 1
    assert "simulated, not measured" in attrs["source"]
    assert attrs["seed"] == "9"
    assert attrs["model_sha256"] == tiny.file.digest
    assert attrs["training_data_sha256"] == tiny.manifest["data"]["sha256"]
    assert attrs["conditioner"].startswith("generic (virtlab ")
    assert attrs["trust"]
    assert "params" not in attrs


def test_measurements_carry_their_held_out_scores(simulate, tiny):
    found = simulate({"power": 2, "material": "glass"}, trials=2)
    assert found["light"].attrs["held_out_score"] == tiny.scores["light"]["model"]
    assert "held_out_coverage_of_90_percent" not in found["state"].attrs


# inside and outside the data


def test_training_settings_are_inside_and_far_ones_outside(simulate):
    found = simulate({"power": [0.5, 5, 10, 20], "material": ["glass", "steel"]}, trials=2)
    verdict = found["domain"].sel(material="glass").values.tolist()
    assert verdict == ["inside", "inside", "inside", "outside"]
    assert (found["domain_distance"].sel(power=[0.5, 5, 10]) <= 1).all()
    np.testing.assert_allclose(found["domain_distance"].sel(power=[0.5, 10]), 0, atol=1e-3)
    assert (found["domain_distance"].sel(power=20) > 2).all()


def test_edge_lies_between(simulate, tiny):
    step = 0.5
    found = simulate({"power": [10, 10 + 1.5 * step], "material": "glass"}, trials=2)
    assert found["domain"].values.tolist() == ["inside", "edge"]


# refusals


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"power": 21, "material": "glass"}, "21 W is outside its bounds [0, 20]"),
        ({"power": -1, "material": "glass"}, "outside its bounds"),
        ({"power": 2, "material": "glas"}, "unknown category 'glas'; did you mean 'glass'?"),
        ({"power": 2}, "material: missing"),
        ({"power": 2, "material": "glass", "color": 1}, "color: unknown parameter"),
        ({"power": "2", "material": "glass"}, "expected a number, found '2'"),
        ({"power": float("nan"), "material": "glass"}, "finite"),
        ({"power": [], "material": "glass"}, "power"),
        ({"power": [2, 2], "material": "glass"}, "twice"),
    ],
)
def test_impossible_settings_are_told(simulate, settings, said):
    with pytest.raises(SettingError) as caught:
        simulate(settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"seed": 2**63}, {"seed": 1.5}, {"trials": 0}, {"trials": -3}, {"trials": 2.5}],
)
def test_impossible_seeds_and_numbers_of_trials_are_told(simulate, wrong):
    (name,) = wrong
    with pytest.raises(VirtlabError, match=f"^{name}: expected.*{wrong[name]}"):
        simulate({"power": 2, "material": "glass"}, **wrong)


@pytest.mark.parametrize("change", ["version", "distribution", "name"])
def test_conditioner_other_than_the_models_is_told(altered, change):
    other = {"version": "0.9.3", "distribution": "virtlab-other", "name": "nope"}[change]
    model = altered(lambda manifest: manifest["conditioner"].update({change: other}))
    with pytest.raises(PluginError, match=other.replace(".", r"\.")) as caught:
        model.simulate({"power": 2, "material": "glass"})
    assert "pip install" in str(caught.value)


def test_conditioner_with_other_features_is_told(altered):
    model = altered(lambda manifest: manifest["features"]["labels"].reverse())
    with pytest.raises(ModelFileError, match=r"now makes the features .*train again"):
        model.simulate({"power": 2, "material": "glass"})


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("parameters"),
        lambda manifest: manifest.pop("features"),
        lambda manifest: manifest["columns"][0].pop("measurement"),
        lambda manifest: manifest["columns"][0].update(unknown=1),
        lambda manifest: manifest.update(scores=None) or manifest.pop("conditioner"),
    ],
)
def test_manifest_that_lacks_something_is_told(altered, change):
    with pytest.raises(ModelFileError, match=r"altered\.virtlab: .*train again"):
        altered(change)


# how it shows itself


def test_summary_tells_data_scores_and_verdict(tiny):
    text = tiny.summary()
    assert text.startswith("tiny: 120 trials at 40 settings, 4 members, preset auto")
    assert text.splitlines()[1] == "training: healthy"
    assert "power 0.5 to 10 W, material (glass, steel)" in text
    for name in MEASURED:
        assert sum(line.startswith(name) for line in text.splitlines()) == 1
    assert repr(tiny) == f"<virtlab.Model tiny.virtlab>\n{text}"


def test_summary_says_where_to_read_what_went_wrong_in_training(altered):
    def change(manifest):
        manifest["training"]["health"] = ["1 of 4 members diverged in refinement"]

    assert "training: not healthy, see the notes" in altered(change).summary()


def test_summary_repeats_the_doubts_of_reading(altered):
    def change(manifest):
        assert manifest["data"]["doubts"] == []
        manifest["data"]["doubts"] = ["light: 1e+06 of trial 7 of lab.h5 is far from all others"]

    assert "\nlight: 1e+06 of trial 7 of lab.h5 is far" in altered(change).summary()


def test_html_repr_escapes_what_it_shows(altered):
    def change(manifest):
        manifest["experiment"]["name"] = "<script>alert(1)</script>"

    found = altered(change)._repr_html_()
    assert "<script>" not in found
    assert "&lt;script&gt;" in found


def test_loading_reads_members_only_when_they_are_needed(tiny_model, monkeypatch):
    from virtlab.modelfile import ModelFile

    read = []
    member = ModelFile.member
    monkeypatch.setattr(
        ModelFile, "member", lambda self, name: read.append(name) or member(self, name)
    )
    model = load(tiny_model)
    repr(model)
    assert read == []
    for _ in range(2):
        model.simulate({"power": 2, "material": "glass"})
    assert sorted(read) == ["generator.tflite", "reference.safetensors"]
