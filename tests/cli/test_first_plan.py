"""`alx init --plan-from`: a first plan that can be used, and that holds nothing of a hospital's own that was not shown."""

import os
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from alx import plan
from alx.cli.main import cli
from alx.errors import AlxError
from tests.tasks import dirty


def alx(*arguments, answer=None):
    return CliRunner().invoke(cli, [str(a) for a in arguments], input=answer)


def refused(*arguments, answer=None):
    """The message and the hint."""
    done = alx(*arguments, answer=answer)
    assert isinstance(done.exception, AlxError), done.output
    return f"{done.exception.message} | {done.exception.hint}"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_a_dirty_table_to_a_plan_a_site_and_a_check(place):
    paths = dirty.write(place)
    (place / "table.toml").write_text(dirty.TABLE, encoding="utf-8")
    asked = ("--plan-from", paths[0], "--table", "table.toml", "--label", "num", "--id", "patient", "--take-missing")
    done = alx("init", *asked, "--values")
    assert done.exit_code == 0, done.output
    for line in (
        "column 'age': numbers\n",
        "column 'chol': numbers, some cells missing\n",
        "column 'visit': dates\n",
        "column 'sex': female, male; these values go into the plan",
        "LOOK: column 'country': NA is taken as missing; if it is a value, add it to values in the plan\n",
        "next: alx init SITE",
    ):
        assert line in done.output
    assert "# missing is what stands for an empty cell, in the column's own unit" in (place / "plan.toml").read_text()
    made = plan.load(place / "plan.toml").plan
    assert list(made.columns.numeric) == ["age", "height", "chol", "platelets"]
    assert list(made.columns.date) == ["visit"]
    assert made.columns.ids == ["patient"]
    assert made.model.arguments["inputs"] == made.columns.width
    assert all((c.mean, c.std, c.missing) in ((0, 1, 0), (0, 1, "refuse")) for c in made.columns.numeric.values())
    done = alx(
        "init", "site", "--role", "learner", "--plan", "plan.toml", "--table", "table.toml", "--data", f"csv:{paths[0]}"
    )
    assert done.exit_code == 0, done.output
    assert 'decimal = ","' in (place / "site" / "site.toml").read_text(encoding="utf-8")
    done = alx("check", "--site", "site")
    assert done.exit_code == 0, done.output


def table(place, rows):
    (place / "own.csv").write_text("id,a,group,y\n" + "".join(rows))
    return "own.csv"


def test_values_of_few_rows_and_figures_of_the_data_stay_out_of_the_plan(place):
    rows = [f"{i},{i * 7 + 1000},{'north' if i % 2 else 'south'},{i % 2}\n" for i in range(20)]
    path = table(place, [*rows, "20,123456,Mrs. Rare,1\n"])
    done = alx("init", "--plan-from", path, "--label", "y", "--id", "id", "--values")
    assert done.exit_code == 0, done.output
    assert "LOOK: column 'group': Mrs. Rare left out, as fewer than 5 rows have each" in done.output
    text = (place / "plan.toml").read_text()
    assert 'values = ["north", "south"]' in text
    assert "Rare" not in text
    figures = set(re.findall(r"\d+\.?\d*", text))
    assert figures <= {"5", "200", "32", "0.001", "3", "2", "64", "0.0", "1.0", "0", "1"}


def test_nothing_of_the_data_is_written_unless_somebody_says_so(place):
    path = table(place, [f"{i},{i},{'ns'[i % 2]},{i % 2}\n" for i in range(20)])
    asked = ("init", "--plan-from", path, "--label", "y", "--id", "id")
    assert "--values says that they may" in refused(*asked)
    assert "its values are to stay out of it" in refused(*asked, answer="n\n")
    assert not (place / "plan.toml").exists()
    assert alx(*asked, answer="y\n").exit_code == 0
    assert "is there already" in refused(*asked, "--values")
    path = table(place, [f"{i},{i},{'ns'[i % 2]},{i / 3}\n" for i in range(60)])
    done = alx(*asked, "--plan", "other.toml", answer="n\n")
    assert done.exit_code == 0, done.output
    made = plan.load(place / "other.toml").plan
    assert (made.loss, made.columns.categorical, made.model.arguments["inputs"]) == ("mse", {}, 1)


def test_numbers_that_are_written_otherwise_are_not_left_out_without_a_word(place):
    (place / "own.csv").write_text(
        "id;n;size;y\n" + "".join(f"{i};{i};{i}.{i + 100}.000;{'ab'[i % 2]}\n" for i in range(60))
    )
    (place / "t.toml").write_text('delimiter = ";"\ndecimal = ","\n')
    done = alx("init", "--plan-from", "own.csv", "--label", "y", "--id", "id", "--values", "--table", "t.toml")
    assert "LOOK: column 'size': numbers or dates, as it seems; left out; a file for --table says how" in done.output


def test_what_cannot_be_a_first_plan_is_refused_in_words(place):
    path = table(place, [f"{i},{i},{'ns'[i % 2]},1\n" for i in range(20)])
    for options, said in (
        ((), "--plan-from with a CSV needs --label"),
        (("--label", "Y"), "has 0 columns 'Y', expected one"),
        (("--label", "y", "--id", "y"), "is both the label and an id"),
        (("--label", "y"), "'y' has 1 value of at least 5 rows, expected two or more"),
        (("--label", "y", "--role", "learner"), "makes no site, and there is --role"),
    ):
        assert said in refused("init", "--plan-from", path, "--values", *options)
    assert "a site needs SITE, --role and --plan, and there is no SITE" in refused("init")
    assert "go with --plan-from" in refused("init", "site", "--label", "y")


def test_a_folder_of_images_and_an_npz_give_size_channels_and_classes(place):
    for name, shade in (("benign", 10), ("malignant", 200)):
        (place / "images" / name).mkdir(parents=True)
        Image.new("L", (30, 28), shade).save(place / "images" / name / "a.png")
    done = alx("init", "--plan-from", "images", "--values")
    assert done.exit_code == 0, done.output
    made = plan.load(place / "plan.toml").plan
    assert (made.images.size, made.images.channels, made.images.classes) == ((28, 28), 1, ["benign", "malignant"])
    np.savez(place / "own.npz", train_images=np.zeros((9, 28, 28, 3), np.uint8), train_labels=np.arange(9) % 3)
    done = alx("init", "--plan-from", "own.npz", "--plan", "two.toml")
    assert done.exit_code == 0, done.output
    made = plan.load(place / "two.toml").plan
    assert made.model.arguments == {"channels": 3, "size": 28, "classes": 3}
    for data, name in (("images:images", "plan.toml"), ("npz:own.npz", "two.toml")):
        assert alx("init", f"site-{name}", "--role", "learner", "--plan", name, "--data", data).exit_code == 0


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros(9, np.uint8), np.arange(9) % 3, "train_images of shape [9] and train_labels of shape [9]"),
        (np.float32(1), np.int64(1), "train_images of shape []"),
        (np.zeros((9, 4), np.float32), np.arange(8) % 3, "as many labels as images"),
        (np.zeros((9, 8, 8, 4), np.uint8), np.arange(9) % 3, "images are uint8 [n, height, width]"),
        (np.zeros((9, 4), complex), np.arange(9) % 3, "no network of alx's own takes these"),
    ],
)
def test_an_npz_of_no_samples_that_a_network_takes_makes_no_first_plan(place, x, y, said):
    np.savez(place / "own.npz", train_images=x, train_labels=y)
    assert said in refused("init", "--plan-from", "own.npz", "--plan", "two.toml")
    assert not (place / "two.toml").exists()


def test_a_table_of_bytes_makes_a_first_plan_that_a_site_takes(place):
    np.savez(place / "own.npz", train_images=np.zeros((9, 4), np.uint8), train_labels=np.arange(9) % 3)
    assert alx("init", "--plan-from", "own.npz", "--plan", "two.toml").exit_code == 0
    assert plan.load(place / "two.toml").plan.model.arguments == {"inputs": 4, "classes": 3, "hidden": 64}
    assert alx("init", "site", "--role", "learner", "--plan", "two.toml", "--data", "npz:own.npz").exit_code == 0


def test_a_class_whose_folders_name_is_no_text_makes_no_first_plan(place):
    for name in (b"caf\xe9", b"dark"):
        folder = place / "images" / os.fsdecode(name)
        folder.mkdir(parents=True)
        Image.new("L", (30, 28)).save(folder / "a.png")
    assert "has a name that is not UTF-8" in refused("init", "--plan-from", "images", "--values")


def test_a_word_among_numbers_deserves_a_look(tmp_path, alx, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{150 + i % 6},{'yes' if i % 2 else 'no'}" for i in range(60)] + ["unknown,no"] * 9
    (tmp_path / "own.csv").write_text("height,ill\n" + "\n".join(rows) + "\n")
    told = alx("init", "--plan-from", "own.csv", "--label", "ill", "--values").out
    assert "LOOK: column 'height': numbers, but for unknown; if that stands for a missing cell" in told
    (tmp_path / "t.toml").write_text('missing = ["unknown"]\n')
    told = alx("init", "--plan-from", "own.csv", "--label", "ill", "--values", "--table", "t.toml", "--plan", "b.toml").out
    assert "column 'height': numbers, some cells missing" in told
