"""How values are written in a table for people; text from outside is made harmless first."""

from __future__ import annotations

import re
import unicodedata

from harness.stats import Difference, Estimate
from harness.types import Usage

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links
    r"|\x1b[ -/]*[0-~]"
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def printable(text: str) -> str:
    """Return one line without terminal escapes, control and invisible characters.

    Direction marks go too: they would let a name reorder the numbers beside it.
    """
    text = "".join(
        " " if c.isspace() else c
        for c in _ESCAPE_SEQUENCE.sub("", text)
        if c.isspace() or unicodedata.category(c) not in _INVISIBLE
    )
    return " ".join(text.split())


def width(text: str) -> int:
    """Return the number of terminal columns."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def percent(share: float) -> str:
    """Return a share as percent, such as `42.0`."""
    return f"{100 * share:.1f}"


def points(difference: float) -> str:
    """Return a difference of shares in signed points, such as `+3.1`; zero has no sign."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text


def score(estimate: Estimate) -> str:
    """Return `42.0 [34.1, 50.3]` in percent; `no score` if every rollout failed."""
    if estimate.mean is None:
        return "no score"
    return f"{percent(estimate.mean)} [{percent(estimate.low)}, {percent(estimate.high)}]"


def gain(difference: Difference) -> str:
    """Return `+3.1 [-1.0, +7.2]` in points; `no pair` if no pair has both scores."""
    if difference.mean is None:
        return "no pair"
    low, high = points(difference.low), points(difference.high)
    return f"{points(difference.mean)} [{low}, {high}]"


def p_value(p: float) -> str:
    """Return three decimals, or `<0.001`."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int) -> str:
    """Return a whole number below 10,000, then `12k`, `129k`, `1.3M`, `12M`."""
    if n < 10_000:
        return str(n)
    if n < 999_500:
        return f"{n / 1e3:.0f}k"
    return f"{n / 1e6:.1f}M" if n < 9_950_000 else f"{n / 1e6:.0f}M"


def cost(cost_usd: float | None) -> str:
    """Return dollars with two digits that count; an unknown price gives `unknown`, never 0."""
    if cost_usd is None:
        return "unknown"
    if cost_usd == 0:
        return "$0"
    if cost_usd < 0.000_1:
        return "<$0.0001"
    return f"${cost_usd:.2f}" if cost_usd >= 0.1 else f"${cost_usd:.4f}"


def usage(used: Usage) -> str:
    """Return `600 LM calls, 80.1k tokens, cost $0`."""
    return f"{count(used.calls)} LM calls, {count(used.tokens)} tokens, cost {cost(used.cost_usd)}"


def listed(numbers: tuple[int, ...]) -> str:
    """Return `seed 2`, or `seeds 0, 2`."""
    return f"seed{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
