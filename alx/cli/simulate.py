"""A simulation of what a plan would bring; torch is imported inside of it."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alx import plan as plans
from alx.cli import screen
from alx.cli.screen import json_option
from alx.errors import UsageError, escape
from alx.site import site_file

if TYPE_CHECKING:
    from alx.study.results import Results
    from alx.study.study import Study

MAX_SEEDS = 1000  # more is a slip of the pen


def _lengths(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """`100,400,1600`, each once, in their order."""
    found = [part.strip() for part in (value or "").split(",") if part.strip()]
    if any(not part.isdecimal() or not 2 <= int(part[:9]) <= plans.MAX_STEPS or len(part) > 9 for part in found):  # noqa: PLR2004
        raise click.BadParameter(f"'{escape(value or '')}', expected numbers such as 100,400", context, parameter)
    return tuple(dict.fromkeys(map(int, found)))


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """`0,1,2` or `0-4`."""
    found: dict[int, None] = {}
    for part in value.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)) or len(part) > 21:  # noqa: PLR2004 - two of ten digits
            raise click.BadParameter(f"'{escape(value)}', expected numbers such as 0,1,2 or 0-4", context, parameter)
        span = range(int(first), int(last or first) + 1)
        if not span:
            wrong = f"'{escape(part)}' runs backwards, expected {int(last)}-{int(first)}"
            raise click.BadParameter(wrong, context, parameter)
        if span[-1] >= 1 << 32 or len(span) + len(found) > MAX_SEEDS:
            raise click.BadParameter(f"'{escape(value)}' is no list of at most {MAX_SEEDS} seeds", context, parameter)
        found |= dict.fromkeys(span)
    return tuple(found)


@click.command(epilog="Example: alx simulate plan.toml --data npz:all.npz --split complementary:0,1,2,3,4:0.05 --out sim")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="KIND:PATH",
    help="All samples, as one site would name them; digits come with alx.",
)
@click.option("--held-out", metavar="PATH", help="Data kept apart for a score, where the kind has none of its own.")
@click.option(
    "--table", type=click.Path(path_type=Path), metavar="FILE", help="How a CSV is written: the fields of [data.table]."
)
@click.option(
    "--task", type=click.Path(path_type=Path), metavar="FILE", help="A task of your own in place of the data: its make_task."
)
@click.option(
    "--settings", type=click.Path(path_type=Path), metavar="FILE", help="What [settings] of a site.toml would say to it."
)
@click.option(
    "--split",
    default="gamma:0.3",
    show_default=True,
    metavar="SPLIT",
    help="gamma:SHARE (the paper's), complementary:CLASS,…:SHARE, dirichlet:ALPHA, column:NAME:VALUE,… or "
    "column:NAME:each (each value in turn)",
)
@click.option(
    "--baselines",
    default="centralised,learner-only,provider-only,cyclic,fedavg",
    show_default=True,
    metavar="NAME,…",
    help="What to play beside assistance; +distillation adds the plan's to a rival.",
)
@click.option(
    "--seeds",
    callback=_numbers,
    default="0",
    show_default=True,
    metavar="0,1,…",
    help="Or 0-4: each a run; they take the place of the plan's.",
)
@click.option(
    "--by", multiple=True, metavar="COLUMN", help="Tell the score by this column's values too; may be given again."
)
@click.option("--positive", metavar="CLASS", help="Of two classes, the one to be found; left out: the second.")
@click.option("--threshold", default=0.5, show_default=True, metavar="P", help="Of its probability: above it is the answer.")
@click.option("--samples", type=click.IntRange(2), metavar="N", help="Only so many, drawn anew for each seed.")
@click.option("--init", type=click.Path(path_type=Path), metavar="FILE", help="Weights (.safetensors) that all begin with.")
@click.option(
    "--round-steps",
    "lengths",
    callback=_lengths,
    metavar="N,…",
    help="Play it with so many steps a round in place of the plan's; of several, say which asks for the fewest trips.",
)
@click.option(
    "--keep-models", "keep", is_flag=True, help="Write every model after each round, for alx evaluate and predict."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("alx-simulation"),
    show_default=True,
    help="Where to play; the same command goes on there.",
)
@json_option
def simulate(
    plan: Path,
    data: str,
    held_out: str | None,
    table: Path | None,
    task: Path | None,
    settings: Path | None,
    split: str,
    baselines: str,
    seeds: tuple[int, ...],
    by: tuple[str, ...],
    positive: str | None,
    threshold: float,
    samples: int | None,
    init: Path | None,
    lengths: tuple[int, ...],
    keep: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Play a plan's whole exchange on this machine, with real bundles, beside what could be done without it."""
    from alx.study import lengths as studied  # noqa: PLC0415 - torch
    from alx.study import study as studies  # noqa: PLC0415

    study = studies.parse(
        plans.load(plan),
        plan.parent,
        data,
        held_out,
        table,
        split,
        baselines,
        seeds,
        samples,
        site_file.judged(by, positive, threshold),
        task=task,
        settings=settings,
        init=init,
        keep=keep,
    )
    if len(lengths) == 1:
        study = studied.at(study, lengths[0])
    if len(lengths) > 1 and study.split.each:
        raise UsageError("several --round-steps, and each group in turn", "ask for one of the two at a time")
    if study.split.each:
        _in_turn(study, out, as_json=as_json)
    elif len(lengths) > 1:
        _compared(study, lengths, out, as_json=as_json)
    else:
        found = _simulated(study, out, as_json=as_json)
        if as_json:
            screen.machine(found.model_dump(mode="json"))


def _compared(study: "Study", lengths: tuple[int, ...], out: Path, *, as_json: bool) -> None:
    """Play a study at several lengths, and say which to take."""
    from alx.study import lengths as studied  # noqa: PLC0415 - torch
    from alx.study import table  # noqa: PLC0415
    from alx.study.results import shares  # noqa: PLC0415

    each = {}
    for steps in lengths:
        if not as_json:
            screen.tell(f"{steps} steps a round")
        each[steps] = _simulated(studied.at(study, steps), out / f"steps-{steps}", as_json=as_json)
    best = studied.recommended(each, shares=all(shares(results.score) for results in each.values()))
    if as_json:
        found_by_length = {str(steps): results.model_dump(mode="json") for steps, results in each.items()}
        screen.machine({"lengths": found_by_length, "recommended": best and {"round_steps": best[0], "rounds": best[1]}})
        return
    take = "" if best is None else studied.lines(studied.at(study, best[0]).plan.plan)
    screen.tell(*table.compared(each, best, take))


def _in_turn(study: "Study", out: Path, *, as_json: bool) -> None:
    """Play a study for each group, and put all into one table."""
    from alx.study import groups, table  # noqa: PLC0415 - torch

    each, column = {}, study.split.column or ""
    for number, (value, one) in enumerate(groups.each(study).items(), 1):
        if not as_json:
            screen.tell(f"{escape(column)} {escape(value)}, in group-{number}")
        each[value] = _simulated(one, out / f"group-{number}", as_json=as_json)
    if as_json:
        means = {a: {name: s.model_dump() for name, s in told.items()} for a, told in groups.means(each).items()}
        screen.machine({"groups": {value: r.model_dump(mode="json") for value, r in each.items()}, "means": means})
        return
    screen.tell(*table.in_turn(column, each))


def _simulated(study: "Study", out: Path, *, as_json: bool) -> "Results":
    """Play one study, draw it and tell of it."""
    from alx.study import figures, simulation, table  # noqa: PLC0415 - torch and matplotlib
    from alx.study.cost import Progress  # noqa: PLC0415

    with screen.status() as show:

        def told(progress: Progress) -> None:
            if progress.line is not None and not as_json:
                show("")
                screen.tell(progress.line)
            if progress.left is not None:
                show(f"{progress.done:.0%} done, about {progress.left} left")

        found = simulation.run(study, out, told, lambda: f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}")
    pictures = figures.simulated(out / "simulation", found)
    if not as_json:
        screen.tell(*table.found(found, out, pictures))
    return found
