"""The tree of refusals: its drawing, its codes, and that every class of it is met through the command line."""

import ast
import re
from pathlib import Path

from alx import errors
from alx.errors import AlxError

CODES = {
    "UsageError": 2,
    "ConfigError": 2,
    "DivergedError": 2,
    "IncompleteError": 10,
    "TrustError": 11,
    "CorruptError": 12,
    "MalformedError": 13,
    "NotFiniteError": 13,
    "LimitError": 14,
    "PeerError": 15,
    "TurnError": 16,
    "RollbackError": 16,
    "ForkError": 16,
    "GapError": 16,
    "StaleError": 16,
    "LedgerError": 16,
    "ModelError": 17,
    "SpaceError": 18,
    "LockedError": 19,
    "ForbiddenFileError": 20,
    "StorageError": 21,
    "RanksError": 22,
    "BudgetError": 23,
}


def below(error: type[AlxError]) -> list[type[AlxError]]:
    """All classes under one."""
    return [inner for one in error.__subclasses__() for inner in (one, *below(one))]


def test_the_codes_are_those_that_the_format_promises():
    assert {error.__name__: error.exit_code for error in below(AlxError)} == CODES


def test_the_drawing_of_the_tree_is_the_tree():
    drawn = dict(re.findall(r"(\w+Error)\s+(\d+)", errors.__doc__))
    assert {name: int(code) for name, code in drawn.items()} == CODES | {"AlxError": 1}


def test_every_refusal_is_expected_by_a_test_of_the_command_line():
    """`forge.refused` compares the very class, and its exit code; here each class has to be handed to it somewhere."""
    here = Path(__file__).parents[1]
    paths = *here.glob("*/test_refus*.py"), *here.glob("attacks/row*.py"), here / "turns" / "test_privacy.py"
    tests = (ast.parse(path.read_text()) for path in paths)
    used = {node.id for tree in tests for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert sorted(set(CODES) - used) == []
