"""A site's own data: what is read, and every way in which files of real people are off, refused in words."""

import gzip
import hashlib
import os
import pickle
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from alx import plan
from alx.dialect import Dialect
from alx.errors import ConfigError
from alx.site.site_file import Data, DataKind, Metrics
from alx.study import pool
from alx.tasks import load
from alx.tasks.data import kinds
from alx.tasks.torchvision_cpu import torchvision

REAL_MNIST = Path(os.environ.get("DATA", "nowhere")) / "raw"  # as in make trips DATA=folder
PLAN = """\
name = "tiny"
rounds = 1
round_steps = 2
sampling_period = 1
optimiser = { name = "sgd", lr = 0.1 }
"""


GREY = "[images]\nchannels = 1\n"
COLOUR = "[images]\nchannels = 3\n"


@dataclass(frozen=True)
class Source:
    """The [data] of a site.toml."""

    kind: str
    path: str
    held_out: str | None = None
    validation: str | None = None
    table: Dialect = field(default_factory=Dialect)
    workers: int | None = None
    in_memory: bool | None = None
    canaries: int = 0


@dataclass(frozen=True)
class Config:
    """A site.toml."""

    data: Source | None
    task: str = "built-in"
    device: str = "cpu"
    sharding: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    settings: tuple = ()


def read(folder, source, more=""):
    return kinds.load(source, folder, plan.parse((PLAN + more).encode()).plan)


def test_every_kind_of_data_that_a_site_can_name_has_a_reader():
    assert set(kinds.READERS) == set(get_args(DataKind))


def refusal(folder, source, more=""):
    """The message and the hint."""
    with pytest.raises(ConfigError) as caught:
        read(folder, source, more)
    message = caught.value.message
    assert message[0] == message[0].lower() or not message[0].isalpha() or message.split()[0].isupper() or "MNIST" in message
    assert not message.endswith(".")
    return f"{message} | {caught.value.hint}"


# --- npz


def npz(folder, **arrays):
    np.savez(folder / "own.npz", **arrays)
    return Source("npz", "own.npz")


def grey(n=4, size=6):
    return (np.arange(n * size * size) % 256).astype(np.uint8).reshape(n, size, size)


def test_an_npz_of_medmnist_gives_images_between_0_and_1_and_whole_labels(tmp_path):
    x = grey()
    y = np.array([[0], [1], [2], [1]], dtype=np.uint8)
    source = npz(tmp_path, train_images=x, train_labels=y, test_images=x[:1], test_labels=y[:1])
    own, kept = read(tmp_path, source, GREY)
    inputs, targets = own.samples_at(torch.arange(4))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, torch.from_numpy(x).unsqueeze(1) / 255)
    assert targets.tolist() == [0, 1, 2, 1]
    assert targets.dtype == torch.int64
    assert (len(own), len(kept)) == (4, 1)
    one, label = own[2]
    assert torch.equal(one, inputs[2])
    assert label == 2


def test_colour_images_are_resized_and_normalised_as_the_plan_says(tmp_path):
    x = np.full((3, 4, 6, 3), 255, np.uint8)
    more = "[images]\nsize = [8, 10]\nchannels = 3\nmean = [0.5, 0.5, 1.0]\nstd = [0.5, 0.25, 1.0]\n"
    own, kept = read(tmp_path, npz(tmp_path, train_images=x, train_labels=np.arange(3)), more)
    inputs, _ = own.samples_at(torch.arange(3))
    assert inputs.shape == (3, 3, 8, 10)
    assert inputs[0].mean((1, 2)).tolist() == [1.0, 2.0, 0.0]
    assert kept is None


def test_grey_images_become_colour_where_the_plan_says_so_and_are_resized(tmp_path):
    x = np.zeros((2, 4, 4), np.uint8)
    x[1] = 255
    more = "[images]\nsize = [8, 8]\nchannels = 3\nmean = [0.0, 0.5, 1.0]\n"
    own, _ = read(tmp_path, npz(tmp_path, train_images=x, train_labels=np.arange(2)), more)
    inputs, _ = own.samples_at(torch.tensor([1, 0]))
    assert inputs.shape == (2, 3, 8, 8)
    assert inputs.mean((2, 3)).tolist() == [[1.0, 0.5, 0.0], [0.0, -0.5, -1.0]]
    assert own.arrays()[0].shape == (2, 8, 8, 3)


def test_numbers_in_an_npz_are_taken_as_they_are(tmp_path):
    x = np.array([[0.5, -2], [3, 4]], dtype=">f8")
    own, _ = read(tmp_path, npz(tmp_path, train_images=x, train_labels=np.array([0.25, 1.5])))
    assert own.tensors[0].tolist() == x.tolist()
    assert own.tensors[1].dtype == torch.float32
    assert own.targets.tolist() == [0.25, 1.5]


def test_a_table_of_bytes_is_of_numbers_where_the_plan_has_no_images(tmp_path):
    x = np.array([[0, 255], [3, 4]], np.uint8)
    own, _ = read(tmp_path, npz(tmp_path, train_images=x, train_labels=np.arange(2)))
    assert own.tensors[0].tolist() == [[0.0, 255.0], [3.0, 4.0]]


def test_the_held_out_part_may_lie_in_a_file_of_its_own(tmp_path):
    npz(tmp_path, train_images=grey(), train_labels=np.arange(4))
    np.savez(tmp_path / "kept.npz", test_images=grey(2), test_labels=np.arange(2))
    own, kept = read(tmp_path, Source("npz", "own.npz", "kept.npz"), GREY)
    assert (len(own), len(kept)) == (4, 2)
    np.savez(tmp_path / "kept.npz", train_images=grey(2), train_labels=np.arange(2))
    assert "'kept.npz', named by held_out, has no array test_images" in refusal(
        tmp_path, Source("npz", "own.npz", "kept.npz"), GREY
    )


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": grey()}, "'own.npz' has no array train_images | arrays are named as in MedMNIST"),
        ({"train_images": grey()}, "has train_images, and no train_labels"),
        ({"train_images": grey(), "train_labels": np.arange(3)}, "of shape [4, 6, 6] and train_labels of shape [3]"),
        ({"train_images": grey(0), "train_labels": np.arange(0)}, "at least one"),
        ({"train_images": np.float32(3), "train_labels": np.arange(1)}, "of shape []"),
        ({"train_images": np.ones((2, 2)), "train_labels": np.zeros((2, 0))}, "train_labels of shape [2, 0]"),
        ({"train_images": grey(), "train_labels": np.int64(1)}, "train_labels of shape []"),
        ({"train_images": np.array([["a"], ["b"]]), "train_labels": np.arange(2)}, "of type <U1, expected numbers"),
        ({"train_images": np.zeros((2, 2), complex), "train_labels": np.arange(2)}, "of type complex128"),
        ({"train_images": np.zeros((2, 2)), "train_labels": np.array(["x", "y"])}, "train_labels of type <U1"),
        ({"train_images": np.array([[1.0], [np.nan]]), "train_labels": np.arange(2)}, "in train_images[1] | clean"),
        ({"train_images": np.array([[1e300], [1.0]]), "train_labels": np.arange(2)}, "too large, in train_images[0]"),
        ({"train_images": np.ones((2, 2)), "train_labels": np.array([1.0, np.inf])}, "in train_labels[1]"),
        ({"train_images": grey(), "train_labels": np.arange(4), "test_images": grey()}, "and no test_labels"),
        ({"train_images": np.array([[{}], [1]], dtype=object), "train_labels": np.arange(2)}, "and nothing is unpickled"),
    ],
)
def test_an_npz_that_cannot_be_used_is_refused_in_words(tmp_path, arrays, said):
    assert said in refusal(tmp_path, npz(tmp_path, **arrays))


def test_pixels_of_another_shape_than_an_images_are_refused_in_words(tmp_path):
    for shape, said in (((2, 9), "images are uint8 [n, height, width]"), ((2, 3, 9, 9), "put the channels last")):
        source = npz(tmp_path, train_images=np.zeros(shape, np.uint8), train_labels=np.arange(2))
        assert said in refusal(tmp_path, source, GREY)
    source = npz(tmp_path, train_images=grey(), train_labels=np.arange(4), test_images=grey())
    assert "has test_images, and no test_labels" in refusal(tmp_path, source, GREY)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int64", "bool"])
@pytest.mark.parametrize("shape", [(4, 6, 6), (4, 1, 6, 6), (4, 36)])
@pytest.mark.parametrize("part", ["train", "test"])
def test_where_the_plan_has_images_nothing_but_uint8_pixels_are_taken(tmp_path, part, shape, dtype):
    arrays = {f"{p}_{what}": x for p in ("train", "test") for what, x in (("images", grey()), ("labels", np.arange(4)))}
    arrays[f"{part}_images"] = grey().reshape(shape).astype(dtype)
    for more in ("[images]\nchannels = 1\nmean = [0.1]\nstd = [0.3]\n", GREY, "[images]\nchannels = 1\nsize = [6, 6]\n"):
        told = refusal(tmp_path, npz(tmp_path, **arrays), more)
        assert (
            f"'own.npz' has {part}_images of {dtype}, and the plan has [images], which are made of uint8, 0 to 255" in told
        )
        assert "save pixels as uint8; or leave [images] out of the plan" in told


def test_a_model_of_images_that_gets_numbers_of_another_shape_is_told_with_what_it_takes(tmp_path):
    source = npz(tmp_path, train_images=grey(4, 28).astype(np.uint16), train_labels=np.arange(4))
    text = 'model = { source = "alx.tasks.models:small_cnn", arguments = { size = 28 } }\n'
    with pytest.raises(ConfigError) as caught:
        load.task(tmp_path, Config(source), plan.parse((PLAN + text).encode()).plan)
    assert "the model cannot take 'own.npz', inputs of shape [1, 28, 28]" in caught.value.message
    assert "takes [n, channels, height, width], which [images] in the plan makes of uint8" in caught.value.hint


def test_the_columns_of_a_plan_are_applied_to_a_table_and_to_nothing_else(tmp_path):
    columns = '[columns]\nlabel = "y"\nnumeric = { a = { std = 10 } }\n'
    source = npz(tmp_path, train_images=np.ones((4, 1)), train_labels=np.arange(4))
    told = refusal(tmp_path, source, columns)
    assert "the plan has [columns], and the numbers of 'own.npz' are not made by them | give the CSV itself" in told
    tiny_mnist(tmp_path / "root")
    assert "the plan has [columns], and data of the kind mnist have none" in refusal(
        tmp_path, Source("mnist", "root"), GREY + columns
    )
    assert "the plan has [images], and a CSV has none | leave [images] out" in refusal(
        tmp_path, table(tmp_path, "a,y\n1,1\n"), GREY + columns
    )


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [2, -1, 0.5])
def test_a_label_that_images_classes_do_not_name_is_refused(tmp_path, part, label):
    named = GREY + 'classes = ["benign", "malignant"]\n'
    arrays = {f"{p}_{what}": x for p in ("train", "test") for what, x in (("images", grey(2)), ("labels", np.arange(2)))}
    assert len(read(tmp_path, npz(tmp_path, **arrays), named)[0]) == 2
    arrays[f"{part}_labels"] = np.array([1, label])
    told = refusal(tmp_path, npz(tmp_path, **arrays), named)
    assert "sample 1 of " in told
    assert f"has the label {label}, expected 0 to 1, as [images] in the plan names 2 classes" in told
    assert ("the samples kept apart from" in told) == (part == "test")
    tiny_mnist(tmp_path / "root")
    assert "sample 2 of 'root' (counted from 0) has the label 2" in refusal(tmp_path, Source("mnist", "root"), named)


def test_a_file_that_is_no_whole_npz_is_refused_in_words(tmp_path):
    source = npz(tmp_path, train_images=grey(40), train_labels=np.arange(40))
    whole = (tmp_path / "own.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[300] ^= 255
    for content in (b"", b"PK", whole[: len(whole) // 2], bytes(damaged), b"hello, world\n"):
        (tmp_path / "own.npz").write_bytes(content)
        assert "'own.npz'" in refusal(tmp_path, source)
    np.save(tmp_path / "own.npy", np.arange(3))
    assert "is a single array (.npy), expected an .npz" in refusal(tmp_path, Source("npz", "own.npy"))
    (tmp_path / "own.npz").write_bytes(pickle.dumps({"train_images": 1}))
    assert "nothing is unpickled" in refusal(tmp_path, source)


def test_colour_where_the_plan_says_grey_is_refused(tmp_path):
    source = npz(tmp_path, train_images=np.zeros((4, 6, 6, 3), np.uint8), train_labels=np.arange(4))
    assert "has images of 3 channels, expected 1 | look at [images] channels" in refusal(
        tmp_path, source, "[images]\nchannels = 1\n"
    )


@pytest.mark.parametrize("kind", ["npz", "csv", "images"])
def test_a_path_with_nothing_there_is_named(tmp_path, kind):
    columns = GREY if kind == "images" else '[columns]\nlabel = "y"\nnumeric = { a = {} }\n' if kind == "csv" else ""
    assert "there is no data at" in refusal(tmp_path, Source(kind, "no\x1b[31mthing"), columns)
    assert "no\\x1b[31mthing" in refusal(tmp_path, Source(kind, "no\x1b[31mthing"), columns)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    wrong = Source(kind, "file" if kind == "images" else "folder")
    assert "expected a f" in refusal(tmp_path, wrong, columns)


# --- image folders

FOLDERS = '[images]\nsize = [4, 4]\nchannels = {}\nclasses = ["benign", "malignant"]\n'


def picture(path, colour=(10, 20, 30), mode="RGB", size=(5, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_an_image_folder_may_lack_classes_and_its_order_is_that_of_the_plan(tmp_path):
    picture(tmp_path / "own" / "malignant" / "b.png")
    picture(tmp_path / "own" / "malignant" / "a.JPG", (200, 200, 200))
    picture(tmp_path / "kept" / "benign" / "c.bmp", 7, "L")
    (tmp_path / "own" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "own" / "malignant" / "._a.jpg").write_bytes(b"x")
    (tmp_path / "own" / "malignant" / "Thumbs.db").write_bytes(b"x")
    own, kept = read(tmp_path, Source("images", "own", "kept"), FOLDERS.format(3))
    inputs, targets = own.samples_at(torch.arange(2))
    assert targets.tolist() == [1, 1]
    assert inputs.shape == (2, 3, 4, 4)
    assert inputs[1, :, 0, 0].tolist() == pytest.approx([10 / 255, 20 / 255, 30 / 255])
    assert kept.targets.tolist() == [0]
    assert read(tmp_path, Source("images", "own"), FOLDERS.format(1))[0].images.shape == (2, 1, 4, 4)


def test_a_folder_and_a_tar_of_pictures_need_size_and_classes_in_the_plan(tmp_path):
    picture(tmp_path / "own" / "benign" / "a.png")
    for kind, what in (("images", "an image folder"), ("tar", "a tar of pictures")):
        needs = f"{what} needs [images] size and classes in the plan"
        assert needs in refusal(tmp_path, Source(kind, "own"), COLOUR)


def _truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-900])


def _frames(path):
    pages = [Image.new("L", (4, 4), shade) for shade in (0, 1)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("benign/a.png", lambda p: p.write_bytes(b""), "'benign/a.png' cannot be read as an image"),
        ("benign/a.png", lambda p: p.write_text("no image"), "cannot be read as an image"),
        ("benign/a.jpg", _truncated, "'benign/a.jpg' cannot be read as an image"),
        ("benign/a.png", _truncated, "'benign/a.png' cannot be read as an image"),
        ("benign/a.dcm", lambda p: p.write_bytes(b"x"), "'benign/a.dcm' is no image of a kind that is read"),
        ("benign/deep.png/a.png", picture, "'benign/deep.png' is no image of a kind that is read"),
        ("benign/a.png", lambda p: Image.new("I;16", (4, 4), 4000).save(p), "has 16 bits a channel, expected 8 at most"),
        ("benign/a.tif", lambda p: Image.new("F", (4, 4), 0.5).save(p), "has 32 bits a channel"),
        ("benign/a.tif", _frames, "'benign/a.tif' holds 2 images, expected one"),
        ("other/a.png", picture, "'own' has a folder 'other', which is no class of the plan | one folder for"),
        ("a.png", picture, "'own' has a file 'a.png', which is no class of the plan"),
        ("benign", lambda p: p.write_text("x"), "'own/benign' is a file, expected the folder of a class"),
        ("benign/.hidden", lambda p: p.write_text("x"), "holds no images"),
        ("benign/a\x1b[2J.png", lambda p: p.write_text("x"), "a\\x1b[2J.png"),
    ],
)
def test_an_image_folder_that_cannot_be_used_is_refused_by_name(tmp_path, name, make, said):
    path = tmp_path / "own" / name
    path.parent.mkdir(parents=True)
    make(path)
    assert said in refusal(tmp_path, Source("images", "own"), FOLDERS.format(3))


# --- CSV

COLUMNS = """\
[columns]
label = "outcome"
classes = ["well", "ill"]
[columns.numeric.age]
mean = 50
std = 10
[columns.numeric.dose]
missing = 2.5
[columns.categorical.ward]
values = ["north", "NA"]
[columns.categorical.smoker]
values = ["yes", "no"]
missing = "zeros"
"""
HEAD = "id,age,dose,ward,smoker,outcome\n"


def table(folder, text, encoding="utf-8"):
    (folder / "own.csv").write_bytes(text.encode(encoding))
    return Source("csv", "own.csv")


def test_a_csv_becomes_scaled_numbers_and_one_hot_categories_in_the_plans_order(tmp_path):
    text = (
        "\ufeff"
        + HEAD.replace("age", " age ")
        + '1,60,1.5,north,yes,ill\n\n2, 40 ,,NA,n/a,"well"\r\n"3\n4",50,NaN,north,no,ill\n'
    )
    source = table(tmp_path, text)
    own, kept = read(tmp_path, source, COLUMNS)
    assert own.tensors[0].tolist() == [[1, 1.5, 1, 0, 1, 0], [-1, 2.5, 0, 1, 0, 0], [0, 2.5, 1, 0, 0, 1]]
    assert own.tensors[1].tolist() == [1, 0, 1]
    assert own.tensors[1].dtype == torch.int64
    assert kept is None
    (tmp_path / "kept.csv").write_bytes((tmp_path / "own.csv").read_bytes())
    assert len(read(tmp_path, Source("csv", "own.csv", "kept.csv"), COLUMNS)[1]) == 3


def test_samples_kept_apart_are_pixels_where_those_trained_on_are(tmp_path):
    x, y = np.zeros((4, 6, 6), np.uint8), [0, 1, 0, 1]
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y, test_images=np.float32(x), test_labels=y)
    told = "the samples kept apart are numbers, and those to train on pixels | make them alike"
    assert told in refusal(tmp_path, Source("npz", "own.npz"))
    np.savez(tmp_path / "own.npz", train_images=np.float32(x), train_labels=y, test_images=x, test_labels=y)
    assert "the samples kept apart are pixels, and those" in refusal(tmp_path, Source("npz", "own.npz"))


@pytest.mark.parametrize("kind", ["csv", "images", "tar"])
@pytest.mark.parametrize("held_out", ["own", "./own", "link"])
def test_samples_kept_apart_are_others_than_those_trained_on(tmp_path, kind, held_out):
    (tmp_path / "own").touch()
    (tmp_path / "link").symlink_to("own")
    more = COLUMNS if kind == "csv" else GREY
    assert "held_out names the samples that are trained on" in refusal(tmp_path, Source(kind, "own", held_out), more)
    assert "held_out names the samples that" in refusal(tmp_path, Source("tar", "tars", "tars/kept.tar"), GREY)


def test_a_csv_without_classes_has_numbers_for_labels(tmp_path):
    own, _ = read(tmp_path, table(tmp_path, "a,y\n1,2.5\n"), '[columns]\nlabel = "y"\nnumeric = { a = {} }\n')
    assert own.tensors[1].tolist() == [2.5]
    assert own.tensors[1].dtype == torch.float32
    assert "line 2: 'tall' in column 'y' is no number" in refusal(
        tmp_path, table(tmp_path, "a,y\n1,tall\n"), '[columns]\nlabel = "y"\nnumeric = { a = {} }\n'
    )


def test_a_csv_needs_columns_in_the_plan(tmp_path):
    assert "a CSV needs [columns] in the plan" in refusal(tmp_path, table(tmp_path, HEAD))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'own.csv' is empty"),
        (HEAD, "'own.csv' has a header and no rows"),
        (HEAD.replace(",", ";", 3) + "1;2;3;4,5,6\n", "may be parted by ',' or ';': 'id;age;dose;ward,smoker,outcome'"),
        (HEAD.replace("age", "AGE"), "has no column 'age' | it looks like the plan's"),
        (HEAD.replace("outcome", "ill"), "which is the label | is it called otherwise? [data.table] rename says so"),
        (HEAD.replace("id", "age"), "has 2 columns 'age', expected one"),
        (HEAD + "1,60,1,north,yes\n", "'own.csv' line 2 has 5 cells, and the header 6"),
        (HEAD + "1,60,1,north,yes,ill\n1,60,1,north,yes,ill,\n", "'own.csv' line 3 has 7 cells, and the header 6"),
        (HEAD + "1,,1,north,yes,ill\n", "line 2: column 'age' is empty | fill it, remove the row, or declare missing"),
        (HEAD + "1,nan,1,north,yes,ill\n", "line 2: column 'age' is missing ('nan')"),
        (
            HEAD + '1,"6,5",1,north,yes,ill\n',
            "'6,5' in column 'age' is no number | decimals have '.', and thousands no mark; else",
        ),
        (HEAD + '1,"265,000",1,north,yes,ill\n', "'265,000' in column 'age' is no number | decimals have '.', and"),
        (
            HEAD + "1,265\u00a0000,1,north,yes,ill\n",
            "is no number | decimals have '.', and thousands no mark; else write decimal",
        ),
        (HEAD + "1,6_5,1,north,yes,ill\n", "'6_5' in column 'age' is no number"),
        (HEAD + "1,old,1,north,yes,ill\n", "'old' in column 'age' is no number"),
        (HEAD + "1,-inf,1,north,yes,ill\n", "'-inf' in column 'age' is no finite number"),
        (HEAD + "1,60,1e39,north,yes,ill\n", "'1e39' in column 'dose' is no finite number"),
        (HEAD + "1,60,1,,yes,ill\n", "column 'ward' is empty"),
        (HEAD + "1,60,1,south,yes,ill\n", "'south' is no value of column 'ward' in the plan | values: north, NA"),
        (HEAD + "1,60,1,north,yes,\n", "the label column 'outcome' is empty | remove the row"),
        (HEAD + "1,60,1,north,yes,NaN\n", "the label column 'outcome' is missing ('NaN')"),
        (HEAD + "1,60,1,north,yes,dead\x1b\n", "'dead\\x1b' in column 'outcome' is no class of the plan | classes: well"),
        (HEAD + '1,60,1,"north,yes,ill\n', "cannot read 'own.csv'"),
        (HEAD + "1,60,1,north,yes,il\0l\n", "'own.csv'"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_line_and_column(tmp_path, text, said):
    assert said in refusal(tmp_path, table(tmp_path, text), COLUMNS)


def test_a_number_that_only_the_plans_scale_makes_too_large_is_refused(tmp_path):
    more = '[columns]\nlabel = "y"\n[columns.numeric.a]\nstd = 1e-30\n'
    assert "'1e30' in column 'a' is too large once scaled" in refusal(tmp_path, table(tmp_path, "a,y\n1e30,1\n"), more)


def test_a_csv_in_another_encoding_is_refused(tmp_path):
    for encoding in ("latin-1", "utf-16-le"):
        assert "cannot read 'own.csv'" in refusal(
            tmp_path, table(tmp_path, HEAD + "é,1,1,north,yes,ill\n", encoding), COLUMNS
        )


# --- torchvision's sets


def idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def tiny_mnist(root, labels=(0, 1, 2)):
    labels = np.array(labels)
    for part in ("train", "t10k"):
        idx(root / "MNIST" / "raw" / f"{part}-images-idx3-ubyte", grey(len(labels), 28))
        idx(root / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte", labels)


def test_mnist_is_read_from_torchvisions_files(tmp_path):
    tiny_mnist(tmp_path / "root")
    own, kept = read(tmp_path, Source("mnist", "root"), GREY)
    inputs, targets = own.samples_at(torch.arange(3))
    assert torch.equal(inputs, torch.from_numpy(grey(3, 28)).unsqueeze(1) / 255)
    assert targets.tolist() == [0, 1, 2]
    assert len(kept) == 3


@pytest.mark.skipif(not REAL_MNIST.is_dir(), reason="the real MNIST is not at hand: DATA=folder")
def test_the_real_mnist_is_read(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in REAL_MNIST.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    own, kept = read(tmp_path, Source("mnist", str(tmp_path)), GREY)
    assert (len(own), len(kept)) == (60_000, 10_000)
    assert own.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert own.images.shape == (60_000, 1, 28, 28)


@pytest.mark.parametrize(("kind", "name"), [("mnist", "MNIST"), ("cifar10", "CIFAR10"), ("svhn", "SVHN")])
def test_a_set_that_is_absent_is_told_with_how_to_get_it(tmp_path, kind, name):
    told = refusal(tmp_path, Source(kind, "nowhere"), COLOUR)
    assert f"cannot read {name} (train)" in told
    assert f"torchvision.datasets.{name}(FOLDER" in told
    assert ('split="train" and split="test"' in told) == (kind == "svhn")
    assert "download=True" in told
    assert not (tmp_path / "nowhere").exists()


def test_broken_files_of_a_set_are_refused(tmp_path):
    tiny_mnist(tmp_path)
    labels = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    for content in (b"", labels.read_bytes()[:-1], b"PK" * 20):
        labels.write_bytes(content)
        assert "cannot read MNIST (train)" in refusal(tmp_path, Source("mnist", "."), GREY)
    idx(labels, np.array([1]))
    assert "holds images torch.uint8 [3, 1, 28, 28] and labels [1], expected bytes, and one label an image" in refusal(
        tmp_path, Source("mnist", "."), GREY
    )
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(pickle.dumps({"data": [], "labels": []}))
    assert "cannot read CIFAR10" in refusal(tmp_path, Source("cifar10", "."), COLOUR)
    (tmp_path / "train_32x32.mat").write_bytes(b"x")
    assert "cannot read SVHN" in refusal(tmp_path, Source("svhn", "."), COLOUR)


def test_a_set_with_a_test_part_of_its_own_takes_no_held_out(tmp_path):
    assert "mnist has a test set of its own" in refusal(tmp_path, Source("mnist", ".", "kept"), GREY)


def test_cifar10_and_svhn_in_their_own_formats(tmp_path, monkeypatch):
    """Small files of the published formats; torchvision is told their MD5, as it opens no others."""
    sets = torchvision().datasets
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def put(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(
        sets.CIFAR10, "train_list", [["data_batch_1", put("data_batch_1", {"data": pixels, "labels": [3, 9]})]]
    )
    monkeypatch.setattr(sets.CIFAR10, "test_list", [["test_batch", put("test_batch", {"data": pixels[:1], "labels": [7]})]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": put("batches.meta", {"label_names": ["a"] * 10})}
    monkeypatch.setattr(sets.CIFAR10, "meta", meta)
    own, kept = read(tmp_path, Source("cifar10", "."), COLOUR)
    assert torch.equal(own.images, torch.from_numpy(pixels.reshape(2, 3, 32, 32)))
    assert (own.targets.tolist(), kept.targets.tolist()) == ([3, 9], [7])

    images = np.moveaxis(pixels.reshape(2, 3, 32, 32), (0, 1, 2, 3), (3, 2, 0, 1))
    parts = {}
    for part in ("train", "test"):
        scipy.io.savemat(tmp_path / f"{part}_32x32.mat", {"X": images, "y": np.array([[10], [4]])})
        md5 = hashlib.md5((tmp_path / f"{part}_32x32.mat").read_bytes(), usedforsecurity=False).hexdigest()
        parts[part] = ["", f"{part}_32x32.mat", md5]
    monkeypatch.setattr(sets.SVHN, "split_list", parts)
    own, _ = read(tmp_path, Source("svhn", "."), COLOUR)
    assert torch.equal(own.images, torch.from_numpy(pixels.reshape(2, 3, 32, 32)))
    assert own.targets.tolist() == [0, 4]  # the files say 10 for the digit 0


# --- do the data fit the plan's loss and model?

MLP = 'model = { source = "alx.tasks.models:mlp", arguments = { inputs = 2, classes = 3 } }\n'


ODD_MODELS = """\
from torch import nn

class Two(nn.Linear):
    def forward(self, x):
        return x, x

class Flat(nn.Linear):
    def forward(self, x):
        return x.sum()

def two():
    return Two(2, 3)

def flat():
    return Flat(2, 3)
"""


def misfit(folder, labels, more="", inputs=2, held_out=None):
    arrays = {"train_images": np.ones((len(labels), inputs)), "train_labels": np.array(labels)}
    if held_out is not None:
        arrays |= {"test_images": np.ones((len(held_out), inputs)), "test_labels": np.array(held_out)}
    config = Config(npz(folder, **arrays))
    text = more if "model" in more else more + MLP
    with pytest.raises(ConfigError) as caught:
        load.task(folder, config, plan.parse((PLAN + text).encode()).plan)
    return f"{caught.value.message} | {caught.value.hint}"


def test_labels_that_the_model_or_the_loss_cannot_have_are_refused_before_training(tmp_path):
    told = misfit(tmp_path, [0, 2, 3, 4])
    assert (
        "sample 2 of 'own.npz' (counted from 0) has the label 3, expected 0 to 2, as the model tells 3 classes apart" in told
    )
    assert "sample 1 of 'own.npz' (counted from 0) has the label -1" in misfit(tmp_path, [0, -1])
    assert 'labels.astype("int64")' in misfit(tmp_path, [0.0, 1.0])
    assert "the samples kept apart from 'own.npz' (counted from 0) has the label 9" in misfit(
        tmp_path, [0, 1], held_out=[1, 9]
    )
    assert "the model gives [3] for a sample, and the labels of 'own.npz' are [2] each" in misfit(tmp_path, [[0, 1], [1, 0]])
    binary = 'loss = "binary_cross_entropy"\n'
    assert "has the label 2, expected 0 or 1" in misfit(tmp_path, [0, 2], binary)
    assert "expects as many numbers of both" in misfit(tmp_path, [0, 1], binary)
    assert "expects as many numbers of both" in misfit(tmp_path, [0.5, 1], 'loss = "mse"\n')


def test_class_10_with_10_logits_is_refused_for_mnist_too(tmp_path):
    tiny_mnist(tmp_path, (9, 10, 0))
    text = 'model = { source = "alx.tasks.models:small_cnn", arguments = { size = 28 } }\n' + GREY
    (tmp_path / "root").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=r"sample 1 of 'root' .* has the label 10, expected 0 to 9"):
        load.task(tmp_path, Config(Source("mnist", "root")), plan.parse((PLAN + text).encode()).plan)


def test_a_model_that_cannot_take_the_data_is_told_in_words(tmp_path):
    told = misfit(tmp_path, [0, 1], inputs=5)
    assert "the model cannot take 'own.npz', inputs of shape [1, 5]: it raised RuntimeError" in told
    (tmp_path / "model.py").write_text(ODD_MODELS)
    assert "the model gives a tuple for one sample" in misfit(tmp_path, [0, 1], 'model = { source = "model.py:two" }\n')
    assert "the model gives a tensor of shape []" in misfit(tmp_path, [0, 1], 'model = { source = "model.py:flat" }\n')


def test_looking_whether_the_data_fit_moves_no_random_state(tmp_path):
    config = Config(npz(tmp_path, train_images=np.ones((2, 2)), train_labels=np.arange(2)))
    before = torch.get_rng_state()
    load.task(tmp_path, config, plan.parse((PLAN + MLP).encode()).plan)
    assert torch.equal(torch.get_rng_state(), before)


def test_names_that_look_alike_and_are_not_the_same_are_told_with_the_difference(tmp_path):
    """A Mac decomposes letters in file names, a spreadsheet brings its own spaces."""
    picture(tmp_path / "own" / "bo\u0308se" / "a.png")
    named = '[images]\nsize = [6, 6]\nclasses = ["gut", "b\u00f6se"]\n'
    told = refusal(tmp_path, Source("images", "own"), named)
    assert "it looks like the plan's, in other characters: 'bo\\u0308se', expected 'b\\xf6se'; copy the name" in told
    columns = '[columns]\nlabel = "y"\nclasses = ["ill", "not ill"]\nnumeric = { "Gr\u00f6\u00dfe" = {} }\n'
    told = refusal(tmp_path, table(tmp_path, "Gro\u0308\u00dfe,y\n1,ill\n"), columns)
    assert "has no column" in told
    assert "'Gro\\u0308\\xdfe', expected 'Gr\\xf6\\xdfe'" in told
    told = refusal(tmp_path, table(tmp_path, "Gr\u00f6\u00dfe,y\n1,not\u00a0ill\n"), columns)
    assert "'not\\xa0ill', expected 'not ill'" in told


def test_a_simulation_reads_further_columns_as_a_site_reads_its_own(tmp_path):
    text = '[columns]\nlabel = "y"\nclasses = ["ill", "well"]\nnumeric = { a = {} }\n'
    wanted = plan.parse((PLAN + text).encode()).plan
    (tmp_path / "own.csv").write_text('a,y,ward\n1,ill,"north, left"\n2,well, south\n')
    found = pool.read(Data(kind="csv", path=str(tmp_path / "own.csv")), wanted)
    assert found.columns["ward"].tolist() == ["north, left", "south"]
    (tmp_path / "own.csv").write_text('a,y,ward\n1,ill,"north\n')
    with pytest.raises(ConfigError, match=r"cannot read 'own\.csv'"):
        pool.read(Data(kind="csv", path=str(tmp_path / "own.csv")), wanted)
