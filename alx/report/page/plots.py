"""The plots of a report, as numbers: loss by round, models on offer by turn, bytes by turn.

Knows evidence; draws nothing.
"""

from collections.abc import Iterable, Iterator

from alx.report.page.content import Plot, Point, Series
from alx.report.page.seen import Seen, place, size

LARGEST = 1e300  # drawn: beyond it two numbers may lie infinitely far apart, and no loss is that large
LEAST = 1e-300  # drawn as 0 below it: a part of such a number may be 0, which has no logarithm, and no loss is that small
FAR = 20  # times the least of a plot's numbers
PLACES = "round, and whose turn: L learner's, P provider's"


def plots(seen: Seen) -> list[Plot]:
    """Those for which there are numbers."""
    made = (_loss(seen), _offered(seen) if seen.selected else _claimed(seen), _bytes(seen))
    return [plot for plot in made if any(series.points for series in plot.series)]


def _loss(seen: Seen) -> Plot:
    """The global loss found here, and what the peer says it found."""
    ticks = [tick for _, tick in seen.told()]
    by_digest = {b.turn.digest: i for i, (b, _) in enumerate(seen.told()) if b.turn is not None}
    here = [(by_digest[s.digest], s.mean) for s, _ in seen.selected if s.digest in by_digest]
    theirs = []
    for bundle, _ in seen.told():
        if bundle.ours or bundle.report is None:
            continue
        for report in (r for r in seen.opened if r is bundle.report):
            start, answers = report.manifest.start, report.manifest.answers
            if start is not None and answers in by_digest:
                theirs.append((by_digest[answers], start.global_loss / start.samples))
    both = sorted([*here, *theirs])
    change = f" It goes from {both[0][1]:.4g} to {both[-1][1]:.4g}." if len(both) > 1 else ""
    line = _points(both)
    return Plot(
        title="Global loss of the selected model, by round",
        words=f"The loss over the samples of both sides, divided by their number: less is better.{change}",
        x_label=PLACES,
        y_label="loss a sample",
        ticks=ticks,
        log=_log(line),
        series=[
            Series(name="", style="line", points=line),
            Series(name="found by this site", style="dots", points=_points(here)),
            Series(name="found by the peer, as it wrote", style="others", points=_points(theirs)),
        ],
    )


def _log(points: Iterable[Point]) -> bool:
    """Whether they lie so far apart that the small ones could not be told from nought."""
    some = [p.y for p in points]
    return bool(some) and min(some) > 0 and max(some) > FAR * min(some)


def _offered(seen: Seen) -> Plot:
    """Of each selection all models that were measured whole."""
    ticks, by_digest = _places(seen)
    others: list[tuple[int, float]] = []
    chosen: list[tuple[int, float]] = []
    for s, _ in seen.selected:
        at = by_digest.get(s.digest)
        for i in range(len(s.labels)):
            known, whole = s.known(i)
            if at is not None and known is not None and whole:
                (chosen if i == s.index else others).append((at, (s.signed[i] + known) / s.samples))
    dots, rings = _points(others), _points(chosen)
    return Plot(
        title="Models on offer, by turn",
        words="Global loss of each model of the peer's bundle that was measured to the end; the ring is the chosen one.",
        x_label=PLACES,
        y_label="loss a sample",
        ticks=ticks,
        log=_log((*dots, *rings)),
        series=[Series(name="on offer", style="dots", points=dots), Series(name="chosen", style="chosen", points=rings)],
    )


def _places(seen: Seen) -> tuple[list[str], dict[str, int]]:
    turns = [(b.turn.digest, tick) for b, tick in seen.told() if b.turn is not None]
    came = {s.digest for s, _ in seen.selected}
    kept = [(digest, tick) for digest, tick in turns if digest in came]
    return [tick for _, tick in kept], {digest: i for i, (digest, _) in enumerate(kept)}


def _claimed(seen: Seen) -> Plot:
    """Of a bundle alone: the sender's own loss at each of its models."""
    first = [c.loss / m.samples for _, m in seen.turns[:1] for c in m.candidates]
    dots = _points(list(enumerate(first)))
    return Plot(
        title="Models on offer",
        words="The sender's own loss at each model of the bundle, as it wrote: less is better for the sender's data.",
        x_label="model, by its line in the table of models on offer",
        y_label="loss a sample",
        ticks=[str(line) for line in range(1, len(first) + 1)],
        log=_log(dots),
        series=[Series(name="as the sender wrote", style="dots", points=dots)],
    )


def _bytes(seen: Seen) -> Plot:
    each = list(_sizes(seen)) if len(seen.reports) > 1 else []  # one bar says no more than its number
    total = sum(y for _, y in each)
    return Plot(
        title="Bytes carried, by turn",
        words=f"Size of each bundle as it lies on the disk, in megabytes of a million bytes; {total:.3g} MB in all.",
        x_label=PLACES,
        y_label="MB",
        ticks=[tick for tick, _ in each],
        series=[Series(name="bundle", style="bars", points=_points([(i, y) for i, (_, y) in enumerate(each)]))],
    )


def _sizes(seen: Seen) -> Iterator[tuple[str, float]]:
    for report in seen.reports:
        tick = next((place(r.manifest) for r in seen.opened if r is report), "-")
        yield tick, size(report) / 1e6


def _points(pairs: list[tuple[int, float]]) -> list[Point]:
    return [Point(x=x, y=float(y) if abs(y) >= LEAST else 0.0) for x, y in pairs if abs(y) <= LARGEST]
