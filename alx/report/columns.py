"""Text in columns, and numbers that fit there."""

import math
from collections.abc import Iterable, Sequence

NOISE = 1e-12  # of numbers that would be 0, were they not sums of float64


def number(value: float, decimals: int = 4, below: float = math.inf) -> str:
    """So many decimals; where these would say too little, or from `below` on too much, four significant digits."""
    size = abs(value)
    if size < NOISE:
        return f"{0:.{decimals}f}"
    return f"{value:.{decimals}f}" if 10.0 ** (1 - decimals) <= size < below else f"{value:.4g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Columns lined up, numbers to the right; the lines.

    Args:
        header: a word a column.
        rows: texts, as many as the header has.
        left: how many columns, from the first, are lined up on the left.
    """
    cells = [list(header), *(list(r) for r in rows)]
    widths = [max(len(r[i]) for r in cells) for i in range(len(header))]
    return [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in cells
    ]
