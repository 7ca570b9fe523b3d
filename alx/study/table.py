"""What simulations found, as lines for people. Numbers in, text out; prints nothing."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from alx import files
from alx.errors import count, escape
from alx.report import scores
from alx.report.columns import table
from alx.study import groups, lengths
from alx.study.results import Results, Spread

DIGITS, MAX_DECIMALS = 3, 6  # of a number in the table
SHOWN = 4  # numbers of one's own beside the score: a line is read, results.json has all


def in_turn(column: str, each: Mapping[str, Results]) -> list[str]:
    """What every group had after the last round, in one table; the mean over groups last.

    Args:
        column: whose values they are.
        each: results by value.
    """
    first = next(iter(each.values()))
    scored = any(s.score is not None for results in each.values() for s in results.summary)
    names = [s.algorithm for s in first.summary]
    means = groups.means(each)
    columns = {
        name: _spreads(
            [
                *(
                    next((s.score if scored else s.loss for s in r.summary if s.algorithm == name), None)
                    for r in each.values()
                ),
                means[name].get("score" if scored else "loss"),
            ],
            "-",
        )
        for name in names
    }
    held = [f"{sum(d.learner for d in r.dealt) / len(r.dealt):.0f}" for r in each.values()]
    rows = list(zip([*map(escape, each), "mean over groups"], [*held, ""], *columns.values(), strict=True))
    what = first.score if scored else "loss a sample"
    told = (
        f"{what} after round {first.rounds}; in turn one {escape(column)} is the learner, all others together the provider"
    )
    return ["", told, *table([escape(column), "samples", *names], rows)]


def compared(each: Mapping[int, Results], best: tuple[int, int] | None, take: str) -> list[str]:
    """What assistance reached by round at each length, and which length to take, as it stands in a plan."""
    curves = {steps: lengths.curve(results) for steps, results in each.items()}
    rows = [[f"{steps}", *(f"{s:.3f}" for s in scores)] for steps, scores in curves.items() if scores is not None]
    first = next(iter(each.values()))
    if not rows:
        why = "no samples are kept apart (see --held-out), or every length diverged"
        return ["", f"there is nothing to choose a length by: {why}"]
    verdict = "the score is no share, so how near is near enough is for you to say"
    if not first.tells(max(s for scores in curves.values() for s in scores or [])):
        verdict = f"no length to take: {_nothing(first)}"
    if best is not None:
        verdict = f"take {take}: within 0.01 of the best of all after {count(best[1], 'round')}, {2 * best[1]} trips"
    diverged = [str(steps) for steps, scores in curves.items() if scores is None]
    return [
        "",
        f"{first.score} of assistance after each round, by steps a round",
        *table(["steps a round", *(f"{n}" for n in range(1, first.rounds + 1))], rows),
        "",
        *([f"diverged: {', '.join(diverged)}"] if diverged else []),
        verdict,
    ]


def found(results: Results, out: Path, pictures: Sequence[Path]) -> list[str]:
    """Every algorithm after the last round, what is had without a model, and by group; and where all of it lies."""
    centralised = any(
        s.algorithm == "centralised" and s.score is not None and results.tells(s.score.mean) for s in results.summary
    )
    columns: dict[str, list[str]] = {
        f"after round {results.rounds}": [s.algorithm for s in results.summary],
        "seeds": [str(s.seeds) for s in results.summary],
        results.score: _spreads([s.score for s in results.summary], ""),
        **{name: _spreads([s.metrics.get(name) for s in results.summary], "") for name in _shown(results)},
        "loss a sample": _spreads([s.loss for s in results.summary], "diverged"),
        "within 0.01 of centralised at round": [
            ", ".join(str(n or "-") for n in s.near) if centralised and s.algorithm != "centralised" else ""
            for s in results.summary
        ],
        "carried": [files.size(round(s.carried)) if s.carried else "" for s in results.summary],
    }
    told = {
        name: cells
        for name, cells in columns.items()
        if any(cells) and (name != "seeds" or len(set(cells)) > 1)  # what says nothing is left out
    }
    rows = list(zip(*told.values(), strict=True))
    header = list(told)
    paths = ["", f"results  {out / 'results.json'}", f"plot     {pictures[0]}"]
    return ["", *table(header, rows), *_without_a_model(results), *_by_group(results), *paths]


def _shown(results: Results) -> list[str]:
    """The numbers that have a column beside the score: of one's own names, which nobody here knows, the first."""
    names = dict.fromkeys(name for s in results.summary for name in s.metrics if name != results.score and ": " not in name)
    return [name for name in names if name in scores.FEW] or list(names)[:SHOWN]


def _without_a_model(results: Results) -> list[str]:
    """What the same answer for everybody reaches: a score that is no higher is worth nothing."""
    if results.without is None:
        return []
    reached = [s.score.mean for s in results.summary if s.score is not None]
    look = [f"LOOK: {_nothing(results)}"] if reached and not results.tells(max(reached)) else []
    return ["", f"without a model, the same answer for everybody: {results.without:.3f}", *look]


def _nothing(results: Results) -> str:
    return (
        f"{results.score} is hardly above that of the same answer for everybody, so it tells nothing; the other columns may"
    )


def _by_group(results: Results) -> list[str]:
    """Assistance's score by the values of the columns that were asked for."""
    ending = f": {results.score}"
    metrics = next(s.metrics for s in results.summary if s.algorithm == "assisted")
    groups = {name.removesuffix(ending): value for name, value in metrics.items() if name.endswith(ending)}
    if not groups:
        return []
    rows = [
        [escape(group), f"{counted.mean:.0f}" if (counted := metrics.get(f"{group}: samples")) else "", value.text(".3f")]
        for group, value in groups.items()
    ]
    return ["", *table(["assisted, by group", "samples", results.score], rows)]


def _spreads(values: Sequence[Spread | None], missing: str) -> list[str]:
    """A column of numbers with the same decimals: three of them, or more where the least would show fewer digits."""
    least = min((abs(v.mean) for v in values if v is not None and v.mean), default=1.0)
    decimals = min(max(DIGITS, DIGITS - 1 - math.floor(math.log10(least))), MAX_DECIMALS)
    return [missing if v is None else v.text(f".{decimals}f") for v in values]
