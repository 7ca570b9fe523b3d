"""What is counted in a site's data, by hand; and what about it deserves a look."""

import shutil

import numpy as np
import pytest
from PIL import Image

from alx import plan as plans
from alx.dialect import Dialect
from alx.report import description as described
from alx.report import summary as words
from alx.steps import disclosure
from alx.summary import Numbers, Values
from alx.tasks import load
from alx.tasks.data import summary as summaries
from tests.tasks.test_data import PLAN, Source

TABLE = """
[columns]
label = "sick"
classes = ["no", "yes", "perhaps"]
[columns.numeric.age]
mean = 50
std = 10
missing = 50
[columns.numeric.constant]
[columns.numeric.patient]
[columns.numeric.rare]
missing = 0
[columns.categorical.sex]
values = ["f", "m", "x"]
missing = "zeros"
"""


def of(folder, source, more="", classes=None):
    plan = plans.parse((PLAN + more).encode()).plan
    return summaries.of(source, folder, plan, load.samples(source, folder, plan), classes)


def table(folder):
    """Thirty rows: ages 31, 32, … and one missing, an id, and a column that five rows have."""
    rows = ["sick,age,constant,patient,rare,sex"]
    for i in range(30):
        age, sex = (str(31 + i) if i else "NA"), ("f", "m", "")[min(i // 10, 2)]
        rows.append(f"{'yes' if i < 3 else 'no'},{age},7,{1000 + i},{'' if i >= 5 else '0.5'},{sex}")
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    return of(folder, Source("csv", "own.csv"), TABLE)


def test_a_table_is_counted_by_column(tmp_path):
    found = table(tmp_path)
    assert found.own.classes == {"no": 27, "yes": 3, "perhaps": 0}
    age = found.columns["age"]
    assert isinstance(age, Numbers)
    assert (age.missing, list(age.values), age.far) == (1, [float(31 + i) for i in range(1, 30)], 0)
    assert (age.quantile(0), age.quantile(0.5), age.quantile(1)) == (32, 46, 60)
    assert found.columns["sex"] == Values({"f": 10, "m": 10, "x": 0}, 10)
    assert found.columns["rare"].missing == 25
    assert found.shape == (7,)


UNSCALED = (
    "LOOK: column 'patient' lies beyond -10 to 10 in 30 rows once scaled as the plan says (1000 to 1029 before): is it in "
    "another unit (factors of [data.table] in site.toml), not scaled, or a code for a missing value?"
)


def test_what_deserves_a_look_in_a_table(tmp_path):
    assert words.looks(table(tmp_path), 1, "training") == [
        "LOOK: no sample of the class perhaps: what is known of it comes from the peer alone",
        "LOOK: fewer than 5 samples of a class: yes: 3",
        "LOOK: column 'age' may be an id: whole numbers, none of them twice",
        "LOOK: column 'constant' has the same value in all rows: a model learns nothing from it here",
        UNSCALED,
        "LOOK: column 'patient' may be an id: whole numbers, none of them twice",
        "LOOK: column 'rare' is missing in 25 of 30 rows",
    ]


def test_a_table_is_told_in_lines(tmp_path):
    assert words.words(table(tmp_path)) == [
        "30 samples",
        "classes: no: 27, yes: 3, perhaps: 0",
        "no samples are kept apart, so no score will be shown: held_out under [data] in site.toml would name some",
        "a sample as the model gets it: 7 numbers",
        "column    missing  least  median  most",
        "age             1     32      46    60",
        "constant        0      7       7     7",
        "patient         0   1000    1014  1029",
        "rare           25    0.5     0.5   0.5",
        "column sex: f: 10, m: 10, x: 0; 10 missing",
    ]


def test_a_declared_value_is_no_missing_cell_whatever_it_is_called(tmp_path):
    more = '[columns]\nlabel = "y"\nclasses = ["0", "1"]\n[columns.categorical.country]\n'
    more += 'values = ["NA", "DE"]\nmissing = "zeros"\n'
    (tmp_path / "own.csv").write_text("y,country\n0,NA\n1,DE\n1,n/a\n1, NA \n")
    assert of(tmp_path, Source("csv", "own.csv"), more).columns["country"] == Values({"NA": 2, "DE": 1}, 1, {"n/a": 1})


def test_classes_without_names_are_as_many_as_the_model_has(tmp_path):
    x = np.zeros((4, 6, 6), np.uint8)
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=[0, 2, 2, 0], test_images=x[:1], test_labels=[1])
    found = of(tmp_path, Source("npz", "own.npz"), classes=5)
    assert found.own.classes == {"0": 2, "1": 0, "2": 2, "3": 0, "4": 0}
    assert found.own.agreed
    alone = of(tmp_path, Source("npz", "own.npz"))
    assert (alone.own.classes, alone.own.agreed) == ({"0": 2, "1": 0, "2": 2}, False)
    assert alone.held_out.classes == {"0": 0, "1": 1}
    assert alone.stored["train_images"] == "uint8 [4, 6, 6]"
    assert alone.columns == {}


def test_numbers_in_an_npz_are_counted_by_their_places(tmp_path):
    x = np.array([[[1, 0]], [[2, 0]], [[30, 0]]], np.float64)
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=[0.5, 1.5, 2.5])
    found = of(tmp_path, Source("npz", "own.npz"), 'loss = "mse"\n')
    assert list(found.columns) == ["train_images[:, 0, 0]", "train_images[:, 0, 1]"]
    assert list(found.columns["train_images[:, 0, 0]"].values) == [1, 2, 30]
    assert (found.columns["train_images[:, 0, 0]"].far, found.columns["train_images[:, 0, 1]"].constant) == (1, True)
    assert list(found.own.numbers["label"].values) == [0.5, 1.5, 2.5]
    none = "no samples are kept apart, so no score will be shown: the file has no test_images"
    assert words.brief(found) == ["3 samples", "to predict: label 0.5 to 2.5, median 1.5", none]


@pytest.mark.parametrize(
    ("labels", "classes", "marks"),
    [
        ([[1, 0, 0], [0, 0, 1], [0, 0, 1]], None, {"0": 1, "1": 0, "2": 2}),  # one each: the form is not for labels to say
        ([[1, 0, 1], [0, 0, 0], [0, 1, 1]], None, {"0": 1, "1": 1, "2": 2}),
        ([0, 1, 1], {"0": 1, "1": 2}, None),
    ],
)
def test_yes_or_no_labels_are_classes_where_the_plan_has_one_of_them_alone(tmp_path, labels, classes, marks):
    np.savez(tmp_path / "own.npz", train_images=np.zeros((3, 2)), train_labels=labels)
    own = of(tmp_path, Source("npz", "own.npz"), 'loss = "binary_cross_entropy"\n').own
    assert (own.classes, own.marks, own.agreed) == (classes, marks, True)


def test_of_a_class_for_each_pixel_the_samples_that_have_it_are_counted(tmp_path):
    labels = [[[0, 0], [0, 2]], [[0, 0], [0, 0]], [[2, 2], [2, 2]]]
    np.savez(tmp_path / "own.npz", train_images=np.zeros((3, 2, 2), np.uint8), train_labels=labels)
    own = of(tmp_path, Source("npz", "own.npz"), classes=4).own
    assert (own.marks, own.classes) == ({"0": 2, "1": 0, "2": 2, "3": 0}, None)


def test_classes_of_pixels_are_counted_by_their_numbers_however_large_these_are(tmp_path):
    labels = [[7, 50, 7], [7, 7, 7], [59_999, 7, 50], [7, 7, 50]]
    np.savez(tmp_path / "own.npz", train_images=np.zeros((4, 3)), train_labels=labels)
    found = of(tmp_path, Source("npz", "own.npz"), classes=60_000)
    assert found.own.marks == {"7": 4, "50": 3, "59999": 1}
    # so long a list is cut to what the labels have, which is theirs to keep
    assert disclosure.described(found, "0" * 64, 2).labels.marks is None


def test_labels_that_are_ids_are_seen_and_take_no_memory(tmp_path):
    ids = np.arange(40) * 1_000_000_007
    np.savez(tmp_path / "own.npz", train_images=np.zeros((40, 2)), train_labels=ids)
    found = of(tmp_path, Source("npz", "own.npz"))
    assert len(found.own.classes) == 40
    assert any("the labels look like an id" in line for line in words.looks(found, 1, "training"))
    told = words.brief(found)[1]
    assert told.startswith("classes: 0: 1, 1000000007: 1, ")
    assert told.endswith("and 20 more")


def test_pictures_are_counted_by_their_heads(tmp_path):
    for name, mode, size, turned in (("a/1", "L", (6, 4), 1), ("a/2", "RGB", (8, 8), 1), ("b/3", "RGB", (8, 2), 6)):
        path = tmp_path / "own" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[274] = turned
        Image.new(mode, size).save(path, exif=exif)
    more = '[images]\nsize = [8, 8]\nclasses = ["a", "b"]\n'
    whole = of(tmp_path, Source("images", "own"), more)
    assert "pictures: 4 to 8 high and 2 to 8 wide, colours RGB: 2, L: 1; 2 of 3 are resized" in words.words(whole)
    found = whole.pictures
    assert list(found.heights.values) == [4, 8, 8]
    assert list(found.widths.values) == [2, 6, 8]  # the last one lies on its side: 2 wide, 8 high
    assert found.modes == {"RGB": 2, "L": 1}
    assert found.resized == 2


def test_samples_that_a_share_takes_for_validation_are_among_the_sites_own(tmp_path):
    np.savez(tmp_path / "own.npz", train_images=np.zeros((20, 2)), train_labels=[0, 1] * 10)
    found = of(tmp_path, Source("npz", "own.npz"), 'select_on = "validation"\n')
    assert (found.own.samples, found.validation.classes, found.shared) == (20, {"0": 1, "1": 1}, True)
    assert words.brief(found)[0] == "20 samples, 2 of them not trained on but kept for validation"
    np.savez(tmp_path / "more.npz", train_images=np.zeros((4, 2)), train_labels=[0, 1] * 2)
    found = of(tmp_path, Source("npz", "own.npz", validation="more.npz"), 'select_on = "validation"\n')
    assert words.brief(found)[0] == "20 samples, and 4 for validation"


def test_a_column_of_dates_says_what_it_counts_here_and_to_a_peer(tmp_path):
    more = '[columns]\nlabel = "y"\n[columns.date.visit]\nsince = 2020-01-01\nunit = "days"\n'
    (tmp_path / "own.csv").write_text("y,visit\n" + "1,2020-01-03\n" * 30 + "2,2020-02-01\n" * 30)
    found = of(tmp_path, Source("csv", "own.csv"), 'loss = "mse"\n' + more)
    assert words.words(found)[-1].split() == ["visit", "(days", "since", "2020-01-01)", "0", "2", "2", "31"]
    assert found.columns["visit"].json()["unit"] == "days since 2020-01-01"
    told = described.words(disclosure.described(found, "0" * 64))
    assert told[-1] == "column 'visit': 0 missing; about 2 (25%), 2 (50%), 31 (75%), in days since 2020-01-01"


def test_a_column_in_another_unit_deserves_a_look_and_a_factor_mends_it(tmp_path):
    more = '[columns]\nlabel = "y"\n[columns.numeric.platelets]\nmean = 240000\nstd = 60000\n'
    (tmp_path / "own.csv").write_text("y,platelets\n" + "".join(f"1,{n}\n" for n in range(150, 350)))
    found = of(tmp_path, Source("csv", "own.csv"), 'loss = "mse"\n' + more)
    told = [line for line in words.looks(found, 1, "training") if "once scaled" in line]
    assert told == words.ranges(found.columns)
    assert "'platelets' lies around -4 once scaled as the plan says, where 0 is its mean (150 to 349 before)" in told[0]
    assert "factors of [data.table]" in told[0]
    mended = of(tmp_path, Source("csv", "own.csv", table=Dialect(factors={"platelets": 1000})), 'loss = "mse"\n' + more)
    assert words.ranges(mended.columns) == []
    assert mended.columns["platelets"].values[0] == 150_000


def test_what_a_table_has_and_nobody_uses_and_what_is_taken_as_missing_is_told(tmp_path):
    more = '[columns]\nlabel = "y"\nids = ["pid"]\n[columns.categorical.c]\nvalues = ["DE"]\nmissing = "zeros"\n'
    (tmp_path / "own.csv").write_text("pid,height_m,y,c\n1,2,1,DE\n2,2,1,NA\n3,2,1,NA\n4,2,1,\n5,2,1,?\n")
    found = of(tmp_path, Source("csv", "own.csv", table=Dialect(missing=["?"])), 'loss = "mse"\n' + more)
    assert "columns of the file that are not used: height_m" in words.words(found)
    assert found.columns["c"] == Values({"DE": 1}, 4, {"NA": 2})
    assert any(
        "column 'c': 'NA' is taken as missing in 2 rows; if it is a value" in line
        for line in words.looks(found, 1, "training")
    )


@pytest.mark.parametrize("select_on", ["training", "validation"])
@pytest.mark.parametrize("kind", ["csv", "npz", "images"])
def test_samples_that_a_coin_leaves_out_are_counted_nowhere(tmp_path, kind, select_on):
    more, labels = f'select_on = "{select_on}"\n', np.arange(100) % 2
    if kind == "csv":
        rows = "".join(f"{'ab'[i % 2]},{i},{i}\n" for i in range(100))
        for name in ("own", "apart"):
            (tmp_path / name).write_text(f"y,number,word\n{rows}")
        more += '[columns]\nlabel = "y"\nclasses = ["a", "b"]\n[columns.numeric.number]\n[columns.categorical.word]\n'
        more += f"values = {[str(i) for i in range(100)]}\n"
    elif kind == "npz":
        x = np.arange(100.0)[:, None]
        for name in ("own", "apart"):
            with (tmp_path / name).open("wb") as file:
                np.savez(file, train_images=x, train_labels=labels, test_images=x, test_labels=labels)
    else:
        more += '[images]\nsize = [1, 1]\nclasses = ["a", "b"]\n'
        for i in range(100):
            (tmp_path / "own" / "ab"[i // 50]).mkdir(parents=True, exist_ok=True)
            Image.new("L", (1, 1 + i)).save(tmp_path / "own" / "ab"[i // 50] / f"{i:02}.png")
        shutil.copytree(tmp_path / "own", tmp_path / "apart")
    source, plan = Source(kind, "own", "apart", canaries=40), plans.parse((PLAN + more).encode()).plan
    read = load.samples(source, tmp_path, plan)
    found = summaries.of(source, tmp_path, plan, read)
    left = 100 - int((~read.canaries.inside).sum())
    assert 60 < left < 100
    assert (found.own.samples, found.shared) == (left, select_on == "validation")
    assert sum(found.own.classes.values()) == left
    # one value a sample: what is told is of those that were not left out
    if kind == "images":
        told = [int(height) - 1 for height in found.pictures.heights.values]
        assert sum(found.pictures.modes.values()) == left
    else:
        told = [int(x) for x in next(iter(found.columns.values())).values]
    assert told == read.rows.tolist()
    if kind == "csv":
        assert [int(word) for word, n in found.columns["word"].counts.items() if n] == told
    parts = [read.own] if read.validation is None else [read.own, read.validation]
    if kind != "images":
        assert told == sorted(int(x) for part in parts for x in part.tensors[0][:, 0])


def test_samples_kept_from_training_that_are_trained_on_all_the_same_deserve_a_look(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 4, 4, 3)).astype(np.uint8), np.arange(60) % 2
    seen = np.concatenate([x[:3], 255 - x[:17]])
    np.savez(
        tmp_path / "own.npz", train_images=x, train_labels=y, test_images=seen, test_labels=1 - y[:20],
        val_images=x[50:], val_labels=y[50:],
    )  # fmt: skip
    found = of(tmp_path, Source("npz", "own.npz"), 'select_on = "validation"\n')
    assert (found.held_out.trained_on, found.validation.trained_on, found.own.trained_on) == (3, 10, None)
    assert found.json()["held_out"]["trained_on"] == 3
    same = "have the input of one trained on: what is measured on these says nothing of others"
    assert [line.partition(";")[0] for line in words.looks(found, 1, "validation") if "input" in line] == [
        f"LOOK: 10 of the 10 samples for validation {same}",
        f"LOOK: 3 of the 20 samples kept apart {same}",
    ]
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y, test_images=seen[3:], test_labels=y[:17])
    found = of(tmp_path, Source("npz", "own.npz"))
    assert found.held_out.trained_on == 0
    assert "trained on" not in "".join(words.looks(found, 1, "training"))


def test_a_class_that_nothing_is_measured_on_deserves_a_look(tmp_path):
    x, y = np.arange(24, dtype=np.float32)[:, None], np.array([0] * 11 + [1] * 11 + [2, 4])
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y, test_images=x[:2] + 0.5, test_labels=[4, 0])
    found = of(tmp_path, Source("npz", "own.npz"), 'select_on = "validation"\n')
    told = "what is measured on these says nothing of it"
    assert [line for line in words.looks(found, 1, "validation") if line.endswith(told)] == [
        f"LOOK: no sample of the class 2, 4 for validation: {told}",
        f"LOOK: no sample of the class 1, 2 kept apart: {told}",
    ]
    marks = np.array([[1, 0], [1, 1], [0, 0]] * 8)
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=marks, test_images=x + 0.5, test_labels=marks * [1, 0])
    found = of(tmp_path, Source("npz", "own.npz"), 'loss = "binary_cross_entropy"\n')
    assert f"LOOK: no sample of the label 1 kept apart: {told}" in words.looks(found, 1, "training")


def test_samples_that_came_twice_before_they_were_shared_out_are_found(tmp_path):
    x = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    five = np.repeat(x, 5, axis=0)[np.random.default_rng(2).permutation(200)]  # oversampled, then split
    own, seen = five[:150], five[150:]
    both = int((seen[:, None] == own).all(2).any(1).sum())
    np.savez(tmp_path / "own.npz", train_images=own, train_labels=[0, 1] * 75, test_images=seen, test_labels=[0, 1] * 25)
    found = of(tmp_path, Source("npz", "own.npz"))
    assert (found.held_out.trained_on, both > 40) == (both, True)
    (look,) = (line for line in words.looks(found, 1, "training") if "input" in line)
    assert look.endswith("or the other, unless few values make rows alike by chance")


def test_pictures_that_are_decoded_as_they_are_asked_for_are_not_all_decoded_to_compare_them(tmp_path):
    for name in ("own", "apart"):
        (tmp_path / name / "a").mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / name / "a" / "1.png")
    more = '[images]\nsize = [8, 8]\nclasses = ["a", "b"]\n'
    found = of(tmp_path, Source("images", "own", "apart", in_memory=False), more)
    assert found.held_out.trained_on is None
    told = "whether some of these are trained on too was not looked at: pictures are decoded as they are asked for"
    assert told in words.words(found)
    assert told not in words.words(of(tmp_path, Source("images", "own", "apart"), more))
