"""Blanks and tabs between the fields of the statement, which hold a data set."""

import json

from alx.errors import MalformedError
from tests.forge import Forge, statement

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("signed statement", "one form")


def attack(forge: Forge) -> None:
    said = json.dumps(statement(forge.bundle.name, forge.resources()))
    forge.sign_bytes(said.replace(", ", ",  \t \t ").encode())
