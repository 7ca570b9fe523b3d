"""kill -9 of export and import at the points at which they change a disk: old state intact, and the same command goes on.

What a power cut may lose beyond that is what was not synced; every file is synced before the name that makes it count.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alx import audit
from alx.cli.main import run
from tests.conftest import World

HERE = Path(__file__).parents[1]


def killed(template: World, work: Path, *arguments: str, every: int = 1) -> list[tuple[str, World]]:
    """Copies of the world, each with the command killed at another point; and what it was about to do."""
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.killer", template.root, work, str(every), *arguments],
        capture_output=True, text=True, check=False, cwd=HERE, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)
    print(f"{arguments[0]}: killed at {len(points)} points: {', '.join(points)}")  # noqa: T201 - how many were sampled
    return [(what, World(work / str(i))) for i, what in enumerate(points)]


def history(world: World, role: str) -> list[tuple[str, object]]:
    return [(e.kind, e.body) for e in world.site(role).entries()]


def leftovers(world: World) -> list[Path]:
    """Anything half-done that is still about."""
    staged = [p for role in ("learner", "provider") for p in world.folder(role).glob("staging/*")]
    return [*staged, *world.root.rglob("*.partial"), *world.root.rglob("*.tmp"), *world.root.rglob("*-journal")]


@pytest.fixture
def export_killed(stage, tmp_path):
    template = stage("sent")
    (template.root / "stick").mkdir()
    arguments = ("export", "{}/stick", "--site", "{}/learner")
    return template, killed(template, tmp_path / "killed", *arguments)


def test_an_export_killed_anywhere_leaves_nothing_that_looks_finished_and_goes_on(export_killed):
    template, worlds = export_killed
    before = history(template, "learner")
    name = template.bundle("learner").name
    key = template.site("learner").public_key
    digest = audit.bundle(template.bundle("learner"), [key]).digest
    assert len(worlds) > 30
    for what, world in worlds:
        stick = world.root / "stick"
        recorded = history(world, "learner")[len(before) :]
        assert history(world, "learner")[: len(before)] == before, what
        assert {p.name for p in stick.iterdir()} <= {name, f"{name}.partial"}, what
        for path in stick.glob(name):
            assert audit.bundle(path, [key]).digest == digest, what
        assert not recorded or (stick / name).is_dir(), what
        assert run(["export", str(stick), "--site", str(world.folder("learner"))]) == 0, what
        assert audit.bundle(stick / name, [key]).digest == digest, what
        assert {kind for kind, _ in history(world, "learner")[len(before) :]} == {"exported"}, what
        assert not leftovers(world), what


def test_an_import_killed_anywhere_leaves_the_old_state_or_the_new_one_and_goes_on(stage, tmp_path):
    template = stage("sent")
    bundle = template.bundle("learner").name
    worlds = killed(
        template, tmp_path / "killed", "import-and-select", f"{{}}/disk/{bundle}", "--site", "{}/provider"
    )  # fmt: skip
    before = history(template, "provider")
    assert template.take("provider", template.bundle("learner")) == 0
    after = history(template, "provider")
    inbox = {p: d for p, d in template.fingerprint("provider").items() if p.startswith("inbox")}
    assert len(worlds) > 40
    for what, world in worlds:
        site = world.site("provider")
        told = history(world, "provider")
        assert told in (before, after[:-1], after), what
        for path in site.inbox.iterdir():
            audit.bundle(path, [site.peer.key])
        audit.site(site)
        if told == after[:-1]:  # accepted: the disk is not needed any more
            shutil.rmtree(world.disk / bundle)
        assert run(["import-and-select", str(world.disk / bundle), "--site", str(site.folder)]) == 0, what
        assert history(world, "provider") == after, what
        assert {p: d for p, d in world.fingerprint("provider").items() if p.startswith("inbox")} == inbox, what
        assert not leftovers(world), what


def test_what_an_import_had_staged_when_it_was_killed_is_not_copied_again(stage, tmp_path):
    template = stage("sent")
    bundle = template.bundle("learner").name
    worlds = killed(
        template, tmp_path / "killed", "import-and-select", f"{{}}/disk/{bundle}", "--site", "{}/provider", every=7
    )  # fmt: skip
    kept = 0
    for what, world in worlds:
        names = [p.relative_to(world.bundle("learner")) for p in world.bundle("learner").rglob("*.zst")]
        staged = {p: s for name in names for s in world.folder("provider").glob(f"staging/*/{name}") if (p := name)}
        good = {
            name: path.stat().st_ino
            for name, path in staged.items()
            if path.read_bytes() == (world.bundle("learner") / name).read_bytes()
        }
        assert world.take("provider", world.bundle("learner")) == 0, what
        inbox = world.folder("provider") / "inbox" / bundle
        assert {name: (inbox / name).stat().st_ino for name in good} == good, what
        kept += len(good)
    assert kept > 4
