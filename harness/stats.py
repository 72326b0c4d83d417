"""Intervals and tests for scores in [0, 1] that are paired by example; pure, with fixed seeds.

`Scores` are one row per seed and one score per example, in the same order in every row. None is a
failed rollout: it has no score and is left out. Below a few hundred examples intervals from the
central limit theorem are too narrow (Bowyer et al. 2025, arXiv 2503.01747), hence the exact and
score methods here. Pairing and clustering by example follow Miller 2024, arXiv 2411.00640.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scores: TypeAlias = Sequence[Sequence[float | None]]

RESAMPLES = 2_000
FLIPS = 10_000
EXACT_FLIPS_UP_TO = 16  # examples: 2**16 combinations are enumerated in 2 ms
SMALL = 20  # examples: percentile bootstrap intervals of fewer cover clearly less than they say
_CHUNK = 100
_SEED = 20_260_101  # of the resampling; one constant, so that equal scores give equal intervals
_DECIMALS = 12  # the order in which a CPU sums shows only behind these


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean score with its interval; `mean` is None if no rollout has a score.

    `n_examples` counts the examples with at least one score.
    """

    mean: float | None
    low: float
    high: float
    n_examples: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean paired difference; `mean` and `p` are None if no pair has both scores.

    `n_pairs` counts pairs of rollouts (seeds x examples), `n_left_out` those without both scores.
    """

    mean: float | None
    low: float
    high: float
    p: float | None
    n_pairs: int
    n_left_out: int = 0


def wilson(n_right: int, n: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share (Wilson 1927); [0, 1] for n = 0."""
    if not 0 <= n_right <= n:
        raise ValueError(f"{n_right} right of {n} is no share; n_right must be from 0 to n")
    return _wilson(n_right / n if n else 0.5, n, level)


def mean_interval(scores: Scores, level: float = 0.95) -> Estimate:
    """Estimate the mean score of new examples and new seeds.

    Right/wrong scores on which all seeds agree (one seed always does): Wilson over the examples,
    because equal repeats tell nothing new. Otherwise a two-way percentile bootstrap over examples
    and seeds (Owen 2007), which with two or three seeds understates what another seed would change.
    A bootstrap near 0 or 1, or of few examples, is too narrow (of equal scores it has width 0), so
    it is widened to hold Wilson's interval: over the rollouts if scores are right/wrong, over the
    examples if these are fewer than 20 or all scores are equal. A variable in [0, 1] varies at most
    as a right/wrong one of the same mean, so Wilson is safe for graded scores too.
    """
    grid = _scored(_checked(scores))
    columns = _columns(grid)
    values = [v for column in columns for v in column]
    if not values:
        return Estimate(None, 0.0, 1.0, 0)
    mean = math.fsum(values) / len(values)
    right_or_wrong = set(values) <= {0.0, 1.0}
    if right_or_wrong and _seeds_agree(columns):
        interval = _wilson(mean, len(columns), level)
    else:
        interval = _bootstrap(grid, level)
        if len(columns) < SMALL or interval.low == interval.high:
            interval = _hull(interval, _wilson(mean, len(columns), level))
        elif right_or_wrong:
            interval = _hull(interval, _wilson(mean, len(values), level))
    interval = _hull(interval, Interval(mean, mean))
    return Estimate(mean, interval.low, interval.high, len(columns))


def paired_difference(a: Scores, b: Scores, level: float = 0.95) -> Difference:
    """Return the mean of a minus b over pairs of rollouts, its interval and a two-sided p.

    Both have the same shape and order. Differences of -1, 0 or 1 on which all seeds agree (with one
    seed and right/wrong scores always so): exact McNemar test, and the interval of Bonett and
    Price (2012), which adds one example won and one lost and so keeps a width when nothing
    differs. Otherwise: a two-way bootstrap as in `mean_interval`, widened to hold that interval if
    fewer than 20 examples differ or all differ alike; and a sign-flip test clustered by example,
    exact for up to 16 examples that differ, else 10,000 draws with p = (hits + 1) / (draws + 1).

    The p speaks about new examples for the candidates of these seeds; the interval about new seeds
    too. Raises ValueError if the shapes differ.
    """
    grid = _differences(_checked(a), _checked(b))
    n_all = sum(len(row) for row in grid)
    grid = _scored(grid)
    columns = _columns(grid)
    values = [v for column in columns for v in column]
    if not values:
        return Difference(None, -1.0, 1.0, None, 0, n_all)
    mean = math.fsum(values) / len(values)
    means = [math.fsum(column) / len(column) for column in columns]
    if set(values) <= {-1.0, 0.0, 1.0} and _seeds_agree(columns):
        interval = _bonett_price(means, level)
        p = _mcnemar(means.count(1.0), means.count(-1.0))
    else:
        interval = _bootstrap(grid, level)
        if sum(m != 0 for m in means) < SMALL or interval.low == interval.high:
            interval = _hull(interval, _bonett_price(means, level))
        p = _sign_flips([math.fsum(column) for column in columns])
    interval = _hull(interval, Interval(mean, mean))
    return Difference(mean, interval.low, interval.high, p, len(values), n_all - len(values))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return Holm's (1979) adjusted p-values in the same order; None stays and is not counted."""
    order = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    running = 0.0
    for rank, (p, i) in enumerate(order):
        running = max(running, min(1.0, p * (len(order) - rank)))
        adjusted[i] = running
    return adjusted


def minimum_detectable_effect(
    n_pairs: int, discordance: float = 0.2, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the smallest true difference that a paired right/wrong comparison finds with `power`.

    `discordance` is the share of examples on which the two differ; it cannot be smaller than the
    difference, so for few pairs it is raised to it. Normal approximation, two-sided: the d with
    n = z**2 (discordance - d**2) / d**2, z = z(1 - alpha/2) + z(power).
    """
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    share = z * z / (n_pairs + z * z)
    return max(share, math.sqrt(share * discordance))


def bounds(scores: Scores) -> tuple[float, float]:
    """Return the mean if failed rollouts counted 0, and if they counted 1; (0, 1) for none."""
    values = [v for row in _checked(scores) for v in row]
    if not values:
        return 0.0, 1.0
    known = math.fsum(v for v in values if v is not None)
    return known / len(values), (known + values.count(None)) / len(values)


# ---- the grid: rows are seeds, columns are examples


def _checked(scores: Scores) -> Scores:
    if len({len(row) for row in scores}) > 1:
        raise ValueError(
            "seeds have different numbers of scores; give one per example, None if it failed"
        )
    for value in (v for row in scores for v in row):
        if value is not None and not 0 <= value <= 1:
            raise ValueError(
                f"score {value!r} is outside [0, 1]; scale it, or give None if it failed"
            )
    return scores


def _differences(a: Scores, b: Scores) -> list[list[float | None]]:
    if [len(row) for row in a] != [len(row) for row in b]:
        raise ValueError("a and b differ in seeds or examples; give the same of both, in one order")
    return [
        [None if x is None or y is None else x - y for x, y in zip(row_a, row_b, strict=True)]
        for row_a, row_b in zip(a, b, strict=True)
    ]


def _scored(grid: Scores) -> list[list[float | None]]:
    """Return the grid without the examples and seeds that have no score at all."""
    keep = [any(v is not None for v in column) for column in zip(*grid, strict=True)]
    rows = [[v for v, kept in zip(row, keep, strict=True) if kept] for row in grid]
    return [row for row in rows if any(v is not None for v in row)]


def _columns(grid: Scores) -> list[list[float]]:
    return [[v for v in column if v is not None] for column in zip(*grid, strict=True)]


def _seeds_agree(columns: Sequence[Sequence[float]]) -> bool:
    return all(len(set(column)) == 1 for column in columns)


# ---- intervals


def _wilson(share: float, n: int, level: float) -> Interval:
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = _z(level) ** 2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if share == 0 else max(0.0, center - half)
    high = 1.0 if share == 1 else min(1.0, center + half)
    return Interval(low, high)


def _bonett_price(differences: Sequence[float], level: float) -> Interval:
    """Return the Wald interval after one example won and one lost are added; in [-1, 1]."""
    n = len(differences) + 2
    center = math.fsum(differences) / n
    variance = (math.fsum(d * d for d in differences) + 2) / n - center * center
    half = _z(level) * math.sqrt(variance / n)
    return Interval(max(-1.0, center - half), min(1.0, center + half))


def _bootstrap(grid: Scores, level: float) -> Interval:
    import numpy as np

    values = np.array([[math.nan if v is None else v for v in row] for row in grid])
    known = ~np.isnan(values)
    values = np.where(known, values, 0.0)
    rng = np.random.RandomState(_SEED)  # its stream is frozen; a Generator's may change
    means: list[NDArray[np.float64]] = []
    for _ in range(RESAMPLES // _CHUNK):
        seeds = _draw_counts(rng, values.shape[0])
        examples = _draw_counts(rng, values.shape[1])
        total = ((seeds @ values) * examples).sum(axis=1)
        n = ((seeds @ known) * examples).sum(axis=1)
        means.append(total[n > 0] / n[n > 0])
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(round(float(low), _DECIMALS), round(float(high), _DECIMALS))


def _draw_counts(rng: np.random.RandomState, n: int) -> NDArray[np.float64]:
    """Return how often each of n things is drawn in n draws with replacement; a row a resample."""
    import numpy as np

    drawn = rng.randint(0, n, size=(_CHUNK, n)) + n * np.arange(_CHUNK)[:, None]
    return np.bincount(drawn.ravel(), minlength=_CHUNK * n).reshape(_CHUNK, n).astype(np.float64)


def _hull(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), max(a.high, b.high))


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


# ---- tests


def _mcnemar(n_won: int, n_lost: int) -> float:
    n = n_won + n_lost
    tail = sum(math.comb(n, k) for k in range(min(n_won, n_lost) + 1))
    return min(1.0, 2 * tail / 2**n)


def _sign_flips(sums: Sequence[float]) -> float:
    """Return p of the total if each example's sum were as likely to have the other sign."""
    import numpy as np

    # Totals that are equal on paper may differ in the last bits.
    threshold = abs(math.fsum(sums)) - 1e-9
    moving = np.array([s for s in sums if s != 0])
    if len(moving) <= EXACT_FLIPS_UP_TO:
        totals = np.zeros(1)
        for s in moving:
            totals = np.concatenate([totals + s, totals - s])
        return float(np.mean(np.abs(totals) >= threshold))
    rng = np.random.RandomState(_SEED)
    hits = 0
    for _ in range(FLIPS // _CHUNK):
        signs = 2.0 * rng.randint(0, 2, size=(_CHUNK, len(moving))) - 1.0
        hits += int(np.sum(np.abs(signs @ moving) >= threshold))
    return (hits + 1) / (FLIPS + 1)
