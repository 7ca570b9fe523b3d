import csv
import itertools
import zlib
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from alx.tasks import looped

WORDS, LENGTH = 512, 16  # words are numbered by their checksums, so that nobody keeps a list; 0 is padding
WEIGHTS = torch.tensor([1.0, 3.0])  # an urgent one is rare

config = BertConfig(
    vocab_size=WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=LENGTH, num_labels=2,
)  # fmt: skip
args = TrainingArguments(
    output_dir="out", num_train_epochs=3, per_device_train_batch_size=16, learning_rate=2e-3, weight_decay=0.01,
    lr_scheduler_type="cosine", warmup_steps=10, max_grad_norm=1.0, report_to="none", use_cpu=True,
)  # fmt: skip


class Referrals(Dataset):
    def __init__(self, path):
        with Path(path).open(newline="", encoding="utf-8") as file:
            self.rows = [(row["text"].lower().split()[:LENGTH], int(row["urgent"])) for row in csv.DictReader(file)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        words, urgent = self.rows[index]
        ids = [zlib.crc32(word.encode()) % (WORDS - 1) + 1 for word in words]
        return {"input_ids": torch.tensor(ids + [0] * (LENGTH - len(ids))), "labels": torch.tensor(urgent)}


def collate(rows):
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return batch | {"attention_mask": (batch["input_ids"] > 0).long()}


class Weighted(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = nn.functional.cross_entropy(outputs.logits, inputs["labels"], weight=WEIGHTS.to(outputs.logits.device))
        return (loss, outputs) if return_outputs else loss


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = BertForSequenceClassification(config)

    def forward(self, ids):
        return self.net(ids, attention_mask=(ids > 0).long()).logits


def pairs(path):
    data = Referrals(path)
    rows = [data[index] for index in range(len(data))]
    return TensorDataset(*(torch.stack([row[name] for row in rows]) for name in ("input_ids", "labels")))


def train(model, loader, steps):
    args.seed = torch.initial_seed() % 2**32  # this turn's: a Trainer seeds everything with what it is given
    trainer = Weighted(model.net, args)
    trainer.create_optimizer_and_scheduler(num_training_steps=steps)
    trainer.current_gradient_accumulation_steps = 1  # what its own loop would say
    for _ in itertools.count():
        for batch in loader:
            loss = trainer.training_step(model.net, batch)
            nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            trainer.optimizer.step()
            trainer.lr_scheduler.step()
            trainer.optimizer.zero_grad()
            yield loss, trainer.optimizer, trainer.lr_scheduler


def make_task(settings):
    path = settings.folder / "own.csv"
    return looped(
        model=Reader,
        train=train,
        loader=DataLoader(Referrals(path), args.per_device_train_batch_size, shuffle=True, collate_fn=collate),
        data=pairs(path),
        loss=nn.CrossEntropyLoss(weight=WEIGHTS.to(args.device), reduction="none"),
        held_out=pairs(settings.folder / "kept.csv"),
        device=args.device,
    )
