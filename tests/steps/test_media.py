"""Which drive was used, when, at which machine and by whom is in the event log and in the report."""

import json
import os

import pytest

from alx.errors import TrustError, UsageError
from alx.site import events
from alx.site.entries import Media
from alx.steps import drive
from tests.forge import Forge, refused


def media(world, role):
    return [e.record for e in events.read(world.site(role).events_path) if isinstance(e.record, Media)]


def test_each_export_and_import_says_which_drive_it_was_and_who_did_it(stage, alx):
    world, host = stage("sent"), os.uname().nodename
    found = drive.of(world.disk)
    told = (found.name, found.serial, found.file_system, host)
    bundle = world.bundle("learner")
    site = ("--site", world.folder("provider"))
    assert media(world, "learner") == [Media("export", bundle.name, *told, None)]
    other = bundle.with_name("other")
    bundle.rename(other)
    (other / "round.sig").write_bytes((other / "round.sig").read_bytes().replace(b'"sig": "M', b'"sig": "N'))
    assert alx("import-and-select", other, "--by", "Ada", *site).code == TrustError.exit_code  # its drive is logged too
    kinds = [e.line.kind for e in events.read(world.site("provider").events_path)]
    assert kinds[-2:] == ["media", "refused"]
    assert media(world, "provider") == [Media("import", "other", *told, "Ada")]

    world = stage("answered")
    assert alx("export", world.disk, "--by", "Grace <b>", "--site", world.folder("provider")).code == 0
    assert media(world, "provider")[-1] == Media("export", world.bundle("provider").name, *told, "Grace <b>")
    said = json.loads(alx("report", world.folder("provider"), "--json").out)
    (table,) = {p["title"]: p for c in said["clusters"] for p in c["parts"]}["Media"]["tables"]
    assert [row[1] for row in table["rows"]] == ["import", "export", "export"]
    assert table["rows"][-1][3:] == [*told, "Grace <b>"]
    assert "by 'Grace <b>'" in alx("audit", world.folder("provider")).out
    name = world.bundle("provider").name
    assert [line.partition("Z: ")[2] or line[18:] for line in said["story"] if "was put" in line] == [
        f"'{name}' was put on a disk, all of it, and read back from there",
        f"'{name}' was put on a disk once more, all of it, and read back from there",
    ]


def test_each_of_several_disks_is_named_by_what_lies_on_it(stage, alx):
    world = stage("answered")
    disks = [world.root / name for name in ("one", "two")]
    for disk in disks:
        disk.mkdir()
    assert alx("export", *disks, "--site", world.folder("provider")).code == 0
    name = world.bundle("provider").name
    assert [m.about for m in media(world, "provider")[-2:]] == [f"{name}.1-of-2", f"{name}.2-of-2"]
    assert [(disks[i] / m.about).is_dir() for i, m in enumerate(media(world, "provider")[-2:])] == [True, True]
    story = json.loads(alx("report", world.folder("provider"), "--json").out)["story"]
    assert story[-1].endswith(f"'{name}' was put on 2 disks once more, all of it, and read back from there")


def test_an_export_of_nothing_names_no_drive(stage, alx):
    world = stage("paired")
    assert alx("export", world.disk, "--site", world.folder("learner")).code != 0
    assert media(world, "learner") == []


def test_a_place_that_is_not_there_has_no_drive(stage, alx):
    world = stage("answered")
    before = media(world, "provider")
    assert alx("export", world.root / "none", "--site", world.folder("provider")).code == UsageError.exit_code
    assert media(world, "provider") == before


@pytest.mark.parametrize("name", ["", " Ada", "Ada\x1b[2J", "A" * 101, "a\u202eb"])
def test_a_name_that_does_not_print_or_is_too_long_is_refused(stage, capsys, name):
    world = stage("paired")
    refused(capsys, ["export", str(world.disk), "--by", name, "--site", str(world.folder("learner"))], UsageError, "--by")


def test_the_name_of_a_bundle_in_the_log_is_escaped(stage, alx):
    world = stage("sent")
    place = world.disk / "a\x1b[2Jb"
    Forge.of(world, "learner").bundle.rename(place)
    alx("import-and-select", place, "--site", world.folder("provider"))
    assert media(world, "provider")[-1].about == "a\\x1b[2Jb"


def test_a_place_named_by_a_dot_is_logged_by_its_name(stage, alx, monkeypatch):
    world = stage("sent")
    bundle = world.bundle("learner")
    key = world.folder("learner") / "public.pem"
    for where, said in ((bundle, "."), (next(p for p in bundle.iterdir() if p.is_dir()), "..")):
        monkeypatch.chdir(where)
        assert f"bundle '{bundle.name}': good" in alx("audit", said, "--key", key).out.splitlines()
    monkeypatch.chdir(bundle)
    assert alx("import-and-select", ".", "--site", world.folder("provider")).code == 0
    assert media(world, "provider")[-1].about == bundle.name
    monkeypatch.chdir(world.disk)
    assert alx("export", ".", "--site", world.folder("provider")).code != 0  # nothing is trained yet
    assert alx("import-and-select", ".", "--site", world.folder("learner")).code != 0
    last = [events.read(world.site(role).events_path)[-1].record for role in ("provider", "learner")]
    assert [(r.command, r.about) for r in last] == [("export", world.disk.name), ("import-and-select", world.disk.name)]
