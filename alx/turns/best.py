"""The models that a site selected: the best, the latest, and that of a round."""

from dataclasses import dataclass

from torch import Tensor

from alx.bundle.frozen import Frozen
from alx.bundle.layout import Layout
from alx.errors import UsageError
from alx.site import shelf
from alx.site.entries import Closed, Sealed, Selected
from alx.site.site import Site
from alx.site.state import SiteState
from alx.turns import personal
from alx.turns.bridge import from_flat


@dataclass(frozen=True, slots=True)
class Best:
    """A model that was selected, or that the exchange was closed with; and the site that has it.

    Attributes:
        selected: the selection.
        state, layout: what travelled of it.
        stays: what did not, as nothing changes it.
        parts: what did not, as it is this site's own, packed; see `alx.turns.personal`.
        site: this one.
    """

    selected: Selected | Closed
    state: bytes
    layout: Layout
    stays: Frozen | None
    parts: bytes
    site: Site

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that training changes of it, by name."""
        return from_flat(self.state, self.layout) | self.personal

    @property
    def personal(self) -> dict[str, Tensor]:
        """What of that is this site's own."""
        return personal.unpacked(self.parts)


def best(now: SiteState) -> Best:
    """The selected model with the least global loss of all rounds (paper: "output: the best model").

    Once the exchange is closed, the one it was closed with: that is the same, up to rounding, and the peer's is it too.

    Raises:
        UsageError: nothing was selected yet.
    """
    closed = now.position.closed
    if closed is not None:
        return _of(now, closed, closed.candidate)
    least = min(_selections(now), key=lambda selected: selected.global_loss)
    return _of(now, least, least.index)


def latest(now: SiteState) -> Best:
    """The model that was selected last: for the learner, the round's result (paper: theta^r).

    Raises:
        UsageError: nothing was selected yet.
    """
    last = _selections(now)[-1]
    return _of(now, last, last.index)


def of_round(now: SiteState, number: int) -> Best:
    """The model that was selected in a round.

    Raises:
        UsageError: none was.
    """
    found = {selected.round: selected for selected in _selections(now)}
    if number not in found:
        raise UsageError(
            f"nothing was selected in round {number}", f"rounds with a selection: {', '.join(map(str, sorted(found)))}"
        )
    return _of(now, found[number], found[number].index)


def _selections(now: SiteState) -> tuple[Selected, ...]:
    position = now.position
    if not position.selected:
        raise UsageError("nothing was selected yet, so there is no best model", f"next: {position.next_command}")
    return position.selected


def _of(now: SiteState, selected: Selected | Closed, index: int) -> Best:
    # what a provider's exchange was closed with lies in a bundle of its own
    turn = next(turn for turn in (*now.position.accepted, *now.position.sealed) if turn.digest == selected.digest)
    with shelf.opened(now, turn) as bundle:
        own, said = isinstance(turn, Sealed), bundle.manifest
        parts = personal.of_candidate(now, turn, index) if own else personal.beside(now, said)
        return Best(selected, bundle.state(index), said.layout, said.stays, parts, now.site)
