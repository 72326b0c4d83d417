"""types: the facts that travel add up and hash as promised."""

from __future__ import annotations

from dataclasses import replace

from harness.types import Candidate, Usage, make_example


def test_usage_adds_up_and_an_unknown_cost_stays_unknown() -> None:
    one = Usage(1, 2, 3, 0.5, 0.25, 1)

    assert sum([one] * 400, Usage()) == Usage(400, 800, 1200, 200.0, 100.0, 400)
    assert (one + replace(one, cost_usd=None) + one).cost_usd is None


def test_equal_candidates_have_equal_hashes_whatever_the_order_of_their_values() -> None:
    assert Candidate({"a": 1, "b": [2]}).hash == Candidate({"b": [2], "a": 1}).hash
    assert Candidate({"a": 1}).hash != Candidate({"a": 2}).hash


def test_examples_that_ask_the_same_have_the_same_content_and_other_targets_another_id() -> None:
    one, two = make_example({"q": "Is it  so?"}, "Yes"), make_example({"q": "is it so?"}, "No")

    assert one.content == two.content
    assert one.id != two.id
