import csv
import sys
import zlib
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

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


model = BertForSequenceClassification(config)
trainer = Weighted(model, args, train_dataset=Referrals(sys.argv[1]), data_collator=collate)
trainer.train()
torch.save(model.state_dict(), "model.pt")
