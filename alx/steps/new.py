"""A new site's folder: made whole under another name, then given its own.

Knows what a site's folder holds; knows no peer yet.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files
from alx.bundle import age, keys
from alx.errors import AlxError, ConfigError, UsageError, escape
from alx.plan import INIT_NAME, PlanFile
from alx.site import chain, events, ledger, site, site_file
from alx.site.entries import Created
from alx.site.keyring import KEY_NAME, PUBLIC_NAME
from alx.site.site import AGE_NAME, PLAN_NAME, SITE_NAME, Site
from alx.site.site_file import SiteFile

NEVER_FROZEN = (
    "torchvision:",
    "alx.",
)  # sources of models all of whose parameters are trained, unless the plan says otherwise
_FIRST = "outbox"  # a site in the making has it from first to last


def create(
    folder: Path,
    config: SiteFile,
    plan_path: Path,
    *,
    init: Path | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    passphrase: bytes | None = None,
) -> Site:
    """Make a site's folder: all of it, or nothing.

    Args:
        folder: where; must not exist, or be empty.
        config: site.toml; a task's file is copied into the folder.
        plan_path: the plan; it is copied, and so is the model's .py file that it names.
        init: a safetensors file to start from instead of random weights; the provider's too where something stays at home.
        key: the private key; made anew when None.
        passphrase: what encrypts the private key; None leaves it unencrypted.

    Raises:
        UsageError, ConfigError: something named is not there or cannot be used.
        SpaceError, StorageError: see `files.storage` and `files.require_modes`.
    """
    plan_file, copies = drafted(folder, config, plan_path, init)
    folder = folder.absolute()
    secrets = {AGE_NAME: age.generate().encode("ascii")} if plan_file.plan.encrypt else {}
    key = keys.generate() if key is None else key
    public = keys.PublicKey(key.public_key())
    with staged(folder) as staging:
        for name, content in (secrets | {KEY_NAME: keys.private_pem(key, passphrase)}).items():
            files.write(staging / name, content)
        files.write(staging / PUBLIC_NAME, public.pem.encode("ascii"))
        for name, content in copies.items():
            files.write(staging / name, content)
        created = Created(role=config.role, key=public.fingerprint, plan=plan_file.digest)
        events.create(staging / events.EVENTS_NAME, ledger.create(staging / ledger.LEDGER_NAME, created))
    return site.load(folder)


def drafted(folder: Path, config: SiteFile, plan_path: Path, init: Path | None) -> tuple[PlanFile, dict[str, bytes]]:
    """All that can be refused of a new site before anything is written; see `create` for the arguments.

    Returns:
        The plan, and the files that are no secrets, by name.

    Raises:
        UsageError, ConfigError: something named is not there or cannot be used, or the folder cannot become a site.
    """
    plan_file = site.read_plan(plan_path)
    require_new(folder.absolute())
    config, copies = _copies(config, plan_file, plan_path, init)
    return plan_file, {SITE_NAME: _utf8(config), **copies}


def _utf8(config: SiteFile) -> bytes:
    """site.toml's bytes; a path on Linux may hold bytes that are no text."""
    text = site_file.text(config)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = next(line for line in text.splitlines() if any("\ud800" <= c <= "\udfff" for c in line))
        raise UsageError(
            f"a path is not UTF-8, as site.toml has to be: {escape(line, 300)}", "rename the file or folder, and try again"
        ) from error


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A site in the making, which gets its own name at the end; private keys are in it, so nothing is left of a failed one.

    Args:
        folder: where the site will lie; see `require_new`.

    Yields:
        The folder to fill; what a killed command left of it is removed.

    Raises:
        SpaceError, StorageError: see `files.storage` and `files.require_modes`.
    """
    staging = in_the_making(folder)
    _remove(staging)
    try:
        files.make_folder(staging)
        files.require_modes(staging)
        for name in (_FIRST, "inbox"):
            files.make_folder(staging / name)
        yield staging
        with files.storage(folder):
            if folder.exists():
                folder.rmdir()
        files.publish(staging, folder)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(AlxError):
            _remove(staging)
        raise


def in_the_making(folder: Path) -> Path:
    """Where a new site lies until it is whole."""
    return folder.with_name(f".{folder.name}.new")


def _remove(staging: Path) -> None:
    """Remove a site in the making: last what it is told by."""
    with files.storage(staging):
        ours = staging.is_dir() and not staging.is_symlink()
        inside = [path for path in staging.iterdir() if path.name != _FIRST] if ours else []
    for path in inside:
        files.remove_tree(path)
    files.remove_tree(staging)


def _left_over(staging: Path) -> bool:
    """Whether it is what a killed command left of a site, or nothing."""
    if not staging.is_dir() or staging.is_symlink():
        return not os.path.lexists(staging)
    names = {path.name for path in staging.iterdir()}
    return _FIRST in names or names <= {files.PROBE}


def require_new(folder: Path) -> None:
    """Refuse a folder that cannot become a site: not empty, in another site, where one stands, or with too long a path.

    Neither can one beside which somebody's own folder has the name under which the site would be made.

    Raises:
        UsageError: says which.
    """
    if not folder.name:
        raise UsageError("/ is no site", "name a new folder")
    chain.require_path(in_the_making(folder) / ledger.LEDGER_NAME)
    if folder == Path.cwd():
        raise UsageError("a site cannot be made of the folder one stands in", "name a new folder")
    site.refuse_inside(folder.parent)
    with files.storage(folder):
        if folder.is_symlink():
            raise UsageError(f"'{escape(str(folder), 200)}' is a link", "name a new folder")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"'{escape(str(folder), 200)}' exists and is not empty", "name a new folder")
        if not _left_over(in_the_making(folder)):
            where = escape(str(in_the_making(folder)), 200)
            raise UsageError(f"'{where}' is in the way, and no site that was being made", "name another folder")


def _copies(config: SiteFile, plan_file: PlanFile, plan_path: Path, init: Path | None) -> tuple[SiteFile, dict[str, bytes]]:
    """What is copied into a new site, by name; and the configuration that speaks of the copies."""
    copies = {PLAN_NAME: plan_file.data} | _code(plan_file, plan_path.parent)
    if config.task != "built-in":
        path = Path(config.task)
        if path.suffix != ".py" or path.name in copies:
            raise UsageError(
                f"--task '{escape(config.task, 200)}', expected a .py file named otherwise than the plan's model"
            )
        copies[path.name] = site.source(path)
        config = config.model_copy(update={"task": path.name})
    if init is not None:
        if not takes_init(config, plan_file):
            raise UsageError(
                "--init is the learner's: the provider starts from what the learner sends",
                "where the plan has freeze or personal under [model], both sides need it",
            )
        copies[INIT_NAME] = _bytes(init)
    return config, copies


def takes_init(config: SiteFile, plan_file: PlanFile) -> bool:
    """Whether a side begins with weights that it is given: the learner, and the provider where a part may stay at home.

    A model of one's own may freeze a part of itself: only one that runs tells.
    """
    model = plan_file.plan.model
    known = config.task == "built-in" and model is not None and model.source.startswith(NEVER_FROZEN)
    return config.role == "learner" or not known or bool(model and (model.freeze or model.personal))


def _code(plan_file: PlanFile, folder: Path) -> dict[str, bytes]:
    """The model's own .py file, if the plan names one."""
    name = None if plan_file.plan.model is None else plan_file.plan.model.file()
    if name is None:
        return {}
    if Path(name).name != name:
        raise ConfigError(f"the model's file '{escape(name)}' has to lie beside the plan")
    return {name: site.source(folder / name)}


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(f"there is no file '{escape(str(path), 200)}'")
    with files.storage(path):
        return path.read_bytes()
