"""Tables as they come: what a hospital's own account of its file makes readable, and what is never guessed."""

import tomllib

import pytest
import torch
from pydantic import ValidationError

from alx import dialect, plan
from alx.dialect import Dialect
from alx.errors import ConfigError
from alx.tasks.data import kinds, table
from tests.tasks import dirty
from tests.tasks.test_data import PLAN, Source, refusal

NUMBERS = '[columns]\nlabel = "y"\nnumeric = { a = {} }\n'
DAYS = '[columns]\nlabel = "y"\n[columns.date.a]\nsince = 2020-01-01\n'


def written(folder, text, coding="utf-8", **how):
    (folder / "own.csv").write_bytes(text.encode(coding))
    return Source("csv", "own.csv", table=Dialect(**how))


def inputs(folder, source, more=NUMBERS):
    own, _ = kinds.load(source, folder, plan.parse((PLAN + more).encode()).plan)
    return own.tensors[0].tolist()


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_where_only_one_is_in_the_first_line(tmp_path, mark):
    text = "\r\n" + mark * 3 + "\r\n" + mark.join(("a", "y")) + "\r\n" + mark.join(("1.5", "2")) + "\r\n"
    assert inputs(tmp_path, written(tmp_path, text)) == [[1.5]]


def test_a_delimiter_in_doubt_is_refused_until_it_is_told(tmp_path):
    text = "a;dose,mg;y\n1;2;3\n"
    assert "may be parted by ',' or ';': 'a;dose,mg;y' | write which into [data.table]" in refusal(
        tmp_path, written(tmp_path, text), NUMBERS
    )
    assert inputs(tmp_path, written(tmp_path, text, delimiter=";")) == [[1]]
    assert inputs(tmp_path, written(tmp_path, 'a;"dose,mg";y\n1;2;3\n'), NUMBERS) == [[1]]


def test_without_a_header_the_names_given_say_how_many_cells_a_row_has(tmp_path):
    assert inputs(tmp_path, written(tmp_path, "1,5;2;3\n", header=["a", "b", "y"], decimal=",")) == [[1.5]]
    told = refusal(tmp_path, written(tmp_path, "1,5;2\n", header=["a", "y"], decimal=","), NUMBERS)
    assert "may be parted by ',' or ';'" in told
    told = refusal(tmp_path, written(tmp_path, "1,5;2\n", header=["a", "b", "c", "y"]), NUMBERS)
    assert "has 2 by ',', 2 by ';', 1 by '\\t', 1 by '|', and [data.table] header names 4 columns" in told


@pytest.mark.parametrize(
    ("text", "how", "value"),
    [
        ("1,5", {"decimal": ","}, 1.5),
        ("-1.234.567,5", {"decimal": ",", "thousands": "."}, -1234567.5),
        ("1.234", {"decimal": ",", "thousands": "."}, 1234),
        ("1.234", {"decimal": "."}, 1.234),
        ("1,234.5", {"thousands": ","}, 1234.5),
        ("1'234", {"thousands": "'"}, 1234),
        ("1\u00a0234", {"thousands": "\u00a0"}, 1234),
        ("12.5", {}, 12.5),
        ("0.125", {}, 0.125),
        ("1e3", {}, 1000),
    ],
)
def test_a_number_is_read_by_the_marks_that_the_site_names(tmp_path, text, how, value):
    assert inputs(tmp_path, written(tmp_path, f"a;y\n{text};1\n", **how)) == [[pytest.approx(value)]]


@pytest.mark.parametrize(
    ("text", "how", "said"),
    [
        ("1.234", {}, "line 2: '1.234' in column 'a' may be 1.234 or 1234 | write into [data.table] of site.toml decimal"),
        (
            "1,5",
            {},
            "line 2: '1,5' in column 'a' is no number | decimals have '.', and thousands no mark; else write decimal",
        ),
        ("1.5", {"decimal": ","}, "'1.5' in column 'a' is no number | decimals have ','"),
        (
            "1.23",
            {"decimal": ",", "thousands": "."},
            "'1.23' in column 'a' is no number | decimals have ',', and thousands '.'",
        ),
        ("12,34.5", {"thousands": ","}, "is no number"),
        ("1_0", {}, "'1_0' in column 'a' is no number"),
        ("١٢", {}, "is no number | write it with the digits 0 to 9"),
        ("1e400", {}, "'1e400' in column 'a' is no finite number"),
        ("-9 ?", {}, "is no number"),
        ("unknown", {}, "is no number | what stands for a missing cell is named by missing or missing_in"),
        ("\ufeff1", {}, "is no number"),
    ],
)
def test_a_number_that_may_be_two_or_none_is_refused_with_the_words_to_write(tmp_path, text, how, said):
    assert said in refusal(tmp_path, written(tmp_path, f"a;y\n{text};1\n", **how), NUMBERS)


def test_in_a_file_with_commas_a_point_is_the_decimal_mark(tmp_path):
    assert inputs(tmp_path, written(tmp_path, "a,y\n1.234,1\n")) == [[pytest.approx(1.234)]]
    assert "line 2 has 3 cells, and the header 2" in refusal(
        tmp_path, written(tmp_path, "a,y\n1,5,1\n", decimal=","), NUMBERS
    )
    assert inputs(tmp_path, written(tmp_path, 'a,y\n"1,5",1\n', decimal=",")) == [[1.5]]


def test_lines_before_the_table_and_comments_are_passed_over_and_still_counted(tmp_path):
    text = 'said; "who\n# one\n\n# two\na;y;t\n1;1;"x\n# no comment"\n# three\nold;1;z\n'
    told = refusal(tmp_path, written(tmp_path, text, skip=1, comment="#"), NUMBERS)
    assert "'own.csv' line 9: 'old'" in told
    source = written(tmp_path, text.replace("old", "2"), skip=1, comment="#")
    assert inputs(tmp_path, source) == [[1], [2]]
    assert table.texts(tmp_path / "own.csv", source.table)["t"] == ["x\n# no comment", "z"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_byte_order_mark_tells_the_encoding_and_else_the_site_does(tmp_path, encoding):
    how = {"encoding": "latin-1"} if encoding == "latin-1" else {}
    assert inputs(tmp_path, written(tmp_path, "größe,y\n1,2\n", encoding, **how), NUMBERS.replace("a =", '"größe" =')) == [
        [1]
    ]
    if how:
        assert 'try [data.table] encoding = "cp1252"' in refusal(tmp_path, written(tmp_path, "größe,y\n", encoding), NUMBERS)


@pytest.mark.parametrize("line", [1, 2, 5000])  # the last lies beyond what a file reads at once
def test_bytes_that_are_no_text_are_refused_by_line(tmp_path, line):
    rows = ["a;y", *("1;1" for _ in range(6000))]
    rows[line - 1] += ";Größe"
    (tmp_path / "own.csv").write_bytes("\r\n".join(rows).encode("latin-1"))
    told = refusal(tmp_path, Source("csv", "own.csv"), NUMBERS)
    begun = "a;y" if line == 1 else "1;1"
    assert f"'own.csv': line {line} is no text in utf-8: after '{begun};Gr' stands f6, in hexadecimal" in told
    assert 'try [data.table] encoding = "cp1252"' in told


def test_the_first_fault_of_each_column_is_told_at_once(tmp_path):
    more = (
        '[columns]\nlabel = "y"\nclasses = ["no", "yes"]\nnumeric = { a = {}, b = {} }\n'
        '[columns.categorical.c]\nvalues = ["x"]\n'
    )
    told = refusal(tmp_path, written(tmp_path, "a,b,c,y\nold,1,x,no\nolder,,z,maybe\n"), more)
    for fault in (
        "line 2: 'old' in column 'a' is no number",
        "line 3: column 'b' is empty",
        "line 3: 'z' is no value of column 'c'",
        "line 3: 'maybe' in column 'y' is no class",
    ):
        assert fault in told
    assert "older" not in told
    told = refusal(tmp_path, written(tmp_path, "b,y\n1,no\n"), more)
    assert "'own.csv' has no column 'a'; 'own.csv' has no column 'c'" in told


def test_a_nul_is_refused_by_line(tmp_path):
    assert "'own.csv' line 2 has a NUL character in '1\\x000'" in refusal(
        tmp_path, written(tmp_path, "a,y\n1\x000,1\n"), NUMBERS
    )


def test_a_quote_that_is_not_closed_is_refused_with_the_line_before_it(tmp_path):
    source = written(tmp_path, 'a,y\n1,1\n2,"1\n3,1\n')
    assert "cannot read 'own.csv' after line 2: unexpected end of data | a quote that is not" in refusal(
        tmp_path, source, NUMBERS
    )


def test_what_is_missing_is_told_for_a_column_or_for_all_and_numbers_are_compared_as_numbers(tmp_path):
    more = '[columns]\nlabel = "y"\nnumeric = { a = { missing = 7, indicator = true }, b = { missing = 8 } }\n'
    source = written(tmp_path, "a,b,y\n-9.0,0,1\n0.00,-9,1\n1,2,0\n", missing=["-9"], missing_in={"a": ["0"]})
    assert inputs(tmp_path, source, more) == [[7, 1, 0], [7, 1, 8], [1, 0, 2]]
    source = written(tmp_path, "a,b,y\n1,1,-9\n", missing=["-9"])
    assert "the label column 'y' is missing ('-9') | remove the row" in refusal(tmp_path, source, more)
    source = written(tmp_path, "a,y\n0,1\n", missing_in={"a": ["0"]})
    assert "line 2: column 'a' is missing ('0') | fill it, remove the row, or declare missing" in refusal(
        tmp_path, source, NUMBERS
    )


def test_a_value_of_the_plan_goes_before_a_code_for_all_columns_and_after_one_for_its_own(tmp_path):
    more = '[columns]\nlabel = "y"\n[columns.categorical.a]\nvalues = ["0", "NA"]\nmissing = "zeros"\nindicator = true\n'
    text = "a,y\n0,1\nNA,1\n,1\n"
    assert inputs(tmp_path, written(tmp_path, text, missing=["0"]), more) == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert inputs(tmp_path, written(tmp_path, text, missing_in={"a": ["0"]}), more) == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_a_column_that_is_not_there_is_missing_in_each_row_where_the_plan_takes_that(tmp_path):
    more = '[columns]\nlabel = "y"\nnumeric = { a = {}, b = { missing = 3, indicator = true } }\n'
    assert inputs(tmp_path, written(tmp_path, "a,y\n1,1\n", absent=["b"]), more) == [[1, 3, 1]]
    for text, name, said in (
        ("b,y\n1,1\n", "a", "calls column 'a' absent, and the plan refuses missing cells | agree on"),
        ("a,b,y\n1,1,1\n", "b", "calls column 'b' absent, and 'own.csv' has it | take it out"),
        ("a,b,y\n1,1,1\n", "B", "absent in site.toml speaks of 'B', which is no column of the plan | it looks like"),
    ):
        assert said in refusal(tmp_path, written(tmp_path, text, absent=[name]), more)


def test_names_and_values_of_a_hospital_become_the_plans(tmp_path):
    more = '[columns]\nlabel = "y"\nclasses = ["no", "yes"]\n[columns.categorical.sex]\nvalues = ["male", "female"]\n'
    how = {"rename": {"Geschlecht": "sex"}, "values": {"sex": {"M": "male", "W": "female"}, "y": {"1": "yes"}}}
    source = written(tmp_path, "Geschlecht,y\nW,1\nM,no\n", **how)
    assert inputs(tmp_path, source, more) == [[0, 1], [1, 0]]
    assert table.texts(tmp_path / "own.csv", source.table) == {"sex": ["female", "male"], "y": ["yes", "no"]}
    assert "has no column 'Geschlecht', which [data.table] rename speaks of | its columns: sex, y" in refusal(
        tmp_path, written(tmp_path, "sex,y\nW,1\n", **how), more
    )


def test_dates_are_days_or_years_since_an_agreed_day(tmp_path):
    assert inputs(tmp_path, written(tmp_path, "a,y\n2020-03-01,1\n2019-12-31,1\n"), DAYS) == [[60], [-1]]
    source = written(tmp_path, "a,y\n01.03.2020 12:00,1\n", dates={"a": "%d.%m.%Y %H:%M"})
    assert inputs(tmp_path, source, DAYS) == [[60.5]]
    source = written(tmp_path, "a,y\n1.1.2024,1\n", dates={"a": "%d.%m.%Y"})
    assert inputs(tmp_path, source, DAYS + 'unit = "years"\n') == [[4]]  # 1461 days
    for text in ("2020-02-30", "03/04/2020", "٢٠٢٠-01-01"):
        assert "is no date as %Y-%m-%d | write how dates stand there" in refusal(
            tmp_path, written(tmp_path, f"a,y\n{text},1\n"), DAYS
        )


@pytest.mark.parametrize("form", ["%d.%m.%y", "%d %b %Y", "%m.%Y", "%d.%m.%Y %d", "%"])
def test_a_format_of_dates_that_guesses_or_lacks_something_is_refused(form):
    with pytest.raises(ValidationError, match="is no format of a date"):
        Dialect(dates={"a": form})


def test_levels_of_a_label_are_merged_into_classes(tmp_path):
    more = '[columns]\nlabel = "y"\nclasses = { no = ["0"], yes = ["1", "2"] }\nnumeric = { a = {} }\n'
    own, _ = kinds.load(written(tmp_path, "a,y\n1,0\n1,2\n1,1\n"), tmp_path, plan.parse((PLAN + more).encode()).plan)
    assert own.targets.tolist() == [0, 1, 1]
    assert "'3' in column 'y' is no class of the plan | classes: 0, 1, 2" in refusal(
        tmp_path, written(tmp_path, "a,y\n1,3\n"), more
    )
    assert plan.parse((PLAN + more).encode()).plan.class_names == ["no", "yes"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('ids = ["a"]\nnumeric = { a = {} }\n', "'a' is one of ids, which no model may learn"),
        ("numeric = { a = { indicator = true } }\n", "a missing cell is refused"),
        ('classes = { no = ["0"], yes = ["0"] }\nnumeric = { a = {} }\n', "'0' stands there twice"),
        ("classes = { no = [] }\nnumeric = { a = {} }\n", "the class 'no' has no value"),
        ('date = { a = { since = "1.1.2020" } }\n', "'1.1.2020' is no day"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(more, said):
    with pytest.raises(ConfigError, match=said):
        plan.parse((PLAN + '[columns]\nlabel = "y"\n' + more).encode())


def test_labels_are_not_asked_for_where_nobody_needs_them(tmp_path):
    columns = plan.parse((PLAN + NUMBERS).encode()).plan.columns
    written(tmp_path, "a\n1\n2\n")
    read = table.read(tmp_path / "own.csv", columns, labelled=False)
    assert read.tensors[0].tolist() == [[1], [2]]
    assert read.targets.tolist() == [0, 0]


def test_a_table_with_everything_at_once_is_read_at_all_three_sites(tmp_path):
    wanted = plan.parse((PLAN + dirty.COLUMNS).encode()).plan
    paths = dirty.write(tmp_path)
    for site, path in enumerate(paths):
        how = tomllib.loads(dirty.TABLE) | ({"absent": ["chol"], "missing_in": {}} if site == 2 else {})
        source = Source("csv", path.name, table=Dialect.model_validate(how))
        own, _ = kinds.load(source, tmp_path, wanted)
        x, y = own.tensors
        assert x.shape == (100, wanted.columns.width)
        assert wanted.columns.width == 5 + 1 + 2 + 2 + 1
        assert set(y.tolist()) == {0, 1}
        line = path.read_bytes().decode("latin-1").splitlines()[5].split(";")
        assert x[0, 0] == pytest.approx((int(line[1]) - 50) / 10)
        assert x[0, 4] == pytest.approx((int(line[-5].replace(".", "")) - 250_000) / 50_000, abs=1e-6)
        if site == 2:
            assert torch.equal(x[:, 2], torch.zeros(100))
            assert torch.equal(x[:, 3], torch.ones(100))


def test_a_file_of_how_a_table_is_written_is_checked(tmp_path):
    path = tmp_path / "table.toml"
    for text, said in (
        ('decimals = ","\n', "decimals"),
        ('decimal = ","\nthousands = ","\n', "decimal and thousands are both ','"),
        ('encoding = "rot13"\n', "there is no encoding 'rot13'"),
        ("x", "is not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            dialect.load(path)
    path.write_text(dirty.TABLE, encoding="utf-8")
    assert dialect.load(path).decimal == ","


def test_two_plans_that_differ_in_the_order_of_columns_alone_say_so():
    text = PLAN + '[columns]\nlabel = "y"\nclasses = ["no", "yes"]\nnumeric = { NAMES }\n'
    ours, theirs = (plan.parse(text.replace("NAMES", names).encode()).plan for names in ("a = {}, b = {}", "b = {}, a = {}"))
    assert plan.differences(ours, theirs) == ["columns.numeric: here ['a', 'b'], there ['b', 'a']"]
    assert plan.differences(ours, ours) == []


def test_a_file_of_how_a_table_is_written_may_have_its_heading(tmp_path):
    (tmp_path / "t.toml").write_text('[data.table]\ndelimiter = ";"\n')
    assert dialect.load(tmp_path / "t.toml") == Dialect(delimiter=";")


def test_values_and_factors_of_no_column_are_refused(tmp_path):
    source = written(tmp_path, "a,y\n1,2\n", values={"gender": {"f": "female"}})
    assert "values in site.toml speaks of 'gender', which is no column of the plan, nor" in refusal(
        tmp_path, source, NUMBERS
    )
    source = written(tmp_path, "a,y\n1,2\n", factors={"b": 2})
    assert "factors in site.toml speaks of 'b', which is no column of numbers of the plan" in refusal(
        tmp_path, source, NUMBERS
    )
    own, _ = kinds.load(
        written(tmp_path, "a,y\n3,2\n-9,1\n", factors={"a": 10, "y": 2}, missing=["-9"]),
        tmp_path,
        plan.parse((PLAN + NUMBERS.replace("a = {}", "a = { missing = 1.0 }")).encode()).plan,
    )
    assert own.tensors[0].tolist() == [[30], [1]]  # what is put for a missing cell is the plan's, in its unit
    assert own.tensors[1].tolist() == [4, 2]


def test_names_in_the_file_are_told_beside_the_plans(tmp_path):
    source = written(tmp_path, "height_m,y\nx,1\n,2\n", rename={"height_m": "b"})
    assert "its line 1 says height_m, y;" in refusal(tmp_path, source, NUMBERS)
    source = written(tmp_path, "height_m,y\n1,1\n,2\n", rename={"height_m": "a"})
    assert "line 3: column 'a' ('height_m' in the file) is empty" in refusal(tmp_path, source, NUMBERS)
