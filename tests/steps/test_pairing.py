"""A peer is pinned in one step, and the file that was pinned can always be put back."""

import json

import numpy as np
import pytest

from alx.bundle import keys
from alx.cli.main import run
from alx.errors import LedgerError, TurnError
from alx.site import keyring
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from alx.turns.train import train
from tests.forge import refused
from tests.killed import history, killed
from tests.steps.test_rotation import accept, rotate


def pairing(world, peer, role="learner"):
    return ["pair", str(world.disk / f"{peer}.json"), "--yes", "--site", str(world.folder(role))]


@pytest.fixture
def another(stage):
    """Both are paired, and the identity of another provider, who has fewer samples, lies on the disk."""
    world = stage("paired")
    with np.load(world.root / "provider.npz") as data:
        np.savez(world.root / "another.npz", **{name: values[:20] for name, values in data.items()})
    config = SiteFile(role="provider", data=Data(kind="npz", path="../another.npz"))
    new.create(world.root / "another", config, world.root / "plan.toml")
    assert run(["identity", str(world.disk / "another.json"), "--site", str(world.root / "another")]) == 0
    return world


def test_a_pairing_with_another_peer_killed_anywhere_leaves_the_old_one_pinned_or_the_new_one_and_goes_on(another, tmp_path):
    told, folder = history(another, "learner"), another.folder("learner")
    old, new_key = (keys.load_public(another.root / site / "public.pem") for site in ("provider", "another"))
    command = ("pair", "{}/disk/another.json", "--yes", "--site", "{}/learner")
    worlds = killed(another, tmp_path / "killed", *command, every=3)
    assert len(worlds) > 3
    seen = set()
    for what, world in worlds:
        folder = world.folder("learner")
        pinned = old if history(world, "learner") == told else new_key
        seen.add(pinned.fingerprint)
        assert world.state("learner").peer_key == pinned, what
        assert run(["status", "--site", str(folder)]) == 0, what
        assert run(["backup", str(world.root / "backup"), "--site", str(folder)]) == 0, what
        assert world.state("learner").peer_key == keys.load_public(folder / "peer.pem") == pinned, what
        assert run(pairing(world, "another")) == 0, what
        assert world.state("learner").peer_key == keys.load_public(folder / "peer.pem") == new_key, what
        assert [kind for kind, _ in history(world, "learner")[len(told) :]] == ["paired"], what
        assert sorted(p.name for p in folder.glob("*peer*")) == ["peer.json", "peer.pem"], what
    assert seen == {old.fingerprint, new_key.fingerprint}


def test_the_file_that_was_pinned_is_put_back_and_no_other(another, capsys):
    world, folder = another, another.folder("provider")
    assert world.take("provider", world.turn("learner")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    assert accept(world, "provider", rotate(world, "learner")) == 0
    told, new_key = history(world, "provider"), world.state("learner").public_key
    for lost in (True, False):
        (folder / "peer.json").unlink() if lost else (folder / "peer.json").write_bytes(b"{}")
        (folder / "peer.pem").unlink()
        status = ["status", "--site", str(folder)]
        refused(capsys, status, LedgerError, "not the file that was pinned", hint="run alx pair with that file again")
        assert run(pairing(world, "learner", "provider")) == 0
        assert run(status) == 0
        assert (folder / "peer.json").read_bytes() == (world.disk / "learner.json").read_bytes()
        assert keys.load_public(folder / "peer.pem") == world.state("provider").peer_key == new_key
    assert history(world, "provider") == told
    refused(capsys, pairing(world, "another"), TurnError, "bundles with another peer already")


def test_a_turn_that_was_begun_for_one_peer_is_begun_anew_for_another_with_whom_it_has_more_steps(another, alx):
    site = another.folder("learner")

    def tell(what, *_):
        if what == "measuring":
            raise KeyboardInterrupt

    with another.site("learner").locked("train-local") as now, pytest.raises(KeyboardInterrupt):
        train(now, tell)
    assert "a turn of 5 steps is under way" in alx("status", "--site", site).out
    assert alx(*pairing(another, "another")).code == 0
    assert json.loads(alx("status", "--json", "--site", site).out)["under_way"] is None
    made = json.loads(alx("train-local", "--json", "--site", site).out)
    assert (made["steps"], made["planned_steps"], made["resumed_at_step"]) == (8, 8, None)
    assert alx("export", another.disk, "--site", site).code == 0
    assert alx("pair", another.disk / "learner.json", "--yes", "--site", another.root / "another").code == 0
    assert alx("import-and-select", another.bundle("learner"), "--site", another.root / "another").code == 0


@pytest.mark.parametrize("left", ["peer.0123456789abcdef.json", "key.0123456789abcdef.pem"])
def test_what_a_kill_left_keeps_nobody_from_putting_the_peers_file_back(stage, alx, left):
    world = stage("sent")
    folder = world.folder("learner")
    (folder / left).write_bytes(b"{}")
    (folder / "peer.json").unlink()
    assert alx("status", "--site", folder).code == LedgerError.exit_code
    assert alx("pair", world.disk / "provider.json", "--yes", "--site", folder).code == 0
    assert alx("status", "--site", folder).code == 0
    assert not (folder / left).exists()


def test_a_damaged_file_that_waits_takes_no_good_ones_place(stage, alx):
    world = stage("sent")
    folder = world.folder("learner")
    waits = keyring.next_peer(folder, world.state("learner").pairing.identity)
    waits.write_bytes(b"")
    good = (folder / "peer.json").read_bytes()
    assert alx("status", "--site", folder).code == 0
    assert alx("export", world.disk, "--site", folder).code == 0
    assert ((folder / "peer.json").read_bytes(), waits.exists()) == (good, False)
