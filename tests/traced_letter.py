"""A program with every kind of operation, for the stress tests: it writes a letter to somebody.

It stands in its own module so that worker processes can import it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from harness.trace import Module, Node, bundle, node, trace_of


@bundle
def page(text, words, count=1):
    """Put the parts of a letter together."""
    return {"text": text, "words": words, "count": count}


@bundle
def refuse(text, limit):
    """Refuse a letter that is too long."""
    if len(text) > limit:
        raise ValueError(f"{len(text)} letters are more than {limit}")
    return text


class Letter(Module):
    """Writes a letter: a text, a number and code are its parameters."""

    def __init__(self):
        self.greeting = node("Dear", trainable=True, name="greeting")
        self.times = node(2, trainable=True, name="times")
        self.endings = node(["!", ".", "?"], trainable=True, name="endings")

    @bundle(trainable=True)
    def decorate(self, text, times=1):
        """Repeat the text."""
        return text * times

    @bundle
    def measure(self, text, *more):
        """Count letters and list words."""
        return {"letters": len(text) + len(more), "words": text.split()}

    def opening(self, who: str, number: int) -> Node:
        name = node(who, name="who")
        return self.decorate(self.greeting + " " + name.upper(), self.times + number % 3)

    def ending(self, text: Node, number: int) -> Node:
        measured = self.measure(text, text, number)
        last = text + self.endings[number % 3]
        return page(last + last[:2], measured["words"], measured["letters"] + self.times)

    def forward(self, who: str, number: int) -> Node:
        return self.ending(self.opening(who, number), number)


def item(i: int) -> tuple[str, int]:
    """Return the arguments of a call; no two items are the same."""
    return f"reader {i}", i


def written(output: Node, letter: Letter) -> str:
    """Return the whole trace of an output as text."""
    return json.dumps(trace_of(output, letter.named_parameters()).to_json())


def write(letter: Letter, i: int) -> str:
    """Run the program on one item; this also runs in worker processes."""
    return written(letter(*item(i)), letter)


def asking(letter: Letter, pause: Callable[[], Awaitable[None]]) -> Callable[[int], Any]:
    """Return the program as a coroutine that asks three times at once and pauses in each."""

    @bundle
    async def ask(text, key):
        """Ask somebody else."""
        before = f"{text}/{key}"
        await pause()
        return f"{before} {text}"

    async def run(i: int) -> Node:
        who, number = item(i)
        opening = letter.opening(who, number)
        answers = await asyncio.gather(*(ask(opening, f"{i}.{k}") for k in range(3)))
        return letter.ending(answers[0] + answers[2] + answers[1], number)

    return run


async def no_pause() -> None:
    """Go on at once."""
