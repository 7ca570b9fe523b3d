"""Who holds which samples: the paper's rule to the sample, and the other splits."""

import os
from pathlib import Path

import numpy as np
import pytest

from alx.errors import UsageError
from alx.study import splits

CIFAR10 = np.repeat(np.arange(10), 5000)  # the labels of its training set, but for their order
SVHN = np.repeat(np.arange(10), [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659])


def deal(text, values, seed=0):
    return splits.parse(text).deal(values, np.random.default_rng(seed))


@pytest.mark.parametrize(("share", "size"), [("0", 2500), ("0.3", 9250), ("0.7", 18250), ("1", 25000)])
def test_the_papers_split_of_cifar10_has_the_papers_sizes(share, size):
    labels = np.random.default_rng(1).permutation(CIFAR10)
    learner, provider = deal(f"gamma:{share}", labels)
    assert (len(learner), len(provider)) == (size, 25000)
    assert np.bincount(labels[provider]).tolist() == [2500] * 10
    assert np.bincount(labels[learner], minlength=10).tolist() == [2500] + [round(float(share) * 2500)] * 9
    assert not set(learner) & set(provider)


def test_the_real_labels_of_cifar10_give_the_same_sizes():
    path = Path(os.environ.get("DATA", "nowhere")) / "cifar10.npz"
    if not path.is_file():
        pytest.skip("the real CIFAR-10 is not at hand: DATA=folder")
    labels = np.load(path)["train_labels"].astype(np.int64)
    sizes = [tuple(map(len, deal(f"gamma:{g}", labels))) for g in (0, 0.3, 0.7, 1)]
    assert sizes == [(2500, 25000), (9250, 25000), (18250, 25000), (25000, 25000)]


def test_where_classes_differ_the_major_class_is_the_smallest_and_odd_samples_are_not_the_providers():
    learner, provider = deal("gamma:0.3", SVHN)
    counts = np.bincount(SVHN)
    assert np.bincount(SVHN[provider]).tolist() == (counts // 2).tolist()
    most = 2330  # of 4,659 in class 9
    assert np.bincount(SVHN[learner], minlength=10).tolist() == [round(0.3 * most)] * 9 + [most]


def test_complementary_classes_share_what_is_declared():
    learner, provider = deal("complementary:0,1,2,3,4:0.05", CIFAR10)
    assert sorted([*learner, *provider]) == list(range(50000))
    ours = np.isin(CIFAR10[learner], [0, 1, 2, 3, 4])
    assert ours.sum() == pytest.approx(25000 * 0.95, rel=0.01)
    assert (~ours).sum() == pytest.approx(25000 * 0.05, rel=0.05)
    none, rest = deal("complementary:3", CIFAR10)
    assert set(CIFAR10[none]) == {3}
    assert 3 not in CIFAR10[rest]


def test_a_class_that_no_sample_has_is_refused():
    with pytest.raises(UsageError, match="no sample has the class 17") as refused:
        deal("complementary:0,17:0.3", CIFAR10)
    assert refused.value.hint == "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def test_classes_go_by_name_where_they_have_names():
    names = [f"kind {i}" for i in range(10)]
    named = splits.parse("complementary:kind 3, 4:0.1", names).deal(CIFAR10, np.random.default_rng(0))
    assert named[0].tolist() == deal("complementary:3,4:0.1", CIFAR10)[0].tolist()
    with pytest.raises(UsageError, match="there is no class 'kind'") as refused:
        splits.parse("complementary:kind", names)
    assert refused.value.hint.startswith("classes: 0 kind 0, 1 kind 1, ")
    with pytest.raises(UsageError, match="no sample has the class 17") as refused:
        splits.parse("complementary:17", names).deal(CIFAR10, np.random.default_rng(0))
    assert refused.value.hint.startswith("classes: 0 kind 0, 1 kind 1, ")
    with pytest.raises(UsageError, match="there is no class 'a'") as refused:
        splits.parse("complementary:a:0.1")
    assert "names no classes" in refused.value.hint
    with pytest.raises(UsageError, match="there is no class '9999999999'"):
        splits.parse("complementary:9999999999")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("gamma", "gamma:SHARE"),
        ("complementary", "complementary:CLASS,CLASS:SHARE"),
        ("dirichlet:", "dirichlet:ALPHA"),
        ("column:hospital", "column:NAME:VALUE,VALUE"),
        ("complementary:0,,1", "complementary:CLASS,CLASS:SHARE"),
    ],
)
def test_what_is_left_out_of_a_split_is_told(text, form):
    with pytest.raises(UsageError, match="is no whole split, expected ") as refused:
        splits.parse(text)
    assert refused.value.message.endswith(form)


def test_dirichlet_skews_the_more_the_smaller_alpha_is():
    def skew(alpha):
        learner, provider = deal(f"dirichlet:{alpha}", CIFAR10)
        assert sorted([*learner, *provider]) == list(range(50000))
        return np.abs(np.bincount(CIFAR10[learner], minlength=10) / 5000 - 0.5).mean()

    assert skew(0.05) > 0.4 > skew(1) > skew(1000)
    assert skew(1000) < 0.05


def test_a_column_deals_by_its_values():
    hospitals = np.array(["north", "south", "east", "north"])
    learner, provider = deal("column:hospital:north,east", hospitals)
    assert (learner.tolist(), provider.tolist()) == ([0, 2, 3], [1])
    assert splits.parse("column:hospital:north").column == "hospital"
    with pytest.raises(UsageError, match="no sample has 'west'") as refused:
        deal("column:hospital:west", hospitals)
    assert "east, north, south" in refused.value.hint


@pytest.mark.parametrize("text", ["gamma:0.3", "complementary:0,1:0.1", "dirichlet:0.5"])
def test_the_seed_decides(text):
    a, b, c = (deal(text, CIFAR10, seed)[0].tolist() for seed in (0, 0, 1))
    assert a == b != c


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gamma",
        "gamma:x",
        "gamma:1.5",
        "gamma:nan",
        "gamma:-1",
        "complementary",
        "complementary:1:2",
        "complementary:1:",
        "dirichlet:0",
        "dirichlet:inf",
        "dirichlet:",
        "column:hospital",
        "column::north",
        "halves",
    ],
)
def test_what_names_no_split_is_refused(text):
    with pytest.raises(UsageError) as refused:
        splits.parse(text)
    assert "gamma:SHARE" in refused.value.hint
