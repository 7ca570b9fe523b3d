"""The common model: a small BERT made from a configuration, with adapters by peft; the plan names `reader`."""

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

WORDS, LENGTH = 512, 16  # of the vocabulary, and of a note


class Reader(BertForSequenceClassification):
    """Word numbers [n, LENGTH], 0 where there is none, to logits [n, classes]."""

    def forward(self, words: Tensor) -> Tensor:
        return super().forward(words, attention_mask=(words > 0).long()).logits


def plain(classes: int) -> Reader:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return Reader(BertConfig(vocab_size=WORDS, max_position_embeddings=LENGTH, num_labels=classes, **sizes))


def reader(classes: int) -> nn.Module:
    """Only what is trained travels: the adapters, and the head."""
    net = inject_adapter_in_model(LoraConfig(r=4, target_modules=["query", "value"]), plain(classes))
    net.classifier.requires_grad_(requires_grad=True)
    return net
