"""Notes in a column of a CSV: words become numbers, and the plan's model, loss and optimiser do the rest."""

import csv
import zlib
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from alx.tasks import Settings, Task, supervised

WORDS, LENGTH = 512, 16  # as in model.py
LABELS = ("routine", "urgent")


def numbers(text: str) -> list[int]:
    """A number for each word, the same on every machine."""
    found = [1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in text.lower().split()[:LENGTH]]
    return found + [0] * (LENGTH - len(found))


def notes(path: Path) -> TensorDataset:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = torch.tensor([LABELS.index(row["label"]) for row in rows])
    return TensorDataset(torch.tensor([numbers(row["note"]) for row in rows]), labels)


def make_task(settings: Settings) -> Task:
    plan = settings.plan
    return supervised(
        settings.model,
        notes(settings.folder / "notes.csv"),
        settings.loss,
        settings.optimiser,
        batch_size=plan.batch_size,
        held_out=notes(settings.folder / "kept.csv"),
        device=settings.device,
        distillation=settings.distillation,
    )
