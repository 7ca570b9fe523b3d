"""Images changed at random by torchvision's transforms: each by itself, the same after an interruption, never measured."""

import inspect
import io

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan
from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.objective import Objective
from alx.tasks import check_task, distillation, supervised
from alx.tasks.augmentation import NO_CLASS, Augmented
from alx.tasks.data.samples import of
from alx.tasks.models import small_cnn
from alx.tasks.objective import losses, optimisers
from alx.tasks.torchvision_cpu import torchvision
from alx.training import Distillation, Training
from alx.transforms import KINDS, Transform
from tests.conftest import Plain
from tests.tasks.test_training_settings import COUNT, HEAD, Seen, begun, images, masks, play, rows, same, task

SIZE = 20
NEEDED = {  # what torchvision has no default for, or does nothing without
    "RandomCrop": {"padding": 2},
    "RandomRotation": {"degrees": 60},
    "RandomAffine": {"degrees": [-30, 30], "translate": [0.2, 0.2], "scale": [0.5, 1.5], "shear": 10.0},
    "ElasticTransform": {"sigma": 0.8},
    "GaussianBlur": {"kernel_size": 3},
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": [0.5, 1.5], "hue": 0.1},
    "RandomPosterize": {"bits": 2},
    "RandomSolarize": {"threshold": 100},
    "RandomAdjustSharpness": {"sharpness_factor": 3.0},
}
EVERY = {name: Transform(name=name, **NEEDED.get(name, {})) for name in KINDS}
FLIP, SHIFT = EVERY["RandomHorizontalFlip"], EVERY["RandomCrop"]
MOVING = Training(augment=[FLIP, SHIFT, Transform(name="RandomRotation", degrees=20)])


def pixels(count=COUNT, channels=1, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def changed(transforms, inputs, targets=None, seed=1, rounds=1):
    """A batch, so many times over."""
    labels = torch.zeros(len(inputs), dtype=torch.int64) if targets is None else targets
    data = Augmented(of(TensorDataset(inputs, labels)), transforms, seed)
    found = [data.samples_at(torch.arange(len(inputs))) for _ in range(rounds)]
    return tuple(torch.cat(each) for each in zip(*found, strict=True))


# --- the plan


def read(text):
    return plan.parse(f"{HEAD}{text}".encode()).plan.training


def test_transforms_stand_in_the_plan_as_tables_one_after_the_other():
    text = """
[[training.augment]]
name = "RandomHorizontalFlip"
[[training.augment]]
name = "RandomCrop"
size = [32, 32]
padding = 4
"""
    found = read(text)
    assert [t.words() for t in found.augment] == ["RandomHorizontalFlip", "RandomCrop(size=[32, 32], padding=4)"]
    assert found.augments
    line = '{ name = "RandomHorizontalFlip" }, { name = "RandomCrop", size = [32, 32], padding = 4 }'
    assert read(f"training = {{ augment = [{line}] }}\n") == found
    again = plan.written(plan.parse(f"{HEAD}{text}".encode()).plan)
    assert plan.parse(again).plan.training == found


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('name = "RandomHorizontalFlp"', "no transform is called 'RandomHorizontalFlp', nearest: 'RandomHorizontalFlip'"),
        ('name = "randomcrop"', "no transform is called 'randomcrop', nearest: 'RandomCrop'"),
        ('name = "Normalize"', "no transform is called 'Normalize'"),
        ('name = "\\u001b[31m"', r"no transform is called '\\x1b\[31m'"),
        ('name = "RandomCrop", paddings = 4', "RandomCrop takes no 'paddings', nearest: 'padding'"),
        ('name = "RandomHorizontalFlip", chance = 1', "RandomHorizontalFlip takes no 'chance', it takes p"),
        ('name = "RandomRotation", expand = true', "RandomRotation takes no 'expand'"),
        ('name = "RandomCrop", padding = { left = 1 }', "augment.0.padding: is a table, expected true or false or a number"),
        ("p = 0.5", "augment.0.name: field required"),
        ("name = 3", "augment.0.name: input should be a valid string"),
    ],
)
def test_a_transform_or_an_argument_that_is_none_is_refused_with_the_nearest_that_is(table, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read(f"training = {{ augment = [{{ {table} }}] }}\n")
    assert caught.value.hint == "docs/plan.md describes every field"


@pytest.mark.parametrize("name", KINDS)
def test_every_transform_has_the_arguments_that_torchvision_gives_it(name):
    theirs = inspect.signature(getattr(torchvision().transforms.v2, name)).parameters
    assert set(KINDS[name].arguments) <= set(theirs)
    assert set(theirs) - set(KINDS[name].arguments) <= {"pad_if_needed", "expand", "inplace"}  # of another size; not ours


# --- each image by itself


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_every_transform_changes_images_each_in_its_own_way(name, channels):
    one = (pixels(1, channels, SIZE) // 2 + 40).expand(40, -1, -1, -1).contiguous()
    found, targets = changed([EVERY[name]], one)
    assert (found.dtype, found.shape) == (torch.uint8, one.shape)
    assert not targets.any()
    least = 1 if name == "RandomGrayscale" and channels == 1 else 2
    assert len(found.flatten(1).unique(dim=0)) >= least
    again, _ = changed([EVERY[name]], one)
    assert torch.equal(again, found)
    other, _ = changed([EVERY[name]], one, seed=2)
    assert least == 1 or not torch.equal(other, found)


@pytest.mark.parametrize(
    "name", [n for n in KINDS if "p" in KINDS[n].arguments and n not in ("RandomPerspective", "RandomErasing")]
)
def test_a_batch_at_once_is_what_torchvision_makes_of_each_image(name):
    batch = pixels(40, 3, SIZE)
    made = getattr(torchvision().transforms.v2, name)(p=1.0, **NEEDED.get(name, {}))
    whole = torch.stack([made(each) for each in batch])
    found, _ = changed([Transform(name=name, p=0.5, **NEEDED.get(name, {}))], batch)
    took = (found == whole).flatten(1).all(1)
    assert 8 < int(took.sum()) < 32
    assert torch.equal(found[~took], batch[~took])


def test_a_crop_is_what_torchvision_cuts_out_of_the_padded_image():
    functional = torchvision().transforms.v2.functional
    batch = pixels(12, 3, SIZE)
    for more in ({"fill": 7}, {"padding_mode": "reflect"}, {"fill": [1, 2, 3]}):
        found, _ = changed([Transform(name="RandomCrop", padding=[1, 2], **more)], batch)
        wide = functional.pad(batch, [1, 2], **more)
        parts = [functional.crop(wide, top, left, SIZE, SIZE) for top in range(5) for left in range(3)]
        for i, each in enumerate(found):
            assert any(torch.equal(each, part[i]) for part in parts)


def test_half_of_the_images_are_mirrored_and_every_shift_is_as_likely():
    rows = torch.arange(8.0).reshape(1, 1, 8, 1).expand(500, 1, 8, 8) + 1
    columns = torch.arange(8.0).expand(500, 1, 8, 8) + 1
    found, _ = changed([SHIFT], torch.cat([rows, columns], 1), rounds=8)
    for place in (found[:, 0, 4, 4], found[:, 1, 4, 4]):  # the row and the column that came there: 2 to 6, counted from 0
        assert (place.long().bincount(minlength=8)[3:] / 4000).tolist() == pytest.approx([0.2] * 5, abs=0.02)
    mirrored, _ = changed([FLIP], columns, rounds=8)
    assert (mirrored[:, 0, 0, 0] == 8).double().mean() == pytest.approx(0.5, abs=0.02)


def test_pixels_are_changed_before_they_are_normalised():
    data = images(6, 3)
    white = [Transform(name="RandomErasing", p=1.0, value=255, scale=[0.5, 0.5], ratio=[1.0, 1.0])]
    found, _ = Augmented(data, white, 0).samples_at(torch.arange(6))
    assert found.dtype == torch.float32
    assert found.amax((1, 2, 3)).tolist() == pytest.approx([(1 - 0.4) / 0.3] * 6)
    grey, _ = Augmented(data, [Transform(name="RandomGrayscale", p=1.0)], 0).samples_at(torch.arange(6))
    luma = (data.images * torch.tensor([0.2989, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True).floor()
    assert torch.allclose(grey, ((luma / 255 - 0.4) / 0.3).expand_as(grey), atol=2 / 255 / 0.3)


# --- labels of places


@pytest.mark.parametrize("name", [n for n in KINDS if KINDS[n].moves and not KINDS[n].colours])
def test_class_numbers_of_places_move_with_the_image(name):
    """An image that shows its labels shows them afterwards, and where it shows what came in there is no class."""
    labels = pixels(30, 1, SIZE)[:, 0].long() % 5
    more = {"fill": 200} if "fill" in KINDS[name].arguments else {}
    more |= {"interpolation": "nearest"} if "interpolation" in KINDS[name].arguments else {}
    given = {**EVERY[name].arguments, **more}
    found, moved = changed([Transform(name=name, **given)], labels.unsqueeze(1).to(torch.uint8), labels)
    assert moved.dtype == torch.int64
    free = found[:, 0] == 200
    assert torch.equal(moved[~free], found[:, 0][~free].long())
    assert (moved[free] == NO_CLASS).all()
    assert not torch.equal(moved, labels)
    assert bool(free.any()) == bool(more.get("fill")), "a plan's fill is seen"


@pytest.mark.parametrize("name", [n for n in KINDS if not KINDS[n].moves])
def test_class_numbers_of_places_stay_where_only_colours_change(name):
    labels = pixels(30, 1, SIZE)[:, 0].long() % 5
    _, stayed = changed([EVERY[name]], pixels(30, 3, SIZE), labels)
    assert torch.equal(stayed, labels)


def test_places_without_a_class_add_nothing_to_the_loss():
    labels = torch.ones(8, 8, 8, dtype=torch.int64)
    data = TensorDataset(torch.rand(8, 1, 8, 8), labels)
    lessons = Training(augment=[Transform(name="RandomRotation", degrees=45)])
    net = nn.Conv2d(1, 3, 1)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    made = task(lessons, data, lambda: net)
    _, targets = Augmented(of(data), lessons.augment, 5).samples_at(torch.arange(8))
    share = float((targets != NO_CLASS).double().mean())
    assert 0.6 < share < 1
    assert made.trainer(net, 5).step() == pytest.approx(share * torch.tensor(3.0).log().item(), abs=1e-5)


def test_distillation_and_weights_leave_places_without_a_class_out():
    """Where there is none, the start's answers and the weights of classes count for nothing."""
    data = TensorDataset(torch.rand(8, 1, 8, 8), torch.arange(8).reshape(8, 1, 1).expand(8, 8, 8) % 3)
    objective = Objective(class_weights={"0": 1.0, "1": 2.0, "2": 3.0})
    held = distillation.term("cross_entropy", Distillation(weight=1.0), objective, ["0", "1", "2"])
    answers, targets = torch.randn(2, 2, 3, 4, 4), torch.full((2, 4, 4), NO_CLASS)
    assert not held(*answers, targets).any()
    lessons = Training(augment=[Transform(name="RandomRotation", degrees=45)])
    loss = losses("cross_entropy", objective, ["0", "1", "2"])
    adam = optimisers("adam", {"lr": 0.003})
    made = supervised(lambda: nn.Conv2d(1, 3, 1), data, loss, adam, batch_size=8, training=lessons, distillation=held)
    assert check_task(made) == []


# --- a run


def seen(training, data=None, steps=12):
    run = begun(task(training, data, Seen))
    for _ in range(steps):
        run.trainer.step()
    return run.model.given


def test_augmentation_does_not_change_the_order_of_samples():
    level = torch.arange(COUNT).float().reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous() + 1
    data = TensorDataset(level, torch.zeros(COUNT, dtype=torch.long))
    plain, moved = seen(Training(), data), seen(MOVING, data)
    assert [x.amax((1, 2, 3)).tolist() for x in plain] == [x.amax((1, 2, 3)).tolist() for x in moved]
    assert not all(torch.equal(a, b) for a, b in zip(plain, moved, strict=True))


def test_augmentation_leaves_torchs_own_random_numbers_alone():
    """Else dropout would be another with it."""
    for training in (Training(), MOVING):
        run = begun(task(training))
        torch.manual_seed(3)
        run.trainer.step()
        made = task(training)
        made.trainer(run.model, 4)
        assert torch.rand(1).item() == pytest.approx(0.00427, abs=1e-5)  # torch.manual_seed(3); torch.rand(1)


def test_each_epoch_augments_anew_and_the_same_seed_in_the_same_way():
    first, again = seen(MOVING), seen(MOVING)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    sums = {tuple(x.sum((1, 2, 3)).sort().values.tolist()) for x in seen(MOVING, images(8), steps=6)}
    assert len(sums) == 6  # what is pushed out of the image differs


ALL = Training(augment=list(EVERY.values()), channels_last=True, precision="bfloat16")


@pytest.mark.parametrize(("training", "cut"), [(MOVING, 3), (MOVING, 5), (ALL, 7)])  # 5: the end of an epoch
def test_a_run_with_augmentation_goes_on_bit_for_bit(training, cut):
    def dropping():
        return nn.Sequential(nn.Dropout(0.3), small_cnn(1, 8, 3))

    made = task(training, model=dropping)
    whole = play(made)
    run = begun(made)
    for _ in trajectory.sample(run, cut, 1, lambda _step, _loss: None):
        pass
    buffer = io.BytesIO()
    torch.save(run.state_dict(), buffer)
    buffer.seek(0)
    rest = begun(made)
    rest.load_state_dict(torch.load(buffer, weights_only=True))
    found = dict(trajectory.sample(rest, 10, 1, lambda _step, _loss: None))
    assert list(found) == list(range(cut + 1, 11))
    assert all(same(snapshot, whole[step]) for step, snapshot in found.items())


def test_a_task_that_augments_keeps_every_promise():
    assert check_task(task(ALL)) == []


def test_losses_are_measured_on_images_as_they_are():
    told = []
    for each in (Training(), ALL):
        made = task(each, held_out=images(12))
        trajectory.seed_all(0)
        model = made.new_model()
        told.append((measure.measure(made, model, state.copied(model.state_dict())), measure.held_out(made, model)))
    assert told[0] == told[1]


def test_inputs_of_every_kind_of_data_set_are_augmented_alike():
    inputs, targets = images().samples_at(torch.arange(COUNT))
    data = TensorDataset(inputs, targets)
    runs = [play(task(MOVING, each)) for each in (data, Plain(data))]
    assert all(same(runs[0][step], runs[1][step]) for step in runs[0])


def test_a_start_is_asked_of_what_the_model_is_trained_on():
    """Distillation of a model that has not moved yet adds nothing, whatever becomes of the images."""
    met = []

    def term(outputs, answers, _targets):
        met.append((outputs - answers).abs().max().item())
        return (outputs - answers).square().sum(1)

    made = task(MOVING, distillation=term)
    begun(made).trainer.step()
    assert met == [pytest.approx(0, abs=1e-6)]


@pytest.mark.gpu
def test_a_gpu_sees_what_a_cpu_sees():
    data, chosen = images(8, 3, SIZE), torch.arange(8)
    there = data.to(torch.device("cuda"))
    for name, transform in EVERY.items():
        expected, _ = Augmented(data, [transform], 0).samples_at(chosen)
        found, _ = Augmented(there, [transform], 0).samples_at(chosen.cuda())
        assert (found.cpu() - expected).abs().mean() < 1 / 255 / 0.3, name  # a nearest pixel, or a rounding, may differ


# --- what does not fit


def floats():
    return TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8))


def smaller():
    return TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4, 4, 4, dtype=torch.long))


def normalised():
    return TensorDataset(torch.linspace(-2, 2, 4 * 192).reshape(4, 3, 8, 8), torch.zeros(4, dtype=torch.long))


def six():
    return images(4, 6)


@pytest.mark.parametrize(
    ("data", "transform", "said"),
    [
        (rows, FLIP, r"augment RandomHorizontalFlip in the plan is for images .*, and a sample .* the shape \[8\]"),
        (
            floats,
            FLIP,
            r"RandomHorizontalFlip moves .* labels of shape \[8, 8\] \(float32\), which would have to move with it",
        ),
        (smaller, SHIFT, r"labels of shape \[4, 4\] \(int64\)"),
        (masks, EVERY["RandAugment"], r"RandAugment moves what is in an image, and a sample has labels of shape \[8, 8\]"),
        (six, EVERY["ColorJitter"], "ColorJitter is for images of 1 or 3 channels, and these have 6"),
        (normalised, EVERY["RandomInvert"], "RandomInvert is for pixels, .* and the data's go from -2 to 2"),
        (images, Transform(name="RandomCrop", size=4), "RandomCrop makes images of 4 x 4 pixels out of 8 x 8"),
        (
            images,
            Transform(name="RandomCrop", size=[9, 9]),
            r"RandomCrop\(size=\[9, 9\]\) in the plan: torchvision raised ValueError",
        ),
        (images, Transform(name="RandomResizedCrop", size=16), "makes images of 16 x 16 pixels out of 8 x 8"),
        (
            images,
            Transform(name="RandomHorizontalFlip", p=2.0),
            r"RandomHorizontalFlip\(p=2.0\) in the plan: torchvision raised ValueError",
        ),
        (images, Transform(name="RandomRotation"), r"RandomRotation in the plan: torchvision raised TypeError: .*degrees"),
        (images, Transform(name="RandomRotation", degrees=9, interpolation="sharp"), "ValueError: 'sharp' is not a valid"),
        (images, Transform(name="AutoAugment", policy="medical"), "ValueError: 'medical' is not a valid AutoAugmentPolicy"),
        (images, Transform(name="RandomErasing", scale=[0.3, 0.1]), "UserWarning: Scale and ratio should be of kind"),
        (images, Transform(name="RandomCrop", padding=2, fill=[1, 2, 3]), "RandomCrop.* in the plan: torchvision raised"),
    ],
)
def test_what_cannot_be_augmented_is_refused_before_training(data, transform, said):
    with pytest.raises(ConfigError, match=said) as caught:
        task(Training(augment=[transform]), data())
    assert caught.value.hint
