"""Statistics against scipy, hand counts and small coverage simulations."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from harness.stats import (
    bounds,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    wilson,
)

binary = st.sampled_from([0.0, 1.0])
graded = st.floats(0, 1)
maybe = st.one_of(st.none(), graded)


def grids(values: st.SearchStrategy[float | None]) -> st.SearchStrategy[list[list[float | None]]]:
    def of_shape(shape: tuple[int, int]) -> st.SearchStrategy[list[list[float | None]]]:
        row = st.lists(values, min_size=shape[1], max_size=shape[1])
        return st.lists(row, min_size=shape[0], max_size=shape[0])

    return st.tuples(st.integers(1, 3), st.integers(1, 12)).flatmap(of_shape)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (150, 300)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_equals_scipys(k: int, n: int, level: float) -> None:
    wanted = oracle.binomtest(k, n).proportion_ci(level, method="wilson")

    interval = wilson(k, n, level)

    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_of_nothing_is_everything() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_wilson_refuses_more_right_than_asked() -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(4, 3)


def test_one_seed_of_right_or_wrong_scores_gets_wilson() -> None:
    estimate = mean_interval([[1.0, 0.0, 1.0, None]])

    assert estimate.mean == pytest.approx(2 / 3)
    assert (estimate.low, estimate.high) == (wilson(2, 3).low, wilson(2, 3).high)
    assert estimate.n_examples == 3


def test_equal_repeats_make_no_interval_narrower() -> None:
    one = mean_interval([[1.0, 0.0, 1.0, 1.0]])

    assert mean_interval([[1.0, 0.0, 1.0, 1.0]] * 5) == one


def test_a_failed_rollout_is_left_out_and_is_no_zero() -> None:
    assert mean_interval([[1.0, None, 1.0]]).mean == 1.0
    assert mean_interval([[None, None]]).mean is None
    assert (mean_interval([[None]]).low, mean_interval([[None]]).high) == (0.0, 1.0)
    assert mean_interval([]).n_examples == 0


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 5, 60])
def test_equal_scores_still_have_an_interval_with_a_width(value: float, n: int) -> None:
    estimate = mean_interval([[value] * n] * 2)

    assert estimate.high - estimate.low > 1 / (n + 4)


def test_a_score_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        mean_interval([[1.5]])
    with pytest.raises(ValueError, match="outside"):
        mean_interval([[float("nan")]])


def test_seeds_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers"):
        mean_interval([[1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="differ"):
        paired_difference([[1.0]], [[1.0, 0.0]])


def test_the_bootstrap_over_examples_is_close_to_scipys() -> None:
    rng = random.Random(1)
    scores = [rng.betavariate(2, 1) for _ in range(80)]
    wanted = oracle.bootstrap(
        (scores,),
        lambda x, axis: x.mean(axis=axis),
        n_resamples=5000,
        method="percentile",
        rng=0,
    ).confidence_interval

    estimate = mean_interval([scores])

    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high), abs=0.006)


def test_the_bootstrap_draws_seeds_as_well_as_examples() -> None:
    # Examples are equal, seeds are not: of three, all draws are the lowest one time in 27.
    estimate = mean_interval([[0.1] * 50, [0.5] * 50, [0.9] * 50])

    assert (estimate.low, estimate.high) == pytest.approx((0.1, 0.9))


@pytest.mark.parametrize("n", [3, 50])
def test_equal_graded_differences_still_have_an_interval_with_a_width(n: int) -> None:
    difference = paired_difference([[0.75] * n], [[0.5] * n])

    assert difference.low < 0.25 < difference.high


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 0), (7, 3), (3, 7), (30, 12)])
def test_mcnemar_equals_the_exact_binomial_test(won: int, lost: int) -> None:
    a = [1.0] * won + [0.0] * lost + [1.0] * 10
    b = [0.0] * won + [1.0] * lost + [1.0] * 10
    wanted = oracle.binomtest(won, won + lost).pvalue if won + lost else 1.0

    difference = paired_difference([a], [b])

    assert difference.p == pytest.approx(wanted)
    assert difference.mean == pytest.approx((won - lost) / (won + lost + 10))


def test_sign_flips_of_few_examples_are_enumerated() -> None:
    a, b = [[0.9, 0.8, 0.4, 0.7, 0.3]], [[0.1, 0.5, 0.6, 0.2, 0.3]]
    d = [x - y for x, y in zip(a[0], b[0], strict=True)]
    totals = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    wanted = sum(t >= abs(sum(d)) - 1e-9 for t in totals) / len(totals)

    assert paired_difference(a, b).p == pytest.approx(wanted)


def test_sign_flips_of_many_examples_are_close_to_scipys() -> None:
    rng = random.Random(2)
    a = [rng.random() for _ in range(60)]
    b = [min(1.0, max(0.0, x - rng.gauss(0.05, 0.2))) for x in a]
    wanted = oracle.permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=0,
    ).pvalue

    assert paired_difference([a], [b]).p == pytest.approx(wanted, abs=0.01)


def test_sign_flips_keep_the_seeds_of_an_example_together() -> None:
    # One example won at both seeds, one at one seed: 2 clusters, so no p below 2 / 4.
    difference = paired_difference([[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])

    assert difference.p == 0.5
    assert difference.n_pairs == 4


@pytest.mark.parametrize("n", [1, 10, 200])
@pytest.mark.parametrize("value", [1.0, 0.3])
def test_identical_scores_have_p_1_and_an_interval_with_a_width(n: int, value: float) -> None:
    scores = [[value] * n, [value] * n]
    disagreement = oracle.binomtest(0, n).proportion_ci(0.95, method="wilson").high

    difference = paired_difference(scores, scores)

    assert (difference.mean, difference.p) == (0.0, 1.0)
    assert difference.low == -difference.high
    assert disagreement / 2 < difference.high <= 1.0


def test_the_interval_of_a_difference_follows_bonett_and_price() -> None:
    # n = 100, won 12, lost 4: (13 - 5) / 102 -+ 1.96 * sqrt((18/102 - (8/102)**2) / 102)
    a = [1.0] * 12 + [0.0] * 4 + [1.0] * 84
    b = [0.0] * 12 + [1.0] * 4 + [1.0] * 84

    difference = paired_difference([a], [b])

    assert (difference.low, difference.high) == pytest.approx((-0.00166, 0.15852), abs=1e-4)


def test_pairs_without_both_scores_are_left_out_and_counted() -> None:
    difference = paired_difference([[1.0, None, 0.0, None]], [[0.0, 1.0, None, None]])

    assert (difference.mean, difference.n_pairs, difference.n_left_out) == (1.0, 1, 3)


def test_no_pair_at_all_has_no_p() -> None:
    difference = paired_difference([[None]], [[1.0]])

    assert (difference.mean, difference.p, difference.low, difference.high) == (None, None, -1, 1)


def test_holm_adjusts_as_counted_by_hand() -> None:
    # 0.01 * 3, then max(0.03, 0.02 * 2), then max(0.04, 0.03 * 1)
    assert holm([0.03, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_lies_between_the_raw_p_and_bonferronis(ps: list[float | None]) -> None:
    n = sum(p is not None for p in ps)

    for p, adjusted in zip(ps, holm(ps), strict=True):
        assert (p is None) == (adjusted is None)
        if p is not None and adjusted is not None:
            assert p <= adjusted <= min(1.0, n * p) + 1e-12


@pytest.mark.parametrize(
    ("n", "discordance", "effect"),
    [(149, 0.2, 0.10), (620, 0.2, 0.05), (1736, 0.2, 0.03), (228, 0.3, 0.10), (5879, 0.3, 0.02)],
)
def test_the_detectable_effect_equals_published_sizes(
    n: int, discordance: float, effect: float
) -> None:
    assert minimum_detectable_effect(n, discordance) == pytest.approx(effect, abs=1e-4)


def test_few_pairs_detect_only_what_the_discordance_allows() -> None:
    assert minimum_detectable_effect(0) == 1.0
    assert minimum_detectable_effect(5) > 0.2


def test_bounds_count_failed_rollouts_as_0_and_as_1() -> None:
    assert bounds([[1.0, None], [0.0, 1.0]]) == (0.5, 0.75)
    assert bounds([]) == (0.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(grids(maybe))
def test_an_interval_holds_its_mean_and_stays_in_range(scores: list[list[float | None]]) -> None:
    estimate = mean_interval(scores)

    assert 0 <= estimate.low < estimate.high <= 1
    assert estimate.mean is None or estimate.low <= estimate.mean <= estimate.high
    assert bounds(scores)[0] <= bounds(scores)[1]


@settings(max_examples=30, deadline=None)
@given(grids(binary))
def test_swapping_the_sides_only_changes_the_sign(a: list[list[float | None]]) -> None:
    b = [list(reversed(row)) for row in a]

    there, back = paired_difference(a, b), paired_difference(b, a)

    assert there.mean is not None and back.mean is not None
    assert there.p == back.p
    assert there.mean == pytest.approx(-back.mean)
    # The percentile bootstrap resamples alike on both sides, so its ends mirror as well.
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


def test_wilson_covers_as_often_as_it_says() -> None:
    rng = random.Random(3)
    hits = 0
    for _ in range(500):
        truth = rng.random()
        interval = wilson(sum(rng.random() < truth for _ in range(25)), 25)
        hits += interval.low <= truth <= interval.high

    assert hits >= 0.92 * 500


@pytest.mark.parametrize("n_examples", [12, 60])
def test_the_two_way_bootstrap_covers_as_often_as_it_says(n_examples: int) -> None:
    rng = random.Random(4)
    n_draws, hits = 120, 0
    for _ in range(n_draws):
        # Examples differ in difficulty with mean 0.7; three seeds repeat each.
        chances = [rng.betavariate(2.1, 0.9) for _ in range(n_examples)]
        scores = [[float(rng.random() < p) for p in chances] for _ in range(3)]
        estimate = mean_interval(scores)
        hits += estimate.low <= 0.7 <= estimate.high

    assert hits >= 0.9 * n_draws


def test_the_interval_of_a_difference_covers_as_often_as_it_says() -> None:
    rng = random.Random(5)
    n_draws, hits = 400, 0
    for _ in range(n_draws):
        a = [float(rng.random() < 0.7) for _ in range(40)]
        b = [x if rng.random() < 0.8 else float(rng.random() < 0.5) for x in a]
        difference = paired_difference([a], [b])
        hits += difference.low <= 0.04 <= difference.high  # 0.7 - (0.8 * 0.7 + 0.2 * 0.5)

    assert hits >= 0.92 * n_draws


def test_another_process_gets_the_same_numbers() -> None:
    code = (
        "from harness.stats import *; a=[[.1,.9,.4]*9,[.2,.8,.5]*9]; b=[[.3,.7,.2]*9]*2;"
        "print(repr(mean_interval(a)), repr(paired_difference(a, b)))"
    )

    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    }

    assert len(outputs) == 1
