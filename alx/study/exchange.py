"""Both sites of an exchange and a folder that plays the disk, through the same functions as the commands.

Knows sites and turns; knows no data and no score.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files, turns
from alx import plan as plans
from alx.records import Role
from alx.site import budget, personal, shelf
from alx.site import site as sites
from alx.site.site import Site
from alx.site.site_file import SiteFile
from alx.steps import new, outgoing, pairing
from alx.turns import Chosen, Sealed

Say = Callable[[str], None]
FOLDERS = (*get_args(Role), "disk")


@dataclass(frozen=True, slots=True)
class Turn:
    """One carried bundle: what was sealed, and what its receiver chose."""

    sealed: Sealed
    chosen: Chosen


@dataclass(frozen=True, slots=True)
class Exchange:
    """Two paired sites in one folder; the folder `disk` beside them is what is carried.

    Attributes:
        folder: holds all three.
        sites: by role.
        say: told the story, line by line.
        returns: a loss is minus a return, and is told as one.
    """

    folder: Path
    sites: Mapping[Role, Site]
    say: Say
    returns: bool = False

    def play(self, round_: int) -> tuple[Turn, Turn]:
        """One round: the learner's turn and the provider's answer. Killed at any point, the same call goes on.

        Args:
            round_: from 1; the last one played, or the one after it.
        """
        learner, provider = self.sites["learner"], self.sites["provider"]
        return self._turn(learner, provider, round_), self._turn(provider, learner, round_)

    def _turn(self, sender: Site, receiver: Site, round_: int) -> Turn:
        with sender.locked("train-local") as now:
            done = len(now.position.sealed) >= round_
            sealed = turns.sealed(now) if done else turns.train(now)
            packed = sealed.size / sealed.raw_size
            of_plain = f", {packed:.0%} of plain weights" if packed < 1 else ""  # the manifest alone outweighs a tiny model
            self.say(f"  {sender.role:<8} trained and sealed {sealed.contents}: {files.size(sealed.size)}{of_plain}")
        there = receiver.look()
        if len(there.position.selected) >= round_:
            last = there.position.selected[-1]
            signer = there.keyring.signers[last.digest].fingerprint
            chosen = Chosen(receiver.inbox / sealed.path.name, signer, again=True, selected=last)
        else:
            with sender.locked("export") as now:
                copied = outgoing.export(now, self.folder / "disk")
            with receiver.locked("import-and-select", copied.path.name) as now:
                chosen = turns.import_and_select(now, copied.path)
        mean = chosen.selected.mean
        sample = "sample" if receiver.plan.select_on == "training" else "validation sample"
        least, greatest = f"the least global loss, {mean:.3f} a {sample}", f"the greatest return, {-mean:.3f} an environment"
        self.say(
            f"  {receiver.role:<8} checked the {sender.role}'s signature ({chosen.signer[:8]}…) and chose "
            f"{chosen.selected.label}: {greatest if self.returns else least}"
        )
        return Turn(sealed, chosen)

    def close(self) -> int:
        """After the last round: the learner's closing, with which both sides end with one model. May be called again.

        Returns:
            Bytes of the closing.
        """
        learner, provider = self.sites["learner"], self.sites["provider"]
        with learner.locked("export") as now:
            copied = outgoing.export(now, self.folder / "disk")
        with provider.locked("import-and-select", copied.path.name) as now:
            chosen = turns.import_and_select(now, copied.path)
        size = files.size(copied.size)
        self.say(f"closing, {size}: the learner's last choice, {chosen.selected.label}, is what both sides have now")
        return copied.size

    def forget(self) -> None:
        """Delete the bundles that nothing is made of any more, and those on the disk: a long study fills no disk.

        A blend of the peer's last bundle is made of it, of the site's own last, and of the peer's before.
        """
        for site in self.sites.values():
            position = site.look().position
            for turn in (*position.sealed[:-1], *position.accepted[:-2]):
                files.remove_tree(shelf.place(site, turn))
            personal.forget(site.folder, [turn.digest for turn in position.sealed[-1:]])
        for bundle in (self.folder / "disk").glob("alx-*"):
            files.remove_tree(bundle)


def begin(
    folder: Path,
    plan: str,
    configs: Mapping[str, SiteFile],
    seed: int,
    say: Say,
    *,
    returns: bool = False,
    init: Path | None = None,
) -> Exchange:
    """Make both sites from one plan, and pair them.

    Args:
        folder: where; it exists, and holds none of `FOLDERS`; a model's own file lies there beside the plan.
        plan: the text of plan.toml.
        configs: site.toml of `learner` and `provider`.
        seed: of the two keys. Never do this with keys that matter.
        say: told the story, line by line.
        returns: a loss is minus a return, and is told as one.
        init: the weights to begin with, or None; the provider is given them too where a part of the model may stay at home.
    """
    with files.storage(folder):
        (folder / "disk").mkdir()
    files.replace(folder / "plan.toml", plan.encode("utf-8"), shared=True)
    shared = new.takes_init(configs["provider"], plans.parse(plan.encode("utf-8")))
    begins: dict[Role, Path | None] = {"learner": init, "provider": init if shared else None}
    both: dict[Role, Site] = {role: _site(folder, role, configs[role], seed, begins[role]) for role in begins}
    directions: tuple[tuple[Role, Role], ...] = (("learner", "provider"), ("provider", "learner"))
    introduced = {role: turns.introduce(site.look()) for role, site in both.items()}
    for role, other in directions:
        pairing.pair(both[role].look(), introduced[other])
        say(f"{role} pinned the {other}'s key; its words: {' '.join(introduced[other].words.split()[:4])} …")
    return Exchange(folder, both, say, returns)


def resume(folder: Path, say: Say) -> Exchange | None:
    """The exchange that was begun there, or None if it was not, or not wholly (see `begin` for the arguments)."""
    found: dict[Role, Site] = {}
    for role in get_args(Role):
        if not (folder / role / sites.SITE_NAME).is_file():
            return None
        found[role] = sites.load(folder / role)
        if found[role].look().position.step == "pair":
            return None
    return Exchange(folder, found, say)


def _site(folder: Path, role: Role, config: SiteFile, seed: int, init: Path | None) -> Site:
    # keys out of the seed, so that the same seed gives the same bundle digests
    number = int.from_bytes(hashlib.sha256(f"alx demo {seed} {role}".encode()).digest()) >> 1
    key = ec.derive_private_key(number, ec.SECP256R1())
    site = new.create(folder / role, config, folder / "plan.toml", init=init, key=key)
    if site.plan.privacy is not None:  # as above
        files.replace(site.folder / budget.NOISE_NAME, hashlib.sha256(f"alx demo noise {seed} {role}".encode()).digest())
    return site
