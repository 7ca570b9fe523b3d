"""Both sites on this machine: the demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alx.cli import screen
from alx.cli.screen import json_option
from alx.report import scores
from alx.report.columns import table

if TYPE_CHECKING:
    from alx.study.demo.case import Case


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
