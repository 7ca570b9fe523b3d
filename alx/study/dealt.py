"""The task of one party of a simulation: a task of one's own, with the samples that the party was dealt.

`alx simulate` gives this file to its sites, as people give theirs with `alx init --task`.
"""

from alx.learning.task import Task
from alx.study import own
from alx.tasks.load import Settings


def make_task(settings: Settings) -> Task:
    """See `own.party`."""
    return own.party(settings)
