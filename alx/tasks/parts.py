"""Which tensors of a model the plan's patterns mean.

Knows names; knows no values.
"""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from alx.errors import ConfigError, escape

MAX_TOLD = 3  # names that are nearest to a pattern


def matched(patterns: Sequence[str], names: Iterable[str], what: str) -> frozenset[str]:
    """The names that one of the patterns means, as a shell means them: * and ? stand for anything.

    Args:
        patterns: of the plan.
        names: of the model's tensors.
        what: the plan's field, for messages.

    Raises:
        ConfigError: a pattern means none of them.
    """
    every, found = list(names), set[str]()
    for pattern in patterns:
        meant = {name for name in every if fnmatchcase(name, pattern)}
        if not meant:
            near = difflib.get_close_matches(pattern, every, MAX_TOLD, 0) or every[:MAX_TOLD]
            told = ", ".join(f"'{escape(name)}'" for name in near)
            raise ConfigError(
                f"[model] {what} has '{escape(pattern)}', and the model has no tensor of such a name",
                f"the nearest are {told}; * stands for anything",
            )
        found |= meant
    return frozenset(found)
