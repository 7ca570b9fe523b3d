"""How few samples may stand behind a number that leaves a site: [disclosure] of the plan, and of site.toml.

Knows counts; knows no data. docs/decisions/0042-minimum-counts.md weighs the numbers, and docs/threat-model.md says what
they stop.
"""

from typing import Annotated

from pydantic import Field

from alx.records import Strict

LEAST = 10  # the rule of ten of ONS, the Australian Bureau of Statistics and UK LLC; NHS Digital hides 1 to 7
ALONE = 1  # where the task alone knows what a sample is: an environment that a policy plays in is no person
MOST = 1_000_000  # far above any rule; a larger one would be a slip of the pen


class Disclosure(Strict):
    """The least count: [disclosure]. In site.toml it is the site's own, and no lower than the plan's."""

    least: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        default=None,
        description="no loss sum is signed over fewer samples, no model is sent that was trained on fewer, and `alx "
        f'describe` hides counts below it; left out: in a plan {LEAST}, or {ALONE} where loss = "own"; in site.toml '
        "what the plan says",
    )
