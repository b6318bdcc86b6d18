from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from virtlab import plugins
from virtlab.conditioning import generic
from virtlab.errors import PluginError

GOOD = """
from virtlab.conditioning import Conditioner
conditioner = Conditioner("{name}", "about {name}", lambda s, p, o: dict(s))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution as pip would: a module and a dist-info folder on sys.path."""
    modules = []

    def put(distribution, entry, code, version="1.2.3", group=plugins.CONDITIONERS):
        module = entry.split("=")[1].split(":")[0].strip()
        modules.append(module)
        folder = tmp_path / distribution
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
        monkeypatch.syspath_prepend(folder)

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def described(name):
    (info,) = [info for info in plugins.installed() if info.name == name]
    return info


def test_built_in_conditioner_is_found():
    assert plugins.conditioner("generic") is generic


@pytest.mark.parametrize("name", ["table", "groups", "files"])
def test_built_in_readers_are_found(name):
    assert plugins.reader(name).name == name


def test_installed_plugin_is_loaded_by_name(install):
    install("virtlab-heat", "heat = heat_plugin:conditioner", GOOD.format(name="heat"))
    assert plugins.conditioner("heat").about == "about heat"
    assert plugins.distribution_of(plugins.CONDITIONERS, "heat") == ("virtlab-heat", "1.2.3")
    assert described("heat") == plugins.PluginInfo(
        plugins.CONDITIONERS, "heat", "virtlab-heat", "1.2.3", "about heat", ""
    )


def test_missing_plugin_names_what_is_installed_and_the_pip_line():
    with pytest.raises(PluginError) as caught:
        plugins.reader("nexus")
    told = str(caught.value)
    assert told.startswith("no reader 'nexus' is installed; installed are ")
    assert "table" in told
    assert told.endswith("pip install virtlab-nexus")


def test_misspelt_plugin_gets_a_suggestion():
    with pytest.raises(PluginError, match=r"no conditioner 'generik' .*did you mean 'generic'"):
        plugins.conditioner("generik")


def test_name_claimed_by_two_distributions_is_used_from_neither(install):
    install("virtlab-heat", "heat = heat_one:conditioner", GOOD.format(name="heat"))
    install("acme-heat", "heat = heat_two:conditioner", GOOD.format(name="heat"), "0.9")
    message = "'heat' is claimed by 2 distributions: acme-heat 0.9, virtlab-heat 1.2.3"
    with pytest.raises(PluginError, match=message):
        plugins.conditioner("heat")
    with pytest.raises(PluginError, match=message):
        plugins.distribution_of(plugins.CONDITIONERS, "heat")
    claims = [info for info in plugins.installed() if info.name == "heat"]
    assert [info.distribution for info in claims] == ["acme-heat", "virtlab-heat"]
    assert all("claimed by 2" in info.error for info in claims)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("conditioner = 1 / 0", "ZeroDivisionError"),
        ("other = 1", "AttributeError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_broken_plugin_is_told_and_hides_no_other(install, code, error):
    install("virtlab-bad", "bad = bad_plugin:conditioner", code)
    with pytest.raises(PluginError, match=f"'bad' of virtlab-bad 1.2.3 cannot be .*{error}"):
        plugins.conditioner("bad")
    assert error in described("bad").error
    assert described("generic").error == ""


def test_plugin_of_the_wrong_type_is_told(install):
    install("virtlab-bad", "bad = bad_type:conditioner", "conditioner = 'text'")
    with pytest.raises(PluginError, match=r"is a str, expected a virtlab\.Conditioner"):
        plugins.conditioner("bad")


def test_conditioner_is_no_reader(install):
    install(
        "virtlab-bad", "odd = odd_plugin:conditioner", GOOD.format(name="odd"),
        group=plugins.READERS,
    )  # fmt: skip
    with pytest.raises(PluginError, match=r"is a Conditioner, expected a virtlab\.Reader"):
        plugins.reader("odd")


def test_plugin_goes_by_the_name_of_its_entry_point(install):
    install("virtlab-heat", "heat = heat_named:conditioner", GOOD.format(name="hot"))
    with pytest.raises(PluginError, match="calls itself 'hot'"):
        plugins.conditioner("heat")


def test_plugin_that_is_not_asked_for_is_not_loaded(install):
    install("virtlab-bad", "bad = bad_unasked:conditioner", "raise RuntimeError")
    assert plugins.conditioner("generic") is generic
    assert "bad_unasked" not in sys.modules


@pytest.mark.parametrize("version", ["1.2.3", "1.2.0", "1.2.99", "1.2", "1.2.4rc1"])
def test_model_accepts_another_patch_of_its_conditioner(install, version):
    install("virtlab-heat", "heat = heat_same:conditioner", GOOD.format(name="heat"))
    plugins.check_version("heat", "Virtlab_Heat", version)


@pytest.mark.parametrize("version", ["1.3.0", "2.2.3", "0.2", "1"])
def test_model_refuses_another_version_of_its_conditioner(install, version):
    install("virtlab-heat", "heat = heat_other:conditioner", GOOD.format(name="heat"))
    with pytest.raises(PluginError) as caught:
        plugins.check_version("heat", "virtlab-heat", version)
    told = str(caught.value)
    assert f"trained with virtlab-heat {version}, installed is virtlab-heat 1.2.3" in told
    assert "pip install 'virtlab-heat~=" in told


def test_model_refuses_another_distributions_conditioner(install):
    install("acme-heat", "heat = heat_acme:conditioner", GOOD.format(name="heat"))
    with pytest.raises(PluginError, match=r"trained with virtlab-heat 1\.2\.3, installed is acme"):
        plugins.check_version("heat", "virtlab-heat", "1.2.3")


def test_model_without_its_plugin_gets_the_pip_line():
    with pytest.raises(PluginError, match="pip install virtlab-heat"):
        plugins.check_version("heat", "virtlab-heat", "1.2.3")


def test_listing_plugins_is_light():
    code = (
        "import sys; from virtlab import plugins; assert plugins.installed()\n"
        "heavy = ('xarray', 'h5py', 'tensorflow', 'scipy', 'pint', 'zarr')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
