"""`alx best`: a model as files to be handed on; torch is imported inside of it."""

import hashlib
import re
from functools import partial
from pathlib import Path

import click

from alx import files
from alx.cli import screen
from alx.cli.options import new_file, site_option
from alx.cli.screen import json_option
from alx.errors import MalformedError, UsageError, count, escape
from alx.report import bill, card, columns
from alx.site import events
from alx.site import site as sites
from alx.site.site import Site

MAX_CARD_BYTES = 1 << 20  # a page
LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")  # the longest of SPDX's 811 ids has 36


@click.command(epilog="Example: alx best ../model.safetensors")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT.safetensors")
@site_option
@click.option("--license", "license_", metavar="SPDX-ID", help="Stands in the card and the bill; default: unknown.")
@json_option
def best(out: Path, site: Site, license_: str | None, as_json: bool) -> None:
    """Write the selected model with the least global loss of all rounds, and what it takes to use it where no site is.

    Beside OUT.safetensors: OUT.plan.toml, the agreed plan to the byte; the model's own .py file, if the plan names one;
    OUT.md, a card for people; and OUT.cdx.json, a bill of materials for programs, in CycloneDX 1.6. Loading the weights
    needs no alx; alx predict and alx evaluate find the plan there. Once the exchange is closed, it is the model that both
    sides end with, and the same file on both, but for what the plan's [model] calls personal: of that each has its own.
    """
    import torch  # noqa: PLC0415

    from alx import turns  # noqa: PLC0415 - torch
    from alx.turns import bridge, in_use, model_file  # noqa: PLC0415

    if license_ is not None and not LICENSE.fullmatch(license_):
        raise UsageError(f"'{escape(license_)}' is no SPDX licence id, as Apache-2.0 is one", "see spdx.org/licenses")
    site.require_private()
    plan = site.plan_file
    new_file(site, out, "", "model of alx best under this plan", lambda path: model_file.require_own(path, plan.digest))
    beside = {model_file.plan_beside(out): plan.data}
    code = None if plan.plan.model is None else plan.plan.model.file()
    if code is not None:
        beside[out.with_name(code)] = sites.source(site.folder / code)
    for path, data in beside.items():
        new_file(site, path, "", "copy of this site's", partial(_require_same, data))
    if out in beside:
        raise UsageError(f"'{escape(str(out), 200)}' is the name of the model's own .py file", "name another file")
    page = model_file.card_beside(out)
    new_file(site, page, "", "card of alx best under this plan", lambda path: _require_card(path, plan.digest))
    bom = model_file.bill_beside(out)
    new_file(site, bom, "", "bill of materials of alx best under this plan", lambda path: _require_bill(path, plan.digest))
    now = site.look()
    now.check_agreement()
    found = turns.best(now)
    chosen, note = found.selected, model_file.note(found)
    model = in_use.whole(found)
    data, layout = model_file.written(found, model), bridge.layout_of(model)
    made = bill.Written(
        name=out.name,
        digest=hashlib.sha256(data).hexdigest(),
        nbytes=len(data),
        plan=model_file.plan_beside(out).name,
        code=None if code is None or note.code is None else (code, note.code),
        layout=layout,
        weights=note.weights,
        frozen=note.frozen,
        personal=len(found.personal),
        built_in=note.task == "built-in",
    )
    programs = {"torch": str(torch.__version__)}
    log = events.read(site.events_path)
    listed = bill.bill(chosen, now, log, made, license_=license_, programs=programs)
    told = card.text(
        chosen,
        plan,
        layout,
        name=out.name,
        weights=note.weights,
        frozen=note.frozen,
        personal=sorted(found.personal),
        keys=sorted([(site.role, now.public_key.fingerprint), (now.peer.file.role, now.peer_key.fingerprint)]),
        code=note.code,
        built_in=made.built_in,
        digest=made.digest,
        bill=bom.name,
        license_=license_,
    )
    # the model last: where it is, all that it needs is beside it
    files.replace_all({**beside, bom: listed, page: told, out: data}, shared=True)
    if as_json:
        screen.machine(
            {
                "file": out,
                "plan": model_file.plan_beside(out),
                "card": page,
                "bill": bom,
                "weights": note.weights,
                "personal": sorted(found.personal),
                "round": chosen.round,
                "snapshot": chosen.label,
                "global_loss": chosen.global_loss,
                "samples": chosen.samples,
                "select_on": site.plan.select_on,
                "held_out": chosen.held_out,
            }
        )
        return
    score = "" if chosen.held_out is None else f", held-out score {columns.number(chosen.held_out)}"
    loss = f"global loss {chosen.global_loss:.6g}{site.plan.summed_over}"
    screen.tell(f"wrote '{out}': {chosen.label} of round {chosen.round}, {loss}{score}")
    names = ", ".join(f"'{path.name}'" for path in beside)
    screen.tell(
        f"beside it: {names}, the card '{page.name}' and the bill of materials '{bom.name}', without a held-out score"
    )
    if found.personal:
        screen.tell(f"this site's own are {count(len(found.personal), 'tensor')} in it; the peer's file has others there")


def _require_same(data: bytes, path: Path) -> None:
    with files.storage(path):
        plain = path.is_file() and not path.is_symlink()
    if not plain or files.read(path, len(data)) != data:
        raise MalformedError(f"'{escape(path.name)}' is another file")


def _require_bill(path: Path, plan_digest: str) -> None:
    with files.storage(path):
        plain = path.is_file() and not path.is_symlink()
    if not plain or not bill.is_bill(files.read(path, bill.MAX_BILL_BYTES), plan_digest):
        raise MalformedError(f"'{escape(path.name)}' is no bill of materials")


def _require_card(path: Path, plan_digest: str) -> None:
    with files.storage(path):
        plain = path.is_file() and not path.is_symlink()
    if not plain or not card.is_card(files.read(path, MAX_CARD_BYTES), plan_digest):
        raise MalformedError(f"'{escape(path.name)}' is no card")
