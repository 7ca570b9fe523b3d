"""Both sites on this machine: the demo."""

from pathlib import Path
from typing import Any

import click

from alx.cli import screen
from alx.cli.screen import json_option


@click.command(epilog="Example: alx demo --rounds 3")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Assistance rounds.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path("alx-demo"), show_default=True, help="Where to play."
)
@json_option
def demo(rounds: int, seed: int, folder: Path, as_json: bool) -> None:
    """Play a whole exchange between two sites on this machine: real bundles, real data, half a minute on two idle cores."""
    from alx.study import demo as demos  # noqa: PLC0415 - torch and matplotlib

    done = demos.run(folder, rounds, seed, lambda line: None if as_json else click.echo(line))
    if as_json:
        screen.machine(done.result)
        return
    click.echo(_words(done.folder, done.result))


def _words(folder: Path, result: dict[str, Any]) -> str:
    rounds = result["rounds"]
    rows = [["learner alone", f"{result['learner_only']:.3f}", ""], ["provider alone", f"{result['provider_only']:.3f}", ""]]
    rows += [
        [f"assisted, round {r['round']}", f"{r['accuracy']:.3f}", f"{r['global_loss'] / result['samples']:.3f}"]
        for r in rounds
    ]
    rows.append(["pooled data", f"{result['centralised']:.3f}", ""])
    last = rounds[-1]["bundles"][-1]["path"]
    return "\n".join(
        [
            "",
            screen.table(["accuracy on held-out digits", "", "global loss"], rows),
            "",
            f"every row but the single rounds had {len(rounds)} x 200 steps; {result['seconds']:g} s in all",
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
