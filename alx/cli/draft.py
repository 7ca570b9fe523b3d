"""`alx init --plan-from`: a first plan.toml out of a site's own data; nothing goes into it unseen."""

from collections.abc import Sequence
from pathlib import Path

from alx import dialect as dialects
from alx import files
from alx.cli import screen
from alx.dialect import Dialect
from alx.errors import UsageError, escape
from alx.tasks.data import draft
from alx.tasks.data.draft import Draft


def first_plan(
    source: str,
    out: Path,
    table: Path | None,
    label: str | None,
    ids: Sequence[str],
    *,
    values: bool,
    fill: bool,
    as_json: bool,
) -> None:
    """Write it, after what was found was shown.

    Args:
        source: KIND:PATH, or the path alone of a CSV, an .npz or a folder of images.
        out: the file to write.
        table: how the CSV is written.
        label: its column to predict.
        ids: its columns that name a row or a person.
        values: whether values of the data may stand in the plan; else a person at a terminal is asked.
        fill: whether missing cells are provided for.
        as_json: for another program.

    Raises:
        UsageError: the file is there already, or options do not fit the data.
        ConfigError: the data cannot be used.
    """
    if out.exists():
        raise UsageError(f"'{escape(str(out), 200)}' is there already", "--plan names another file to write")
    kind, path = _named(source)
    if kind != "csv" and (table is not None or label is not None or ids or fill):
        raise UsageError("--table, --label, --id and --take-missing are for a CSV", f"leave them out for the kind {kind}")
    if kind == "csv" and label is None:
        raise UsageError("--plan-from with a CSV needs --label, the column to predict")
    written = Dialect() if table is None else dialects.load(table)

    def made(*, values: bool) -> Draft:
        if kind == "csv":
            return draft.of_table(path, written, label or "", ids, values=values, fill=fill)
        return draft.of_npz(path) if kind == "npz" else draft.of_images(path, values=values)

    found = made(values=True)
    screen.tell(*found.told, err=as_json)
    if kind != "npz" and not values:
        found = made(values=screen.let_in())
    files.create(out, found.text.encode("utf-8"), shared=True)
    if as_json:
        screen.machine({"plan": out})
        return
    screen.tell(f"wrote '{out}': read it, change it, agree on it; the data themselves are not in it")
    screen.tell("next: alx init SITE --role ROLE --plan PLAN --data KIND:PATH")


def _named(source: str) -> tuple[str, Path]:
    kind, colon, rest = source.partition(":")
    if colon and kind in ("csv", "npz", "images"):
        return kind, Path(rest)
    path = Path(source)
    if path.is_dir():
        return "images", path
    if path.suffix.lower() == ".npz":
        return "npz", path
    return "csv", path
