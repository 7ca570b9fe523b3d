"""What meets bytes from outside takes them or refuses them, whatever they are; and takes back what was written."""

import base64
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alx.bundle import dsse, identity, keys, layout, manifest, receipt, request, rotation, signature, strict_json
from alx.bundle.groups import ParityFile
from alx.bundle.identity import IdentityFile
from alx.bundle.keys import PublicKey
from alx.bundle.manifest import Version1, Version4
from alx.bundle.signature import SignedFile
from alx.errors import MalformedError
from alx.records import Strict
from tests.fuzz import targets

KEY = keys.generate()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# A machine that has other work is no fault of the parsers.
examples = settings(max_examples=50)


def harmed(good: bytes) -> st.SearchStrategy[bytes]:
    """Bytes cut out of good ones, put in, doubled or changed, at a few places."""
    place = st.integers(0, len(good))
    piece = st.binary(max_size=8) | st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b",", b"null", b"1e999", b"NaN", b"\\u0000"]
    )
    return st.lists(st.tuples(place, place, piece), min_size=1, max_size=4).map(lambda cuts: _cut(good, cuts))


def _cut(good: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for a, b, piece in cuts:
        first, last = sorted((a, b))
        good = good[:first] + piece + good[min(last, first + 12) :]
    return good


@st.composite
def edited(draw: st.DrawFn, good: bytes) -> bytes:
    """A good document with a few of its values exchanged, anywhere in it."""
    document = json.loads(good)
    for _ in range(draw(st.integers(1, 3))):
        at: Any = document
        while True:
            keys_ = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys_:
                break
            key = draw(st.sampled_from(keys_))
            if not isinstance(at[key], (dict, list)) or draw(st.booleans()):
                at[key] = draw(JSON)
                break
            at = at[key]
    return json.dumps(document).encode()


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_good_one_is_taken(target):
    assert all(targets.taken(target, seed) for seed in targets.seeds(target))


@pytest.mark.parametrize("target", targets.TARGETS)
@examples
@given(st.data())
def test_a_harmed_one_is_taken_or_refused_and_nothing_else(target, data):
    good = data.draw(st.sampled_from(targets.seeds(target)[:2]))
    document = st.nothing() if target in {"frame", "header", "moments"} else edited(good)
    targets.taken(target, data.draw(harmed(good) | st.binary(max_size=64) | document))


names = st.from_regex(r"data/[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
signed_files = st.builds(
    SignedFile,
    name=names,
    algorithm=st.just("sha256"),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=st.integers(0, signature.MAX_FILE_BYTES),
)


@examples
@given(st.lists(signed_files, max_size=8, unique_by=lambda f: f.name), st.text(min_size=1, max_size=64))
def test_what_is_signed_is_what_is_verified(listed, name):
    data = signature.sign(name, listed, KEY)
    signed = signature.verify(data, PublicKey(KEY.public_key()))
    assert (signed.name, signed.files, signed.digest) == (name, {f.name: f for f in listed}, signature.root_digest(listed))


@examples
@given(
    st.integers(1, layout.MAX_SAMPLES), st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4)
)
def test_a_manifest_is_read_as_it_was_written(samples, losses):
    for seed, model in ((0, Version1), (-1, Version4)):
        said = json.loads(targets.seeds("manifest")[seed])
        said["samples"] = samples
        for candidate, loss in zip(said["candidates"], losses, strict=False):
            candidate["loss"] = loss
        written = strict_json.text(model.model_validate(said))
        assert manifest.parse(written).model_dump() == said


@examples
@given(st.data())
def test_a_frame_with_any_header_of_json_holds_its_planes_or_is_refused(data):
    raw = targets.seeds("header")[0]
    end = 8 + int.from_bytes(raw[:8], "little")
    header = data.draw(edited(raw[8:end]))
    padded = header + b" " * (-len(header) % 8)
    taken = targets.taken("header", len(padded).to_bytes(8, "little") + padded + raw[end:])
    assert taken == (repr(json.loads(header)) == repr(json.loads(raw[8:end])))  # false is 0 to ==


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (12.5, "12.5"),
        (1e-5, "0.00001"),
        (9.9e-6, "9.9e-6"),
        (1.5e-7, "1.5e-7"),
        (1e15, "1000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e16"),
        (1.25e22, "1.25e22"),
        (5e-324, "5e-324"),
        (sys.float_info.max, "1.7976931348623157e308"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_real_number_has_the_one_form_of_the_format_page(number, text):
    """Whichever release of pydantic writes it."""

    class Said(Strict):
        name: str
        numbers: list[float]
        loss: float

    said = strict_json.text(Said(name="w.1e+16", numbers=[number], loss=number))
    assert said.decode() == f'{{\n "name": "w.1e+16",\n "numbers": [\n  {text}\n ],\n "loss": {text}\n}}'
    strict_json.require_form(said, Said.model_validate(json.loads(said)), "it")


def other_forms(good: bytes) -> list[bytes]:
    """The same values in other bytes: none of them may pass, or a data set could travel in between."""
    said = json.loads(good)
    reversed_ = json.dumps(dict(reversed(said.items())), indent=1).encode()
    return [good + b" \t" * 9, good + b"\n", json.dumps(said).encode(), json.dumps(said, indent=2).encode(), reversed_]


def test_identity_files_requests_receipts_rotations_and_parity_have_one_form(stage):
    world = stage("paired")
    good = (world.disk / "learner.json").read_bytes()
    assert identity.parse(good).data == good
    pem = json.loads(good) | {"public_key": "a data set\n" + json.loads(good)["public_key"]}
    for other in (*other_forms(good), strict_json.text(IdentityFile.model_validate(pem))):
        with pytest.raises(MalformedError, match="one form"):
            identity.parse(other)
    asked = json.loads(request.make("a" * 64, ["data/x"], KEY))["payload"]
    for other in other_forms(base64.b64decode(asked)):
        with pytest.raises(MalformedError, match="one form"):
            request._payload(other)
    for other in other_forms(targets.seeds("accepted")[0]):
        with pytest.raises(MalformedError, match="one form"):
            receipt._payload(other)
    old, new = KEY, keys.generate()
    payload = base64.b64decode(json.loads(rotation.make("a" * 64, "learner", old, new).data)["payload"])
    for other in other_forms(payload):
        turned = dsse.text(dsse.envelope(other, rotation.PAYLOAD_TYPE, old, new))
        with pytest.raises(MalformedError, match="one form"):
            rotation.verify(turned, PublicKey(old.public_key()))
    said = ParityFile(format="alx-parity", version=1, bundle="a" * 64, groups=[["b" * 64]])
    for other in other_forms(strict_json.text(said)):
        with pytest.raises(MalformedError, match="one form"):
            strict_json.require_form(other, said, "it")
