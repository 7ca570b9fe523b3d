"""The crash matrix: every point at which a command changes a disk, times every way in which it can fail there.

    python -m tests.campaign.crashes

After each fault the state is looked at, the same command runs again, the peer goes on, and everything on the disk has to
be what it is in an exchange that nobody disturbed.
"""

import argparse
import base64
import contextlib
import gc
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alx import audit, files
from alx.bundle.layout import BUNDLE
from alx.bundle.receipt import SUFFIX
from alx.bundle.signature import SIGNATURE_NAME
from alx.cli.main import run
from alx.errors import AlxError, CorruptError, SpaceError, StorageError
from alx.records import Role
from alx.site import events, ledger
from alx.site.entries import Received
from alx.site.site import Site
from alx.steps import outgoing
from alx.turns import checkpoints
from tests import interrupt, places
from tests.conftest import PLAN, World, make_world, pair_world

BLENDED = PLAN.replace("sampling_period", 'candidates = "blended"\nsampling_period').replace(
    "lr = 0.01", "lr = 0.01\nkeep = true"
)
OTHER: dict[Role, Role] = {"learner": "provider", "provider": "learner"}
# What a command may end with when a disk fails it: a full one is not always told from a failing one by SQLite.
CODES = {SpaceError.exit_code, StorageError.exit_code}
FIXED = ("site.toml", "plan.toml", "key.pem", "public.pem")
ODD = re.compile(r"Errno|Error\(|Exception|object at|<[a-z]")
State = dict[str, object]


@dataclass(frozen=True)
class Scenario:
    """One command in one state of an exchange.

    Attributes:
        name: for the table.
        template: the folder of the world before it.
        actor: whose command it is.
        command: its arguments; {} stands for the world's folder.
        roots: what it may change, each a device of its own.
        goes_on: what happens next.
        modes: the faults that are tried.
        seals: it records two things, one after the other: that the closing is sealed, and that it was handed over.
    """

    name: str
    template: Path
    actor: Role
    command: tuple[str, ...]
    roots: tuple[str, ...]
    goes_on: Callable[[World], None]
    modes: tuple[str, ...] = tuple(interrupt.MODES)
    seals: bool = False

    def arguments(self, world: World) -> list[str]:
        return [a.format(world.root) for a in self.command]


def must(*arguments: object) -> None:
    """A command that has to succeed."""
    code = run([str(a) for a in arguments])
    assert code == 0, f"alx {arguments[0]} ended with {code}"


def on_site(command: str, world: World, role: Role, *arguments: object) -> None:
    must(command, *arguments, "--site", world.folder(role))


def hand_over(world: World, sender: Role) -> None:
    """Export the newest bundle, and the other side imports it."""
    on_site("export", world, sender, world.disk)
    name = world.state(sender).position.sealed[-1].bundle
    on_site("import-and-select", world, OTHER[sender], world.disk / name)


def scenarios(root: Path) -> Iterator[Scenario]:
    """Play one exchange and stop before each command that is tried."""
    now = make_world(root / "now", BLENDED)
    (now.root / "place").mkdir()

    def keep(name: str) -> Path:
        return shutil.copytree(now.root, root / name)

    site = ("--site", "{}/learner")
    make = ("init", "{}/place/clinic", "--role", "learner", "--plan", "{}/plan.toml", "--data", "npz:{}/learner.npz")
    yield Scenario(
        "init",
        keep("made"),
        "learner",
        make,
        ("place",),
        lambda w: must("identity", w.disk / "c", "--site", w.root / "place/clinic"),
    )
    on_site("identity", now, "provider", now.disk / "provider.json")
    introduce = ("identity", "{}/disk/learner.json", *site)
    yield Scenario(
        "identity",
        keep("alone"),
        "learner",
        introduce,
        ("learner", "disk"),
        lambda w: on_site("pair", w, "provider", w.disk / "learner.json", "--yes"),
    )
    on_site("identity", now, "learner", now.disk / "learner.json")
    pin = ("pair", "{}/disk/provider.json", "--yes", *site)
    yield Scenario("pair", keep("unpaired"), "learner", pin, ("learner",), lambda w: on_site("train-local", w, "learner"))
    pair_world(now)
    train = ("train-local", *site)
    yield Scenario("train-local", keep("paired"), "learner", train, ("learner",), lambda w: hand_over(w, "learner"))
    on_site("train-local", now, "learner")
    yield Scenario(
        "export",
        keep("sealed"),
        "learner",
        ("export", "{}/disk", *site),
        ("learner", "disk"),
        lambda w: hand_over(w, "learner"),
    )
    on_site("export", now, "learner", now.disk)
    take = ("import-and-select", f"{{}}/disk/{now.bundle('learner').name}", "--site", "{}/provider")
    yield Scenario(
        "import-and-select",
        keep("sent"),
        "provider",
        take,
        ("provider", "disk"),
        lambda w: on_site("train-local", w, "provider"),
    )
    on_site("import-and-select", now, "provider", now.bundle("learner"))
    on_site("train-local", now, "provider")
    hand_over(now, "provider")
    yield Scenario(
        "train-local, with blends",
        keep("answered"),
        "learner",
        train,
        ("learner",),
        lambda w: hand_over(w, "learner"),
        ("kill", "torn write", "power cut", "EIO once"),
    )
    for role in ("learner", "provider"):
        on_site("train-local", now, role)
        hand_over(now, role)
    yield Scenario(
        "export, the closing",
        keep("ended"),
        "learner",
        ("export", "{}/disk", *site),
        ("learner", "disk"),
        lambda w: hand_over(w, "learner"),
        seals=True,
    )
    on_site("export", now, "learner", now.disk)
    yield Scenario(
        "import-and-select, the closing",
        keep("closing"),
        "provider",
        ("import-and-select", f"{{}}/disk/{now.closing.name}", "--site", "{}/provider"),
        ("provider", "disk"),
        lambda w: hand_over(w, "learner"),
    )


def twice(scenario: Scenario, root: Path) -> Scenario:
    """The same command where it was killed before already, just before the ledger was told."""
    template = shutil.copytree(scenario.template, root / f"{scenario.name}-killed")
    world = World(template)
    roots = [template / r for r in scenario.roots]
    with tempfile.TemporaryDirectory() as spare:
        copy = World(shutil.copytree(template, Path(spare) / "world"))
        noted = interrupt.counted([copy.root / r for r in scenario.roots], scenario.arguments(copy), "kill").points
    at = next(i for i, point in enumerate(noted, 1) if point.endswith("ledger.sqlite-journal"))
    interrupt.at_point(roots, scenario.arguments(world), "kill", at)
    return Scenario(
        f"{scenario.name}, killed before",
        template,
        scenario.actor,
        scenario.command,
        scenario.roots,
        scenario.goes_on,
        tuple(m for m in scenario.modes if not m.startswith(("EIO", "ENOSPC"))),
    )


def history(world: World, role: Role) -> list[Any]:
    """The ledger; an export that was recorded again, because the command did not see the record, counts once.

    Of a receipt, which is signed and so never the same twice, not its digest, nor when the bundle came.
    """
    never = ("receipt", "accepted")
    told = [
        (e.line.kind, {k: v for k, v in json.loads(e.line.body).items() if k not in never})
        for e in ledger.read(world.folder(role) / "ledger.sqlite")
    ]
    return [e for e, before in zip(told, [None, *told], strict=False) if e != before]


def log(world: World, role: Role) -> list[Any]:
    """The security log but for refusals, drives and times, which are not the same twice; the rest as in `history`."""
    of = [e for e in events.read(world.folder(role) / "events.sqlite") if e.line.kind not in ("refused", "media")]
    bare = [e.record._replace(receipt="", accepted=None) if isinstance(e.record, Received) else e.record for e in of]
    told = [(e.line.kind, record, e.by_reset) for e, record in zip(of, bare, strict=True)]
    return [e for e, before in zip(told, [None, *told], strict=False) if e != before]


def signed(path: Path) -> object:
    """What a signature signs; its bytes where it is half-written."""
    data = path.read_bytes()
    try:
        return base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])
    except json.JSONDecodeError:
        return data


def acknowledged(path: Path) -> object:
    """What a receipt says but for the time; its bytes where it is half-written."""
    data = path.read_bytes()
    try:
        said = json.loads(base64.b64decode(json.loads(data)["payload"]))
    except json.JSONDecodeError:
        return data
    return said["subject"], {k: v for k, v in said["predicate"].items() if k != "accepted"}


def tree(root: Path) -> State:
    """Every file below a folder; of a signature, which is never the same twice, what it signs; no database, no lock."""
    out: State = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir():
            out[name] = "folder"
        elif path.name == SIGNATURE_NAME:
            out[name] = signed(path)
        elif path.name.endswith(SUFFIX):
            out[name] = acknowledged(path)
        elif path.suffix != ".sqlite" and path.name != "lock":
            out[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return out


def state(world: World) -> State:
    """All that an exchange consists of."""
    whole: State = {f"what the {r} recorded": (history(world, r), log(world, r)) for r in OTHER}
    return whole | tree(world.root)


def same(got: State, expected: State, when: str) -> None:
    odd = [k for k in (*got, *expected) if got.get(k) != expected.get(k)]
    assert not odd, f"{when}: {', '.join(dict.fromkeys(odd))} not as undisturbed"


@dataclass(frozen=True)
class Reference:
    """A scenario that nobody disturbs."""

    before: list[Any]
    old: State
    after: list[Any]
    new: State
    later: State

    @classmethod
    def of(cls, scenario: Scenario, work: Path) -> "Reference":
        world = World(shutil.copytree(scenario.template, work))
        before, old = history(world, scenario.actor), state(world)
        must(*scenario.arguments(world))
        after, new = history(world, scenario.actor), state(world)
        scenario.goes_on(world)
        later = state(world)
        shutil.rmtree(work)
        return cls(before, old, after, new, later)


def whole(site: Site, world: World, undisturbed: Reference) -> None:
    """What has a bundle's name is the bundle, whole; all else is of a copy in progress."""
    now = site.look()
    keys = [now.public_key, now.peer.key] if now.pairing else [now.public_key]
    for place in (world.disk, site.outbox, site.inbox):
        for path in place.iterdir():
            name = str(path.relative_to(world.root))
            if BUNDLE.fullmatch(path.name):
                report = audit.bundle(path, keys)
                assert tree(path)[SIGNATURE_NAME] == undisturbed.new[f"{name}/{SIGNATURE_NAME}"], f"{name} is another bundle"
                held = [p for p in path.rglob("*") if p.is_file()]
                assert len(held) == report.files, f"{name} holds something else"
            elif name not in undisturbed.new:
                assert path.name.endswith((outgoing.PARTIAL, ".tmp")), f"{name} was left"


def intact(scenario: Scenario, world: World, undisturbed: Reference, *, ended: bool, kept: bool) -> None:
    """The old state is there, or the new one; nothing half-done looks finished; what was trained is not lost."""
    site = world.site(scenario.actor)
    told = history(world, scenario.actor)
    # a receipt is recorded by itself, after the bundle, and the bundle is taken in without it
    after = [entry for entry in undisturbed.after if entry[0] != "received" or entry in undisturbed.before]
    between = [undisturbed.after[:-1]] if scenario.seals else []
    old = [] if ended else [undisturbed.before, *between]
    assert told in [*old, after, undisturbed.after], "the ledger is in between"
    if kept and told == undisturbed.before:
        assert (site.folder / "work" / "checkpoint").is_file(), "the checkpoint was lost"
    found = tree(world.root)
    for name in FIXED:
        path = f"{scenario.actor}/{name}"
        assert found[path] == undisturbed.old[path], f"{path} changed"
    whole(site, world, undisturbed)
    if ended:
        for path, what in undisturbed.new.items():
            if "box/" in path or path.startswith("disk/"):
                assert found.get(path) == what, f"{path} was lost though the command had ended"
    on_site("status", world, scenario.actor)
    must("audit", site.folder)
    peer, found = OTHER[scenario.actor], tree(world.root)
    for path, what in undisturbed.old.items():
        if path.split("/")[0] == peer and path != peer:
            assert found.get(path) == what, f"{path} changed"


def good(world: World, role: Role) -> set[int]:
    """The inodes of the staged files that are what the disk holds."""
    carried = {(p.name, p.read_bytes()) for p in world.disk.rglob("*.zst")}
    staged = world.folder(role).glob(f"staging/{'?' * 64}/data/*")  # named by digest
    return {p.stat().st_ino for p in staged if (p.name, p.read_bytes()) in carried}


def goes_on(scenario: Scenario, world: World, undisturbed: Reference) -> None:
    """The same command leads to the same state, and so does what follows; what was staged is not copied again."""
    staged = good(world, scenario.actor)
    must(*scenario.arguments(world))
    taken = {p.stat().st_ino for p in (world.folder(scenario.actor) / "inbox").rglob("*")}
    assert staged <= taken, "a good file was copied again"
    same(state(world), undisturbed.new, "after the same command")
    must("audit", world.folder(scenario.actor))
    scenario.goes_on(world)
    same(state(world), undisturbed.later, "one step later")


def made(world: World, scenario: Scenario) -> None:
    """`init`, whose key is never the same twice: all of the site is there, or none of it."""
    folder = world.root / "place" / "clinic"
    if not folder.exists():
        must(*scenario.arguments(world))
    must("status", "--site", folder)
    must("audit", folder)
    scenario.goes_on(world)
    left = {p.name for p in (world.root / "place").iterdir()} - {"clinic"}
    assert not left, f"{left} was left"


def told_badly(ended: interrupt.Ended, mode: str, *, last: bool) -> str:
    """What is wrong with the way in which a command ended; one that a disk failed says so in words, with a listed code."""
    if ended.code is None:
        return "" if mode.startswith(("kill", "torn", "power")) else f"killed: {ended.told}"
    if ended.code == 0:
        return ""
    listed = CODES | {CorruptError.exit_code} if mode.startswith("EIO") else CODES
    lines = [line for line in ended.told.splitlines() if line.startswith("alx: error: ")]
    if last or ended.code not in listed or "Traceback" in ended.told or len(lines) != 1 or ODD.search(lines[0]):
        return f"exit code {ended.code}: {ended.told.strip()[-600:]}"
    return ""


def judge(scenario: Scenario, world: World, undisturbed: Reference | None, ended: interrupt.Ended, *, kept: bool) -> int:
    """Look at a state that a fault left, and go on from it.

    Raises:
        AssertionError: it is broken.
    """
    if undisturbed is None:
        made(world, scenario)
    else:
        intact(scenario, world, undisturbed, ended=ended.code == 0, kept=kept)
        goes_on(scenario, world, undisturbed)
    return 0


def fingerprint(world: World, ended: interrupt.Ended, *, kept: bool) -> str | None:
    """What tells states apart; None where a database may have to recover first, which makes each its own."""
    if any(world.root.rglob("*-journal")) or (world.root / "place" / "clinic").exists():
        return None
    try:
        return repr((ended.code == 0, kept, state(world)))
    except AlxError:
        return None


@dataclass
class Tried:
    """What came out.

    Attributes:
        points: tried, by command and mode.
        states: that the faults left; a state that was judged before is not judged again.
        codes: how often a command ended with each exit code where a disk failed it.
        broken: every state found broken: command, mode, point, and what is wrong with it.
    """

    points: dict[str, dict[str, int]] = field(default_factory=dict)
    states: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def checkpointed(points: list[str]) -> int:
    """The number of the point with which the first checkpoint became durable; beyond them all if there is none."""
    made = next((i for i, p in enumerate(points) if p.startswith("rename") and p.endswith("/work/checkpoint")), len(points))
    return next((i for i, p in enumerate(points, 1) if i > made and p.startswith("fsync")), len(points) + 1)


def all_points(scenario: Scenario, work: Path, mode: str) -> list[str]:
    """Those of a scenario's command, in a copy of its world."""
    root = shutil.copytree(scenario.template, work / "world")
    points = interrupt.counted([root / r for r in scenario.roots], scenario.arguments(World(root)), mode).points
    shutil.rmtree(root)
    return points


def matrix(
    wanted: list[Scenario], work: Path, modes: list[str] | None = None, every: int = 1, until: str | None = None
) -> Tried:
    """Try all points of some scenarios.

    Args:
        wanted: the scenarios.
        work: a folder to work in.
        modes: out of `interrupt.MODES`; None for all that a scenario has.
        every: 1 for all points; else one in so many.
        until: words: the first state that is broken with them, from the end, is the last one tried; None for no end.
    """
    tried = Tried()
    for scenario in wanted:
        undisturbed = None if scenario.name == "init" else Reference.of(scenario, work / "undisturbed")
        row = tried.points.setdefault(scenario.name, {})
        judged: dict[str, str] = {}
        counted: dict[int, list[str]] = {}  # by which calls are points: other modes have the same ones
        for mode in scenario.modes if modes is None else [m for m in scenario.modes if m in modes]:
            _, calls, *_ = interrupt.MODES[mode]
            points = counted[calls] = counted.get(calls) or all_points(scenario, work, mode)
            safe = checkpointed(points)
            numbers = [i for i, p in enumerate(points, 1) if mode != "torn write" or "write" in p.split(" ")[0]]
            chosen = [(n, False) for n in (numbers[::every] if until is None else numbers[::-every])]
            if mode.startswith("power cut"):
                chosen.append((len(points) + 1, True))
            for number, last in chosen:
                world = World(shutil.copytree(scenario.template, work / "world"))
                ended = interrupt.at_point([world.root / r for r in scenario.roots], scenario.arguments(world), mode, number)
                if ended.code is not None:
                    tried.codes[str(ended.code)] += 1
                seen = fingerprint(world, ended, kept=number > safe)
                if seen is None or seen not in judged:
                    tried.states += 1
                    verdict = interrupt.forked(lambda: judge(scenario, world, undisturbed, ended, kept=number > safe))  # noqa: B023
                    why = "" if verdict.code == 0 else verdict.told.strip().splitlines()[-1]
                    if seen is not None:
                        judged[seen] = why
                else:
                    why = judged[seen]
                why = why or told_badly(ended, mode, last=last)
                if why:
                    at = ended.points[0].replace(f"{work}/world/", "") if ended.points else "the end"
                    tried.broken.append(f"{scenario.name}: {mode} at {number}, {at}: {why}")
                    if until is not None and until in why:
                        return tried
                shutil.rmtree(world.root)
            row[mode] = len(chosen)
    return tried


def published_late() -> None:
    """Sabotage: the ledger says that a turn is sealed before its bundle has its name."""
    waiting: list[tuple[Path, Path]] = []
    publish, append = files.publish, ledger.append
    files.publish = lambda *what: waiting.append(what)

    def too_early(path: Path, *records: Any) -> Any:
        entries = append(path, *records)
        while waiting:
            publish(*waiting.pop())
        return entries

    ledger.append = too_early


def never_synced() -> None:
    """Sabotage: nothing that alx writes is synced; SQLite still does."""
    os.fsync = lambda _fd: None


def named_first() -> None:
    """Sabotage: a copy has the name of a finished bundle before it is one."""
    outgoing.PARTIAL = ""


def untranslated() -> None:
    """Sabotage: what the operating system refuses reaches the user as it is."""
    files.storage = lambda _path: contextlib.nullcontext()


SABOTAGE = {f.__name__: f for f in (published_late, never_synced, named_first, untranslated)}


def inside(asked: list[argparse.Namespace]) -> list[dict[str, Any]]:
    """The matrix itself, in a process with the shim loaded: what each asked for, in a fork of its own."""
    checkpoints.MAX_SECONDS = -1  # a checkpoint after each step, however fast the machine is
    # nothing is ever really synced (interrupt.c), so a disk in memory is as good as any, and faster
    with tempfile.TemporaryDirectory(prefix="crashes-", dir=places.MEMORY) as folder:
        root = Path(folder)
        every = list(scenarios(root))
        killed = [twice(s, root) for s in every if s.name in ("train-local", "export", "import-and-select")]
        on_site("status", World(root / "now"), "learner")  # what it loads, and the next, no fork has to load again
        must("audit", root / "now" / "learner")
        gc.collect()
        gc.freeze()  # a fork shares what the collector does not touch
        return [alone(one, [*every, *killed], root / f"asked-{i}") for i, one in enumerate(asked)]


def alone(one: argparse.Namespace, every: list[Scenario], work: Path) -> dict[str, Any]:
    """What one of them asked for, and its sabotage, do not reach the next."""
    work.mkdir()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if one.sabotage:
                SABOTAGE[one.sabotage]()
            wanted = [s for s in every if not one.only or s.name in one.only]
            (work / "found.json").write_text(json.dumps(vars(matrix(wanted, work, one.modes, one.every, one.until))))
            code = 0
        except BaseException:  # noqa: BLE001 - told, and the parent sees that there is no answer
            traceback.print_exc()
        finally:
            os._exit(code)
    os.waitpid(pid, 0)
    return dict(json.loads((work / "found.json").read_text()))


def tried(*asked: list[str]) -> list[dict[str, Any]]:
    """The matrix, or what each list of options chooses of it, in a process for all; the answers as records."""
    return list(json.loads(interrupt.together("tests.campaign.crashes", "--inside", json.dumps(asked))))


def campaign(options: Sequence[str] = ()) -> dict[str, object]:
    """The whole matrix, or what the options of the command line choose of it.

    Returns:
        Points tried, in all, by command and by mode; exit codes; states judged; or why none was tried.

    Raises:
        AssertionError: a state was found broken; names every one.
    """
    reason = interrupt.missing()
    if reason:
        return {"skipped": reason}
    (found,) = tried(list(options))
    assert not found["broken"], "\n".join(found["broken"])
    by_mode: Counter[str] = Counter()
    for row in found["points"].values():
        by_mode.update(row)
    return {
        "points": sum(by_mode.values()),
        **{f"at {name}": sum(row.values()) for name, row in found["points"].items()},
        **{f"by {mode}": count for mode, count in by_mode.items()},
        "states judged": found["states"],
        **{f"exit {code}": count for code, count in sorted(found["codes"].items())},
        "broken": 0,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inside", metavar="JSON", help="the shim is loaded: lists of options, answered as JSON")
    parser.add_argument("--only", nargs="+", metavar="SCENARIO")
    parser.add_argument("--modes", nargs="+", choices=interrupt.MODES, metavar="MODE")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--until", metavar="WORDS")
    parser.add_argument("--sabotage", choices=SABOTAGE)
    arguments = parser.parse_args()
    if arguments.inside:
        answer = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the commands say on the way
        found = inside([parser.parse_args(options) for options in json.loads(arguments.inside)])
        os.write(answer, json.dumps(found).encode())
        return 0
    for what, figure in campaign(sys.argv[1:]).items():
        print(f"{what}: {figure}")  # noqa: T201 - the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
