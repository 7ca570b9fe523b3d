"""What `alx describe` may tell: an attacker who knows the rule, the plan and the number of samples learns no small count."""

from array import array
from collections import Counter, defaultdict

import pytest

from alx.bundle.description import FEW, HIDDEN
from alx.errors import ConfigError
from alx.report import description as words
from alx.steps import disclosure
from alx.summary import Numbers, Part, Pictures, Summary, Values


def numbers(values, missing=0):
    return Numbers(array("d", sorted(map(float, values))), missing)


def summary(own, columns=(), pictures=None):
    return Summary("csv", (2,), own, shared=False, validation=None, held_out=None, columns=dict(columns), pictures=pictures)


def described(own, least=10, **more):
    return disclosure.described(summary(own, **more), "0" * 64, least)


def tables(total, cells):
    """Every table of so many cells that adds up to the total."""
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in tables(total - first, cells - 1))


def believed(tell, total, cells):
    """What somebody believes who sees what is told, and tries every table: by what is told, the tables it may come from."""
    out = defaultdict(list)
    for table in tables(total, cells):
        out[tuple(tell(table))].append(table)
    return out


def exposed(tell, least, total, cells):
    """Outputs from which something follows about a count that is said to be few, or about any where nothing is told."""
    found = []
    for told, may_be in believed(tell, total, cells).items():
        for i, cell in enumerate(told):
            if cell == FEW or (cell == HIDDEN and FEW not in told):
                missed = set(range(least)) - {table[i] for table in may_be}
                found += [(told, i, missed)] if missed else []
    return found


SMALL = [(2, 2, 20), (2, 3, 16), (2, 4, 15), (2, 5, 16), (3, 2, 20), (3, 3, 22), (3, 4, 24), (4, 3, 26), (3, 5, 22)]


@pytest.mark.parametrize(("least", "cells", "most"), SMALL)
def test_of_every_small_table_each_hidden_small_count_may_still_be_any(least, cells, most):
    for total in range(least, most + 1):
        assert exposed(lambda table: disclosure.cells(table, least), least, total, cells) == []


def only_small(table, least):
    return [FEW if n < least else n for n in table]


def two_at_least(table, least):
    """The rule that is often given: where one count is hidden, the next smallest is, too."""
    out = only_small(table, least)
    if out.count(FEW) == 1:
        out[min((i for i, n in enumerate(table) if n >= least), key=table.__getitem__)] = HIDDEN
    return out


@pytest.mark.parametrize("rule", [only_small, two_at_least])
def test_the_attacker_of_these_tests_breaks_the_usual_rules(rule):
    assert exposed(lambda table: rule(table, 3), 3, 20, 3)


def test_counts_by_hand():
    assert disclosure.cells([250, 50], 10) == [250, 50]
    assert disclosure.cells([250, 9], 10) == [HIDDEN, FEW]  # 250 would tell 9
    assert disclosure.cells([250, 80, 0], 10) == [HIDDEN, 80, FEW]  # none is few, too
    assert disclosure.cells([10, 200, 0], 10) == [HIDDEN, HIDDEN, FEW]  # 10 with 0: there would be too little room
    assert disclosure.cells([250, 4, 5, 6], 10) == [250, FEW, FEW, FEW]  # they hide each other: 15 in all
    assert disclosure.cells([250, 9, 9], 10) == [HIDDEN, FEW, FEW]  # 18 of two below 10 are 9 and 9
    assert disclosure.cells([12, 8], 10) == [HIDDEN, HIDDEN]  # too few rows to tell which one is few
    assert disclosure.cells([15, 15], 10) == [15, 15]
    assert disclosure.cells([200, 14, 12, 4], 10) == [HIDDEN, 14, 12, FEW]  # both together leave 4: threat-model.md
    assert disclosure.cells([200, 14, 12, 4], 20) == [200, FEW, FEW, FEW]


@pytest.mark.parametrize(("counts", "missing", "told"), [
    ([250, 50], 0, ([250, 50], 0)),
    ([250, 50], 30, ([250, 50], 30)),
    ([250, 50], 3, ([HIDDEN, 50], FEW)),
    ([100, 50, 4], 5, ([HIDDEN, 50, FEW], FEW)),
    ([2, 3], 300, ([FEW, FEW], HIDDEN)),
    ([0, 0], 300, ([HIDDEN, HIDDEN], 300)),
])  # fmt: skip
def test_a_column_of_categories_with_missing_cells(counts, missing, told):
    values = Values({str(i): n for i, n in enumerate(counts)}, missing)
    found = described(Part(sum(counts) + missing), columns={"a": values}).columns["a"]
    assert (list(found.values.values()), found.missing) == told


@pytest.mark.parametrize(("least", "cells", "most"), [(2, 2, 14), (2, 3, 14), (3, 2, 18), (3, 3, 20)])
def test_missing_cells_are_one_more_count_that_subtraction_does_not_reach(least, cells, most):
    """The last cell of each table is what is missing: none missing is told, so a few are at least one."""

    def tell(table):
        column = Values({str(i): n for i, n in enumerate(table[:-1])}, table[-1])
        told = described(Part(sum(table)), least, columns={"a": column}).columns["a"]
        return [*told.values.values(), told.missing]

    for total in range(least, most + 1):
        for told, may_be in believed(tell, total, cells + 1).items():
            if told[-1] == total:  # and so there is no value at all
                continue
            for i, cell in enumerate(told):
                if cell == FEW or (cell == HIDDEN and FEW not in told):
                    missed = set(range(i == cells, least)) - {table[i] for table in may_be}
                    assert not missed, (told, i)


def test_labels_that_a_sample_may_have_or_not_are_counted_one_by_one():
    told = described(Part(100, marks={"a": 40, "b": 4, "c": 97}))
    assert told.labels.marks == {"a": 40, "b": FEW, "c": HIDDEN}


def test_where_the_data_alone_say_which_classes_there_are_none_is_told():
    assert described(Part(100, classes={"0": 60, "7": 40}, agreed=False)).labels.model_dump(exclude_none=True) == {}


def test_too_few_samples_are_not_described():
    with pytest.raises(ConfigError, match="the data have 9 samples, and nothing is told of fewer than 10"):
        described(Part(9, classes={"a": 9}))
    assert described(Part(10, classes={"a": 10})).labels.classes == {"a": 10}


# --- numbers


def test_each_quantile_is_shared_by_ten_rows_and_no_extreme_is_told():
    """Of 0, 1, 2, … ten numbers round to the same one by tens, and no fewer."""
    told = described(Part(401), columns={"a": numbers([*range(400), 1_000_000])}).columns["a"].quantiles
    assert told == {"0.05": 20.0, "0.25": 100.0, "0.5": 200.0, "0.75": 300.0, "0.95": 380.0}


def test_a_number_that_many_rows_have_is_told_as_it_is():
    assert disclosure.rounded(array("d", [0.125] * 10 + [7.0] * 10), 0.125, 10) == 0.125
    assert disclosure.rounded(array("d", [0.0] * 10), 0.0, 10) == 0.0
    assert disclosure.rounded(array("d", [61.0, 62.0, 63.0, *[64.0] * 7]), 62.0, 10) == 60.0  # by tens: all ten
    assert disclosure.rounded(array("d", [-3e38, *[1.0] * 8, 3e38]), 3e38, 10) == 0.0
    assert disclosure.rounded(array("d", [5e-324] * 10), 5e-324, 10) == 0.0


@pytest.mark.parametrize(("rows", "shares"), [
    (19, []), (20, ["0.5"]), (39, ["0.5"]), (40, ["0.25", "0.5", "0.75"]), (199, ["0.25", "0.5", "0.75"]),
    (200, ["0.05", "0.25", "0.5", "0.75", "0.95"]),
])  # fmt: skip
def test_a_quantile_is_told_only_where_ten_rows_lie_below_it_and_ten_above(rows, shares):
    assert list(described(Part(rows), columns={"a": numbers(range(rows))}).columns["a"].quantiles) == shares


def test_which_quantiles_are_told_does_not_tell_how_few_cells_are_missing():
    """205 rows: with 1 to 5 missing the outer quantiles could be told, with 6 to 9 not."""
    shares = set()
    for missing in range(1, 10):
        told = described(Part(205), columns={"a": numbers(range(205 - missing), missing)}).columns["a"]
        assert told.missing == FEW
        shares.add(tuple(told.quantiles))
    assert len(shares) == 1


def test_of_a_column_that_hardly_any_row_has_nothing_is_told():
    told = described(Part(300), columns={"a": numbers(range(9), 291), "b": numbers([], 300)}).columns
    assert (told["a"].missing, told["a"].quantiles) == (HIDDEN, {})
    assert (told["b"].missing, told["b"].quantiles) == (300, {})


def test_pictures_are_told_by_the_sizes_that_many_have():
    sizes = Counter({512.0: 60, 511.0: 1, 8.0: 1})
    found = Pictures(numbers(sizes.elements()), numbers([64] * 62), {"L": 61, "RGB": 1}, 62)
    told = described(Part(62, classes={"a": 32, "b": 30}), pictures=found)
    assert told.pictures == {
        "height": {"0.25": 512.0, "0.5": 512.0, "0.75": 512.0},
        "width": {"0.25": 64.0, "0.5": 64.0, "0.75": 64.0},
    }


def leaves(value):
    """Every name and every value of a document."""
    if isinstance(value, dict):
        return [*value, *(leaf for inner in value.values() for leaf in leaves(inner))]
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else [value]


def test_the_screen_tells_all_that_stands_in_the_file():
    values = Values({f"value {i}": 40 + i for i in range(45)} | {"rare": 3}, 7)
    found = Pictures(numbers(range(400)), numbers(range(1000, 1400)), {"L": 400}, 0)
    columns = {"a": numbers(range(2000), 12), "b": values, "c": numbers(range(3), 2009)}
    for own in (
        Part(2012, classes={"yes": 2000, "no": 12}),
        Part(2012, marks={"left": 1000, "right": 2}),
        Part(2012, numbers={"length": numbers(range(2012))}),
    ):
        told = described(own, columns=columns, pictures=found)
        shown = "\n".join(words.words(told))
        fields = {
            "format",
            "version",
            "plan",
            "least",
            "samples",
            "shape",
            "labels",
            "columns",
            "pictures",
            "alx-description",
        }
        fields |= {"classes", "marks", "numbers", "missing", "values", "quantiles", FEW}  # a few is told by its number
        for leaf in leaves(told.model_dump(exclude_none=True)):
            share = isinstance(leaf, str) and leaf.startswith("0.")
            spelled = f"{float(leaf):.0%}" if share else f"{leaf:.12g}" if isinstance(leaf, float) else str(leaf)
            assert leaf in fields or spelled in shown, leaf
        assert "fewer than 10" in shown
