"""Documents and schemas are what the code says."""

import base64
import json
import re

import pytest
from jsonschema import Draft202012Validator

from alx.bundle import carried, keys, manifest, read
from alx.cli.main import COMMANDS
from alx.plan import Plan
from tests import generated


@pytest.mark.parametrize("path", generated.pages(), ids=lambda p: p.name)
def test_a_generated_file_is_current(path):
    assert path.read_text(encoding="utf-8") == generated.pages()[path], "run make docs"


@pytest.mark.parametrize("name", generated.SCHEMAS)
def test_a_schema_is_itself_valid(name):
    Draft202012Validator.check_schema(generated.schema(generated.SCHEMAS[name]))


def validator(name):
    path = generated.ROOT / "schemas" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text()))


def test_every_exported_manifest_and_identity_validates(stage):
    world = stage("finished")
    found = sorted(world.disk.glob("alx-*/"))
    assert len(found) == 4
    for bundle in found:
        validator("manifest").validate(json.loads((bundle / "manifest.json").read_text()))
        with carried.survey(bundle) as source:
            role = bundle.name.rsplit("-", 1)[1]
            key = keys.load_public(world.folder(role) / "public.pem")
            assert read.read_manifest(source, read.verify(source, read.claimed_key(source)[0], key)).name() == bundle.name
    for role in ("learner", "provider"):
        validator("identity").validate(json.loads((world.disk / f"{role}.json").read_text()))
    receipts = sorted(world.disk.glob("*.receipt.json"))
    assert len(receipts) == 3  # the next disk brings that of the provider's last bundle
    for receipt in receipts:
        validator("receipt").validate(json.loads(base64.b64decode(json.loads(receipt.read_text())["payload"])))


@pytest.mark.parametrize(
    ("version", "schema"), [("v1", "manifest-v1"), ("v2", "manifest-v2"), ("v3", "manifest-v3"), ("v4", "manifest")]
)
def test_each_golden_manifest_validates_against_the_schema_of_its_version_alone(version, schema):
    for path in (generated.ROOT / "tests" / "golden" / version).glob("*/manifest.json"):
        said, names = json.loads(path.read_text()), ("manifest-v1", "manifest-v2", "manifest-v3", "manifest")
        assert {name for name in names if validator(name).is_valid(said)} == {schema}


def test_a_manifest_with_an_unknown_field_is_invalid_for_schema_and_reader(stage):
    document = json.loads((stage("sent").bundle("learner") / "manifest.json").read_text()) | {"note": "hello"}
    assert not validator("manifest").is_valid(document)
    with pytest.raises(manifest.MalformedError, match="note"):
        manifest.parse(json.dumps(document).encode())


def test_every_command_is_documented_with_an_example():
    page = generated.cli_page()
    inner = re.findall(r"^## alx (key \w+)$", page, re.MULTILINE)
    assert len(inner) >= 1
    for name in [*COMMANDS, *inner]:
        section = page.split(f"## alx {name}\n")[1].split("\n## ")[0]
        assert f"alx {name}" in section.split("Example: ")[1]


def test_every_field_of_the_plan_has_a_meaning():
    whole = Plan.model_json_schema()
    for spec in [whole, *whole["$defs"].values()]:
        assert all(field.get("description") for field in spec["properties"].values()), spec["title"]


def test_every_refusal_has_a_documented_exit_code_of_its_kind():
    codes = {c.exit_code for c in generated.classes()}
    assert codes == {1, 2, *range(10, 24)}
    assert all(c.__doc__ for c in generated.classes())
