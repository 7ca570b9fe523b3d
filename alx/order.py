"""The order of turns: the learner's and the provider's by turns, each round two of them, numbered from 1.

Knows roles and rounds.
"""

from alx.records import Role


def sequence(role: Role, round_: int) -> int:
    """A turn's place in the whole exchange, from 1: the learner's are odd, the provider's even."""
    return 2 * round_ - (role == "learner")


def round_of(sequence: int) -> int:
    """The round that a turn belongs to, by its place in the whole exchange."""
    return (sequence + 1) // 2
