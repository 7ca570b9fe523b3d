"""Both sites on this machine: the demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alx.cli import screen
from alx.cli.screen import json_option

if TYPE_CHECKING:
    from alx.study.case import Case


@click.command(epilog="Example: alx demo --task cartpole --rounds 3")
@click.option(
    "--task",
    type=click.Choice(["digits", "cartpole"]),
    default="digits",
    show_default=True,
    help="Real handwritten digits, or policy gradients that balance poles (AssistPG).",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Assistance rounds.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path("alx-demo"), show_default=True, help="Where to play."
)
@json_option
def demo(task: str, rounds: int, seed: int, folder: Path, as_json: bool) -> None:
    """Play a whole exchange between two sites on this machine: real bundles, under a minute on two idle cores."""
    from alx.study import demo as demos  # noqa: PLC0415 - torch and matplotlib

    done = demos.run(folder, task, rounds, seed, lambda line: None if as_json else click.echo(line))
    if as_json:
        screen.machine(done.result)
        return
    click.echo(_words(done.folder, done.case, done.result))


def _words(folder: Path, case: "Case", result: dict[str, Any]) -> str:
    rounds, digits = result["rounds"], case.digits
    unit, objective = (-result["samples"], "discounted return") if case.returns else (result["samples"], "global loss")
    rows = [[f"{who} alone", f"{result[f'{who}_only']:.{digits}f}", ""] for who in ("learner", "provider")]
    rows += [
        [f"assisted, round {r['round']}", f"{r[case.score]:.{digits}f}", f"{r['global_loss'] / unit:.3f}"] for r in rounds
    ]
    rows.append(["pooled data", f"{result['centralised']:.{digits}f}", ""])
    last = rounds[-1]["bundles"][-1]["path"]
    return "\n".join(
        [
            "",
            screen.table([case.scored, "", objective], rows),
            "",
            f"every row but the single rounds had {len(rounds)} x {case.steps} steps; {result['seconds']:g} s in all",
            f"sites    {folder / 'learner'}, {folder / 'provider'}",
            f"bundles  {folder / 'disk'}",
            f"plot     {folder / 'demo.png'}",
            "",
            "try next:",
            f"  alx audit {last} --key {folder / 'provider' / 'public.pem'}",
            f"  alx audit {folder / 'learner'}",
            f"  alx best model.safetensors --site {folder / 'learner'}",
        ]
    )
