"""The signature file: the four OMS schemas, the public verifier, and the shape of the envelope."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).parent / "vectors" / "oms"


def model_signing(bundle, key):
    """The public verifier's own verdict."""
    return subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", bundle, "--signature", bundle / "round.sig",
         "--public_key", key],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def registry():
    listed = [json.loads(p.read_text()) for p in SCHEMAS.glob("*.json")]
    assert len(listed) == 4
    return Registry().with_resources([(s["$id"], Resource.from_contents(s)) for s in listed])


def test_the_signature_file_passes_the_four_oms_schemas(stage, registry):
    document = json.loads((stage("sent").bundle("learner") / "round.sig").read_text())
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    for name, value in (
        ("bundle", document),
        ("envelope", document["dsseEnvelope"]),
        ("statement", statement),
        ("predicate", statement["predicate"]),
    ):
        schema = registry.contents(f"https://model_signing/{name}/v1.0/schema")
        Draft202012Validator(schema, registry=registry).validate(value)


def test_model_signing_accepts_a_bundle_of_ours(stage):
    world = stage("sent")
    done = model_signing(world.bundle("learner"), world.folder("learner") / "public.pem")
    assert done.returncode == 0, done.stderr
    assert "Verification succeeded" in done.stdout


@pytest.mark.parametrize("change", ["flip", "remove", "add", "manifest", "key"])
def test_model_signing_refuses_it_after_any_change(stage, change):
    world = stage("sent")
    bundle, key = world.bundle("learner"), world.folder("learner") / "public.pem"
    first = min((bundle / "data").iterdir())
    if change == "flip":
        data = bytearray(first.read_bytes())
        data[len(data) // 2] ^= 1
        first.write_bytes(data)
    elif change == "remove":
        first.unlink()
    elif change == "add":
        shutil.copy(first, bundle / "data" / "extra.bin")
    elif change == "manifest":
        path = bundle / "manifest.json"
        path.write_text(path.read_text().replace('"round": 1', '"round": 2'))
    else:
        key = world.folder("provider") / "public.pem"
    assert model_signing(bundle, key).returncode != 0


def test_the_key_hint_is_what_sha256sum_says_of_the_public_key_file(stage):
    world = stage("sent")
    document = json.loads((world.bundle("learner") / "round.sig").read_text())
    pem = (world.folder("learner") / "public.pem").read_bytes()
    assert document["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(pem).hexdigest()
