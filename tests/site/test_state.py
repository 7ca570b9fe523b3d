"""What a site remembers is read once for each command, and handed on."""

import json
from collections import Counter

import pytest

from alx.bundle import identity
from alx.cli.main import run
from alx.errors import LedgerError
from alx.site import entries, events, keyring, ledger
from alx.site.chain import Chain
from alx.site.entries import Exported, Flags, Restored


@pytest.mark.parametrize(
    ("stage_name", "command", "keyrings", "appended", "logged"),
    [("paired", "train-local", 2, 1, 1), ("sent", "import-and-select", 1, 1, 2), ("answered", "import-and-select", 2, 2, 2)],
)
def test_a_command_reads_the_ledger_each_identity_and_the_keys_once(
    stage, monkeypatch, stage_name, command, keyrings, appended, logged
):
    """After what it appended, a turn or the receipt beside it is verified with the keys as they are then: once more.

    An import logs its drive before, and all the rest after.
    """
    world = stage(stage_name)
    sender, receiver = ("provider", "learner") if stage_name == "answered" else ("learner", "provider")
    counted = Counter()

    def count(place, name, what):
        made = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *given: (counted.update([what(*given)]), made(*given))[1])

    count(Chain, "read", lambda chain, _path: chain.name)
    count(Chain, "append", lambda chain, _path, *_: f"{chain.name} appended to")
    count(identity, "parse", lambda _data: "identity")
    count(keyring, "of", lambda *_: "keyring")
    on = [str(world.bundle(sender))] if command == "import-and-select" else []
    site = world.folder(sender if command == "train-local" else receiver)
    assert run([command, *on, "--site", str(site)]) == 0
    assert counted["ledger"] == 1
    assert (counted["ledger appended to"], counted["event log appended to"]) == (appended, logged)
    assert counted["identity"] == 2  # this site's and its peer's
    assert counted["keyring"] == keyrings


def test_every_entry_of_an_exchange_comes_back_as_the_very_text_that_is_chained(stage):
    for role in ("learner", "provider"):
        for entry in stage("finished").state(role).entries:
            assert entries.text(entry.record) == entry.line.body
            assert entries.kind(entry.record) == entry.line.kind


def test_a_field_that_only_some_exports_have_is_left_out_where_it_is_none():
    made = Exported(round=1, bundle="b", digest="d")
    assert entries.plain(made) == {"round": 1, "bundle": "b", "digest": "d"}
    assert entries.of("exported", entries.plain(made)) == made


def test_the_flags_of_a_selection_stand_beside_its_other_fields(stage):
    made = stage("finished").state("learner").position.selected[-1]
    made = made._replace(flags=Flags(stalled=True))
    told = entries.plain(made)
    assert told["stalled"] is True
    assert "flags" not in told
    assert entries.of("selected", told) == made


def test_a_well_chained_ledger_that_does_not_begin_with_the_sites_making_is_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger._CHAIN.create(path, ("restored", '{"entries": 1, "ledger": "d"}'))
    with pytest.raises(LedgerError, match=r"entry 1 of .* is 'restored', expected 'created'"):
        ledger.read(path)


@pytest.mark.parametrize("body", ['{"entries": 1}', '{"entries": 1, "ledger": "d", "more": 1}', "[]", "1", "{", '"x"'])
def test_a_well_chained_entry_that_holds_something_else_is_refused(stage, body):
    path = stage("paired").folder("learner") / "ledger.sqlite"
    good = ledger.append(path, Restored(entries=1, ledger="d"))
    assert isinstance(good[-1].record, Restored)
    ledger._CHAIN.append(path, ("restored", body))
    with pytest.raises(LedgerError, match=f"entry {len(good) + 1} of .* is no 'restored' of this version"):
        ledger.read(path)


@pytest.mark.parametrize(
    ("chain", "kind", "field", "value"),
    [
        (ledger, "selected", "global_loss", "x"),
        (ledger, "selected", "global_loss", float("nan")),
        (ledger, "selected", "samples", 0),
        (ledger, "selected", "signed", []),
        (ledger, "selected", "index", 10_000),
        (ledger, "selected", "stalled", "x"),
        (ledger, "selected", "metrics", {"values": {"a": "x"}, "majority": {}, "groups": {}, "confusion": {}}),
        (ledger, "accepted", "round", "x"),
        (ledger, "accepted", "round", True),
        (events, "media", "about", {}),
        (events, "media", "at", 7),
        (events, "media", "at", "yesterday"),
        (events, "selected", "entry", []),
        (events, "selected", "by_reset", 1),
    ],
)
def test_a_well_chained_entry_with_another_kind_of_value_is_refused_wherever_it_is_read(
    stage, alx, tmp_path, chain, kind, field, value
):
    site = stage("answered").folder("provider")
    path = site / (ledger.LEDGER_NAME if chain is ledger else events.EVENTS_NAME)
    body = next(json.loads(each.line.body) for each in chain.read(path) if each.line.kind == kind)
    chain._CHAIN.append(path, (kind, json.dumps(body | {field: value})))
    for command in (["status", "--site", site], ["audit", site], ["report", site, "-o", tmp_path / "page.html"]):
        done = alx(*command)
        assert (done.code, f"is no '{kind}' of this version" in done.err) == (LedgerError.exit_code, True)
