"""Names that look alike and are not the same: composed and decomposed letters, odd spaces, capitals.

Knows text; knows no file.
"""

import unicodedata
from collections.abc import Iterable

from alx.errors import escape


def hint(text: str, known: Iterable[str], otherwise: str) -> str:
    """The remedy for a name that is not known: where it only looks like a known one, the difference is shown.

    Args:
        text: as it was found.
        known: the plan's names.
        otherwise: the remedy where it looks like none of them.
    """
    for name in known:
        if name != text and _folded(name) == _folded(text):
            shown, wanted = (escape(ascii(each)[1:-1]) for each in (text, name))
            return f"it looks like the plan's, in other characters: '{shown}', expected '{wanted}'; copy the name from there"
    return otherwise


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
