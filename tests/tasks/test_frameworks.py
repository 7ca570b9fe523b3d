"""The loops of two examples train as the libraries' own trainers do, bit for bit; skipped where these are not installed."""

import contextlib
import importlib.util
import itertools
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from alx.tasks import code, torchvision_cpu

EXAMPLES = Path(__file__).parents[2] / "examples"
EPOCHS = 2

# what a library warns of is not ours
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """One thread, nothing fetched, and the random states as they were: a Trainer seeds them all."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads, drawn = torch.get_num_threads(), np.random.get_state()  # noqa: NPY002
    torch.set_num_threads(1)
    torchvision_cpu.declare()
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(drawn)  # noqa: NPY002
    torch.set_num_threads(threads)


def example(name, folder, monkeypatch):
    """The module of an example's task.py, after its data were made in the folder."""
    monkeypatch.chdir(folder)
    runpy.run_path(str(EXAMPLES / name / "make_data.py"), run_name="__main__")
    return code.file(EXAMPLES / name / "task.py")


def trained(module, model, loader):
    """The model, trained by the example's loop for `EPOCHS`."""
    torch.manual_seed(2)
    steps = EPOCHS * len(loader)
    for _ in itertools.islice(module.train(model, loader, steps), steps):
        pass
    return model


def fresh(make):
    torch.manual_seed(1)
    return make()


def same(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="needs alx[lightning]")
def test_the_loop_of_the_page_on_lightning_trains_as_its_trainer_does(tmp_path, monkeypatch):
    module = example("lightning", tmp_path, monkeypatch)
    loader = DataLoader(module.rows("learner.npz", "train"), batch_size=16, shuffle=True)
    model = fresh(module.Classifier)
    model.steps = EPOCHS * len(loader)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    torch.manual_seed(2)
    sys.modules["lightning"].Trainer(max_epochs=EPOCHS, gradient_clip_val=module.CLIP, accelerator="cpu", **quiet).fit(
        model, loader
    )
    by_loop = trained(module, fresh(module.Classifier), loader)
    assert same(model, by_loop)
    assert not same(model, fresh(module.Classifier))


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="needs alx[lightning]")
def test_the_loop_of_the_page_on_lightning_refuses_manual_optimization(tmp_path, monkeypatch):
    module = example("lightning", tmp_path, monkeypatch)
    model = fresh(module.Classifier)
    model.automatic_optimization = False
    with pytest.raises(TypeError, match="manual optimization: the module takes its steps itself"):
        next(module.train(model, [], 1))


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs alx[hugging-face]")
def test_the_loop_of_the_page_on_hugging_face_trains_as_its_trainer_does(tmp_path, monkeypatch):
    module = example("hugging_face", tmp_path, monkeypatch)
    from transformers import TrainerCallback  # noqa: PLC0415 - an extra

    data = module.Referrals("learner.csv")
    loader = DataLoader(data, module.args.per_device_train_batch_size, shuffle=True, collate_fn=module.collate)

    class Own(module.Weighted):
        def get_train_dataloader(self):
            return loader

    class Seed(TrainerCallback):
        def on_train_begin(self, *_, **__):
            torch.manual_seed(2)

    model = fresh(module.Reader)
    module.args.num_train_epochs, module.args.save_strategy, module.args.disable_tqdm = EPOCHS, "no", True
    own = Own(model.net, module.args, train_dataset=data, callbacks=[Seed()])
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - no path
        own.train()
    by_loop = trained(module, fresh(module.Reader), loader)
    assert same(model, by_loop)
    assert not same(model, fresh(module.Reader))
