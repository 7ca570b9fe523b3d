"""The file of a model in use: safetensors, with a note on where it comes from; read as if anybody had written it.

Knows weights and a plan's digest; knows no data. Loading one needs no alx. Beside it lie the plan, as inputs are made by it,
the model's own .py file if the plan names one, a card for people, and a bill of materials for programs.
"""

import hashlib
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from alx import __version__, files
from alx.bundle import layout as layouts
from alx.bundle import strict_json
from alx.bundle.layout import Layout
from alx.bundle.layout import Tensor as TensorSpec
from alx.bundle.signature import Sha256
from alx.errors import ConfigError, CorruptError, LimitError, MalformedError, ModelError, NotFiniteError, UsageError, escape
from alx.learning import state as states
from alx.learning.task import State
from alx.plan import PlanFile
from alx.records import Finite, Strict
from alx.turns.best import Best
from alx.turns.bridge import frozen_in, layout_of, to_flat

ENDING = ".safetensors"
NOTE = "alx"  # the metadata key of the note
MAX_HEADER_BYTES = 100_000_008  # safetensors' own limit, with the length before it
MAX_NOTE_BYTES = 1 << 14  # of the note: nine short fields


class Note(Strict):
    """What the file says of itself. It is not signed: it tells files apart, and damage from none."""

    alx: Annotated[str, Field(max_length=40)] = Field(description="version of alx that wrote the file")
    plan: Sha256 = Field(description="SHA-256 of the plan's file")
    code: Sha256 | None = Field(description="SHA-256 of the model's own .py file, if the plan names one")
    task: Literal["built-in", "own"] = Field(description="own: a file of the site's made the inputs, not the plan alone")
    weights: Sha256 = Field(description="SHA-256 of the raw state, as in a bundle's manifest: of what travels")
    round: Annotated[int, Field(ge=1)]
    snapshot: Annotated[str, Field(max_length=200)]
    global_loss: Finite
    samples: Annotated[int, Field(ge=1)]
    frozen: Sha256 | None = Field(default=None, description="digest of what is frozen, as in a bundle's manifest")
    personal: Sha256 | None = Field(default=None, description="SHA-256 of the raw tensors that are the writing site's own")


def note(found: Best) -> Note:
    """The note of a model that a site selected."""
    chosen, site = found.selected, found.site
    return Note(
        alx=__version__,
        plan=site.plan_file.digest,
        code=site.code_digest,
        task="built-in" if site.config.task == "built-in" else "own",
        weights=hashlib.sha256(found.state).hexdigest(),
        round=chosen.round,
        snapshot=chosen.label,
        global_loss=chosen.global_loss,
        samples=chosen.samples,
        frozen=None if found.stays is None else found.stays.digest,
        personal=_raw(found.personal) if found.parts else None,
    )


def written(found: Best, whole: State) -> bytes:
    """A selected model as the bytes of such a file.

    Args:
        found: the selection.
        whole: all of the model.
    """
    return packed(whole, note(found))


def packed(whole: State, says: Note) -> bytes:
    """A model as the bytes of such a file.

    Args:
        whole: all of it.
        says: what the file says of itself.
    """
    return save(dict(whole), {NOTE: strict_json.text(says).decode("utf-8")})


def stem(path: Path) -> Path:
    """The path without the ending: what the files beside it begin with."""
    return path.with_name(path.name.removesuffix(ENDING))


def plan_beside(path: Path) -> Path:
    """Where the plan of a model file lies."""
    return stem(path).with_name(f"{stem(path).name}.plan.toml")


def card_beside(path: Path) -> Path:
    """Where the card of a model file lies."""
    return stem(path).with_name(f"{stem(path).name}.md")


def bill_beside(path: Path) -> Path:
    """Where the bill of materials of a model file lies: CycloneDX's own ending."""
    return stem(path).with_name(f"{stem(path).name}.cdx.json")


def require_own(path: Path, plan_digest: str) -> None:
    """Refuse a file that is no model of `alx best` under this plan.

    Raises:
        MalformedError: it is another.
        StorageError: it cannot be read.
    """
    with files.storage(path):
        if not stat.S_ISREG(path.lstat().st_mode):  # no link is followed, no pipe waited for
            raise MalformedError(f"'{escape(path.name)}' is no plain file")
    found = noted(path)
    if found is None or found.plan != plan_digest:
        raise MalformedError(f"'{escape(path.name)}' is no model of alx best under this plan")


def noted(path: Path) -> Note | None:
    """The note of a model file; None where it has none, as one that alx did not write.

    Raises:
        UsageError: there is no such file.
        MalformedError, LimitError: it is no safetensors file, or its note is none of ours.
    """
    _, metadata = _header(path)
    if NOTE not in metadata:
        return None
    what = f"the note in '{escape(path.name)}'"
    value = strict_json.parse(metadata[NOTE].encode("utf-8", "replace"), what, MAX_NOTE_BYTES)
    return strict_json.validate(Note, value, f"{what} is not of this version of alx", "write it anew with alx best")


def _header(path: Path) -> tuple[list[TensorSpec], Mapping[str, str]]:
    """Names, dtypes and shapes, and the metadata; no weight is read."""
    name = f"'{escape(path.name)}'"
    with files.storage(path):
        if not path.is_file():
            raise UsageError(f"there is no model file '{escape(str(path), 200)}'")
        try:
            with safe_open(path, framework="pt") as file:
                if len(file.keys()) > layouts.MAX_TENSORS:
                    raise LimitError(
                        f"{name} holds {len(file.keys())} tensors, and a model has {layouts.MAX_TENSORS} at most"
                    )
                slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
                # not validated: a name or a dtype that no model has differs from every model's
                found = [
                    TensorSpec.model_construct(name=key, dtype=each.get_dtype(), shape=list(each.get_shape()))
                    for key, each in slices.items()
                ]
                return found, file.metadata() or {}
        except SafetensorError as error:
            told = escape(" ".join(str(error).split()).rstrip("."), 120)
            raise MalformedError(f"{name} is no safetensors file: {told}", "is it whole? copy it again") from error


def tensors(
    path: Path, expected: Layout, travels: Collection[str], personal: Collection[str], plan: PlanFile
) -> dict[str, Tensor]:
    """The weights of a model file, read only where it holds what the plan's model has.

    Args:
        path: the file.
        expected: the model's tensors.
        travels: the names of those that travel.
        personal: of those that are each site's own; the others are frozen.
        plan: under which the model is asked.

    Raises:
        ConfigError: it was trained under another plan.
        ModelError: names the tensors that differ.
        CorruptError: its weights are not those that its note names.
        NotFiniteError: a weight is NaN or infinite.
        UsageError, MalformedError: see `noted`.
    """
    says, (there, _) = noted(path), _header(path)
    if says is not None and says.plan != plan.digest:
        raise ConfigError(
            f"'{escape(path.name)}' was trained under plan {says.plan[:16]}…, expected {plan.digest[:16]}…",
            "name the plan it was trained under: --plan FILE",
        )
    try:
        layouts.check_model(there, expected)
    except ModelError as error:
        raise error.within(f"'{escape(path.name)}'", "is it a model of this plan? --plan FILE names another") from error
    # a copy of its own: pages of a file that is shortened meanwhile would end the process
    found = load(files.read(path, expected.nbytes + MAX_HEADER_BYTES))
    if says is not None and digests(found, travels, personal) != (says.weights, says.frozen, says.personal):
        raise CorruptError(
            f"the weights in '{escape(path.name)}' are not those that alx best wrote", "copy it again, or write it anew"
        )
    bad = states.finite(found)
    if bad is not None:
        raise NotFiniteError(f"'{escape(path.name)}' has a weight that is not finite in '{escape(bad)}'")
    return found


def digests(found: State, travels: Collection[str], personal: Collection[str]) -> tuple[str, str | None, str | None]:
    """Of what travels, of what is frozen, and of what is personal, where there is any; as the note has them."""
    sent, own = ({name: value for name, value in found.items() if name in part} for part in (travels, personal))
    rest = frozen_in({name: value for name, value in found.items() if name not in travels and name not in personal})
    return _raw(sent), None if rest is None else rest.digest, _raw(own) if own else None


def _raw(held: State) -> str:
    return hashlib.sha256(to_flat(held, layout_of(held))).hexdigest()
