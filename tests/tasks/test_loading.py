"""Pictures decoded as they are asked for, by workers or none; listings that are kept; tars; arrays that are mapped."""

import hashlib
import io
import os
import signal
import tarfile
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from alx import plan
from alx.errors import ConfigError
from alx.plan import Images
from alx.site.site_file import Data
from alx.tasks.data import arrays, folder, listing, shards, streamed
from alx.tasks.data.listing import Entry
from alx.tasks.data.samples import digest
from alx.tasks.data.streamed import Loading, Streamed
from alx.tasks.data.workers import Workers
from alx.tasks.supervised import MiniBatches
from alx.training import Training
from tests.limited import status
from tests.tasks.test_data import PLAN

IMAGES = Images(size=(8, 8), channels=3, classes=["benign", "malign"])
TRAINING = plan.parse((PLAN + '[[training.augment]]\nname = "RandomHorizontalFlip"\n').encode()).plan.training
LAZY = Loading(workers=0, in_memory=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Twenty-two pictures of noise, 10 by 12."""
    path, rng = tmp_path_factory.mktemp("data") / "own", np.random.default_rng(0)
    for i in range(22):
        place = path / IMAGES.classes[i % 2] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(place)
    return path


def trained(data, steps, stop=None, training=TRAINING):
    """SHA-256 of the weights after so many steps; interrupted after `stop`, where that is given."""

    def begun():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
        return net, MiniBatches(
            net,
            7,
            data,
            nn.CrossEntropyLoss(reduction="none"),
            lambda p: torch.optim.Adam(p, 0.01),
            4,
            torch.device("cpu"),
            training,
        )

    net, run = begun()
    for step in range(steps):
        if step == stop:
            weights, place = net.state_dict(), run.state_dict()
            net, run = begun()
            net.load_state_dict(weights)
            run.load_state_dict(place)
        run.step()
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in net.state_dict().values())).hexdigest()


def test_a_turn_has_the_same_weights_to_the_last_bit_with_two_workers_and_none_interrupted_or_not_and_in_memory(root):
    held, none = (folder.read(root, IMAGES, Loading(0, each)) for each in (True, False))
    two = folder.read(root, IMAGES, Loading(2, in_memory=False))
    assert isinstance(none, Streamed)
    wanted = trained(held, 7)
    assert {trained(none, 7), trained(two, 7, stop=4)} == {wanted}
    assert wanted != trained(held, 7, training=Training())  # the pictures were mirrored
    assert digest([held]) == digest([none]) == digest([two])
    halves = torch.arange(0, 22, 2)
    assert digest([held.part(halves)]) == digest([two.part(halves)])
    assert torch.equal(folder.read(root, IMAGES, Loading(2, in_memory=True)).images, held.images)


def test_grey_pixels_lie_in_memory_as_held_ones_do_as_a_convolution_else_has_other_last_bits(root):
    grey = IMAGES.model_copy(update={"channels": 1})
    held, none = (folder.read(root, grey, Loading(0, each)).samples_at(torch.tensor([3, 1]))[0] for each in (True, False))
    assert torch.equal(held, none)
    assert held.stride() == none.stride() == (64, 64, 8, 1)


def test_a_batch_that_was_not_told_ahead_is_read_all_the_same_and_the_next_ones_wait(root):
    held, two = folder.read(root, IMAGES), folder.read(root, IMAGES, Loading(2, in_memory=False))
    first, second, other = torch.tensor([3, 1]), torch.tensor([5]), torch.tensor([9, 3, 21])
    two.ahead([first, second])
    for each in (other, first, other, second):
        assert torch.equal(two.samples_at(each)[0], held.samples_at(each)[0])
        assert two.samples_at(each)[1].tolist() == held.targets[each].tolist()


def test_a_dead_worker_is_one_refusal_and_the_next_command_has_others(root):
    workers = Workers(1, 3, (8, 8))
    files = list(folder.listed(root, IMAGES))
    assert workers.read(files[:2]).shape == (2, 8, 8, 3)
    os.kill(workers._all[0].process.pid, signal.SIGKILL)
    with pytest.raises(ConfigError, match="a worker that decodes pictures ended before it was done") as caught:
        workers.read(files[:2])
    assert caught.value.exit_code == 2
    assert "site.toml" in caught.value.hint
    assert workers.read(files[:2]).shape == (2, 8, 8, 3)


def test_what_a_worker_refuses_is_refused_in_the_same_words_as_here(tmp_path):
    (tmp_path / "benign").mkdir()
    (tmp_path / "benign" / "a.png").write_bytes(b"no picture")
    told = set()
    for workers in (0, 1):
        with pytest.raises(ConfigError) as caught:
            folder.read(tmp_path, IMAGES, Loading(workers, in_memory=False)).samples_at(torch.tensor([0]))
        told.add((caught.value.message, caught.value.hint))
    assert len(told) == 1
    assert "'benign/a.png' cannot be read as an image" in told.pop()[0]


def many(path, count):
    (path / "benign").mkdir(parents=True)
    for i in range(count):
        (path / "benign" / f"{i:05}.png").touch()
    os.utime(path / "benign", (1e9, 1e9))
    os.utime(path, (1e9, 1e9))


def test_a_listing_is_kept_outside_the_data_and_made_anew_when_a_picture_comes_goes_or_is_renamed(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "KEPT_FROM", 3)
    root, kept = tmp_path / "own", tmp_path / "listings"
    many(root, 3)

    def names():
        return [file.name for file in folder.listed(root, IMAGES, kept)]

    assert names() == ["00000.png", "00001.png", "00002.png"]
    [file] = kept.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    # what is kept is what is used: a name that is not in the folder
    made = np.load(file)
    np.savez(file, **(dict(made) | {"names": np.frombuffer(made["names"].tobytes().replace(b"00001", b"kept1"), np.uint8)}))
    assert names() == ["00000.png", "kept1.png", "00002.png"]
    for change in (
        (root / "benign" / "00003.png").touch,
        (root / "benign" / "00000.png").unlink,
        partial((root / "benign" / "00001.png").rename, root / "benign" / "9.png"),
    ):
        change()
        assert names() == sorted(each.name for each in (root / "benign").iterdir())
    (root / "malign").mkdir()
    (root / "malign" / "b.png").touch()
    assert names()[-1] == "b.png"
    file.write_bytes(b"PK damaged")
    assert names()[-1] == "b.png"


def test_a_folder_that_changed_just_now_is_not_kept_as_a_later_change_might_look_like_none(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "KEPT_FROM", 1)
    many(tmp_path / "own", 1)
    os.utime(tmp_path / "own" / "benign")
    folder.listed(tmp_path / "own", IMAGES, tmp_path / "listings")
    assert not (tmp_path / "listings").exists()


def test_a_listing_takes_a_few_dozen_bytes_a_picture():
    found = [Entry(0, b"00000.png")] * 1000
    assert listing.of([], lambda: found, [], None, tarred=False).nbytes == 1000 * (9 + 8 + 4 * 8)


def packed(path, *members):
    """A tar of (name or TarInfo, bytes)."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_tars_hold_the_same_samples_in_the_same_order_as_the_folder_however_they_are_packed(root, tmp_path):
    every = [(f"{f.parent.name}/{f.name}", f.read_bytes()) for f in sorted(root.rglob("*.png"))]
    whole = packed(tmp_path / "whole.tar", *reversed(every))
    (tmp_path / "shards").mkdir()
    for i in range(2):
        packed(tmp_path / "shards" / f"{i}.tar", *every[i::2])
    numbered = [
        (f"{name[-8:].replace('/', '-')}"[:-4] + end, what)
        for name, data in every
        for end, what in ((".cls", b"0\n" if name.startswith("benign") else b"1\n"), (".png", data))
    ]
    paired = packed(tmp_path / "paired.tar", *numbered)
    wanted = folder.read(root, IMAGES)
    for path in (whole, tmp_path / "shards"):
        assert digest([shards.read(path, IMAGES, LAZY)]) == digest([wanted])
    assert trained(shards.read(whole, IMAGES, Loading(1, in_memory=False)), 3) == trained(wanted, 3)
    assert shards.read(paired, IMAGES, LAZY).targets.tolist() == wanted.targets.tolist()
    assert len(shards.looks(whole, IMAGES)) == 22


def member(name, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../../etc/a.png", "expected a name, or a class's folder and a name"),
        ("/benign/a.png", "expected a name, or a class's folder and a name"),
        ("benign/in/a.png", "expected a name, or a class's folder and a name"),
        (member("benign/a.png", tarfile.SYMTYPE, linkname="/etc/passwd"), "a link, expected plain files"),
        (member("benign/a.png", tarfile.LNKTYPE, linkname="b.png"), "a link, expected plain files"),
        (member("benign/a.png", tarfile.CHRTYPE), "a device or pipe, expected plain files"),
        (member("benign/a.png", tarfile.FIFOTYPE), "a device or pipe, expected plain files"),
        (member("benign/a.png", tarfile.GNUTYPE_SPARSE), "a sparse file, expected plain files"),
        ("benign/\x1b[2J.png", "with control characters in its name"),
        ("benign/a.exe", "is no image of a kind that is read"),
        ("other/a.png", "has a folder 'other', which is no class of the plan"),
        ("a.png", "holds a picture 'a' and no .cls of that name"),
        ("a.cls", "expected the number of a class, 0 to 1"),
    ],
)
def test_a_hostile_tar_is_refused_by_name_and_nothing_is_unpacked(tmp_path, name, says):
    path = packed(tmp_path / "own.tar", (name, b"7"))
    with pytest.raises(ConfigError) as caught:
        shards.read(path, IMAGES, LAZY)
    assert says in caught.value.message
    assert caught.value.exit_code == 2
    assert caught.value.message.isprintable()
    assert [each.name for each in tmp_path.iterdir()] == ["own.tar"]


def test_a_member_larger_than_the_tar_a_name_twice_and_a_damaged_or_compressed_tar_are_refused(tmp_path):
    path = packed(tmp_path / "own.tar", ("benign/a.png", b"1" * 600), ("benign/b.png", b"2" * 600))
    whole = path.read_bytes()
    harmed = bytearray(whole)
    harmed[1536 + 20] ^= 1  # in the second header
    giant = member("benign/a.png", size=1 << 40).tobuf() + bytes(1024)
    twice = packed(tmp_path / "twice.tar", ("benign/a.png", b"1"), ("benign/a.png", b"2")).read_bytes()
    zipped = io.BytesIO()
    with tarfile.open(fileobj=zipped, mode="w:gz") as tar:
        tar.addfile(member("benign/a.png"))
    for content, says in (
        (giant, "expected 1 to"),
        (twice, "twice"),
        (bytes(harmed), "is damaged, or cut off, at byte 1,536"),
        (whole[:1536], "is damaged, or cut off, at byte 1,536"),
        (whole[:2000], "is damaged, or cut off, at byte 1,536"),
        (zipped.getvalue(), "cannot read 'own.tar'"),
        (b"", "cannot read 'own.tar'"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            shards.read(path, IMAGES, LAZY)
        assert says in caught.value.message, says


def test_a_large_array_that_is_not_compressed_takes_the_memory_of_what_is_asked_for(tmp_path):
    pixels = np.zeros((1600, 256, 256), np.uint8)  # 100 MiB
    pixels[1234] = 7
    np.savez(tmp_path / "own.npz", train_images=pixels, train_labels=np.arange(1600) % 2)
    del pixels
    before = status("VmRSS")
    held = arrays.read(tmp_path / "own.npz", "train", Images(channels=1))
    inputs, targets = held.pixels_at(torch.tensor([1234, 5]))
    assert status("VmRSS") - before < 20 << 20
    assert inputs.sum((1, 2, 3)).tolist() == [7 * 256 * 256, 0]
    assert targets.tolist() == [0, 1]


def test_mapped_arrays_are_the_numbers_that_are_read_and_damage_in_them_is_noticed(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    colour, numbers = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8), np.asfortranarray(rng.random((6, 4), np.float32))
    for name, x in (("colour", colour), ("numbers", numbers)):
        path = tmp_path / f"{name}.npz"
        np.savez(path, train_labels=np.arange(6), train_images=x)
        read = arrays.read(path, "train", None)
        with monkeypatch.context() as patched:
            patched.setattr(arrays, "MAPPED_FROM", 1)
            mapped = arrays.read(path, "train", None)
            assert digest([mapped]) == digest([read])
            for a, b in zip(mapped.samples_at(torch.tensor([4, 1])), read.samples_at(torch.tensor([4, 1])), strict=True):
                assert torch.equal(a, b)
                assert a.stride() == b.stride()
            harmed = bytearray(path.read_bytes())
            harmed[harmed.index(x.tobytes("A")) + 3] ^= 1
            path.write_bytes(harmed)
            with pytest.raises(ConfigError, match="Bad CRC-32"):
                arrays.read(path, "train", None)


def test_workers_are_for_pictures_that_are_decoded():
    assert Data(kind="tar", path="a", workers=3).workers == 3
    with pytest.raises(ValueError, match="the data are of the kind csv"):
        Data(kind="csv", path="a", workers=3)


def test_pixels_that_would_take_more_than_a_quarter_of_the_memory_at_hand_are_streamed(root, monkeypatch):
    takes = 22 * 8 * 8 * 3
    for free, kind in ((4 * takes, "NormalisedImages"), (4 * takes - 4, "Streamed")):
        monkeypatch.setattr(streamed, "at_hand", lambda free=free: free)
        assert type(folder.read(root, IMAGES)).__name__ == kind
