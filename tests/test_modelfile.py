"""The model file: whole, checked, and told in words when it is not."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from virtlab import modelfile
from virtlab.errors import ModelFileError, OutputError
from virtlab.modelfile import (
    GENERATOR,
    MANIFEST,
    REFERENCE,
    WEIGHTS,
    pack_arrays,
    read_model,
    write_model,
)

ARRAYS = {"conditions": np.arange(12, dtype=np.float32).reshape(4, 3)}
MEMBERS = {
    GENERATOR: bytes(range(256)) * 4,
    WEIGHTS: pack_arrays({"a": np.ones((2, 3), np.float32)}),
    REFERENCE: pack_arrays(ARRAYS),
}
ABOUT = {"experiment": {"name": "crossed barrel", "text": "# µm\n"}, "seed": 3}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.virtlab"
    write_model(path, ABOUT, MEMBERS)
    return path


def read_all(path):
    """Everything that anybody reads of a model file."""
    file = read_model(path)
    return file.manifest, file.member(GENERATOR), file.arrays(WEIGHTS), file.arrays(REFERENCE)


def rewrite(path, change, *, vouched=True):
    """Change the members of a zip; `change` edits a list of (name, data), or returns one.

    With `vouched`, as somebody would who knows the format: the manifest's digest fits it.
    """
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
        comment = archive.comment
    members = change(members) or members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
        manifest = dict(reversed(members)).get(MANIFEST, b"")
        archive.comment = hashlib.sha256(manifest).hexdigest().encode() if vouched else comment


def edit_manifest(**changes):
    def change(members):
        found = json.loads(members[0][1]) | changes
        members[0] = (MANIFEST, json.dumps(found).encode())

    return change


# what is written


def test_everything_comes_back(model):
    manifest, generator, weights, reference = read_all(model)
    assert manifest["experiment"] == ABOUT["experiment"]
    assert manifest["format"] == 1
    assert generator == MEMBERS[GENERATOR]
    np.testing.assert_array_equal(weights["a"], np.ones((2, 3)))
    np.testing.assert_array_equal(reference["conditions"], ARRAYS["conditions"])


def test_digest_is_that_of_the_file(model):
    assert read_model(model).digest == hashlib.sha256(model.read_bytes()).hexdigest()


def test_two_writes_are_the_same_bytes(model, tmp_path):
    again = tmp_path / "again.virtlab"
    write_model(again, dict(reversed(ABOUT.items())), MEMBERS)
    assert again.read_bytes() == model.read_bytes()


def test_manifest_can_be_read_by_hand(model):
    with zipfile.ZipFile(model) as archive:
        text = archive.read(MANIFEST).decode()
    assert '"name": "crossed barrel"' in text
    assert len(text.splitlines()) > 10


def test_manifest_is_strict_json_and_its_scores_are_numbers_again(tmp_path):
    path = tmp_path / "lab.virtlab"
    nothing = {"model": float("nan"), "nearest": np.float32("inf"), "floor": None}
    write_model(path, ABOUT | {"scores": {"y": nothing}}, MEMBERS)
    with zipfile.ZipFile(path) as archive:
        found = json.loads(archive.read(MANIFEST), parse_constant=pytest.fail)
    assert found["scores"]["y"] == {"model": None, "nearest": None, "floor": None}
    back = read_model(path).manifest["scores"]["y"]
    assert np.isnan([back["model"], back["nearest"]]).all()
    assert back["floor"] is None


def test_existing_file_is_replaced_by_force_only(model):
    before = model.read_bytes()
    with pytest.raises(OutputError, match=r"m\.virtlab exists; use --force"):
        write_model(model, {"seed": 4}, MEMBERS)
    assert model.read_bytes() == before
    write_model(model, {"seed": 4}, MEMBERS, force=True)
    assert read_model(model).manifest["seed"] == 4


def test_missing_folder_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"none.m\.virtlab: cannot be written: No such file"):
        write_model(tmp_path / "none" / "m.virtlab", ABOUT, MEMBERS)


def test_unwritable_folder_is_told():
    with pytest.raises(OutputError, match=r"^/proc/m\.virtlab: cannot be written: "):
        write_model(Path("/proc/m.virtlab"), ABOUT, MEMBERS)  # not even for root


def test_full_disk_leaves_the_old_file_and_no_rest(model, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    before = model.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        write_model(model, ABOUT, MEMBERS, force=True)
    assert [path.name for path in model.parent.iterdir()] == ["m.virtlab"]
    assert model.read_bytes() == before


def test_interruption_leaves_the_old_file_and_no_rest(model, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    before = model.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(model, ABOUT, MEMBERS, force=True)
    assert [path.name for path in model.parent.iterdir()] == ["m.virtlab"]
    assert model.read_bytes() == before


# damage


def test_a_bit_flipped_anywhere_is_told_in_words_or_harmless(model, tmp_path):
    whole = model.read_bytes()
    expected = read_all(model)
    path = tmp_path / "flipped.virtlab"
    told = harmless = 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        try:
            found = read_all(path)
        except ModelFileError as error:
            told += str(path) in str(error)
        else:
            assert found[0] == expected[0]
            assert found[1] == expected[1]
            for theirs, ours in zip(found[2:], expected[2:], strict=True):
                assert theirs.keys() == ours.keys()
                assert all(np.array_equal(theirs[name], ours[name]) for name in ours)
            harmless += 1
    assert told + harmless == len(whole)
    assert told > len(whole) / 2


def test_a_file_cut_short_anywhere_is_told_in_words(model):
    whole = model.read_bytes()
    for length in range(0, len(whole), 7):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"m\.virtlab: .*(virtlab train|train again)"):
            read_all(model)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(ModelFileError, match=r"none\.virtlab: no such file; check the path"):
        read_model(tmp_path / "none.virtlab")


def test_folder_is_told(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        read_model(tmp_path)


class Bomb:
    """Would show itself when unpickled."""

    def __reduce__(self):
        return (print, ("unpickled!",))


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"{}", pickle.dumps(Bomb())]
)
def test_what_is_no_zip_is_refused_unread(tmp_path, content, capsys):
    path = tmp_path / "m.virtlab"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"is not a \.virtlab model file"):
        read_model(path)
    assert capsys.readouterr().out == ""


def test_foreign_zip_is_refused(tmp_path):
    path = tmp_path / "m.virtlab"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.pkl", pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError, match=r"a zip without manifest\.json"):
        read_model(path)


@pytest.mark.parametrize(
    "name", ["code.py", "../generator.tflite", "/etc/passwd", "Generator.tflite", "weights.pkl"]
)
def test_member_of_a_name_that_is_not_ours_is_refused(model, name):
    rewrite(model, lambda members: members.append((name, b"x")))
    with pytest.raises(ModelFileError, match="damaged or altered: unexpected or repeated"):
        read_model(model)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [MANIFEST, GENERATOR])
def test_repeated_member_is_refused(model, name):
    rewrite(model, lambda members: members.append((name, b"{}")))
    with pytest.raises(ModelFileError, match="unexpected or repeated"):
        read_model(model)


def test_altered_member_is_refused_when_it_is_read(model):
    def change(members):
        return [(n, d[:-1] + b"!" if n == GENERATOR else d) for n, d in members]

    rewrite(model, change)
    file = read_model(model)
    with pytest.raises(ModelFileError, match=r"generator\.tflite is not the one that was written"):
        file.member(GENERATOR)
    assert file.arrays(REFERENCE).keys() == ARRAYS.keys()


def test_member_of_another_size_than_listed_is_refused_at_once(model):
    rewrite(model, lambda members: [(n, d + b"!" * (n == WEIGHTS)) for n, d in members])
    with pytest.raises(ModelFileError, match=r"weights\.safetensors has another size"):
        read_model(model)


def test_listed_member_that_is_not_there_is_refused(model):
    rewrite(model, lambda members: [m for m in members if m[0] != REFERENCE])
    with pytest.raises(ModelFileError, match=r"reference\.safetensors has another size"):
        read_model(model)


def test_member_that_no_manifest_lists_is_not_read(model):
    def unlist(members):
        found = json.loads(members[0][1])
        del found["members"][GENERATOR]
        members[0] = (MANIFEST, json.dumps(found).encode())

    rewrite(model, unlist)
    with pytest.raises(ModelFileError, match=r"generator\.tflite"):
        read_model(model).member(GENERATOR)


def test_newer_format_names_the_version_that_wrote_it(model):
    rewrite(model, edit_manifest(format=2, virtlab="7.1"))
    with pytest.raises(ModelFileError, match=r"format 2, this virtlab reads 1.*7\.1.*pip install"):
        read_model(model)


def test_edited_manifest_is_refused(model):
    rewrite(model, edit_manifest(seed=4), vouched=False)
    with pytest.raises(ModelFileError, match=r"manifest\.json is not the one that was written"):
        read_model(model)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"members": []}',
        b"[" * 100_000,
        b'{"format": 1, "members": {"weights.safetensors": 3}}',
        b'{"format": 1, "members": {"weights.safetensors": null}}',
    ],
)
def test_garbled_manifest_is_told(model, manifest):
    rewrite(model, lambda members: [(MANIFEST, manifest), *members[1:]])
    with pytest.raises(ModelFileError, match=r"m\.virtlab: "):
        read_model(model)


def test_sizes_beyond_the_cap_are_refused_before_unpacking(model, monkeypatch):
    monkeypatch.setattr(modelfile, "MAX_MEMBER", 500)
    with pytest.raises(ModelFileError, match=r"generator\.tflite claims 1024 bytes"):
        read_model(model)


def test_member_that_unpacks_to_more_than_it_claims_is_refused(model):
    # The zip's directory claims the size that the manifest lists; the data unpack to more.
    small, large = b"A" * 10, b"A" * 100_000
    write_model(model, ABOUT, MEMBERS | {GENERATOR: large}, force=True)
    raw = model.read_bytes().replace(
        len(large).to_bytes(4, "little"), len(small).to_bytes(4, "little")
    )
    model.write_bytes(raw)
    with zipfile.ZipFile(model) as archive:
        assert archive.getinfo(GENERATOR).file_size == len(small)
    listed = {"bytes": len(small), "sha256": hashlib.sha256(large).hexdigest()}

    def relist(manifest):
        return manifest | {"members": manifest["members"] | {GENERATOR: listed}}

    with pytest.raises(ModelFileError, match="another size"):
        read_model(model)
    file = modelfile.ModelFile(model, "", relist(read_manifest(model)))
    with pytest.raises(ModelFileError, match=r"cannot be read|not the one that was written"):
        file.member(GENERATOR)


def read_manifest(path):
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        return json.loads(archive.read(MANIFEST))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, bad):
    path = tmp_path / "m.virtlab"
    write_model(path, ABOUT, MEMBERS | {WEIGHTS: pack_arrays({"trunk": np.array([1.0, bad])})})
    with pytest.raises(ModelFileError, match="trunk has values that are not finite"):
        read_model(path).arrays(WEIGHTS)


def test_arrays_that_are_no_safetensors_are_told(tmp_path):
    path = tmp_path / "m.virtlab"
    write_model(path, ABOUT, MEMBERS | {WEIGHTS: pickle.dumps(Bomb())})
    with pytest.raises(ModelFileError, match=r"weights\.safetensors is no safetensors file"):
        read_model(path).arrays(WEIGHTS)


def test_file_that_vanishes_after_it_was_opened_is_told(model):
    file = read_model(model)
    model.unlink()
    with pytest.raises(ModelFileError, match=r"generator\.tflite cannot be read"):
        file.member(GENERATOR)
