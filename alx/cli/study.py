"""Both sites on this machine: the demo, and a simulation of what a plan would bring."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alx import files
from alx import plan as plans
from alx.cli import screen
from alx.cli.screen import json_option
from alx.errors import count, escape
from alx.report import scores
from alx.report.columns import table
from alx.site import site_file

if TYPE_CHECKING:
    from alx.study.demo.case import Case
    from alx.study.results import Results, Spread
    from alx.study.study import Study

MAX_SEEDS = 1000  # more is a slip of the pen
DIGITS, MAX_DECIMALS = 3, 6  # of a number in the table


@click.command(epilog="Example: alx demo --task cartpole --rounds 3")
@click.option(
    "--task",
    type=click.Choice(["digits", "cartpole"]),
    default="digits",
    show_default=True,
    help="Real handwritten digits, or policy gradients that balance poles (AssistPG).",
)
@click.option("--rounds", type=click.IntRange(1, 100), help="Assistance rounds; of digits 2, of cartpole 5.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path("alx-demo"), show_default=True, help="Where to play."
)
@json_option
def demo(task: str, rounds: int | None, seed: int, folder: Path, as_json: bool) -> None:
    """Play a whole exchange between two sites on this machine: real bundles, under a minute on two idle cores."""
    from alx.study.demo import story  # noqa: PLC0415 - torch and matplotlib

    done = story.run(folder, task, rounds, seed, lambda line: None if as_json else screen.tell(line))
    if as_json:
        screen.machine(done.result)
        return
    screen.tell(*_words(done.folder, done.case, done.result))


def _words(folder: Path, case: "Case", result: dict[str, Any]) -> list[str]:
    rounds, digits = result["rounds"], case.digits
    unit, objective = (-result["samples"], "discounted return") if case.returns else (result["samples"], "global loss")
    alone = result["alone"]
    rows = [
        [
            f"{r['round']} x {case.steps} steps",
            *(
                f"{score:.{digits}f}"
                for score in (
                    alone["learner"][i],
                    alone["provider"][i],
                    alone["fedavg"][i],
                    r[case.score],
                    alone["pooled"][i],
                )
            ),
            f"{r['global_loss'] / unit:.3f}",
        ]
        for i, r in enumerate(rounds)
    ]
    last, worth = rounds[-1]["bundles"][-1]["path"], result["metrics"]
    return [
        "",
        f"{case.scored}, each after as many steps; the {objective} is that of assisted",
        *table(["", "learner alone", "provider alone", "FedAvg", "assisted", "pooled data", objective], rows),
        "",
        *([f"assisted, on samples kept apart: {scores.line(*worth.values())}", ""] if worth else []),
        f"{result['seconds']:.1f} s in all",
        f"sites    {folder / 'learner'}, {folder / 'provider'}",
        f"bundles  {folder / 'disk'}",
        f"plot     {folder / 'demo.png'}",
        "",
        "try next:",
        f"  alx audit {last} --key {folder / 'provider' / 'public.pem'}",
        f"  alx audit {folder / 'learner'}",
        f"  alx best model.safetensors --site {folder / 'learner'}",
        f"  alx evaluate --site {folder / 'learner'}",
    ]


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
    "--split",
    default="gamma:0.3",
    show_default=True,
    metavar="SPLIT",
    help="gamma:SHARE (the paper's), complementary:CLASS,…:SHARE, dirichlet:ALPHA or column:NAME:VALUE,…",
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
@click.option(
    "--round-steps",
    "lengths",
    callback=_lengths,
    metavar="N,…",
    help="Play it with so many steps a round in place of the plan's; of several, say which asks for the fewest trips.",
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
    split: str,
    baselines: str,
    seeds: tuple[int, ...],
    by: tuple[str, ...],
    positive: str | None,
    threshold: float,
    samples: int | None,
    lengths: tuple[int, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Play a plan's whole exchange on this machine, with real bundles, beside what could be done without it."""
    from alx.study import lengths as studied  # noqa: PLC0415 - torch
    from alx.study import study as studies  # noqa: PLC0415
    from alx.tasks.objective import NAMED  # noqa: PLC0415 - torch

    metrics = site_file.judged(by, positive, threshold)
    study = studies.parse(plans.load(plan), plan.parent, data, held_out, table, split, baselines, seeds, samples, metrics)
    if len(lengths) == 1:
        study = studied.at(study, lengths[0])
    if len(lengths) < 2:  # noqa: PLR2004 - nothing to compare
        found = _simulated(study, out, as_json=as_json)
        if as_json:
            screen.machine(found.model_dump(mode="json"))
        return
    each = {}
    for steps in lengths:
        if not as_json:
            screen.tell(f"{steps} steps a round")
        each[steps] = _simulated(studied.at(study, steps), out / f"steps-{steps}", as_json=as_json)
    best = studied.recommended(each, shares=NAMED[study.plan.plan.loss].share)
    if as_json:
        found_by_length = {str(steps): results.model_dump(mode="json") for steps, results in each.items()}
        screen.machine({"lengths": found_by_length, "recommended": best and {"round_steps": best[0], "rounds": best[1]}})
        return
    take = "" if best is None else studied.lines(studied.at(study, best[0]).plan.plan)
    screen.tell(*_compared(each, best, take))


def _simulated(study: "Study", out: Path, *, as_json: bool) -> "Results":
    """Play one study, draw it and tell of it."""
    from alx.study import figures, simulation  # noqa: PLC0415 - torch and matplotlib

    with screen.status() as show:

        def told(progress: simulation.Progress) -> None:
            if progress.line is not None and not as_json:
                show("")
                screen.tell(progress.line)
            if progress.left is not None:
                show(f"{progress.done:.0%} done, about {progress.left} left")

        found = simulation.run(study, out, told, lambda: f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}")
    pictures = figures.simulated(out / "simulation", found)
    if not as_json:
        screen.tell(*_found(found, out, pictures))
    return found


def _compared(each: "Mapping[int, Results]", best: tuple[int, int] | None, take: str) -> list[str]:
    """What assistance reached by round at each length, and which length to take, as it stands in a plan."""
    from alx.study import lengths  # noqa: PLC0415 - torch

    curves = {steps: lengths.curve(results) for steps, results in each.items()}
    rows = [[f"{steps}", *(f"{s:.3f}" for s in scores)] for steps, scores in curves.items() if scores is not None]
    first = next(iter(each.values()))
    if not rows:
        why = "no samples are kept apart (see --held-out), or every length diverged"
        return ["", f"there is nothing to choose a length by: {why}"]
    verdict = "the score is no share, so how near is near enough is for you to say"
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


def _found(found: "Results", out: Path, pictures: Sequence[Path]) -> list[str]:
    compared = any(s.algorithm == "centralised" and s.score is not None for s in found.summary)
    columns: dict[str, list[str]] = {
        f"after round {found.rounds}": [s.algorithm for s in found.summary],
        "seeds": [str(s.seeds) for s in found.summary],
        found.score: _spreads([s.score for s in found.summary], ""),
        **{
            name: _spreads([s.metrics.get(name) for s in found.summary], "")
            for name in scores.FEW
            if any(name in s.metrics for s in found.summary)
        },
        "loss a sample": _spreads([s.loss for s in found.summary], "diverged"),
        "within 0.01 of centralised at round": [
            ", ".join(str(n or "-") for n in s.near) if compared and s.algorithm != "centralised" else ""
            for s in found.summary
        ],
        "carried": [files.size(round(s.carried)) if s.carried else "" for s in found.summary],
    }
    told = {
        name: cells
        for name, cells in columns.items()
        if any(cells) and (name != "seeds" or len(set(cells)) > 1)  # what says nothing is left out
    }
    rows = list(zip(*told.values(), strict=True))
    header = list(told)
    paths = ["", f"results  {out / 'results.json'}", f"plot     {pictures[0]}"]
    return ["", *table(header, rows), *_without_a_model(found), *_by_group(found), *paths]


def _without_a_model(found: "Results") -> list[str]:
    """What the same answer for everybody reaches: a score that is no higher is worth nothing."""
    known = [v for v in (next(iter(d.majority.values()), None) for d in found.dealt) if v is not None]
    return ["", f"without a model, the same answer for everybody: {sum(known) / len(known):.3f}"] if known else []


def _by_group(found: "Results") -> list[str]:
    """Assistance's score by the values of the columns that were asked for."""
    ending = f": {found.score}"
    metrics = next(s.metrics for s in found.summary if s.algorithm == "assisted")
    groups = {name.removesuffix(ending): value for name, value in metrics.items() if name.endswith(ending)}
    if not groups:
        return []
    rows = [
        [escape(group), f"{counted.mean:.0f}" if (counted := metrics.get(f"{group}: samples")) else "", value.text(".3f")]
        for group, value in groups.items()
    ]
    return ["", *table(["assisted, by group", "samples", found.score], rows)]


def _spreads(values: Sequence["Spread | None"], missing: str) -> list[str]:
    """A column of numbers with the same decimals: three of them, or more where the least would show fewer digits."""
    least = min((abs(v.mean) for v in values if v is not None and v.mean), default=1.0)
    decimals = min(max(DIGITS, DIGITS - 1 - math.floor(math.log10(least))), MAX_DECIMALS)
    return [missing if v is None else v.text(f".{decimals}f") for v in values]
