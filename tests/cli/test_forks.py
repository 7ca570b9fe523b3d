"""`alx audit` of several bundles or sites: a sender that sealed one turn twice is found, and named with both digests."""

import json
import shutil
from pathlib import Path

import pytest

from alx import forks
from alx.bundle import keys
from alx.bundle.carried import survey
from alx.bundle.read import claimed_key, verify_signature
from alx.bundle.signature import sign
from alx.errors import ForkError, MalformedError, TrustError
from alx.report import forks as told
from alx.verified import Ciphertext
from tests.conftest import make_world, pair_world
from tests.forge import Forge, refused

LAST = "the closing after round 2"
RESTORED = {"how": "backup", "at": "2026-11-28T10:00:00+00:00", "round": 0}


def second(forge, folder, change):
    """Another sealing of a turn, by the key that sealed the first one, on a disk of its own; its digest."""
    path = folder / forge.bundle.name
    shutil.copytree(forge.bundle, path)
    Forge(path, forge.key).edit(change)
    return path


def digest(path, key):
    with survey(path) as source:
        return verify_signature(claimed_key(source)[0], key).digest


def test_a_turn_that_was_sealed_twice_is_named_with_both_digests_and_both_sets_of_words(stage, alx, tmp_path, capsys):
    world = stage("answered")
    forge = Forge.of(world, "learner")
    other = second(forge, tmp_path / "b", lambda m: m.update(restored=RESTORED) or m["candidates"][1].update(loss=1.5))
    key = world.folder("learner") / "public.pem"
    told = alx("audit", forge.bundle, other, "--key", key)
    both = [digest(path, keys.load_public(key)) for path in (forge.bundle, other)]
    assert (told.code, both[0] != both[1]) == (16, True)
    assert "round 1 of the learner was sealed 2 times, with the digests" in told.err
    for each, where in zip(both, (forge.bundle, other), strict=True):
        assert f"  digest     {each}\n  its words  {keys.words(each)}\n  lies       in '{where}'" in told.out
    assert "restored from a backup at 2026-11-28T10:00:00+00:00, to the time before its first round" in told.out
    refused(capsys, ["audit", str(forge.bundle), str(other), "--key", str(key)], ForkError, hint="keep every copy")

    said = json.loads(alx("audit", forge.bundle, other, "--key", key, "--json").out)
    (fork,) = said["forks"]
    assert [s["digest"] for s in fork["sealed"]] == both
    assert [b["restored"] for b in said["bundles"]] == [None, RESTORED]
    assert [(b["round"], b["kind"], b["manifest_read"]) for b in said["bundles"]] == [(1, "learner", True)] * 2
    assert (said["valid"], said["manifests_not_read"]) == (False, 0)

    alone = alx("audit", other, "--key", key)
    day = "restored from a backup at 2026-11-28T10:00:00+00:00, to the time before its first round"
    assert (alone.code, f"  LOOK         its sender says that the site was {day}\n" in alone.out) == (0, True)

    # beside a site that took the first one: its inbox has the copy
    told = alx("audit", world.folder("provider"), other, "--key", key)
    assert (told.code, f"'{world.folder('provider') / 'inbox' / other.name}'" in told.out) == (16, True)


def test_two_sites_of_one_history_and_their_disk_have_no_fork(stage, alx):
    world = stage("closed")
    key = world.folder("learner") / "public.pem"
    told = alx("audit", world.folder("learner"), world.folder("provider"), world.bundle("learner", 2), "--key", key)
    assert (told.code, told.out.splitlines()[-1]) == (0, "one history: no turn was sealed twice")
    assert told.out.startswith("compared 11 copies of 5 bundles, each good by itself:")
    rows = [line[2:28].strip() for line in told.out.splitlines()[1:-1]]
    assert rows == [*(f"round {i} of the {role}" for i in (1, 2) for role in ("learner", "provider")), LAST]
    assert json.loads(alx("audit", world.folder("learner"), world.folder("provider"), "--json").out)["forks"] == []


def test_a_bundle_that_others_do_not_follow_is_found_though_the_one_they_follow_is_not_here(stage, alx, tmp_path):
    """The learner's second bundle and the provider's answer name its first one, which is not the one that is shown."""
    world = stage("second")
    forge = Forge.of(world, "learner")
    first = digest(forge.bundle, keys.PublicKey(forge.key.public_key()))
    other = second(forge, tmp_path / "b", lambda m: m["candidates"][1].update(loss=1.5))
    shutil.rmtree(forge.bundle)
    named = ("--key", world.folder("learner") / "public.pem", "--key", world.folder("provider") / "public.pem")
    told = alx("audit", other, world.bundle("provider"), world.bundle("learner", 2), *named)
    assert (told.code, "the bundles name 2 for round 1 of the learner" in told.err) == (16, True)
    assert f"  its words  {keys.words(first)}\n  lies       in none of these places\n" in told.out
    assert told.out.count("  named by   '") == 2


def test_a_share_says_what_it_follows_as_all_of_the_bundle_does(stage, alx, tmp_path):
    """The learner's second bundle lies over two disks, and names its first one, which is not the one that is shown."""
    world = stage("second")
    forge = Forge.of(world, "learner")
    other = second(forge, tmp_path / "b", lambda m: m["candidates"][1].update(loss=1.5))
    disks = [tmp_path / "1", tmp_path / "2"]
    for disk in disks:
        disk.mkdir()
    assert alx("export", *disks, "--site", world.folder("learner")).code == 0
    shares = [next(disk.glob("*-of-2")) for disk in disks]
    key = ("--key", world.folder("learner") / "public.pem")
    told = alx("audit", other, shares[0], *key)
    assert (told.code, "the bundles name 2 for round 1 of the learner" in told.err) == (16, True)
    assert told.out.startswith("compared 1 copy and 1 share of 2 bundles, each good as far as it lies here:")
    assert f"in '{shares[0]}' (disk 1 of 2)\n" in told.out
    said = json.loads(alx("audit", forge.bundle, *shares, *key, "--json").out)
    assert (said["valid"], [b["manifest_read"] for b in said["bundles"]]) == (True, [True, True])
    assert [(c["disk"], c["disks"]) for c in said["bundles"][1]["copies"]] == [(1, 2), (2, 2)]
    follows = digest(forge.bundle, keys.load_public(key[1]))
    assert f"  follows      {follows}\n" in alx("audit", shares[1], *key).out


def test_two_successors_of_one_bundle_are_found_though_the_key_was_replaced_in_between(stage, alx, tmp_path):
    world = stage("second")
    path = tmp_path / world.bundle("learner", 2).name
    shutil.copytree(world.bundle("learner", 2), path)
    new = keys.generate()
    public = keys.PublicKey(new.public_key())
    Forge(path, new).edit(lambda m: m["sender"].update(key=public.fingerprint))
    (tmp_path / "new.pem").write_text(public.pem)
    named = ("--key", world.folder("learner") / "public.pem", "--key", tmp_path / "new.pem")
    told = alx("audit", world.bundle("learner", 2), path, *named)
    assert (told.code, "round 2 of the learner was sealed 2 times" in told.err) == (16, True)
    assert public.fingerprint in told.out


def test_one_history_is_said_where_digests_join_all_bundles_and_nowhere_else(stage, alx, tmp_path):
    world = stage("finished")
    learner, provider = ([world.bundle(role, i) for i in (1, 2)] for role in ("learner", "provider"))
    strange = tmp_path / "strange" / f"alx-{'f' * 8}-r001-provider"  # under another plan, and it names one of these
    shutil.copytree(provider[0], strange)
    Forge(strange, Forge.of(world, "provider").key).edit(lambda m: m.update(plan="f" * 64))
    named = [x for role in ("learner", "provider") for x in ("--key", world.folder(role) / "public.pem")]
    for some, parts in (
        ([learner[0], provider[0], learner[1], provider[1]], 1),
        ([learner[0], learner[1]], 1),
        ([learner[0], provider[1]], 2),  # two lie between them
        ([learner[0], strange], 2),
    ):
        done = alx("audit", *some, *named)
        *_, last = done.out.splitlines()
        how = "one history:" if parts == 1 else "as far as could be seen"
        assert (done.code, last) == (0, f"{how} no turn was sealed twice")
        assert (f"LOOK: {parts} parts, and nothing here joins them" in done.out) == (parts > 1)
        assert json.loads(alx("audit", *some, *named, "--json").out)["one_history"] == (parts == 1)


@pytest.mark.parametrize("joined", [True, False])
def test_another_first_bundle_is_found_though_a_key_was_replaced_where_digests_join_it(stage, alx, tmp_path, joined):
    """The learner's second bundle, by its new key, names another first one than the provider's answer does."""
    world = stage("second")
    path = tmp_path / world.bundle("learner", 2).name
    shutil.copytree(world.bundle("learner", 2), path)
    new = keys.generate()
    public = keys.PublicKey(new.public_key())
    Forge(path, new).edit(lambda m: m["sender"].update(key=public.fingerprint) or m.update(previous="ab" * 32))
    (tmp_path / "new.pem").write_text(public.pem)
    named = [world.folder("learner") / "public.pem", world.folder("provider") / "public.pem", tmp_path / "new.pem"]
    between = [world.bundle("provider")] if joined else []
    told = alx("audit", world.bundle("learner"), *between, path, *(x for key in named for x in ("--key", key)))
    assert told.code == (16 if joined else 0)
    assert ("the bundles name 2 for round 1 of the learner" in told.err) == joined
    assert ("LOOK: 2 parts, and nothing here joins them" in told.out) == (not joined)
    assert "one history" not in told.out.splitlines()[-1]


@pytest.mark.parametrize("where", ["elsewhere", "inside", "key"])
def test_a_site_that_is_named_lends_no_bundle_its_keys(stage, alx, tmp_path, monkeypatch, where):
    """Somebody else's exchange under the same plan: a bundle, and somewhere on that disk the site that took it."""
    mallory, world = stage("sent"), pair_world(make_world(tmp_path / "genuine"))
    bundle, site, named = mallory.bundle("learner"), mallory.folder("provider"), []
    if where == "inside":
        monkeypatch.chdir(world.folder("provider"))
    elif where == "key":
        named = ["--key", world.folder("learner") / "public.pem"]
    done = alx("audit", bundle, site, *named)
    assert done.code == (2 if where == "elsewhere" else 11)
    assert ("no sender's key was named" in done.err) == (where == "elsewhere")


def test_two_closings_are_a_fork_too_and_a_bundle_that_is_not_good_is_named(stage, alx, tmp_path, capsys):
    world = stage("closing")
    closing = Forge.of(world, "learner").closing
    other = second(closing, tmp_path / "b", lambda m: m["start"].update(global_loss=m["start"]["global_loss"] + 1))
    key = ["--key", str(world.folder("learner") / "public.pem")]
    assert "the closing after round 2 was sealed 2 times" in alx("audit", closing.bundle, other, *key).err
    foreign = str(world.bundle("provider"))
    refused(capsys, ["audit", str(other), foreign, *key], TrustError, f"'{foreign}': signed with the key")


@pytest.mark.parametrize(("signer", "found"), [("same", 1), ("another", 0)])
def test_of_encrypted_bundles_the_signed_names_alone_are_compared(signer, found):
    """Nobody's age key is at hand; a stranger's bundle of the same name is no second sealing."""
    first, other = (keys.PublicKey(keys.generate().public_key()) for _ in range(2))
    reports = [
        Ciphertext(Path(letter), "alx-1f3a90c2-r001-learner", letter * 64, key, (), {})
        for letter, key in (("a", first), ("b", first if signer == "same" else other))
    ]
    both = forks.compared(reports)
    assert (len(both.forks), both.unseen, both.json()["manifests_not_read"]) == (found, 2, 2)
    lines = told.lines(both)
    assert any(line.startswith("LOOK: of 2 bundles what 2 answer and follow could not be seen") for line in lines)
    assert (lines[-1] == "as far as could be seen no turn was sealed twice") == (not found)
    assert not any("one history" in line for line in lines)


def test_a_signed_name_that_no_bundle_has_is_refused_where_nothing_else_says_which_turn_it_is(stage, alx, tmp_path, capsys):
    world = stage("second")
    disks = [tmp_path / "1", tmp_path / "2"]
    for disk in disks:
        disk.mkdir()
    assert alx("export", *disks, "--site", world.folder("learner")).code == 0
    (share,) = disks[0].glob("*-of-2")
    key = world.folder("learner") / "public.pem"
    with survey(share) as source:
        files = list(verify_signature(claimed_key(source)[0], keys.load_public(key)).files.values())
    (share / "round.sig").write_bytes(sign("odd", files, keys.load_private(world.folder("learner") / "key.pem")))
    refused(capsys, ["audit", str(share), "--key", str(key)], MalformedError, "'odd', a name that no bundle has")
