"""The smallest real bundle, harmed in every way that takes one step: each is refused, and nothing of the site changes.

Bytes changed, files cut, removed, swapped. Most cases run the import's own verification, as fast as it goes; every
`BY_COMMAND`th runs the command line as well, and an audit.
"""

import contextlib
import io
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from alx import files
from alx.cli.main import run
from alx.errors import AlxError
from alx.steps import incoming
from tests import places
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import command, well_told

SMALLEST = PLAN.replace("hidden = 8", "hidden = 1").replace("round_steps = 12", "round_steps = 2").replace("d = 2", "d = 1")
BITS = tuple(1 << bit for bit in range(8))
# What a byte of JSON or base64 may be mistaken for without an error: other white space, other digits, other ends.
LOOKALIKES = b' \n\t\r"\\/,:{}[]0=Aa'
BY_COMMAND = 100
Case = tuple[str, dict[str, bytes | None]]
"""What was done, and the files that are other than they were: their bytes, or None for one that is gone."""


def smallest(root: Path) -> tuple[World, Path]:
    """Two paired sites, and on the disk a learner's bundle of the fewest files and bytes that a plan allows."""
    with contextlib.redirect_stdout(io.StringIO()):
        world = pair_world(make_world(root, SMALLEST))
        return world, world.turn("learner")


def content(bundle: Path) -> dict[str, bytes]:
    """Every file of a bundle."""
    return {p.relative_to(bundle).as_posix(): p.read_bytes() for p in sorted(bundle.rglob("*")) if p.is_file()}


def cases(good: dict[str, bytes]) -> Iterator[Case]:
    """Every single harm."""
    for name, data in good.items():
        for at, byte in enumerate(data):
            others = {byte ^ bit for bit in BITS} | (set(LOOKALIKES) - {byte} if name == "round.sig" else set())
            for other in sorted(others):
                yield f"{name}: byte {at} is {other}", {name: data[:at] + bytes([other]) + data[at + 1 :]}
        for length in range(len(data)):
            yield f"{name}: cut to {length} bytes", {name: data[:length]}
            yield f"{name}: without byte {length}", {name: data[:length] + data[length + 1 :]}
        yield f"{name}: removed", {name: None}
        yield f"{name}: one byte more", {name: data + b"\n"}
        yield f"{name}: twice", {name: data * 2}
    for a, b in itertools.combinations(good, 2):
        yield f"{a} and {b}: swapped", {a: good[b], b: good[a]}


class Harm:
    """A world whose bundle is harmed, tried, and mended again."""

    def __init__(self, world: World, bundle: Path) -> None:
        self._world, self._bundle = world, bundle
        self._good = content(bundle)
        self._before = world.fingerprint("provider")

    def _put(self, change: dict[str, bytes | None]) -> None:
        for name, data in change.items():
            path = self._bundle / name
            path.unlink(missing_ok=True) if data is None else path.write_bytes(data)

    def refused(self, case: Case, *, by_command: bool = False) -> str:
        """The class that refused it.

        Raises:
            AssertionError: it was accepted, or something of the site changed.
            Exception: what should have been a refusal.
        """
        what, change = case
        self._put(change)
        try:
            # what an earlier case left there, good, would be taken instead of the harmed file
            files.remove_tree(self._world.folder("provider") / "staging")
            try:
                with incoming.verified(self._world.state("provider"), [self._bundle]):
                    raise AssertionError(f"accepted: {what}")
            except AlxError as error:
                refusal = error
            assert self._world.fingerprint("provider") == self._before, what
            if by_command:
                self._by_command(what, refusal)
        finally:
            self._put({name: self._good[name] for name in change})
        return type(refusal).__name__

    def _by_command(self, what: str, refusal: AlxError) -> None:
        key = self._world.folder("learner") / "public.pem"
        for arguments in (command(self._world, "provider", self._bundle), ["audit", str(self._bundle), "--key", str(key)]):
            with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()) as out:
                code = run(arguments)
            assert (code, out.getvalue()) == (refusal.exit_code, ""), (
                f"{what}: {arguments[0]} gave {code}: {told.getvalue()}"
            )
            well_told(told.getvalue())
        assert self._world.fingerprint("provider") == self._before, what

    def good(self) -> bool:
        """Whether the bundle, as it was, is still taken: else every refusal could have a reason of its own."""
        files.remove_tree(self._world.folder("provider") / "staging")
        with contextlib.redirect_stdout(io.StringIO()):
            return self._world.take("provider", self._bundle) == 0


def campaign(every: int = 1, make: Callable[[Path], tuple[World, Path]] = smallest) -> dict[str, object]:
    """Try every case, or each `every`th.

    Args:
        every: 1 for all.
        make: what is harmed: a world, and a bundle of the learner's on its disk.

    Returns:
        The figures.
    """
    refusals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=places.MEMORY) as root:  # nothing here is about disks
        world, bundle = make(Path(root) / "world")
        good = content(bundle)
        harm = Harm(world, bundle)
        for i, case in enumerate(itertools.islice(cases(good), 0, None, every)):
            refusals[harm.refused(case, by_command=i % BY_COMMAND == 0)] += 1
        assert harm.good()
    return {
        "files": len(good),
        "bytes": sum(map(len, good.values())),
        "cases tried": refusals.total(),
        "by the command line too": -(-refusals.total() // BY_COMMAND),
        "accepted": 0,
    } | {f"refused as {name}": count for name, count in refusals.most_common()}
