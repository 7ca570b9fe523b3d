"""Who at each house has to agree before a bundle leaves it: [officers] of the plan.

Knows fingerprints and numbers; knows no key. Both sides have the same plan, so each knows the other's officers, and the
plan's digest binds them: an officer comes or goes, or has a new key, with a new plan only.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from alx.records import Role, Strict

MAX_OFFICERS = 16  # of a side: a house has a few, and each approval is a file that is read before a bundle is

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Officers(Strict):
    """Of one side: `threshold` of them have to approve."""

    threshold: Annotated[int, Field(ge=1, le=MAX_OFFICERS)] = Field(description="how many of them have to approve a bundle")
    keys: Annotated[list[Fingerprint], Field(min_length=1, max_length=MAX_OFFICERS)] = Field(
        description="their public keys' fingerprints: the SHA-256 of each PEM file, as `alx key officer` prints it"
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("an officer's key is named twice")
        if self.threshold > len(self.keys):
            raise ValueError(f"the threshold is {self.threshold}, and the keys named are {len(self.keys)}")
        return self


class BothOfficers(Strict):
    """Who has to approve what a side hands over; a side without officers needs nobody."""

    learner: Officers | None = Field(default=None, description="the learner's")
    provider: Officers | None = Field(default=None, description="the provider's")

    def of(self, role: Role) -> Officers | None:
        """Those of one side."""
        return self.learner if role == "learner" else self.provider
