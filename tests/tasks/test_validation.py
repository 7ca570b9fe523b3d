"""The plan's `select_on = "validation"`: which samples are kept for it, and an exchange whose losses are sums over them."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from alx import plan as plans
from alx.errors import ConfigError, UsageError
from alx.learning import measure, state
from alx.site import site_file
from alx.tasks import load
from alx.tasks.data import kinds, questions, validation
from alx.tasks.data.images import NormalisedImages
from alx.tasks.data.samples import Tensors
from tests.conftest import PLAN, make_world, pair_world, run
from tests.tasks.test_data import Source

ON = 'select_on = "validation"\nvalidation_share = 0.2\n' + PLAN + "\n[disclosure]\nleast = 3\n"


def rows(targets):
    return Tensors(torch.arange(len(targets), dtype=torch.float32).reshape(-1, 1), torch.tensor(targets))


def test_a_share_is_of_each_class_and_no_sample_is_on_both():
    own = rows([0] * 50 + [1] * 10 + [2] * 3)
    left, kept = validation.split(own, 0.2, 7, "cross_entropy")
    assert np.bincount(kept.targets).tolist() == [10, 2, 1]
    numbers = [x.samples_at(torch.arange(len(x)))[0].flatten().tolist() for x in (left, kept)]
    assert sorted(numbers[0] + numbers[1]) == list(range(63))
    again = validation.split(own, 0.2, 7, "cross_entropy")[1]
    assert torch.equal(kept.tensors[0], again.tensors[0])
    assert not torch.equal(kept.tensors[0], validation.split(own, 0.2, 8, "cross_entropy")[1].tensors[0])


def test_numbers_have_no_classes_to_share_out():
    own = Tensors(torch.arange(10.0).reshape(-1, 1), torch.arange(10.0))
    left, kept = validation.split(own, 0.3, 0, "mse")
    assert (len(left), len(kept)) == (7, 3)


@pytest.mark.parametrize("seed", range(4))
def test_of_each_class_with_two_samples_or_more_one_is_kept_and_one_trained_on(seed):
    counts = [100, 1, *[4] * 20, 2]
    for share, few in ((0.1, 1), (0.9, 3)):
        left, kept = validation.rows(torch.repeat_interleave(torch.tensor(counts)), share, seed, "cross_entropy")
        labels = torch.repeat_interleave(torch.tensor(counts))
        assert np.bincount(labels[kept], minlength=23).tolist() == [round(100 * share), 0, *[few] * 20, 1]
        assert len(left) + len(kept) == sum(counts)
    # a label of 0 or 1 is a class in floats too, and a number to predict is none in whole numbers either
    yes = torch.tensor([1] * 20 + [0] * 380)
    for labels in (yes, yes.float()):
        kept = validation.rows(labels, 0.1, seed, "binary_cross_entropy")[1]
        assert (len(kept), int(yes[kept].sum())) == (40, 2)
    assert [len(part) for part in validation.rows(torch.arange(50), 0.1, seed, "mse")] == [45, 5]


def test_images_are_parted_as_they_lie():
    pixels = torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1).expand(6, 1, 2, 2).contiguous()
    left, kept = validation.split(NormalisedImages(pixels, torch.tensor([0, 1] * 3), [0.5], []), 0.4, 0, "cross_entropy")
    assert sorted([*left.images[:, 0, 0, 0].tolist(), *kept.images[:, 0, 0, 0].tolist()]) == list(range(6))
    assert kept.targets.tolist() == [int(v) % 2 for v in kept.images[:, 0, 0, 0]]
    assert kept.mean == [0.5]


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(ConfigError, match=r"of 4 samples leaves .* to train on and .* to select on"):
        validation.split(rows([0, 1, 2, 3]), share, 0, "cross_entropy")


def test_arrays_or_a_file_for_validation_go_before_a_share(tmp_path):
    agreed = plans.parse(ON.encode()).plan
    x, y = np.ones((9, 4), dtype=np.float32), np.zeros(9, dtype=np.int64)
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y, val_images=2 * x[:2], val_labels=y[:2])
    np.savez(tmp_path / "more.npz", train_images=3 * x[:4], train_labels=y[:4])

    def found(source):
        own, _ = kinds.load(source, tmp_path, agreed)
        return [
            (len(s), float(s.samples_at(torch.tensor([0]))[0][0, 0]))
            for s in kinds.for_selection(source, tmp_path, agreed, own)
        ]

    assert found(Source("npz", "own.npz")) == [(9, 1.0), (2, 2.0)]
    assert found(Source("npz", "own.npz", validation="more.npz")) == [(9, 1.0), (4, 3.0)]
    assert found(Source("npz", "more.npz")) == [(3, 3.0), (1, 3.0)]


def test_samples_for_validation_are_others_and_of_the_same_kind(tmp_path):
    agreed = plans.parse(ON.encode()).plan
    x, y = np.ones((9, 4), dtype=np.float32), np.zeros(9, dtype=np.int64)
    pixels = np.zeros((2, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y, val_images=pixels, val_labels=y[:2])
    np.savez(tmp_path / "labels.npz", train_images=x, train_labels=y, val_labels=y[:2])
    for source, told in (
        (Source("npz", "labels.npz"), "'labels.npz' has val_labels, and no val_images"),
        (Source("npz", "own.npz"), "the samples for validation are pixels, and those to train on numbers"),
        (Source("npz", "own.npz", validation="./own.npz"), "names the samples that are trained on"),
    ):
        own, _ = kinds.load(source, tmp_path, agreed)
        with pytest.raises(ConfigError, match=told):
            kinds.for_selection(source, tmp_path, agreed, own)


def test_a_score_is_not_of_the_samples_that_models_are_selected_by(tmp_path):
    agreed = plans.parse((ON + '[columns]\nlabel = "y"\nclasses = ["0", "1"]\nnumeric = { a = {} }\n').encode()).plan
    for name in ("own.csv", "kept.csv"):
        (tmp_path / name).write_text("a,y\n" + "1,0\n2,1\n" * 20)
    with pytest.raises(ConfigError, match=r"validation and held_out in site\.toml name the same samples"):
        kinds.parts(Source("csv", "own.csv", "kept.csv", validation="./kept.csv"), tmp_path, agreed)
    x, y = np.ones((40, 4), dtype=np.float32), np.arange(40) % 2
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y)
    np.savez(tmp_path / "kept.npz", train_images=x, train_labels=y, test_images=x[:9], test_labels=y[:9])
    found = kinds.parts(Source("npz", "own.npz", "kept.npz", validation="kept.npz"), tmp_path, plans.parse(ON.encode()).plan)
    assert [len(part) for part in (found.own, found.validation, found.held_out)] == [40, 40, 9]


def numbered(path, count):
    """Samples whose one number, and whose column `id`, is their place in the file."""
    x, y = np.arange(count, dtype=np.float32).reshape(-1, 1), np.arange(count) % 4
    np.savez(path, train_images=x, train_labels=y, train_id=np.arange(count), test_images=x[:5], test_labels=y[:5])


def asked(source, folder, text, part):
    """The places of a site's own part, which its column says too."""
    found = questions.own(source, folder, plans.parse(text.encode()).plan, part)
    places = found.samples.samples_at(torch.arange(len(found.samples)))[0].flatten().int().tolist()
    assert found.column("id") == [str(place) for place in places]
    return found.where, places


@pytest.mark.parametrize("canaries", [0, 40])
def test_what_is_asked_for_is_what_is_trained_on_and_what_is_selected_on_with_its_columns(tmp_path, canaries):
    numbered(tmp_path / "own.npz", 100)
    numbered(tmp_path / "more.npz", 7)
    source, other = (Source("npz", "own.npz", validation=each, canaries=canaries) for each in (None, "more.npz"))
    _, trained = asked(source, tmp_path, ON, "train")
    where, kept = asked(source, tmp_path, ON, "val")
    assert (where, len(kept)) == ("the val part of 'own.npz'", 20)
    assert not set(trained) & set(kept)
    for each, text, most in ((source, PLAN, 100), (other, ON, 100), (source, ON, 80)):
        where, own = asked(each, tmp_path, text, "train")
        assert where == "the train part of 'own.npz'"
        out = most - len(own)
        assert 5 < out < 35 if canaries else out == 0  # about half of them are trained on
    assert asked(other, tmp_path, ON, "val") == ("the val part of 'more.npz'", list(range(7)))
    with pytest.raises(UsageError, match='select_on = "training": models are selected on what is trained on'):
        asked(source, tmp_path, PLAN, "val")


def test_torchvisions_sets_have_no_others_to_select_on(tmp_path):
    agreed = plans.parse(ON.encode()).plan
    with pytest.raises(ConfigError, match="every copy of mnist holds the same samples"):
        kinds.for_selection(Source("mnist", "a", validation="b"), tmp_path, agreed, rows([0, 1]))


def test_losses_are_sums_over_validation_samples_and_training_never_sees_them(tmp_path):
    world = make_world(tmp_path, ON)
    site = world.site("learner")
    task = load.task(site.folder, site.config, site.plan)
    own, _ = kinds.load(site.config.data, site.folder, site.plan)
    left, kept = kinds.for_selection(site.config.data, site.folder, site.plan, own)
    assert (len(own), len(kept)) == (40, task.sample_losses.count)
    net = task.new_model().eval()
    x, y = kept.samples_at(torch.arange(len(kept)))
    by_hand = nn.functional.cross_entropy(net(x), y, reduction="sum").item()
    found = measure.measure(task, net, state.of(task, net))
    assert (found.total, found.count) == (pytest.approx(by_hand, rel=1e-6), len(kept))
    assert len(task.trainer(net, 0)._trainer._data) == len(left)


def test_an_exchange_on_validation_samples_is_exact_and_never_rises_and_says_so(tmp_path, capsys):
    world = pair_world(make_world(tmp_path, ON))
    losses = []
    for round_ in (1, 2):
        for sender, receiver in (("learner", "provider"), ("provider", "learner")):
            bundle = world.turn(sender)
            manifest = json.loads((bundle / "manifest.json").read_bytes())
            assert manifest["samples"] == {"learner": 8, "provider": 12}[sender]
            assert world.take(receiver, bundle) == 0, round_
            selected = world.state(receiver).position.selected[-1]
            losses.append(selected.global_loss)
    assert losses == sorted(losses, reverse=True)
    own = selected.own[selected.index] / 8
    capsys.readouterr()
    for part, samples, loss in (("val", 8, pytest.approx(own, rel=1e-6)), ("train", 32, pytest.approx(own, rel=0.9))):
        assert run(["evaluate", "--part", part, "--json", "--round", "2", "--site", str(world.folder("learner"))]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["samples"], told["loss"]) == (samples, loss), part
    run(["status", "--site", str(world.folder("learner"))])
    run(["best", str(tmp_path / "best.safetensors"), "--site", str(world.folder("learner"))])
    told = capsys.readouterr().out
    assert told.count(f"global loss {losses[-1]:.6g} over validation samples") == 2


def test_a_file_for_validation_under_a_plan_that_selects_on_training_is_refused(tmp_path):
    site = make_world(tmp_path).site("learner")
    data = site.config.data.model_copy(update={"validation": "../provider.npz"})
    with pytest.raises(ConfigError, match=r'site\.toml names validation, and the plan says select_on = "training"'):
        load.task(site.folder, site.config.model_copy(update={"data": data}), site.plan)


def test_the_file_is_named_at_init_and_written_into_site_toml(tmp_path):
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).touch()
    data = site_file.named(f"npz:{tmp_path}/a.npz", None, str(tmp_path / "b.npz"))
    config = site_file.SiteFile(role="learner", data=data)
    assert f'validation = "{tmp_path}/b.npz"' in site_file.text(config)
    with pytest.raises(UsageError, match="there is no data at"):
        site_file.named(f"npz:{tmp_path}/a.npz", None, "nowhere.npz")
