"""Bundles encrypted to the peer: what a lost disk shows, who opens it, and that nothing decrypted is left behind."""

import io
import json
import shutil
import subprocess
import sys

import pyrage
import pytest

from alx.bundle import age
from alx.cli.main import run
from alx.errors import CorruptError, MalformedError, PeerError, TrustError, UsageError
from tests import forge
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import Forge, refused, refused_import

ENCRYPTED = PLAN.replace("seed = 3", "seed = 3\nencrypt = true")


@pytest.fixture(scope="session")
def _played(tmp_path_factory):
    """An encrypted exchange after its first round; and one whose first turn is on the disk."""
    root = tmp_path_factory.mktemp("encrypted")
    world = pair_world(make_world(root / "now", ENCRYPTED))
    bundle = world.turn("learner")
    shutil.copytree(world.root, root / "sent")
    assert world.take("provider", bundle) == 0
    assert world.take("learner", world.turn("provider")) == 0
    return root


@pytest.fixture
def world(_played, tmp_path):
    shutil.copytree(_played / "sent", tmp_path / "world")
    return World(tmp_path / "world")


@pytest.fixture
def round_(_played, tmp_path):
    shutil.copytree(_played / "now", tmp_path / "round")
    return World(tmp_path / "round")


def test_two_rounds_go_through_and_end_where_plain_bundles_end(round_, tmp_path, alx):
    assert round_.take("provider", round_.turn("learner")) == 0
    assert round_.take("learner", round_.turn("provider")) == 0
    plain = pair_world(make_world(tmp_path / "plain"))
    for _ in range(2):
        assert plain.take("provider", plain.turn("learner")) == 0
        assert plain.take("learner", plain.turn("provider")) == 0
    for role in ("learner", "provider"):
        ours, theirs = (w.state(role).position.selected for w in (round_, plain))
        assert [(b.label, b.global_loss) for b in ours] == [(b.label, b.global_loss) for b in theirs]
        assert alx("audit", round_.folder(role)).code == 0


def test_a_lost_disk_shows_names_sizes_and_key_hints_and_nothing_else(world):
    files = sorted(p for p in world.bundle("learner").rglob("*") if p.is_file())
    assert all(p.name.endswith(".age") or p.name == "round.sig" for p in files)
    for path in files:
        data = path.read_bytes()
        assert path.name == "round.sig" or data.startswith(b"age-encryption.org/v1\n")
        for told in (b"samples", b"loss", b"0.weight", b"candidates", b"safetensors\x00"):
            assert told not in data


def test_the_age_tool_opens_what_the_receiver_may_open(world):
    secret = (world.folder("provider") / "age.key").read_text().strip()
    data = (world.bundle("learner") / "manifest.json.age").read_bytes()
    assert json.loads(pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(secret)]))["round"] == 1


def test_an_encrypted_bundle_is_labelled_inside_one_of_its_two_sites_alone(world, capsys, monkeypatch):
    """Elsewhere its models were not opened, and the page says that they were."""
    bundle, key = str(world.bundle("learner")), str(world.folder("learner") / "public.pem")
    refused(capsys, ["label", bundle, "--key", key], PeerError, "age key", hint="inside one of its two sites")
    for role in ("learner", "provider"):
        monkeypatch.chdir(world.folder(role))
        refused(capsys, ["label", bundle, "--key", key], PeerError, "age key", hint="name no key")
        assert run(["label", bundle]) == 0
        assert world.state("learner").position.sealed[-1].digest in capsys.readouterr().out


def test_nothing_decrypted_is_left_in_a_site_after_an_import(world):
    assert world.take("provider", world.bundle("learner")) == 0
    for role in ("learner", "provider"):
        kept = [p for box in ("inbox", "outbox", "staging") for p in (world.folder(role) / box).rglob("*") if p.is_file()]
        assert kept
        assert all(p.suffix == ".age" or p.name == "round.sig" for p in kept)


def to(world: World, *recipients: str, only: str = "*.age") -> Forge:
    """The learner's bundle with files encrypted to others."""
    forged = Forge.of(world, "learner")
    secret = (world.folder("provider") / "age.key").read_text().strip()
    for path in (p for p in forged.bundle.rglob(only) if p.is_file()):
        path.write_bytes(age.encrypt(age.decrypt(path.read_bytes(), secret, path.name), list(recipients)))
    forged.sign()
    return forged


def strangers(count: int) -> list[str]:
    return [age.recipient(age.generate()) for _ in range(count)]


@pytest.mark.parametrize("only", ["manifest.json.age", "c0001-p0000.safetensors.zst.age"])
@pytest.mark.parametrize("count", [1, 3])
def test_without_a_key_an_audit_sees_that_a_file_is_not_encrypted_to_two_recipients_and_an_import_too(
    world, capsys, count, only
):
    own = [world.site(role).recipient for role in ("learner", "provider")]
    forged = to(world, *(own + strangers(1))[:count], only=only)
    words = (only, f"encrypted to {count} X25519 and 0 other recipients, expected 2")
    audit = ["audit", str(forged.bundle), "--key", str(world.folder("learner") / "public.pem")]
    refused(capsys, audit, MalformedError, *words, hint="ask the sender")
    refused_import(capsys, world, "provider", forged.bundle, MalformedError, *words)


def test_plaintext_that_is_only_named_as_encrypted_is_refused_by_an_audit_without_a_key(stage, capsys):
    world = stage("sent")
    forged = Forge.of(world, "learner")
    for path in [p for p in forged.bundle.rglob("*") if p.is_file() and p.name != "round.sig"]:
        path.rename(path.with_name(path.name + ".age"))
    forged.sign()
    audit = ["audit", str(forged.bundle), "--key", str(world.folder("learner") / "public.pem")]
    refused(capsys, audit, MalformedError, "named as encrypted, and is not")


def test_a_plain_file_among_encrypted_ones_is_refused(world, capsys):
    forged = Forge.of(world, "learner")
    secret = (world.folder("provider") / "age.key").read_text().strip()
    path = min((forged.bundle / "data").iterdir())
    path.with_suffix("").write_bytes(age.decrypt(path.read_bytes(), secret, path.name))
    path.unlink()
    forged.sign()
    audit = ["audit", str(forged.bundle), "--key", str(world.folder("learner") / "public.pem")]
    refused(capsys, audit, MalformedError, "plain among encrypted files")
    refused_import(capsys, world, "provider", forged.bundle, MalformedError, "plain among encrypted files")


def test_a_third_recipient_hidden_as_another_kind_of_stanza_is_refused(world):
    data = min((world.bundle("learner") / "data").iterdir()).read_bytes()
    age.check_header(data, "a file")
    line = data.index(b"-> ")
    for stanza in (b"-> scrypt AAAA 18\n" + b"A" * 43 + b"\n", b"-> a-grease\nAAAA\n-> b-grease\nAAAA\n"):
        with pytest.raises(MalformedError, match="expected 2 X25519 and no other"):
            age.check_header(data[:line] + stanza + data[line:], "a file")


def test_a_bundle_encrypted_to_somebody_else_is_refused_and_leaves_no_plaintext(world, capsys):
    forged = to(world, *strangers(2))
    refused_import(
        capsys,
        world,
        "provider",
        forged.bundle,
        PeerError,
        "'manifest.json.age' is encrypted to somebody else",
        hint="meant for this site",
    )
    assert not [p for p in (world.folder("provider") / "staging").rglob("*") if p.suffix != ".age" and p.is_file()]


@pytest.mark.parametrize("harm", [b"", b"x", b"age-encryption.org/v1\n", b"age-encryption.org/v1\n-> X25519 x\n"])
def test_a_signed_file_that_is_no_age_file_is_malformed(world, capsys, harm):
    forged = Forge.of(world, "learner")
    (forged.bundle / "manifest.json.age").write_bytes(harm)
    forged.sign()
    refused_import(capsys, world, "provider", forged.bundle, MalformedError, "no age header")


def test_a_plain_bundle_under_a_plan_that_encrypts_is_refused(world, capsys):
    """Else whoever swaps disks could make a peer send in the clear what was agreed to be secret."""
    forged = Forge.of(world, "learner")
    secret = (world.folder("provider") / "age.key").read_text().strip()
    for path in [p for p in forged.bundle.rglob("*.age") if p.is_file()]:
        path.with_suffix("").write_bytes(age.decrypt(path.read_bytes(), secret, path.name))
        path.unlink()
    forged.sign()
    refused_import(
        capsys, world, "provider", forged.bundle, PeerError, "is plain, expected encrypted", hint="keep to the plan"
    )


def test_an_encrypted_bundle_under_a_plain_plan_is_refused(stage, capsys):
    world = stage("sent")
    forged = Forge.of(world, "learner")
    for path in [p for p in forged.bundle.rglob("*") if p.is_file() and p.name != "round.sig"]:
        path.with_name(path.name + ".age").write_bytes(age.encrypt(path.read_bytes(), [age.recipient(age.generate())]))
        path.unlink()
    forged.sign()
    refused_import(capsys, world, "provider", forged.bundle, PeerError, "is encrypted, expected plain")


def test_a_changed_ciphertext_is_seen_before_anything_is_decrypted(world, capsys, monkeypatch):
    path = world.bundle("learner") / "manifest.json.age"
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    monkeypatch.setattr(age, "decrypt", lambda *_: pytest.fail("decrypted before its digest was compared"))
    assert run(forge.command(world, "provider", world.bundle("learner"))) == 12
    assert "'manifest.json.age' differs from what was signed" in capsys.readouterr().err


def test_an_auditor_without_a_site_learns_that_the_files_are_good_and_no_more(world, capsys, monkeypatch, alx):
    key = world.folder("learner") / "public.pem"
    told = alx("audit", world.bundle("learner"), "--key", key)
    assert (told.code, "encrypted to two recipients" in told.out, "samples" in told.out) == (0, True, False)
    said = json.loads(alx("audit", world.bundle("learner"), "--key", key, "--json").out)
    assert (said["valid"], said["encrypted"], "manifest" in said) == (True, True, False)
    monkeypatch.setenv("ALX_SITE", str(world.folder("provider")))
    told = alx("audit", world.bundle("learner"))
    assert (told.code, "samples      40" in told.out) == (0, True)
    assert "encrypted    to two recipients: the key of this site opens every file" in told.out
    monkeypatch.delenv("ALX_SITE")
    path = next((world.bundle("learner") / "data").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    refused(capsys, ["audit", str(world.bundle("learner")), "--key", str(key)], CorruptError, path.name)


def test_an_officer_without_the_age_key_gets_a_report_of_what_is_seen_from_outside_and_of_what_the_ledger_says(round_, alx):
    site = round_.folder("provider")
    for key in ("with", "without"):
        if key == "without":
            (site / "age.key").unlink()
            (site / "key.pem").unlink()
        done = alx("report", site, "--json")
        assert done.code == 0, done.err
        report = json.loads(done.out)
        assert report["good"] == (key == "with")
        closed = "2 bundles could be seen from outside only: encrypted, and the age key is not at hand"
        assert (closed in [f["text"] for f in report["findings"]]) == (key == "without")
        tables = {t["caption"]: t["rows"] for c in report["clusters"] for p in c["parts"] for t in p["tables"]}
        found = {row[0]: row[5] for row in tables["Every bundle, in its order"]}
        assert list(found) == ["1L", "1P"]
        assert set(found.values()) == {"good" if key == "with" else "good from outside; encrypted"}
        assert ("Every model on offer" in tables) == (key == "with")
        assert len(tables["Every selection of this site"]) == 1


def test_an_auditors_copy_without_the_age_key_is_verified_from_outside_and_says_so(round_, alx):
    for role in ("learner", "provider"):
        (round_.folder(role) / "age.key").unlink()
    told = alx("audit", round_.folder("provider"))
    assert (told.code, "each is as it was signed; they are encrypted, and none was opened" in told.out) == (0, True)
    assert "  LOOK         what is in them, and what each answers, was not seen: the age key is not here\n" in told.out
    assert "; what they hold cannot be seen without the age key; and receipts of" in told.out.splitlines()[-1]
    both = alx("audit", round_.folder("provider"), round_.folder("learner"))
    assert (both.code, "LOOK: of 2 bundles what 2 answer and follow could not be seen" in both.out) == (0, True)
    said = json.loads(alx("audit", round_.folder("provider"), "--json").out)
    assert ["manifest" in b for b in said["bundles"]] == [False, False]


def test_an_officer_who_cannot_see_what_is_encrypted_is_told_so_and_asked_otherwise(world, capsys, monkeypatch):
    officer, site = world.root / "officer.pem", world.folder("learner")
    assert run(["key", "officer", str(officer)]) == 0
    words = ["approve", str(world.bundle("learner")), "--key", str(officer)]
    capsys.readouterr()
    for outside in (True, False):
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        with monkeypatch.context() as patch:
            patch.chdir(world.root if outside else site)
            assert run([*words, "--from", str(site / "public.pem")] if outside else words) == TrustError.exit_code
        told = capsys.readouterr()
        assert ("LOOK: nobody sees here what it holds" in told.out, "samples      40" in told.out) == (outside, not outside)
        assert f"Approve{' unseen' if outside else ''} that this bundle leaves the house?" in told.err
    assert run([*words, "--from", str(site / "public.pem"), "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seen"] is False


def test_which_turn_an_encrypted_bundle_is_stands_in_what_was_signed_whatever_its_folder_is_called(world, tmp_path, alx):
    path = shutil.copytree(world.bundle("learner"), tmp_path / "alx-00000000-r007-provider")
    key = ("--key", world.folder("learner") / "public.pem")
    assert "  turn         round 1 of the learner, by the name that was signed\n" in alx("audit", path, *key).out
    page = json.loads(alx("report", path, *key, "--json").out)
    assert page["title"] == "An encrypted bundle, seen from outside: round 1 of the learner"
    assert "By the name that was signed it is round 1 of the learner." in " ".join(page["words"])


def test_a_header_that_would_keep_the_library_busy_for_hours_is_refused_at_once(world, capsys):
    forged = Forge.of(world, "learner")
    for junk in (b"-> x y\nAAAA\n" * 12_000, b"-> x " + b"y" * 96_000 + b"\n\n", b"-> x y\n" + b"A" * 160_000):
        (forged.bundle / "manifest.json.age").write_bytes(b"age-encryption.org/v1\n" + junk + b"\n--- " + b"A" * 43 + b"\n")
        forged.sign()
        refused_import(capsys, world, "provider", forged.bundle, MalformedError, "no age header of at most 1024 bytes")


def test_a_header_of_ours_is_far_below_the_bound(world):
    ends = [p.read_bytes().index(b"\n--- ") for p in world.bundle("learner").rglob("*.age")]
    assert max(ends) < age.MAX_HEADER_BYTES / 2


def test_an_age_key_that_others_can_read_is_refused(world, capsys):
    (world.folder("provider") / "age.key").chmod(0o644)
    refused_import(capsys, world, "provider", world.bundle("learner"), TrustError, "age.key", "0644", hint="chmod 600")


def test_the_keys_file_has_mode_0600_and_never_travels(world):
    for role in ("learner", "provider"):
        path = world.folder(role) / "age.key"
        assert path.stat().st_mode & 0o777 == 0o600
        secret = path.read_bytes().strip()
        assert not [p for p in world.disk.rglob("*") if p.is_file() and secret in p.read_bytes()]


def test_an_identity_whose_recipient_does_not_fit_the_plan_is_refused(world, stage, capsys, tmp_path):
    pair = ["pair", str(tmp_path / "peer.json"), "--yes", "--site"]
    for where, change in (
        (world, {"recipient": None}),
        (world, {"recipient": "age1x"}),
        (stage("paired"), {"recipient": "age1x"}),
    ):
        said = json.loads((where.disk / "provider.json").read_bytes()) | change
        (tmp_path / "peer.json").write_bytes(forge.form(said))
        refused(capsys, [*pair, str(where.folder("learner"))], MalformedError, "recipient")


def test_without_pyrage_a_plan_that_encrypts_is_refused_with_the_remedy(world, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    refused_import(
        capsys,
        world,
        "provider",
        world.bundle("learner"),
        UsageError,
        "pyrage is not installed",
        hint="pip install 'alx[age]'",
    )


def test_plain_commands_do_not_import_pyrage(world):
    code = "import sys; from alx.cli.main import run; run(['status']); sys.exit('pyrage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=world.folder("learner")).returncode == 0
