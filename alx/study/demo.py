"""The demo: two real sites and a folder that plays the disk, through the same functions as the commands.

scikit-learn's packaged handwritten digits, 1,797 real images of 8 x 8 pixels (UCI, Alpaydin and Kaynak, 1998). A fifth
is held out. The learner holds the digits 0-4 and 2 % of the others, the provider 5-9 and 2 % of the others.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from alx import files, turns
from alx.errors import UsageError
from alx.plan import Role
from alx.site import disk, pairing
from alx.site import site as sites
from alx.site.site import Data, Site, SiteFile
from alx.study import baselines, figures, splits
from alx.tasks import load
from alx.turns import Chosen, Sealed

ROUND_STEPS = 200
MINOR = 0.02
HELD_OUT = 0.2
MARK, MARKED = ".alx-demo", b"made by alx demo, which may replace what it made here\n"
MADE = ("learner", "provider", "disk")  # folders; the files are overwritten
RESULT = "demo.json"
PLAN = """\
# The demo's agreement: docs/plan.md describes every field.
name = "digits"
rounds = {rounds}
round_steps = {round_steps}      # shared in proportion to the data sizes
sampling_period = 10
batch_size = 64
candidates = "blended"
seed = {seed}

[optimiser]
name = "adam"
lr = 0.001

[model]
source = "alx.tasks.models:small_cnn"
arguments = {{ channels = 1, size = 8, classes = 10 }}

[images]
channels = 1
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """Where everything is, and the numbers."""

    folder: Path
    result: dict[str, Any]


def run(folder: Path, rounds: int, seed: int, say: Say) -> Demo:
    """Play the whole exchange and its baselines.

    Args:
        folder: made anew; an earlier demo there is replaced.
        rounds: assistance rounds.
        seed: of the split, the weights, every turn and the two keys; the same on a CPU gives the same bundle digests.
        say: told the story, line by line.

    Raises:
        UsageError: the folder holds something else.
    """
    begun = time.monotonic()
    _clear(folder)
    sizes = _data(folder, seed)
    (folder / "plan.toml").write_text(PLAN.format(rounds=rounds, round_steps=ROUND_STEPS, seed=seed))
    both = {role: _site(folder, role, seed) for role in get_args(Role)}
    say(f"learner: {sizes['learner']} images, mostly of 0-4; provider: {sizes['provider']}, mostly of 5-9")
    introduced = {role: turns.introduce(site) for role, site in both.items()}
    for role, other in (("learner", "provider"), ("provider", "learner")):
        pairing.pair(both[role], introduced[other].data)
        say(f"{role} pinned the {other}'s key; its words: {' '.join(introduced[other].words.split()[:4])} …")
    played = [_round(folder, both, number, say) for number in range(1, rounds + 1)]
    say("training without assistance, for comparison: the learner, the provider, and both data sets pooled")
    curves = {role: _alone(folder, role, rounds, seed) for role in ("learner", "provider", "pooled")}
    best = turns.best(both["learner"])
    result: dict[str, Any] = {
        "learner_only": curves["learner"][-1],
        "provider_only": curves["provider"][-1],
        "centralised": curves["pooled"][-1],
        "assisted": best.held_out,
        "rounds": played,
        "samples": best.samples,
        "seed": seed,
    }
    figures.by_round(
        folder / "demo.png",
        f"alx demo: digits, {ROUND_STEPS} steps a round, seed {seed}",
        [r["global_loss"] / best.samples for r in played],
        {
            "pooled data": curves["pooled"],
            "assisted": [r["accuracy"] for r in played],
            "provider alone": curves["provider"],
            "learner alone": curves["learner"],
        },
        "accuracy on held-out digits",
    )
    result["seconds"] = round(time.monotonic() - begun, 1)
    files.replace(folder / RESULT, json.dumps(result, indent=1).encode("utf-8"))
    return Demo(folder, result)


def _clear(folder: Path) -> None:
    """Make the folder, or take away what an earlier demo made in it; nothing else is touched."""
    mark = folder / MARK
    if folder.exists() and not (mark.is_file() and mark.read_bytes() == MARKED) and not _is_empty(folder):
        raise UsageError(f"'{folder}' is not empty and no earlier demo", "name another with --dir")
    for name in MADE:
        files.remove_tree(folder / name)
    with files.storage(folder):
        (folder / "disk").mkdir(parents=True)
    files.write(mark, MARKED)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _data(folder: Path, seed: int) -> dict[str, int]:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - nothing else of scikit-learn is used

    digits = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.target))
    images = np.round(digits.images[order] * (255 / 16)).astype(np.uint8)  # pixels come as 0 to 16
    labels = digits.target[order].astype(np.int64)
    kept = round(len(labels) * (1 - HELD_OUT))
    learner, provider = splits.complementary(labels[:kept], [0, 1, 2, 3, 4], MINOR, rng)
    parts = {"learner": learner, "provider": provider, "pooled": np.arange(kept)}
    for name, indices in parts.items():
        np.savez(
            folder / f"{name}.npz",
            train_images=images[indices], train_labels=labels[indices],
            test_images=images[kept:], test_labels=labels[kept:],
        )  # fmt: skip
    return {name: len(indices) for name, indices in parts.items()}


def _site(folder: Path, role: Role, seed: int) -> Site:
    # Keys out of the seed, so that the same seed gives the same bundle digests. Never do this with keys that matter.
    number = int.from_bytes(hashlib.sha256(f"alx demo {seed} {role}".encode()).digest()) >> 1
    data = Data(kind="npz", path=str(Path("..") / f"{role}.npz"))
    key = ec.derive_private_key(number, ec.SECP256R1())
    return sites.create(folder / role, SiteFile(role=role, data=data), folder / "plan.toml", key=key)


def _turn(folder: Path, sender: Site, receiver: Site, say: Say) -> tuple[Sealed, Chosen]:
    with sender.locked():
        sealed = turns.train(sender)
        say(
            f"  {sender.role:<8} trained and sealed {sealed.contents}: {files.size(sealed.size)}, "
            f"{sealed.size / sealed.raw_size:.0%} of raw"
        )
        copied = disk.export(sender, folder / "disk", lambda _what, _done, _total: None)
    with receiver.locked():
        chosen = turns.import_and_select(receiver, copied.path)
    body = chosen.body
    say(
        f"  {receiver.role:<8} checked the {sender.role}'s signature ({chosen.signer[:8]}…) and chose {body['label']}: "
        f"the least global loss, {body['global_loss'] / body['samples']:.3f} a sample"
    )
    return sealed, chosen


def _round(folder: Path, both: dict[Role, Site], number: int, say: Say) -> dict[str, Any]:
    say(f"round {number}")
    there = _turn(folder, both["learner"], both["provider"], say)
    back = _turn(folder, both["provider"], both["learner"], say)
    body = back[1].body
    return {
        "round": number,
        "global_loss": body["global_loss"],
        "accuracy": body["held_out"][body["index"]],
        "selected": {"learner": body["label"], "provider": there[1].body["label"]},
        "bundles": [
            {"path": str(folder / "disk" / sealed.path.name), "from": role, "bytes": sealed.size,
             "raw_bytes": sealed.raw_size, "snapshots": sealed.snapshots, "blends": sealed.blends, "digest": sealed.digest}
            for role, (sealed, _) in (("learner", there), ("provider", back))
        ],
    }  # fmt: skip


def _alone(folder: Path, name: str, rounds: int, seed: int) -> list[float]:
    site = sites.load(folder / "learner")
    data = Data(kind="npz", path=str(folder.absolute() / f"{name}.npz"))
    task = load.task(folder, site.config.model_copy(update={"data": data}), site.plan)
    return baselines.alone(task, seed, rounds, ROUND_STEPS)
