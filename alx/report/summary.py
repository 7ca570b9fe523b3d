"""What a site's data hold, told to the site's own people: exact numbers, and what about them deserves a look.

Knows a summary; reads no data.
"""

from collections.abc import Iterator, Mapping

from alx.errors import count, escape
from alx.report import columns
from alx.summary import FAR, LIKE_AN_ID, Column, Numbers, Part, Pictures, Summary, Values

FEW = 5  # samples of a class: fewer, and a batch hardly ever has one
TABLE = 2  # dimensions of which, and more, a shape tells by itself what it is
MOST_NAMES, MOST_ROWS = 20, 40  # told of one list, and of the columns: the rest is counted, and --json has it


def words(summary: Summary) -> list[str]:
    """All of it, line by line."""
    out = brief(summary)
    for part, where in _kept(summary):
        out += [f"{where}, {line}" for line in _labels(part)]
    if any(part.trained_on is None for part, _ in _kept(summary)):
        out.append("whether some of these are trained on too was not looked at: pictures are decoded as they are asked for")
    shape = " x ".join(map(str, summary.shape)) or "1"
    out.append(f"a sample as the model gets it: {shape}{' numbers' if len(summary.shape) < TABLE else ''}")
    if summary.stored:
        out.append(f"arrays: {', '.join(f'{escape(name)} {escape(kind)}' for name, kind in summary.stored.items())}")
    if summary.pictures is not None:
        out.append(_pictures(summary.pictures))
    if summary.unused:
        names = _cut([escape(name, 40) for name in summary.unused])
        out.append(f"columns of the file that are not used: {', '.join(names)}")
    return out + _columns(summary)


def _kept(summary: Summary) -> list[tuple[Part, str]]:
    """The samples kept from training, and what they are called."""
    named = ((summary.validation, "for validation"), (summary.held_out, "kept apart"))
    return [(part, where) for part, where in named if part is not None]


def brief(summary: Summary) -> list[str]:
    """How many samples, what their labels say, and whether there will be a score: two or three lines."""
    told = count(summary.own.samples, "sample")
    if summary.validation is not None:
        n = summary.validation.samples
        told += f", {n} of them not trained on but kept for validation" if summary.shared else f", and {n} for validation"
    if summary.held_out is not None:
        told += f", and {summary.held_out.samples} kept apart for a score"
    if summary.held_out is not None:
        return [told, *_labels(summary.own)]
    remedy = "the file has no test_images" if summary.kind == "npz" else "held_out under [data] in site.toml would name some"
    return [told, *_labels(summary.own), f"no samples are kept apart, so no score will be shown: {remedy}"]


def _labels(part: Part) -> list[str]:
    if part.classes is not None:
        return [f"classes: {listed(part.classes)}"]
    if part.marks is not None:
        return [f"labels, and the samples that have each: {listed(part.marks)}"]
    if part.numbers:
        told = {name: f"{n.values[0]:g} to {n.values[-1]:g}, median {n.quantile(0.5):g}" for name, n in part.numbers.items()}
        return [f"to predict: {'; '.join(_cut([f'{name} {span}' for name, span in told.items()]))}"]
    return ["labels: too many numbers of each sample to tell"]


def listed(counts: Mapping[str, int]) -> str:
    """`no: 250, yes: 50`: at most `MOST_NAMES`, each escaped."""
    return ", ".join(_cut([f"{escape(name)}: {number}" for name, number in counts.items()]))


def _cut(told: list[str]) -> list[str]:
    return told if len(told) <= MOST_NAMES else [*told[:MOST_NAMES], f"and {len(told) - MOST_NAMES} more"]


def _pictures(pictures: Pictures) -> str:
    sides = (pictures.heights.values, pictures.widths.values)
    heights, widths = (f"{v[0]:g}" if v[0] == v[-1] else f"{v[0]:g} to {v[-1]:g}" for v in sides)
    resized = f"{pictures.resized} of {len(sides[0])} are resized" if pictures.resized else "none is resized"
    return f"pictures: {heights} high and {widths} wide, colours {listed(pictures.modes)}; {resized}"


def _columns(summary: Summary) -> list[str]:
    told = dict(list(summary.columns.items())[:MOST_ROWS])
    rows = [_row(name, column) for name, column in told.items() if isinstance(column, Numbers)]
    lines = columns.table(["column", "missing", "least", "median", "most"], rows) if rows else []
    for name, column in told.items():
        if isinstance(column, Values):
            lines.append(f"column {escape(name, 40)}: {listed(column.counts)}; {column.missing} missing")
    more = len(summary.columns) - len(told)
    return [*lines, *([f"and {more} more columns: --json has all"] if more else [])]


def _row(name: str, numbers: Numbers) -> list[str]:
    v = numbers.values
    told = [f"{x:.6g}" for x in (v[0], numbers.quantile(0.5), v[-1])] if v else [""] * 3
    unit = f" ({numbers.unit})" if numbers.unit else ""
    return [escape(name, 40) + unit, str(numbers.missing), *told]


def looks(summary: Summary, least: int, select_on: str) -> list[str]:
    """What deserves a look; it stops nothing.

    Args:
        summary: of the data.
        least: how few samples may stand behind a number that leaves the site.
        select_on: which samples losses are summed over, as in the plan.
    """
    found = (*_few(summary, least, select_on), *_classes(summary, least), *_unknown(summary), *_odd(summary))
    return [f"LOOK: {line}" for line in found]


def _few(summary: Summary, least: int, select_on: str) -> Iterator[str]:
    """What is too little to leave the site, said before anybody waits for a turn."""
    kept, scored = summary.validation, summary.held_out
    trained = summary.own.samples - (kept.samples if kept is not None and summary.shared else 0)
    summed = kept.samples if kept is not None and select_on == "validation" else trained
    for samples, what in ((summed, "to sum losses over"), (trained, "to train on")):
        if samples < least and (what == "to sum losses over" or summed >= least):
            yield (
                f"{count(samples, 'sample')} {what}, and [disclosure] asks for {least} or more: alx identity, train-local "
                "and export refuse; add data, or agree on a lower least"
            )
    if scored is not None and scored.samples < least:
        told = f"{count(scored.samples, 'sample')} kept apart for a score, fewer than {least}"
        yield f"{told}: it moves by jumps, and whoever is told of it learns of single ones"


def _classes(summary: Summary, least: int) -> Iterator[str]:
    own, bound = summary.own, max(FEW, least)
    for counts, what in ((own.classes, "class"), (own.marks, "label")):
        none = [escape(name) for name, n in (counts or {}).items() if n == 0]
        few = {name: n for name, n in (counts or {}).items() if 0 < n < bound}
        if none:
            yield f"no sample of the {what} {', '.join(_cut(none))}: what is known of it comes from the peer alone"
        if few:
            tells = "" if bound == FEW else "; a bundle tells more of these few than of the others: docs/threat-model.md"
            yield f"fewer than {bound} samples of a {what}: {listed(few)}{tells}"
    if own.classes is not None and own.samples >= LIKE_AN_ID and sum(1 for n in own.classes.values() if n) > own.samples / 2:
        yield "the labels look like an id: most of them occur once; is it the right column, or array?"
    for name, numbers in (own.numbers or {}).items():
        if numbers.like_an_id:
            yield f"'{escape(name)}' may be an id: whole numbers, none of them twice; is it what you want to predict?"


def _unknown(summary: Summary) -> Iterator[str]:
    """What is not known, however good a model is on the samples kept from training."""
    own, nothing = summary.own, "what is measured on these says nothing of"
    for part, where in _kept(summary):
        for held, counts, what in ((own.classes, part.classes, "class"), (own.marks, part.marks, "label")):
            none = [escape(name) for name, n in (held or {}).items() if n and counts is not None and not counts.get(name)]
            if none:
                yield f"no sample of the {what} {', '.join(_cut(none))} {where}: {nothing} it"
        if part.trained_on:
            told = f"{part.trained_on} of the {count(part.samples, 'sample')} {where} have the input of one trained on"
            yield f"{told}: {nothing} others; take them out of one or the other, unless few values make rows alike by chance"


def _odd(summary: Summary) -> Iterator[str]:
    odd = [(f"column '{escape(name)}'", column) for name, column in summary.columns.items()]
    constant = [name for name, column in odd if column.constant]
    if len(constant) > MOST_NAMES:  # the dark corners of digits, say
        yield f"{len(constant)} of {len(odd)} columns have the same value in all rows"
        constant = []
    for name, column in odd:
        rows = column.missing + (len(column.values) if isinstance(column, Numbers) else sum(column.counts.values()))
        if name in constant:
            yield f"{name} has the same value in all rows: a model learns nothing from it here"
        if column.missing > rows / 2:
            yield f"{name} is missing in {column.missing} of {rows} rows"
        yield from _ranges(name, column)
        if isinstance(column, Values):
            for word, cells in column.words.items():
                yield (
                    f"{name}: '{escape(word)}' is taken as missing in {count(cells, 'row')}; if it is a value, agree on "
                    "it: values in the plan"
                )
        if isinstance(column, Numbers) and column.like_an_id:
            yield f"{name} may be an id: whole numbers, none of them twice"


def ranges(columns: Mapping[str, Column]) -> list[str]:
    """LOOK at numbers that lie where the plan's scaling does not expect them: what a model says of such rows is a guess."""
    return [f"LOOK: {line}" for name, column in columns.items() for line in _ranges(f"column '{escape(name)}'", column)]


def _ranges(name: str, column: Column) -> Iterator[str]:
    if not isinstance(column, Numbers) or not column.values:
        return
    span = f"{column.values[0]:.6g} to {column.values[-1]:.6g} before{f', in {column.unit}' if column.unit else ''}"
    remedy = "is it in another unit (factors of [data.table] in site.toml), not scaled, or a code for a missing value?"
    if column.far:
        beyond = f"lies beyond -{FAR:g} to {FAR:g} in {count(column.far, 'row')}"
        yield f"{name} {beyond} once scaled as the plan says ({span}): {remedy}"
    elif column.off:
        yield f"{name} lies around {column.middle:.3g} once scaled as the plan says, where 0 is its mean ({span}): {remedy}"
