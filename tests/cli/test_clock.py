"""No clock is asked what comes first: files of 1970 or 2100 are as good, and what is sealed holds no date."""

import os
import re

import pytest

from alx.cli.main import run
from alx.site.entries import Received


@pytest.mark.parametrize("seconds", [0, 4_102_444_800])
def test_no_date_changes_anything(stage, seconds):
    world = stage("sent")
    for path in (*world.root.rglob("*"), world.root):
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    assert world.take("provider", world.bundle("learner")) == 0
    reply = world.turn("provider")
    for path in reply.rglob("*"):
        os.utime(path, (seconds, seconds))
    assert world.take("learner", reply) == 0
    assert run(["audit", str(world.folder("learner"))]) == 0


def test_a_bundle_and_a_ledger_hold_no_date(stage):
    """But what the peer says of its own clock in a receipt, for people."""
    world = stage("finished")
    texts = [p.read_text() for p in world.disk.rglob("manifest.json")]
    records = [e.record for role in ("learner", "provider") for e in world.state(role).entries]
    texts += [str(r._replace(accepted=None) if isinstance(r, Received) else r) for r in records]
    assert sum(isinstance(r, Received) for r in records) == 3
    for text in texts:
        assert not re.search(r"(?<![0-9a-f.])(19|20)\d\d-\d\d|[\"'](time|date|created_at|when)[\"']", text)
