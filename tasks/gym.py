"""Generated tasks: each generator of reasoning-gym 0.1.25 as `gym/NAME`, scored by its verifier.

Nothing is downloaded. Rows come from the split's seed: the test pool and the pool for train and
val from two ranges of the generator's own seeds, so that a larger train changes no test example.
The verifier decides, also on partial credit, which differs from generator to generator.
What the verifier needs besides the answer is kept as the Python text of the generator's metadata,
since JSON has no tuples; a field that cannot be written so is left out.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from harness.answers import (
    after_marker,
    final_answer,
    is_harmless_formula,
    is_harmless_literal,
    snippet,
)
from harness.errors import DataError
from harness.types import (
    Example,
    Pools,
    RowSource,
    Score,
    SplitSizes,
    make_example,
)

HASHED = "its rows (or some) depend on PYTHONHASHSEED, so a seed does not fix them"
EXCLUDED = {
    "codeio": HASHED,
    "composite": "it has no rows of its own",
    "game_of_life_halting": "its verifier gives the full score to any text",
    "isomorphic_strings": HASHED,
    "knight_swap": HASHED,
    "list_functions": "it draws from Python's global random state, so a seed does not fix its rows",
    "polynomial_multiplication": HASHED,
    "ransom_note": HASHED,
    "word_ladder": HASHED,
}
MAX_ANSWER = 10_000  # characters; the longest gold answer has some hundreds
# Fraction("1e99999999") would be written out; complex_arithmetic gives nan the full score.
NO_NUMBER = re.compile(r"[\d.]e[+-]?[\d_]{4}|\bnan", re.IGNORECASE)
MAX_TRIES = 20  # seeds per wanted example before a generator counts as too small
STREAM = 1_000_000  # seeds between two pools
FUNCTIONS = frozenset(
    {"Abs", "acos", "asin", "atan", "cos", "exp", "log", "pi", "sin", "sqrt", "tan"}
)
# These verifiers evaluate the answer as Python; see harness/answers/harmless.py.
EVALUATE_LITERAL = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
EVALUATE_FORMULA = {
    "countdown": frozenset[str](),
    "intermediate_integration": FUNCTIONS,
    "puzzle24": frozenset[str](),
    "simple_integration": FUNCTIONS,
}
PRESETS = {"default": SplitSizes(50, 50, 100), "quick": SplitSizes(12, 12, 24)}


@dataclass(frozen=True, slots=True)
class Gym:
    """One generator with its default settings."""

    generator: str
    program: str = "direct"
    objective: str = "Solve generated puzzles; a verifier checks the final answer."
    instruction: str = (
        "Solve the puzzle. End your reply with 'Answer: ' and the answer alone, in exactly the "
        "format that the puzzle asks for."
    )

    @property
    def name(self) -> str:
        """`gym/GENERATOR`."""
        return f"gym/{self.generator}"

    @property
    def presets(self) -> Mapping[str, SplitSizes]:
        """Named split sizes."""
        return PRESETS

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Generate as many distinct examples as are asked for. Uses no rows."""
        if sizes.test is None:
            raise DataError(f"{self.name} is generated without end; give the test split a size")
        first = 2 * seed * STREAM % 2**31
        test = _distinct(self.generator, first, sizes.test, frozenset())
        taken = frozenset(example.content for example in test)
        optimize = _distinct(self.generator, first + STREAM, sizes.train + sizes.val, taken)
        return Pools(optimize, test, f"reasoning-gym {_version()} {self.generator} seed {seed}")

    def score(self, example: Example, output: str) -> Score:
        """Ask the generator's verifier about the final answer, and what follows it; the better."""
        rest = after_marker(output)
        answers = [output.strip()] if rest is None else [final_answer(output), rest]
        scores = [self._score(example, answer) for answer in dict.fromkeys(answers)]
        return max(scores, key=lambda score: score.value)

    def _score(self, example: Example, answer: str) -> Score:
        if not answer:
            return Score(0.0, f"{_expected(example)} No answer was found.")
        if not self._may_see(answer) and answer != example.target:
            fault = f"{snippet(answer)} is not in the puzzle's answer format, so it was not checked"
            return Score(0.0, f"{_expected(example)} {fault}.")
        try:
            value = _verify(self.generator, example, answer)
        except Exception as e:  # noqa: BLE001 - the verifier is foreign code over untrusted text
            fault = f"The verifier cannot read {snippet(answer)}: {type(e).__name__}"
            return Score(0.0, f"{_expected(example)} {fault}.")
        if value == 1.0:
            return Score(1.0, f"Correct: {snippet(answer)}")
        credit = "no credit" if value == 0.0 else f"partial credit, {value:.2f} of 1"
        return Score(value, f"{_expected(example)} The answer {snippet(answer)} gets {credit}.")

    def _may_see(self, answer: str) -> bool:
        if self.generator in EVALUATE_LITERAL:
            return is_harmless_literal(answer)
        if self.generator in EVALUATE_FORMULA:
            return is_harmless_formula(answer, EVALUATE_FORMULA[self.generator])
        return len(answer) <= MAX_ANSWER and not NO_NUMBER.search(answer)


def variants() -> tuple[str, ...]:
    """Return the generators' names; imports reasoning-gym, which takes 2 to 5 s."""
    return tuple(sorted(set(_datasets()) - set(EXCLUDED)))


def task(variant: str) -> Gym:
    """Return the task of one generator."""
    return Gym(variant)


def _distinct(generator: str, seed: int, n: int, taken: frozenset[str]) -> list[Example]:
    found: dict[str, Example] = {}
    for example in _generated(generator, seed, n * MAX_TRIES):
        if len(found) == n:
            break
        if example.content not in taken:
            found.setdefault(example.content, example)
    if len(found) < n:
        raise DataError(
            f"gym/{generator} gave only {len(found)} distinct examples in {n * MAX_TRIES} tries; "
            f"{n} are asked for; ask for fewer, or take another generator"
        )
    return list(found.values())


def _generated(generator: str, seed: int, n: int) -> Iterator[Example]:
    dataset = _datasets()[generator](seed=seed, size=n)
    for i in range(n):
        with contextlib.redirect_stdout(io.StringIO()):  # several generators print
            entry = dataset[i]
        kept = {key: value for key, value in entry["metadata"].items() if _is_literal(value)}
        answer = cast("str | None", entry["answer"])
        yield make_example(
            {"question": entry["question"]},
            "" if answer is None else answer,
            content=entry["question"],
            meta={"metadata": repr(kept), "has_answer": answer is not None},
        )


def _verify(generator: str, example: Example, answer: str) -> float:
    """Return the verifier's value, clipped to [0, 1]; raises whatever it raises."""
    entry = {
        "question": example.inputs["question"],
        "answer": example.target if example.meta["has_answer"] else None,
        "metadata": ast.literal_eval(str(example.meta["metadata"])),
    }
    value = float(_verifier(generator).score_answer(answer=answer, entry=entry))
    return min(max(value, 0.0), 1.0) if value == value else 0.0


@functools.cache
def _verifier(generator: str) -> Any:
    return _datasets()[generator](seed=0, size=1)


@functools.cache
def _datasets() -> Mapping[str, Any]:
    """Return, by name, what makes a data set from `seed` and `size`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of cellpylib, when it is first compiled
        import reasoning_gym
        from reasoning_gym import factory

    known = cast("Mapping[str, Any]", cast("Any", factory).DATASETS)
    create = cast("Any", reasoning_gym).create_dataset
    return {name: functools.partial(create, name) for name in known}


def _version() -> str:
    from importlib.metadata import version

    return version("reasoning-gym")


def _is_literal(value: object) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _expected(example: Example) -> str:
    if example.meta["has_answer"]:
        return f"Expected {example.target}."
    return "Any answer that solves the puzzle is right; none is given."
