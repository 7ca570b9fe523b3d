"""What a bundle says of a bad day: its sender's site was restored since the turn before.

Knows words; opens no file. It is told, so that a second bundle of a round, where there is one, is no riddle.
"""

from typing import Annotated, Literal

from pydantic import Field

from alx.plan import MAX_ROUNDS
from alx.records import Strict, Time


class Restored(Strict):
    """How, when, and how far back a site was restored."""

    how: Literal["backup", "rebuilt"] = Field(description="from a backup; or a lost ledger was rebuilt from signed bundles")
    at: Time = Field(
        description="the time, by the sender's clock; where its event log was lost since, when that was begun anew"
    )
    round: Annotated[int, Field(ge=0, le=MAX_ROUNDS)] = Field(
        description="of the last turn that the site knew of when it was restored; 0 for none"
    )
