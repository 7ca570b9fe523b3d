"""What is played: a plan, both sites' configurations, and what the numbers are called.

Knows words; knows no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from alx.site.site_file import SiteFile


@dataclass(frozen=True, slots=True)
class Case:
    """One demonstration.

    Attributes:
        plan: the text of plan.toml.
        configs: site.toml of `learner`, `provider` and `pooled`; paths in them start at a site's folder.
        steps: optimiser steps of a round, both turns together: what a round of a baseline gets.
        intro: one line that says who holds what.
        score: the held-out score's key in results.
        scored: the held-out score, in words.
        digits: decimals of the score.
        returns: a loss is minus a return, so what people want to see is the return.
    """

    plan: str
    configs: Mapping[str, SiteFile]
    steps: int
    intro: str
    score: str
    scored: str
    digits: int
    returns: bool = False
