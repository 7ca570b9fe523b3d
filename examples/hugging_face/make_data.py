"""Write learner.csv and provider.csv: made-up referrals in one sentence, urgent or not; each side has words of its own."""

import csv
import random
from pathlib import Path

ROWS, KEPT, STRANGE = 400, 120, 0.1  # share of the sentences that are in the other side's words
WORDS = {
    "learner": (
        ["crushing chest pain", "sudden numbness of one arm", "breathless at rest", "vomiting blood"],
        ["a mild cough", "an itching rash", "sore knees after sport", "trouble falling asleep"],
    ),
    "provider": (
        ["fainted twice", "slurred speech", "a stiff neck and fever", "a cold and pale leg"],
        ["a blocked nose", "dry eyes", "back pain after gardening", "a repeat prescription"],
    ),
}
SENTENCES = ("{who} with {what} {when}", "{when} {who} had {what}", "{what} {when}, says {who}")
WHO = ("a man of 40", "a woman of 62", "a student", "an old farmer", "a nurse")
WHEN = ("since this morning", "for three days", "since the weekend", "for a while")


def row(side):
    urgent = rng.random() < 1 / 4
    what = rng.choice(WORDS[side][0 if urgent else 1])
    return rng.choice(SENTENCES).format(who=rng.choice(WHO), what=what, when=rng.choice(WHEN)), int(urgent)


rng = random.Random(0)  # noqa: S311 - not for a secret
kept = [row(side) for side in WORDS for _ in range(KEPT // 2)]
for side, other in (("learner", "provider"), ("provider", "learner")):
    own = [row(other if rng.random() < STRANGE else side) for _ in range(ROWS)]
    for name, rows in ((side, own), ("kept", kept)):
        with Path(f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "urgent"), *rows])
