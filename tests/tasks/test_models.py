"""Models by the plan's source, torchvision beside a CPU torch, and a user's own Python reported."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from alx.errors import ConfigError
from alx.plan import ModelSource
from alx.tasks import code, models


def make(source, arguments=None, folder=None):
    return models.find(ModelSource(source=source, arguments=arguments or {}), folder)()


def refusal(source, arguments=None, folder=None):
    with pytest.raises(ConfigError) as caught:
        make(source, arguments, folder)
    return f"{caught.value.message} | {caught.value.hint}"


def test_torchvisions_resnet18_takes_the_plans_arguments_and_small_images():
    model = make("torchvision:resnet18", {"num_classes": 10}).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["fcn_resnet50", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_torchvisions_models_come_with_random_weights_and_no_connection(name, monkeypatch, tmp_path):
    """fcn_resnet50 fetches its backbone unless told not to; `socket.connect` is refused in all tests."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    one = make(f"torchvision:{name}", {"num_classes": 3}).state_dict()
    torch.manual_seed(0)
    two = make(f"torchvision:{name}", {"num_classes": 3}).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["weights", "weights_backbone", "pretrained"])
def test_weights_are_never_fetched_even_when_a_plan_asks_for_them(argument):
    told = refusal("torchvision:resnet18", {argument: "DEFAULT"})
    assert f"'{argument}', and weights are never fetched | bring them as a file: alx init --init" in told


def test_a_model_may_come_from_an_installed_module_or_from_a_file(tmp_path):
    assert make("torch.nn:Linear", {"in_features": 2, "out_features": 3}).weight.shape == (3, 2)
    assert make("alx.tasks.models:mlp", {"inputs": 4, "classes": 3})(torch.zeros(5, 4)).shape == (5, 3)
    (tmp_path / "beside.py").write_text("WIDTH = 7\n")
    (tmp_path / "model.py").write_text(
        "import beside\nfrom torch import nn\n\ndef net(inputs=2):\n    return nn.Linear(inputs, beside.WIDTH)\n"
    )
    assert make("model.py:net", {"inputs": 4}, tmp_path).weight.shape == (7, 4)
    assert str(tmp_path) not in sys.path


def test_what_runs_is_the_file_as_it_lies_there_and_nothing_cached(tmp_path):
    """The peer compares the SHA-256 of the source: a `.pyc` of other source must not run in its stead."""
    path = tmp_path / "model.py"
    for answer in (1, 2):  # the same size within the same second: a cache would not notice
        path.write_text(f"answer = {answer}\n")
        assert code.file(path).answer == answer
    assert [p.name for p in tmp_path.iterdir()] == ["model.py"]


def test_a_file_may_hold_dataclasses_with_postponed_annotations(tmp_path):
    (tmp_path / "model.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n\n"
        "@dataclass\nclass Shape:\n    inputs: int = 2\n\ndef net():\n    return nn.Linear(Shape().inputs, 1)\n"
    )
    assert make("model.py:net", folder=tmp_path).in_features == 2


OWN = """\
import sys
from torch import nn

def no_model():
    return 3

def breaks(width=2):
    raise RuntimeError("width \\x1b is too small")

def stops():
    sys.exit(4)

constant = 1
made = nn.Linear(2, 2)
"""


@pytest.mark.parametrize(
    ("source", "arguments", "said"),
    [
        ("torchvision:resnet19", {}, "torchvision has no model 'resnet19' | see torchvision.models.list_models()"),
        ("torchvision:resnet18", {"classes": 3}, "unexpected keyword argument 'classes'"),
        ("torchvision:vgg11", {"num_classes": -1}, "with the plan's arguments raised RuntimeError"),
        ("no.such.module:net", {}, "cannot import 'no.such.module': ModuleNotFoundError: No module named 'no'"),
        ("..relative:net", {}, "cannot import '..relative': TypeError"),
        ("torch.nn:NoSuchLayer", {}, "there is no 'NoSuchLayer' in 'torch.nn' | look at [model] source"),
        ("torch.nn:Linear", {"inputs": 3}, "unexpected keyword argument 'inputs'"),
        ("absent.py:net", {}, "there is no file"),
        ("own.py:absent", {}, "there is no 'absent' in 'own.py'"),
        ("own.py:constant", {}, "there is no 'constant' in 'own.py'"),
        (
            "own.py:made",
            {},
            "'own.py:made' is a model, expected a function that makes a model | its class is one, or lambda: …",
        ),
        ("own.py:no_model", {}, "'own.py:no_model' returned a int, expected an nn.Module"),
        ("own.py:breaks", {}, "raised RuntimeError: width \\x1b is too small (own.py, line 8)"),
        ("own.py:breaks", {"depth": 2}, "unexpected keyword argument 'depth'"),
        ("own.py:stops", {}, "raised SystemExit: 4 (own.py, line 11)"),
        ("syntax.py:net", {}, "'syntax.py' cannot be run: SyntaxError"),
        ("needs.py:net", {}, "No module named 'not_here' (needs.py, line 2) | install it on this machine, or put"),
        ("divides.py:net", {}, "'divides.py' cannot be run: ZeroDivisionError: division by zero (divides.py, line 1)"),
        ("exits.py:net", {}, "'exits.py' cannot be run: SystemExit: 3"),
    ],
)
def test_a_model_that_cannot_be_made_is_told_in_words(tmp_path, source, arguments, said):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "syntax.py").write_text("def net(:\n")
    (tmp_path / "needs.py").write_text("\nimport not_here\n")
    (tmp_path / "divides.py").write_text("1 / 0\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    assert said in refusal(source, arguments, tmp_path)


def test_a_refusal_out_of_a_users_file_passes_as_it_is():
    def refuse():
        raise ConfigError("no such ward", "ask the clinic")

    with pytest.raises(ConfigError, match=r"^no such ward$"):
        code.call("make_task", refuse)


@pytest.mark.parametrize(
    ("model", "inputs", "classes"),
    [
        (models.small_cnn(), torch.zeros(2, 1, 8, 8), 10),
        (models.small_cnn(channels=3, size=12, classes=4), torch.zeros(2, 3, 12, 12), 4),
        (models.mlp(5, 3), torch.zeros(2, 5), 3),
    ],
)
def test_the_two_models_of_alxs_own_give_a_logit_a_class(model, inputs, classes):
    assert model(inputs).shape == (2, classes)
    assert isinstance(model, nn.Module)


def test_torchvision_can_be_imported_beside_any_torch():
    """`torchvision_cpu` says why: the index's torchvision is built for CUDA, and stumbles over a CPU torch by itself."""
    program = (
        "from alx.tasks.torchvision_cpu import torchvision\n"
        "import torch\n"
        "first, again = torchvision(), torchvision()\n"
        "model = first.models.get_model('resnet18', weights=None, num_classes=2).eval()\n"
        "image = torch.zeros(1, 3, 64, 48, dtype=torch.uint8)\n"
        "small = first.transforms.v2.functional.resize(image, [32, 32], antialias=True)\n"
        "print(first is again, tuple(model(small / 255).shape), first.datasets.MNIST.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True (1, 2) MNIST\n"
