"""A report made of evidence: its words, its plots and its seven clusters in their order.

Knows where each part of it is made; knows no markup.
"""

from alx.report.page import findings, plots, story
from alx.report.page.clusters import data, indicators, infrastructure, metadata, models, security, system
from alx.report.page.content import Report
from alx.report.page.seen import Seen
from alx.verified import Ciphertext

CLUSTERS = (metadata, system, models, data, indicators, infrastructure, security)


def report(seen: Seen) -> Report:
    """What there is to tell of what was found.

    Args:
        seen: the evidence, the time, and who signs.
    """
    found = seen.evidence
    return Report(
        subject="bundle" if found.site is None else "site",
        title=story.title(seen),
        good=not found.faults and not any(isinstance(r, Ciphertext) for r in seen.reports),
        private=found.site is not None,
        written=seen.written,
        words=story.words(seen),
        story=story.story(seen),
        findings=findings.findings(seen),
        plots=plots.plots(seen),
        clusters=[each.cluster(seen) for each in CLUSTERS],
    )
