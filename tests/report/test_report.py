"""What a report tells is what is there: numbers against files, damage against an audit, a signature against public tools."""

import hashlib
import json
import math
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jsonschema import Draft202012Validator
from model_signing import verifying
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from alx.bundle import keys
from alx.errors import ForbiddenFileError, ForkError, UsageError
from alx.report.page import content, logged
from alx.site import events
from alx.site.entries import BackedUp, Leakage, Refused
from tests.forge import Forge, refused
from tests.mending import harm

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


def told(alx, *words):
    """A report as a program gets it."""
    done = alx("report", *words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def cluster(report, key):
    """All elements and tables of one, by name and caption."""
    (found,) = [c for c in report["clusters"] if c["key"] == key]
    parts = found["parts"]
    return {e["name"]: e for p in parts for e in p["elements"]}, {t["caption"]: t for p in parts for t in p["tables"]}


def column(table, name):
    """The cells of one column."""
    return [row[[c["name"] for c in table["columns"]].index(name)] for row in table["rows"]]


def numbers(value):
    """Every number in a document."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield value


def files_of(folder):
    """Digest and mode of every file."""
    return {p: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mode) for p in folder.rglob("*") if p.is_file()}


def signed_by(path, key):
    """The public tool's verdict on a file and the signature beside it."""
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(path, path.with_name(path.name + ".sig"))
    except ValueError:
        return False
    return True


def test_a_report_tells_of_each_bundle_what_is_in_its_files(stage, alx):
    world = stage("closed")
    report = told(alx, world.folder("learner"))
    bundles = sorted(world.disk.glob("alx-*/"), key=lambda p: (p.name[13:17], "closing" in p.name, "provider" in p.name))
    _, system = cluster(report, "system")
    table = system["Every bundle, in its order"]
    assert column(table, "place") == ["1L", "1P", "2L", "2P", "end"]
    assert column(table, "bundle") == [b.name for b in bundles]
    assert column(table, "found now") == ["good"] * 5
    assert column(table, "bytes") == [sum(f.stat().st_size for f in b.rglob("*") if f.is_file()) for b in bundles]
    manifests = [json.loads((b / "manifest.json").read_text()) for b in bundles[:4]]
    assert column(table, "models") == [len(m["candidates"]) for m in manifests] + [0]
    _, models = cluster(report, "models")
    offered = models["Every model on offer"]
    assert column(offered, "sender's loss sum") == [c["loss"] for m in manifests for c in m["candidates"]]
    assert column(offered, "SHA-256 of its raw state") == [c["state"] for m in manifests for c in m["candidates"]]
    assert [r[:3] for r in models["Tensors of a state"]["rows"]] == [
        [t["name"], t["dtype"], " x ".join(map(str, t["shape"]))] for t in manifests[0]["tensors"]
    ]
    _, security = cluster(report, "security")
    listed = security["Every signed file, its digest compared now"]
    there = [f for b in bundles for f in sorted(b.rglob("*"), key=lambda p: p.relative_to(b).as_posix()) if f.is_file()]
    there = [f for f in there if f.name != "round.sig"]
    assert column(listed, "SHA-256") == [hashlib.sha256(f.read_bytes()).hexdigest() for f in there]
    assert report["good"]
    assert any(text.endswith("every weight. The chains of ledger and event log hold.") for text in report["words"])
    assert {f["kind"] for f in report["findings"]} <= {"look"}


def test_the_numbers_about_data_are_those_of_the_sites(stage, alx):
    for role, own, peer in (("learner", 40, 60), ("provider", 60, 40)):
        elements, tables = cluster(told(alx, stage("finished").folder(role)), "data")
        assert (elements["samples of this site"]["value"], elements["samples of the peer"]["value"]) == (own, peer)
        assert elements["samples of the peer"]["standing"] == "claimed"
        assert column(tables["Every number about data that stands in a bundle's manifest"], "samples") == [40, 60, 40, 60]


def test_what_was_selected_is_the_least_of_the_sums_that_it_shows(stage, alx):
    world = stage("finished")
    report = told(alx, world.folder("learner"))
    _, tables = cluster(report, "indicators")
    selected = world.state("learner").position.selected
    for number, chosen in enumerate(selected, 1):
        table = tables[f"Round {number}: every model, their loss sum as they wrote it, and ours"]
        theirs, own, mean = (column(table, n) for n in ("their loss sum", "own loss sum", "global loss a sample"))
        assert mean == pytest.approx([(a + b) / 100 for a, b in zip(theirs, own, strict=True)])
        best = column(table, "result").index("chosen")
        assert mean[best] == min(mean)
        assert table["rows"][best][0] == chosen.label
    (loss, _, sizes) = report["plots"]
    assert [p["y"] for s in loss["series"] if s["name"] == "found by this site" for p in s["points"]] == [
        pytest.approx(s.global_loss / 100) for s in selected
    ]
    (bars,) = sizes["series"]
    assert [p["y"] * 1e6 for p in bars["points"]] == pytest.approx(
        column(cluster(report, "system")[1]["Every bundle, in its order"], "bytes")
    )


def test_no_held_out_score_and_no_path_to_data_is_in_it(stage, alx, tmp_path):
    world = stage("closed")
    report = told(alx, world.folder("provider"))
    alx("report", world.folder("provider"), "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    position = world.state("provider").position
    scores = {v for s in (*position.selected, position.closed) for v in (s.held_out, *s.metrics.values.values()) if v}
    assert scores
    assert not scores & set(numbers(report)) - {0.0, 1.0}
    assert not re.search(r"(?i)(score|accuracy|auc)\b[^.<]{0,40}\b\d+\.\d", page)
    data = world.site("provider").config.data.path
    assert data not in page
    assert (world.folder("provider") / "data.sha256").read_text().split()[0] not in page


@pytest.mark.parametrize("key", [True, False])
def test_a_report_changes_nothing_whether_or_not_there_is_a_private_key(stage, alx, tmp_path, key):
    world = stage("finished")
    if not key:
        (world.folder("learner") / "key.pem").unlink()
    before = files_of(world.root)
    done = alx("report", world.folder("learner"), "-o", tmp_path / "page.html")
    assert done.code == 0, done.err
    assert files_of(world.root) == before


@pytest.mark.parametrize("bundle", sorted(GOLDEN.glob("v*/alx-*")), ids=lambda p: f"{p.parent.name}-{p.name[13:]}")
def test_bundles_of_every_format_can_be_reported_on(bundle, alx):
    found = json.loads((bundle.parent / "found.json").read_text())[bundle.name]
    report = told(alx, bundle, "--key", bundle.parent / f"{bundle.name.rsplit('-', 1)[1]}.pem")
    _, models = cluster(report, "models")
    losses = column(models["Every model on offer"], "sender's loss sum")
    assert losses == [c["loss"] for c in found["candidates"]]
    assert found["digest"] in column(cluster(report, "system")[1]["Every bundle, in its order"], "digest")
    assert not report["private"]


def test_the_closing_and_an_encrypted_bundle_can_be_reported_on(alx):
    (closing,) = (GOLDEN / "closing-v1").glob("alx-*")
    report = told(alx, closing, "--key", GOLDEN / "closing-v1" / "sender.pem")
    assert report["title"].startswith("The closing")
    said = json.loads((closing / "closing.json").read_text())
    assert said["state"] in " ".join(report["words"])
    size = (closing / "closing.json").stat().st_size  # round.sig is signed by nobody
    assert f"its one signed file ({size} B) is as it was signed" in report["words"][1]
    elements, _ = cluster(report, "models")
    assert elements["SHA-256 of its raw state"]["value"] == said["state"]
    assert elements["global loss a sample"]["value"] == said["start"]["global_loss"] / said["start"]["samples"]
    (encrypted,) = (GOLDEN / "more" / "encrypted").glob("alx-*")
    report = told(alx, encrypted, "--key", encrypted.parent / "sender.pem")
    assert not report["good"]
    assert "encrypted" in report["words"][0]
    assert report["title"] == "An encrypted bundle, seen from outside: round 1 of the learner"
    assert [f["kind"] for f in report["findings"]] == ["look"]
    assert column(cluster(report, "system")[1]["Every bundle, in its order"], "models") == [None]


@pytest.mark.parametrize("bundle", [GOLDEN / "more" / "bfloat16", GOLDEN / "more" / "encrypted"], ids=lambda p: p.name)
def test_what_a_folder_was_renamed_to_is_not_on_the_page_of_its_bundle(bundle, alx, tmp_path):
    (bundle,) = bundle.glob("alx-*")
    renamed = shutil.copytree(bundle, tmp_path / "for-dr-smith")
    report = told(alx, renamed, "--key", bundle.parent / "sender.pem")
    assert "smith" not in json.dumps(report)
    assert bundle.name in column(cluster(report, "system")[1]["Every bundle, in its order"], "bundle")


def test_every_table_says_how_many_of_its_rows_it_leaves_out(stage, alx, monkeypatch):
    world = stage("approved")
    attack = Leakage(1, "d" * 64, 40, "last loss", 0.6, 0.5, 0.7, 0.1, 0.01, None, None, None, None)
    for _ in range(2):
        events.record(world.folder("learner") / "events.sqlite", attack)

    def rows():
        return {
            t["caption"]: (len(t["rows"]), t["left_out"])
            for c in told(alx, world.folder("learner"))["clusters"]
            for p in c["parts"]
            for t in p["tables"]
        }

    whole = rows()
    monkeypatch.setattr(content, "MAX_ROWS", 1)
    few = rows()
    assert {caption: sum(both) for caption, both in few.items()} == {caption: n for caption, (n, _) in whole.items()}
    cut = ("Attacks, of each run the strongest", "Who had approved which bundle", "The security log")
    assert all(few[caption][0] == 1 < whole[caption][0] for caption in cut)


def _change(path, entry):
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = body || ' ' WHERE number = ?", (entry,))
    connection.close()


DAMAGE = {
    "an entry of the ledger": lambda site: _change(site / "ledger.sqlite", 7),
    "all of the ledger": lambda site: (site / "ledger.sqlite").write_bytes(b"x" * 5000),
    "no ledger": lambda site: (site / "ledger.sqlite").unlink(),
    "an entry of the log": lambda site: _change(site / "events.sqlite", 5),
    "no log": lambda site: (site / "events.sqlite").unlink(),
    "neither": lambda site: [(site / name).unlink() for name in ("ledger.sqlite", "events.sqlite")],
    "a bundle": lambda site: next((site / "inbox").rglob("c0000*")).write_bytes(b"x"),
    "no bundle": lambda site: shutil.rmtree(min((site / "inbox").iterdir())),
    "the plan": lambda site: (site / "plan.toml").write_text((site / "plan.toml").read_text() + "\n"),
    "the peer's file": lambda site: (site / "peer.json").write_text("{}"),
    "its own key": lambda site: shutil.copy(site / "peer.pem", site / "public.pem"),
    "the folder's mode": lambda site: site.chmod(0o777),
}
GOOD = {  # bundles that hold for all that: of the four of two rounds
    "a bundle": 3,
    "no bundle": 1,  # of two more the weights are good, and their blends cannot be made without it
    "the peer's file": 2,  # its own, with its own key
    "its own key": 0,
    "neither": 0,
}


@pytest.mark.parametrize("harm", DAMAGE)
def test_of_a_damaged_copy_it_tells_what_still_holds_and_ends_as_an_audit_does(stage, alx, tmp_path, harm):
    world = stage("finished")
    site = world.folder("learner")
    DAMAGE[harm](site)
    audit = alx("audit", site)
    assert audit.code != 0
    done = alx("report", site, "-o", tmp_path / "page.json", "--json")
    assert done.code == audit.code
    said = [each.err.splitlines()[0].removeprefix("alx: error: ") for each in (audit, done)]
    assert said[0].endswith(said[1])
    report = json.loads((tmp_path / "page.json").read_text())
    assert not report["good"]
    here = said[1].replace(f"'{site}/", "'").replace(f"'{site}'", f"'{site.name}'")  # no path of this machine is on the page
    assert any(f["kind"] == "fault" and here in f["text"] for f in report["findings"]), report["findings"]
    assert str(tmp_path) not in json.dumps(report)
    _, system = cluster(report, "system")
    found = column(system.get("Every bundle, in its order", {"columns": [{"name": "found now"}], "rows": []}), "found now")
    assert found.count("good") == GOOD.get(harm, 4), found
    assert alx("report", site, "-o", tmp_path / "page.html").code == audit.code
    assert b"does not hold" in (tmp_path / "page.html").read_bytes()


@pytest.mark.parametrize("lost", ["ledger.sqlite", "events.sqlite"])
def test_a_mended_site_is_told_as_mended_and_its_log_helps_where_the_ledger_breaks_again(stage, alx, tmp_path, lost):
    world = stage("finished")
    site = world.folder("learner")
    (site / lost).unlink()
    assert alx("reset-ledger", "--reason", "a test", "--yes", "--site", site).code == 0
    report = told(alx, site)
    assert any("mended" in f["text"] for f in report["findings"])
    assert "there may have been more" in " ".join(report["words"])
    assert "What left this site, by what its record knows: " in " ".join(report["words"])
    assert set(column(cluster(report, "system")[1]["Every bundle, in its order"], "found now")) == {"good"}
    counted = [part["words"] for each in report["clusters"] for part in each["parts"] if "mended" in "".join(part["words"])]
    assert len(counted) == 3  # beside the bundles, their numbers, the selections
    assert report["story"][-1].endswith("; what stands above was found in 3 signed bundles") == (lost == "ledger.sqlite")
    assert ("nobody knows" in " ".join(report["story"])) == (lost == "events.sqlite")  # the log alone has the times
    _change(site / "ledger.sqlite", 2)
    done = alx("report", site, "-o", tmp_path / "page.json", "--json")
    assert done.code == alx("audit", site).code == 16
    again = json.loads((tmp_path / "page.json").read_text())
    assert next(f["text"] for f in again["findings"] if f["kind"] == "fault").startswith("the ledger's chain")


def test_with_ledger_and_log_lost_no_time_and_no_reading_back_is_made_up(stage, alx):
    world = stage("finished")
    site = world.folder("learner")
    for lost in ("ledger.sqlite", "events.sqlite"):
        (site / lost).unlink()
    assert alx("reset-ledger", "--reason", "a test", "--yes", "--site", site).code == 0
    report = told(alx, site)
    story = report["story"]
    (handed,) = (line for line in story if "r001-learner" in line)
    assert handed.endswith("'alx-8d62a473-r001-learner' was handed over, for the peer answered it")
    assert "nobody knows" in handed
    assert "read back" not in " ".join(story)
    assert "Nothing was refused since the event log was begun anew; " in report["words"][-1]
    _, tables = cluster(report, "indicators")
    assert column(tables["Every selection of this site"], "deserves a look") == ["not known"]


def test_of_a_signature_it_says_whether_it_holds_by_itself(stage, alx, tmp_path):
    site = stage("finished").folder("learner")
    first, second = sorted((site / "outbox").glob("alx-*"))
    harm(first / "manifest.json")
    harm(second / "round.sig")
    shutil.rmtree(next((site / "inbox").glob("*-r001-*")))
    alx("report", site, "-o", tmp_path / "page.json", "--json")
    _, tables = cluster(json.loads((tmp_path / "page.json").read_text()), "security")
    found = tables["Every signature, looked at now"]
    assert column(found, "signature") == ["valid", "none is there", "not valid", "valid"]
    assert column(found, "files")[1] == "the accepted bundle of round 1 is gone from 'inbox'"


def test_the_page_of_a_bundle_says_for_whom_it_is_and_what_it_answers_and_follows(stage, alx):
    world = stage("finished")
    learner, provider = (world.state(role) for role in ("learner", "provider"))
    bundle, key = world.bundle("provider", 2), world.folder("provider") / "public.pem"
    elements, _ = cluster(told(alx, bundle, "--key", key), "system")
    sealed = provider.position.sealed
    assert elements["to"]["value"] == f"the learner, key {learner.public_key.fingerprint}"
    assert elements["answers"]["value"] == learner.position.sealed[1].digest
    assert elements["follows"]["value"] == sealed[0].digest
    assert elements["its words"]["value"] == keys.words(sealed[1].digest)
    assert {elements[name]["standing"] for name in ("to", "answers", "follows")} == {"claimed"}


@pytest.mark.parametrize("kind", ["html", "json"])
def test_a_signed_report_is_verified_by_public_tools_and_refused_after_any_change(stage, alx, tmp_path, kind):
    world = stage("finished")
    site, path = world.folder("learner"), tmp_path / f"report.{kind}"
    done = alx("report", site, "-o", path, "--sign", *(["--json"] if kind == "json" else []))
    assert done.code == 0, done.err
    key = site / "public.pem"
    assert signed_by(path, key)
    assert not signed_by(path, world.folder("provider") / "public.pem")
    document = json.loads(path.with_name(path.name + ".sig").read_text())
    public = SSlibKey.from_crypto(
        load_pem_public_key(key.read_bytes()), keyid=document["dsseEnvelope"]["signatures"][0]["keyid"]
    )
    assert Envelope.from_dict(document["dsseEnvelope"]).verify([public], 1) == {public.keyid: public}
    last = events.read(site / "events.sqlite")[-1].record
    assert (last.file, last.digest) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert alx("audit", site).code == 0
    assert alx("report", site, "-o", path, "--sign").code == 0  # in the place of the one before, and of its signature
    assert signed_by(path, key)
    good = path.read_bytes()
    path.write_bytes(good.replace(b"good", b"bad ", 1))
    assert not signed_by(path, key)
    path.write_bytes(good)
    assert alx("report", site, "-o", path).code == 0
    assert not path.with_name(path.name + ".sig").exists()  # it would be of another report


def test_a_signature_over_a_report_is_none_over_a_bundle(stage, alx, tmp_path):
    world = stage("finished")
    site = world.folder("learner")
    assert alx("report", site, "-o", tmp_path / "manifest.json", "--sign", "--json").code == 0
    forged = tmp_path / "alx-00000000-r001-learner"
    forged.mkdir()
    shutil.copy(tmp_path / "manifest.json", forged / "manifest.json")
    shutil.copy(tmp_path / "manifest.json.sig", forged / "round.sig")
    done = alx("audit", forged, "--key", site / "public.pem")
    assert done.code != 0


def test_the_report_of_a_bundle_is_signed_by_the_site_that_one_stands_in(stage, alx, tmp_path, monkeypatch):
    world = stage("sent")
    monkeypatch.setenv("ALX_SITE", str(world.folder("provider")))
    path = tmp_path / "bundle.html"
    done = alx("report", world.bundle("learner"), "-o", path, "--sign")
    assert done.code == 0, done.err
    command = [sys.executable, "-m", "model_signing", "verify", "key", path, "--signature", f"{path}.sig", "--public_key"]
    for role, code in (("provider", 0), ("learner", 1)):
        tried = subprocess.run([*command, world.folder(role) / "public.pem"], capture_output=True, check=False)
        assert (tried.returncode != 0) == (code != 0), tried.stderr


def test_a_damaged_site_signs_nothing(stage, alx, tmp_path):
    site = stage("finished").folder("learner")
    next((site / "inbox").rglob("c0000*")).write_bytes(b"x")
    done = alx("report", site, "-o", tmp_path / "page.html", "--sign")
    assert done.code == 12
    assert "not signed" in done.out
    assert [p.name for p in tmp_path.glob("page*")] == ["page.html"]


def test_refusals_and_what_deserves_a_look_are_found_first(stage, alx):
    world = stage("sent")
    (world.bundle("learner") / "data" / "c0000-p0000.safetensors.zst").write_bytes(b"x")
    assert world.take("provider", world.bundle("learner")) == 12
    report = told(alx, world.folder("provider"))
    (refusal,) = report["findings"]
    assert refusal["kind"] == "refusal"
    assert "c0000-p0000" in refusal["text"]
    assert "refused something 1 time;" in report["words"][-1]
    assert report["good"]


def test_a_second_bundle_of_a_turn_and_a_restored_sender_deserve_a_look(stage, alx, tmp_path):
    world = stage("answered")
    forge, key = Forge.of(world, "learner"), world.folder("learner") / "public.pem"
    forge.edit(lambda m: m.update(restored={"how": "backup", "at": "2026-11-28T10:00:00+00:00", "round": 0}))
    assert world.take("provider", forge.bundle) == ForkError.exit_code
    look, refusal, *_ = told(alx, world.folder("provider"))["findings"]
    assert (look["kind"], refusal["kind"]) == ("look", "refusal")
    assert look["text"].startswith(
        f"'{forge.bundle.name}': a second history of this exchange, signed by the peer: keep every"
    )
    report = told(alx, forge.bundle, "--key", key)
    restored = "later than 2026-11-28T10:00:00+00:00, when its sender's site was restored."
    assert report["words"][-1] == f"When it was made is not known: {restored}"
    (look,) = report["findings"]
    assert "its site was restored from a backup at 2026-11-28T10:00:00+00:00, to the time before" in look["text"]
    done = alx("report", forge.bundle, "--key", key, "-o", tmp_path / "page.html")
    assert "1 thing to look at" in done.out
    assert "something deserves a look: read the findings</span>" in (tmp_path / "page.html").read_text()


def test_losses_that_are_hardly_more_than_nothing_are_drawn_as_0(stage, alx, tmp_path):
    world, least = stage("answered"), math.ulp(0.0)
    forge, key = Forge.of(world, "provider"), world.folder("provider") / "public.pem"
    forge.edit(lambda m: (m["start"].update(global_loss=100 * least), m["candidates"][1].update(loss=m["samples"] * least)))
    assert world.take("learner", forge.bundle) == 0
    for subject in ([world.folder("learner")], [forge.bundle, "--key", key]):
        assert alx("report", *subject, "-o", tmp_path / "page.html").code == 0
        drawn = [p["y"] for plot in told(alx, *subject)["plots"] for s in plot["series"] for p in s["points"]]
        assert min(drawn) == 0.0
        assert not any(0.0 < y < 1e-300 for y in drawn)


def test_a_refusal_of_the_sites_own_data_tells_no_path_and_no_cell(stage, alx):
    world = stage("paired")
    path = world.folder("learner") / "site.toml"
    path.write_text(re.sub(r'(?m)^path = ".*"', 'path = "secret-ward-7.npz"', path.read_text()))
    assert "secret-ward-7" in alx("train-local", "--site", world.folder("learner")).err
    report = told(alx, world.folder("learner"))
    assert not [f for f in report["findings"] if f["kind"] == "refusal"]
    slip = "1 command ended with a refusal about this site's own data, paths or settings, a typing error say"
    assert report["words"][-1].startswith(f"Nothing was refused; {slip}; nothing deserved a look")
    elements, tables = cluster(report, "security")
    assert (elements["refusals"]["value"], elements["refusals of its own"]["value"]) == (0, 1)
    assert any(
        re.match(r"train-local, (Usage|Config)Error \(2\)", what) for what in column(tables["The security log"], "what")
    )
    assert "secret-ward-7" not in json.dumps(report)
    assert (
        "their chain holds; 0 refusals, and 1 of its own data, paths or settings"
        in alx("audit", world.folder("learner")).out
    )


def test_a_refusal_about_a_disk_tells_no_folder_above_it(stage, alx, monkeypatch):
    world = stage("sent")
    usb, name = world.root / "patients of O'Brien's ward" / "usb", world.bundle("learner").name
    usb.mkdir(parents=True)
    (usb / name).symlink_to(world.disk)
    monkeypatch.chdir(world.disk)
    for place in (usb, Path("..") / usb.relative_to(world.root)):
        assert alx("export", place, "--site", world.folder("learner")).code == ForbiddenFileError.exit_code
    report = told(alx, world.folder("learner"))
    assert [f["text"] for f in report["findings"]] == [
        f"export 'usb', ForbiddenFileError (20): '…/{name}' is a symbolic link"
    ] * 2
    assert not re.search(r"Brien|\bward\b", json.dumps(report))  # words of a digest are awkward, or forward, now and then


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("'/media/O'Brien ward/usb' is another bundle", "'…/usb' is another bundle"),
        ("'/media/James' ward/usb' and 'ward/usb2' differ", "'…/usb' and '…/usb2' differ"),
        ("'/site/../ward/x' is not '/site/outbox/x', '/site'", "'…/x' is not 'outbox/x', 'site'"),
        ("1 of the bundle's files is bad: 'data/c0001.zst' differs, 3/4", None),
        ("import-and-select 'r001-learner (copy)', CorruptError (12): 'data/c0001.zst' differs", None),
        ("Paths(a=PosixPath('/ward/a'), b='/ward/b', c=['/ward/c'])", "Paths(a=PosixPath('…/a'), b='…/b', c=['…/c'])"),
        (
            "cannot use '/mnt/s/b': Input/output error; cannot use 'x.db'",
            "cannot use '…/b': Input/output error; cannot use 'x.db'",
        ),
    ],
)
def test_a_path_in_a_text_is_told_from_the_site_on_or_by_its_last_name(said, told):
    assert logged.local(said, Path("/site")) == (said if told is None else told)


def test_what_a_record_is_about_is_told_by_its_last_name():
    """As older logs have it."""
    refused = Refused("export", "../ward's 7'/usb", "CorruptError", 12, "bad")
    assert logged.event(refused, None) == "export '…/usb', CorruptError (12): bad"
    assert logged.event(BackedUp("/ward 'x' y/b", 2), None) == "to '…/b', 2 files"


def test_a_report_replaces_its_own_kind_alone_and_lies_in_no_site(stage, capsys, tmp_path):
    world = stage("sent")
    site = str(world.folder("learner"))
    letter = tmp_path / "letter.html"
    letter.write_text("<!DOCTYPE html><p>a letter")
    refused(capsys, ["report", site, "-o", str(letter)], UsageError, "exists, and is no report")
    refused(capsys, ["report", site, "-o", f"{site}/page.html"], UsageError, "lies in the site")
    inside = str(world.bundle("learner") / "data" / "page.html")
    refused(capsys, ["report", site, "-o", inside], UsageError, "lies in the bundle", hint="another place")
    (tmp_path / "page.html.sig").write_text("a letter")
    refused(capsys, ["report", site, "-o", str(tmp_path / "page.html")], UsageError, "exists, and is no signature")
    refused(capsys, ["report", site], UsageError, "no file for the report", hint="-o FILE")
    refused(capsys, ["report", site, "--json", "--sign"], UsageError, "no file for the report")
    refused(capsys, ["report", site, "-o", str(tmp_path / "x"), "--key", f"{site}/public.pem"], UsageError, "is a site")


def test_a_report_can_be_written_again_and_only_that_of_a_bundle_may_be_read_by_others(stage, alx, tmp_path):
    world = stage("sent")
    site, page = world.folder("learner"), tmp_path / "page.html"
    for words, mode in (
        ([site], 0),
        ([site], 0),
        ([site, "--json"], 0),
        ([site, "--json"], 0),
        ([world.bundle("learner"), "--key", site / "public.pem"], 0o044),
    ):
        assert alx("report", *words, "-o", page).code == 0
        assert stat.S_IMODE(page.stat().st_mode) & 0o077 == mode


def test_the_json_is_of_its_schema(stage, alx):
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text())
    for name in ("paired", "closed"):
        Draft202012Validator(schema).validate(told(alx, stage(name).folder("provider")))
