"""The `alx` command: finds a sub-command's module only when it is asked for, and turns refusals into exit codes."""

import gc
import importlib
import os
import sys
from typing import Any

import click

from alx import __version__
from alx.cli import screen
from alx.errors import AlxError, StorageError, UsageError

# A plugin that some other package brings for pydantic would be shown every value that is validated here: none is loaded.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"

# Where each command lives, and its line in `alx --help`: the help must not import what the commands need.
COMMANDS = {
    "init": ("data", "Make a site's folder."),
    "describe": ("data", "Write what may be told of the data, small counts hidden."),
    "identity": ("turns", "Write the small file that introduces this site to its peer."),
    "pair": ("exchange", "Pin the peer, after two people compared the words."),
    "check": ("turns", "What the data hold, what a turn takes, what is wrong."),
    "train-local": ("turns", "Train one turn and seal it in the outbox."),
    "leakage": ("leakage", "Attack the own sealed turn as its receiver could."),
    "approve": ("approve", "An officer agrees that a sealed turn is handed over."),
    "export": ("exchange", "Copy the sealed turn to a disk and read it back."),
    "label": ("label", "The page that goes with a disk."),
    "import-and-select": ("turns", "Verify the peer's bundle and choose where to go on."),
    "receipt": ("receipt", "Say that the peer's bundle came; read what it says of ours."),
    "status": ("exchange", "Where the exchange stands, and what to do next."),
    "best": ("best", "Write the best model so far, its plan, a card and a bill."),
    "evaluate": ("model", "How good a model is, on data with labels."),
    "predict": ("model", "A model's answers to data, as a CSV."),
    "key": ("keys", "This site's private key, and the peer's public one."),
    "backup": ("upkeep", "Copy the whole site into a folder, with digests."),
    "restore": ("upkeep", "Make a site of a backup."),
    "reset-ledger": ("upkeep", "Rebuild a lost ledger from signed bundles."),
    "audit": ("audit", "Verify a bundle or a site and say what is in it."),
    "report": ("report", "A page for an officer: who sent what, and what was refused."),
    "demo": ("demo", "Both sites on this machine, real bundles."),
    "simulate": ("simulate", "What a plan would bring, beside what could be done without it."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    _frozen = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of a first exchange."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in ("audit", "report"):  # they multiply no matrices, so numpy need not make threads for that
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Modules make no garbage and live to the end, yet each look for some takes longer, the more of them there are.
        gc.disable()
        try:
            module = importlib.import_module(f"alx.cli.{COMMANDS[cmd_name][0]}")
        finally:
            gc.enable()
        if not self._frozen:  # asked of gc itself, the answer is counted object by object
            gc.freeze()
            self._frozen = True
        return getattr(module, cmd_name.replace("-", "_"))  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `alx --help`, without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog="Example: alx demo")
@click.version_option(__version__, prog_name="alx")
def cli() -> None:
    """Improve one model together with another organisation, without a network and without showing data.

    Each side trains on its own data and carries a signed bundle to the other on a disk.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line as this process; exits with the refusal's code."""
    screen.streams()
    try:
        # where it is gone, libraries fail in their own ways, with a process that is killed for one
        os.getcwd()  # noqa: PTH109 - pathlib would be one import more at every start
        code = run(arguments)
    except OSError as error:  # each command translates what it meets; this is for what the process itself needs
        code = _refused(StorageError(f"the operating system refuses: {error.strerror or error}", _hint(error)))
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        code = _refused(StorageError(f"the operating system refuses: {error}", "raise the limit on processes: ulimit -u"))
    sys.exit(code)


def _refused(error: AlxError) -> int:
    screen.fail(error)
    return error.exit_code


def _hint(error: OSError) -> str:
    if error.filename:
        return f"it is about '{error.filename}'"
    if isinstance(error, FileNotFoundError):
        return "is the current folder gone? change into another"
    return "is the output a full disk? run the same command again with another"


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; as one of several ranks, what its rank has to do of it."""
    if "WORLD_SIZE" not in os.environ:
        return _run(arguments)
    try:
        ranks = importlib.import_module("alx.cli.ranks")  # only where several processes are one site
        return int(ranks.run(sys.argv[1:] if arguments is None else arguments, lambda: _run(arguments)))
    except AlxError as error:
        return _refused(error)


def _run(arguments: list[str] | None) -> int:
    try:
        done: Any = cli.main(args=arguments, prog_name="alx", standalone_mode=False)
    except AlxError as error:
        return _refused(error)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        screen.tell(*error.format_message().splitlines(), err=True)
        return UsageError.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "alx"
        message = error.format_message().rstrip(".")
        return _refused(UsageError(message[:1].lower() + message[1:], f"{path} --help"))
    except (click.Abort, KeyboardInterrupt):
        screen.tell("alx: stopped; the same command goes on from here", err=True)
        return 130
    return done if isinstance(done, int) else 0
