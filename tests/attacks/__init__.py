"""Hostile bundles, a file for each, told by constants at its head and made by its function.

    the docstring    what is tried, in one line
    FAULT            the row of the table in docs/threat-model.md
    ERROR, EXIT      the class that refuses it, and its exit code
    WORDS            stand in the message; HINT, where there is one, in the hint
    STAGE            of the exchange, and whose bundle of which round is harmed; ("sent", "learner", 1) where left out
    BOMB = True      wants memory: it is tried again where there is little
    attack(forge)    makes it out of a good bundle; returns the path to import where that is another

A file may have DOCUMENT instead of a function, bytes that stand WHERE a JSON document has to be: in the signature file,
the signed statement, the signed manifest. `tests/story/test_attacks.py` runs them all.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from alx.errors import AlxError
from tests.conftest import World
from tests.forge import Forge

DOCUMENTS = ("signature", "statement", "manifest")


@dataclass(frozen=True)
class Attack:
    """One file, read."""

    name: str
    title: str
    fault: int
    error: type[AlxError]
    exit: int
    words: tuple[str, ...]
    hint: str | None
    stage: tuple[str, str, int]
    bomb: bool
    make: Callable[[Forge], Any]

    @property
    def receiver(self) -> str:
        """Who is to import it."""
        return {"learner": "provider", "provider": "learner"}[self.stage[1]]

    def path(self, world: World) -> Path:
        """Make it in a world at that stage; what has to be imported."""
        forge = Forge.of(world, *self.stage[1:])
        made = self.make(forge)
        return made if isinstance(made, Path) else forge.bundle


def _read(name: str, module: ModuleType) -> list[Attack]:
    def one(suffix: str, make: Callable[[Forge], Any]) -> Attack:
        return Attack(
            name=name + suffix,
            title=str(module.__doc__).splitlines()[0],
            fault=module.FAULT,
            error=module.ERROR,
            exit=module.EXIT,
            words=module.WORDS,
            hint=getattr(module, "HINT", None),
            stage=getattr(module, "STAGE", ("sent", "learner", 1)),
            bomb=getattr(module, "BOMB", False),
            make=make,
        )

    if not hasattr(module, "DOCUMENT"):
        return [one("", module.attack)]
    places = getattr(module, "WHERE", DOCUMENTS)
    return [one(f"-{where}", lambda forge, where=where: forge.place(where, module.DOCUMENT)) for where in places]


def _modules() -> Iterator[tuple[str, ModuleType]]:
    for name in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        yield name, importlib.import_module(f"{__name__}.{name}")


def every() -> list[Attack]:
    """All of them, by file."""
    return [attack for name, module in _modules() for attack in _read(name, module)]


def documents(fault: int) -> list[bytes]:
    """The documents of one row, for whatever else reads JSON from outside."""
    return [m.DOCUMENT for _, m in _modules() if fault == m.FAULT and hasattr(m, "DOCUMENT")]
