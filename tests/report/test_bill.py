"""A bill of materials says what is there: it is held against its format's official schema, and each fact against a file."""

import base64
import hashlib
import json
import re
import uuid
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from safetensors import safe_open

from alx import plan as plans
from alx.cli.main import run
from alx.errors import ConfigError, UsageError
from alx.report import model_card
from alx.report.cyclonedx import Property
from alx.site import events
from alx.site.entries import Selected
from tests.forge import refused

ROOT = Path(__file__).parents[2]
ROLES = ("learner", "provider")
SCHEMAS = ROOT / "tests" / "vectors" / "cyclonedx"


@pytest.fixture(scope="module")
def schema():
    """The official one, with the two that it refers to."""
    listed = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    assert len(listed) == 3
    at = "http://cyclonedx.org/schema/"
    registry = Registry().with_resources([(at + name, Resource.from_contents(each)) for name, each in listed.items()])
    found = listed["bom-1.6.SNAPSHOT.schema.json"]
    Draft7Validator.check_schema(found)
    return Draft7Validator(found, registry=registry)


@pytest.fixture
def bill(tmp_path, alx):
    """What `alx best` writes of a site: the bill, and the model's file."""

    def written(site, *more):
        model = tmp_path / "m.safetensors"
        done = alx("best", model, "--site", site, *more)
        assert done.code == 0, done.err
        return json.loads((tmp_path / "m.cdx.json").read_bytes()), model

    return written


def properties(component):
    return {each["name"].removeprefix("alx:"): each["value"] for each in component["properties"]}


def by_ref(found):
    return {each["bom-ref"]: each for each in found["components"]}


def texts(value):
    """Every text in a document."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def subject(bundle):
    """The digest that a bundle's signature is over, out of its envelope."""
    envelope = json.loads((bundle / "round.sig").read_text())["dsseEnvelope"]
    return json.loads(base64.b64decode(envelope["payload"]))["subject"][0]["digest"]["sha256"]


@pytest.mark.parametrize(("state", "role"), [("answered", "provider"), ("finished", "learner"), ("closed", "provider")])
def test_it_passes_the_official_schema(stage, bill, schema, state, role):
    found, _ = bill(stage(state).folder(role), "--license", "Apache-2.0")
    assert [error.message for error in schema.iter_errors(found)] == []
    assert schema.is_valid(found | {"components": [{"type": "no-such"}]}) is False  # the schema is one that refuses


def test_its_digests_are_those_of_the_files(stage, bill):
    world = stage("finished")
    found, model = bill(world.folder("learner"))
    component = found["metadata"]["component"]
    told = properties(component)
    assert component["hashes"] == [{"alg": "SHA-256", "content": sha(model)}]
    assert (told["file"], told["bytes"]) == (model.name, str(model.stat().st_size))
    with safe_open(model, framework="np") as file:
        assert told["tensors"] == str(len(file.keys()))
        raw = [file.get_tensor(name).tobytes() for name in sorted(file.keys())]
    assert told["weights"] == hashlib.sha256(b"".join(raw)).hexdigest()
    assert told["plan"] == by_ref(found)["plan"]["hashes"][0]["content"] == sha(model.with_name("m.plan.toml"))
    keys = {role: sha(world.folder(role) / "public.pem") for role in ROLES}
    crypto = [each for each in found["components"] if each["type"] == "cryptographic-asset"]
    assert {(each["name"], each["hashes"][0]["content"]) for each in crypto} == {
        (f"public key of the {role}", key) for role, key in keys.items()
    }


def test_it_names_each_bundle_up_to_the_one_that_the_model_is_out_of(stage, bill):
    world = stage("finished")
    found, _ = bill(world.folder("learner"))
    component = found["metadata"]["component"]
    ancestors = component["pedigree"]["ancestors"]
    chosen = properties(component)["chosen-out-of"]
    order = [(role, round_) for round_ in (1, 2) for role in ROLES]
    there = [(world.bundle(role, round_), role, str(round_)) for role, round_ in order]
    digests = [subject(path) for path, _, _ in there]
    there = there[: digests.index(chosen) + 1]
    assert [each["name"] for each in ancestors] == [path.name for path, _, _ in there]
    for each, (path, role, round_) in zip(ancestors, there, strict=True):
        said = properties(each)
        assert (said["digest"], said["sender"], said["round"]) == (subject(path), role, round_)
        assert said["signed-with"] == sha(world.folder(role) / "public.pem")
        assert ("sealed" in said, "accepted" in said) == (role == "learner", role != "learner")


def test_a_model_of_an_earlier_round_did_not_come_out_of_a_later_one(stage, bill):
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    first, _ = bill(world.folder("learner"))
    sealed = world.turn("learner")
    found, _ = bill(world.folder("learner"))
    assert found == first
    assert subject(sealed) not in json.dumps(found)


def test_its_numbers_are_those_that_were_measured_and_signed(stage, bill):
    world = stage("finished")
    found, _ = bill(world.folder("learner"))
    card = found["metadata"]["component"]["modelCard"]
    least = min(world.state("learner").position.selected, key=lambda each: each.global_loss)
    total, mean = (float(each["value"]) for each in card["quantitativeAnalysis"]["performanceMetrics"])
    assert (total, mean) == (least.global_loss, least.global_loss / 100)
    signed = {role: json.loads((world.bundle(role) / "manifest.json").read_text())["samples"] for role in ROLES}
    for role, samples in signed.items():
        (data,) = by_ref(found)[f"data:{role}"]["data"]
        assert properties(data["contents"])["samples"] == str(samples)
    assert card["modelParameters"]["datasets"] == [{"ref": f"data:{role}"} for role in ROLES]
    assert card["modelParameters"]["modelArchitecture"] == "alx.tasks.models:mlp"


def test_it_has_no_score_of_data_kept_apart_and_no_loss_of_one_side_alone(stage, bill):
    for state, role in (("finished", "learner"), ("closed", "provider")):
        world = stage(state)
        found, _ = bill(world.folder(role))
        kept = set()
        for each in world.state(role).position.selected:
            kept |= {each.held_out, *each.own, *each.signed, *each.metrics.values.values()}
        kept -= {None, 0.0, 1.0}
        assert len(kept) > 10
        said = {float(number) for text in texts(found) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)}
        assert not {round(each, 4) for each in kept} & {round(each, 4) for each in said}
        assert not any("held" in text for text in texts(found))


def test_a_number_of_samples_that_is_too_small_is_told_of_neither_side(stage, bill, schema):
    folder = stage("finished").folder("learner")
    config = folder / "site.toml"
    config.write_text(config.read_text() + "\n[disclosure]\nleast = 50\n")
    found, _ = bill(folder)
    assert [error.message for error in schema.iter_errors(found)] == []
    for role in ROLES:
        (data,) = by_ref(found)[f"data:{role}"]["data"]
        assert not {name for name in properties(data["contents"]) if name.startswith("samples")}


def test_the_same_site_gives_the_same_bytes_and_its_times_are_the_logs(stage, bill):
    world = stage("finished")
    found, model = bill(world.folder("learner"))
    before = model.with_name("m.cdx.json").read_bytes()
    assert bill(world.folder("learner"))[0] == found
    assert model.with_name("m.cdx.json").read_bytes() == before
    digest = properties(found["metadata"]["component"])["chosen-out-of"]
    log = events.read(world.site("learner").events_path)
    assert found["metadata"]["timestamp"] in [
        each.at for each in log if isinstance(each.record, Selected) and each.record.digest == digest
    ]
    bare = {name: value for name, value in found.items() if name != "serialNumber"}
    # its keys are sorted as the file has them but for the place of that line, so the bytes can be made again
    lines = [line for line in before.splitlines(keepends=True) if b'"serialNumber"' not in line]
    assert json.loads(b"".join(lines)) == bare
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{hashlib.sha256(b''.join(lines)).hexdigest()}")
    assert found["serialNumber"] == f"urn:uuid:{number}"


def test_a_licence_is_unknown_until_somebody_names_one(stage, bill, capsys):
    folder = stage("finished").folder("learner")
    found, model = bill(folder)
    assert "licenses" not in found["metadata"]["component"]
    found, _ = bill(folder, "--license", "0BSD")
    (given,) = found["metadata"]["component"]["licenses"]
    assert given["license"]["name"] == "0BSD"
    assert 'license: "0bsd"\n' in model.with_name("m.md").read_text()
    for bad in ("free as air", "", "a: b", "x" * 65, "é"):
        refused(capsys, ["best", str(model), "--site", str(folder), "--license", bad], UsageError, "is no SPDX licence id")


def test_nothing_is_told_of_an_agreement_that_was_changed(stage, tmp_path, capsys):
    folder = stage("finished").folder("learner")
    plan = folder / "plan.toml"
    plan.write_text(plan.read_text() + "# later\n")
    command = ["best", str(tmp_path / "m.safetensors"), "--site", str(folder)]
    refused(capsys, command, ConfigError, "plan.toml was changed after it was agreed on")
    assert not list(tmp_path.glob("m.*"))


def test_a_file_of_somebody_elses_is_not_replaced(stage, bill, capsys):
    folder = stage("finished").folder("learner")
    _, model = bill(folder)
    path = model.with_name("m.cdx.json")
    command = ["best", str(model), "--site", str(folder)]
    for other in (b"", b"[]", b'{"metadata": []}', b'{"metadata": {"component": {"properties": [1]}}}', b"[" * 100):
        path.write_bytes(other)
        refused(capsys, command, UsageError, "m.cdx.json", "no bill of materials of alx best", hint="name another file")
        assert path.read_bytes() == other
    path.unlink()
    path.symlink_to(model)
    refused(capsys, command, UsageError, "no bill of materials of alx best")


def test_after_a_new_key_both_are_named_and_each_bundle_has_its_own(stage, bill, tmp_path):
    world = stage("finished")
    old = sha(world.folder("learner") / "public.pem")
    assert run(["key", "rotate", str(tmp_path / "rotation.json"), "--site", str(world.folder("learner"))]) == 0
    new = sha(world.folder("learner") / "public.pem")
    found, _ = bill(world.folder("learner"))
    states = {
        ref: each["cryptoProperties"]["relatedCryptoMaterialProperties"]["state"]
        for ref, each in by_ref(found).items()
        if ref.startswith("key:")
    }
    assert (states[f"key:{old}"], states[f"key:{new}"]) == ("deactivated", "active")
    first = found["metadata"]["component"]["pedigree"]["ancestors"][0]
    assert properties(first)["signed-with"] == old


def test_what_is_not_printable_becomes_an_escape_and_long_texts_end():
    told = Property(name="alx:x", value="a\u202eb\x1b[2J\n" + "c" * 5000).value
    assert told.startswith("a\\u202eb\\x1b[2J\\n")
    assert len(told) < 2100


def limits(changes, personal=0, *, built_in=True):
    agreed = plans.altered(plans.load(ROOT / "examples" / "hospitals" / "plan.toml").plan, changes).plan
    return " ".join(model_card._limits(agreed, personal, built_in=built_in))


def test_its_limits_are_those_of_the_plan():
    assert "on samples that the model" not in limits({"select_on": "validation"})
    assert "also chosen by them" in limits({"select_on": "validation"})
    assert "samples that the model was trained on" in limits({"select_on": "training"})
    assert "no differential privacy" in limits({})
    budget = limits({"select_on": "training", "privacy": {"epsilon": 3.0, "delta": 1e-5}})
    assert "epsilon 3 at delta 1e-05" in budget
    assert "no differential privacy" not in budget
    assert "2 tensors in this file are one site's own" in limits({}, 2)
    assert "A program of the site's own makes the inputs" in limits({}, built_in=False)
