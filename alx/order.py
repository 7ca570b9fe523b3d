"""The order of turns: the learner's and the provider's by turns, each round two of them, numbered from 1; then the closing.

Knows roles and rounds.
"""

from alx.records import Role


def sequence(role: Role, round_: int) -> int:
    """A turn's place in the whole exchange, from 1: the learner's are odd, the provider's even."""
    return 2 * round_ - (role == "learner")


def closing(rounds: int) -> int:
    """The place of the closing, behind the provider's last turn: it stands where the learner's next would."""
    return 2 * rounds + 1


def round_of(sequence: int) -> int:
    """The round that a turn belongs to, by its place in the whole exchange."""
    return (sequence + 1) // 2
