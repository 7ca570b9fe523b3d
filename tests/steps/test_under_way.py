"""`alx status` says what is begun and not done: a turn that was stopped, a bundle of which one disk has come."""

import json
import shutil

import pytest

from alx.cli.main import run
from alx.steps import under_way
from alx.turns import train
from tests.conftest import PLAN, make_world, pair_world


class Stop(Exception):  # noqa: N818 - it stands for a person's Ctrl-C
    pass


def test_a_turn_that_was_stopped_is_told_with_the_last_snapshot_that_is_kept(stage, alx):
    world = stage("paired")
    site = ("--site", world.folder("learner"))
    assert "under way" not in alx("status", *site).out

    def tell(what, step, *_):
        if what == "training" and step == 3:  # snapshots at 0 and 2 of five steps are there
            raise Stop

    with world.site("learner").locked("train-local") as now, pytest.raises(Stop):
        train(now, tell)
    told = "a turn of 5 steps is under way: snapshots up to step 2 are kept; where no alx train-local runs, the same"
    assert told in alx("status", *site).out
    assert json.loads(alx("status", *site, "--json").out)["under_way"] == {"step": 2, "planned": 5}
    (world.folder("learner") / "work" / "turn.json").write_bytes(b"{")
    assert "under way" not in alx("status", *site).out
    assert alx("train-local", *site).code == 0
    assert "under way" not in alx("status", *site).out


@pytest.mark.parametrize(
    "more", [("lr = 0.01", "lr = 0.01\nkeep = true"), ("hidden = 8 }", 'hidden = 8 }\npersonal = ["2.*"]')]
)
def test_what_else_a_turn_keeps_is_taken_for_no_snapshot(tmp_path, alx, more):
    world = pair_world(make_world(tmp_path / "w", PLAN.replace(*more)))

    def tell(what, step, *_):
        if what == "training" and step == 3:
            raise Stop

    with world.site("learner").locked("train-local") as now, pytest.raises(Stop):
        train(now, tell)
    said = json.loads(alx("status", "--site", world.folder("learner"), "--json").out)["under_way"]
    assert said == {"step": 2, "planned": 5}


@pytest.mark.parametrize("what", ["sent", "told"])
def test_all_files_of_a_bundle_are_counted_the_moments_too(stage, what):
    bundle = stage(what).bundle("learner")
    signed = [p for p in bundle.rglob("*") if p.is_file() and p.name != "round.sig"]
    assert under_way._said(bundle / "manifest.json") == (bundle.name, len(signed))


def test_of_a_bundle_over_two_disks_status_says_what_has_come_and_a_bad_disk_is_not_asked_for_as_a_new_one(stage, alx):
    world = stage("sent")
    disks = [world.root / "a", world.root / "b"]
    for disk in disks:
        disk.mkdir()
    assert run(["export", *map(str, disks), "--site", str(world.folder("learner"))]) == 0
    first, second = (next(disk.glob("*-of-2")) for disk in disks)
    site = ("--site", world.folder("provider"))
    assert world.take("provider", first) == 10
    came = len(list((first / "data").iterdir())) + 1
    size = sum(p.stat().st_size for p in ((first / "manifest.json"), *(first / "data").iterdir()))
    name = world.bundle("learner").name
    said = json.loads(alx("status", *site, "--json").out)["arrived"]
    assert said == {"bundle": name, "files": came, "of": 5, "nbytes": size}
    assert f"a part of '{name}' is here: up to {came} of 5 files, " in alx("status", *site).out  # one may be half written

    bad = shutil.copytree(second, world.root / "c" / second.name)
    min((bad / "data").iterdir()).write_bytes(b"x")
    assert world.take("provider", bad) == 12
    told = alx("import-and-select", first, *site)
    assert told.code == 10
    assert "hint: disk 2 was here already, and not all of it was good: with a good copy, or with --request FILE" in told.err
    assert world.take("provider", second) == 0
    assert json.loads(alx("status", *site, "--json").out)["arrived"] is None
