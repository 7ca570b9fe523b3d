"""Bundles of every format version that was released open, and hold what they held."""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from alx.bundle import carried, keys, read
from alx.cli.main import run
from tests.golden import closing, vectors
from tests.golden.make import found

HERE = Path(__file__).parents[1]
MORE = sorted(p.parent for p in (HERE / "golden" / "more").glob("*/found.json"))
BUNDLES = sorted((HERE / "golden").glob("v*/alx-*"))


def key_of(bundle: Path) -> Path:
    """The sender's public key."""
    return bundle.parent / f"{bundle.name.rsplit('-', 1)[1]}.pem"


def told(bundle: Path) -> dict:
    """What was found in it when it was made."""
    return json.loads((bundle.parent / "found.json").read_text())[bundle.name]


def before(bundle: Path) -> list[Path]:
    """The bundle that it answers, and its sender's before."""
    said = json.loads((bundle / "manifest.json").read_text())
    by_digest = {told(b)["digest"]: b for b in BUNDLES if b.parent == bundle.parent}
    return [by_digest[said[name]] for name in ("answers", "previous") if said[name]]


def test_the_golden_closing_is_verified_and_says_what_it_said(capsys):
    folder = HERE / "golden" / "closing-v1"
    told = json.loads((folder / "found.json").read_text())
    assert closing.found(folder) == told
    (bundle,) = folder.glob("alx-*")
    assert json.loads((bundle / "closing.json").read_text()) == told["says"]
    assert run(["audit", str(bundle), "--key", str(folder / "sender.pem"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"] == told["says"]


def test_the_golden_bundles_of_every_version_are_there():
    turns = ["r001-learner", "r001-provider", "r002-learner", "r002-provider"]
    assert [f"{b.parent.name} {b.name.split('-', 2)[2]}" for b in BUNDLES] == [
        f"v{n} {t}" for n in (1, 2, 3, 4) for t in turns
    ]
    for bundle in BUNDLES:
        said = json.loads((bundle / "manifest.json").read_text())
        assert said["version"] == int(bundle.parent.name[1:])
        assert ("frozen" in said) == (said["version"] >= 3)
        assert ("restored" in said) == (said["version"] == 4)
        assert all(bool(c["files"]) == (said["version"] == 1 or c["blend"] is None) for c in said["candidates"])
    assert any(c["blend"] and c["blend"]["momentum"] for c in said["candidates"])
    assert {t["dtype"] for t in said["tensors"]} == {"F32", "F16", "BF16", "I64"}
    assert (said["frozen"]["tensors"], said["frozen"]["bytes"]) == (2, (8 * 4 + 8) * 4)
    assert not any(t["name"].startswith("inner.") for t in said["tensors"])
    assert sorted(p.name for p in MORE) == ["bfloat16", "encrypted", "two-parts"]
    assert sum(p.stat().st_size for p in (HERE / "golden").rglob("*") if p.is_file()) < 400_000


@pytest.mark.parametrize("folder", MORE, ids=lambda p: p.name)
def test_a_vector_holds_what_it_held(folder):
    """Rounded words, encryption, and a state of two parts with mixed dtypes."""
    assert vectors.found(folder) == json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("folder", MORE, ids=lambda p: p.name)
def test_the_decoder_without_alx_decodes_a_vector(folder, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (HERE.parent / "docs" / "format.md").read_text(), re.DOTALL)
    (bundle,) = folder.glob("alx-*")
    for file in (p for p in bundle.rglob("*") if p.is_file()):
        target = tmp_path / file.relative_to(bundle)
        target.parent.mkdir(exist_ok=True)
        if file.suffix == ".age":  # `age -d -i receiver-age.key` does the same
            secret = pyrage.x25519.Identity.from_str((folder / "receiver-age.key").read_text().strip())
            target.with_suffix("").write_bytes(pyrage.decrypt(file.read_bytes(), [secret]))
        else:
            target.write_bytes(file.read_bytes())
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    told = json.loads((folder / "found.json").read_text())
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c["state"] for c in told["candidates"]]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda b: f"{b.parent.name}-{b.name}")
def test_it_is_verified_and_audited_and_holds_what_it_held(bundle, capsys):
    assert found(bundle, key_of(bundle)) == told(bundle)
    assert run(["audit", str(bundle), "--key", str(key_of(bundle)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == told(bundle)["digest"]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda b: f"{b.parent.name}-{b.name}")
def test_its_states_are_decoded_to_the_digests_that_were_kept(bundle):
    with carried.survey(bundle) as source:
        data, _ = read.claimed_key(source)
        signed = read.verify(source, data, keys.load_public(key_of(bundle)))
        manifest = read.read_manifest(source, signed)
        states = [hashlib.sha256(s).hexdigest() for _, _, s in read.states(source, signed, manifest)]
    assert states == [c["state"] for c in told(bundle)["candidates"]][: manifest.weighed]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda b: f"{b.parent.name}-{b.name}")
def test_the_decoder_without_alx_decodes_it_too_and_makes_its_blends(bundle):
    (code,) = re.findall(r"```python\n(.*?)```", (HERE.parent / "docs" / "format.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code, bundle, *before(bundle)], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c["state"] for c in told(bundle)["candidates"]]


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4"])
def test_a_golden_exchange_is_one_chain(version):
    reports = [told(b) | json.loads((b / "manifest.json").read_text()) for b in BUNDLES if b.parent.name == version]
    for one, after in itertools.pairwise(reports):
        assert after["answers"] == one["digest"]
    for one, after in zip(reports, reports[2:], strict=False):
        assert after["previous"] == one["digest"]
    assert sum(c["blend"] is not None for c in reports[2]["candidates"]) > 0
