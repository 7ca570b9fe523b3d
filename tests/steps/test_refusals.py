"""What no file of tests/attacks can show of lies: what is accepted, what is not a bundle, what an audit trusts."""

import json

import numpy as np
import pytest

from alx import plan
from alx.bundle import keys
from alx.errors import ConfigError, LimitError, MalformedError, PeerError, TrustError, UsageError
from tests import attacks, forge
from tests.conftest import World
from tests.forge import Forge, compress, refused_import


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def forged(sent) -> Forge:
    return Forge.of(sent, "learner")


def test_what_the_forge_signs_is_accepted_where_it_does_not_lie(sent, forged):
    """Else every test here could pass for a reason of its own."""
    forged.sign()
    assert sent.take("provider", forged.bundle) == 0


def test_a_bundle_of_the_site_itself_is_not_imported(sent, capsys):
    refused_import(
        capsys,
        sent,
        "learner",
        sent.bundle("learner"),
        PeerError,
        "a bundle of this site's own, the learner's",
        hint="here import the provider's",
    )


def test_the_identity_of_a_hostile_peer_is_refused_without_a_traceback(stage, capsys, tmp_path):
    world = stage("paired")
    good = json.loads((world.disk / "provider.json").read_bytes())
    path = tmp_path / "peer.json"
    pair = ["pair", str(path), "--yes", "--site", str(world.folder("learner"))]
    changes = (
        {"plan": "x = " + "9" * 5000},
        {"plan": "\ud800"},
        {"plan": "[" * 100_000},
        {"plan": ""},
        {"public_key": "é"},
        {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
        {"samples": 0},
        {"tensors": []},
    )
    for data in (*attacks.documents(fault=7), *(json.dumps(good | change).encode() for change in changes)):
        path.write_bytes(data)
        forge.refused(capsys, pair, MalformedError)
    path.write_bytes(b" " * (9 << 20))
    forge.refused(capsys, pair, LimitError)


def test_an_audit_takes_no_key_from_around_the_bundle(sent, capsys, monkeypatch, tmp_path):
    """A disk may hold a whole site, with the keys of whoever filled it."""
    inside = sent.folder("learner") / "inbox" / sent.bundle("learner").name
    sent.bundle("learner").rename(inside)
    monkeypatch.chdir(tmp_path)
    forge.refused(capsys, ["audit", str(inside)], UsageError, "no sender's key was named", hint="--key")
    monkeypatch.setenv("ALX_SITE", str(sent.folder("provider")))
    assert forge.run(["audit", str(inside)]) == 0
    monkeypatch.delenv("ALX_SITE")
    stray = tmp_path / "key.pem"
    stray.write_text(keys.PublicKey(keys.generate().public_key()).pem)
    forge.refused(capsys, ["audit", str(inside), "--key", str(stray)], TrustError, "expected one of", hint="--key")


def test_a_good_snapshot_compressed_by_another_hand_is_accepted(sent, forged):
    """Else every refusal above could have a reason of its own."""
    forged.frame(1, compress(forged.raw(1)))
    assert sent.take("provider", forged.bundle) == 0


def test_poisoned_but_finite_weights_are_scored_like_any_other(sent, forged):
    """Out of the format's reach: they lose on the receiver's own data."""

    def poison(states):
        for state in states[1:]:
            state[:] = np.full(len(state) // 4, 3e38, "<f4").tobytes()

    forged.restate(poison)
    assert sent.take("provider", forged.bundle) == 0
    body = sent.state("provider").position.selected[-1]
    assert body.label == "t=0"
    assert body.own[1:] == (None,) * (len(body.own) - 1)


PLAIN_PLAN = 'name = "a"\nrounds = 1\nround_steps = 5\nsampling_period = 1\n[optimiser]\nname = "adam"\n'


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (PLAIN_PLAN + "[settings.x]\na = 1\n", "settings.x: is a table, expected true or false or a number"),
        (PLAIN_PLAN.replace("= 5", '= "many"'), "round_steps: is 'many', expected a number or a table"),
        ("foo = 1\nbar = 1\n" + PLAIN_PLAN, "foo: extra inputs are not permitted (got 1); bar: extra inputs"),
        (PLAIN_PLAN.replace("rounds = 1", 'rounds = "a"').replace("period = 1", 'period = "a"'), "rounds: input"),
    ],
)
def test_one_wrong_value_is_one_sentence(changed, words):
    """Where a value may be one of several kinds, pydantic alone tells a fault for each kind."""
    with pytest.raises(ConfigError) as raised:
        plan.parse(changed.encode())
    assert words in raised.value.message
    assert raised.value.message.count(";") <= 1
