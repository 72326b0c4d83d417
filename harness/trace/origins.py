"""What made a node, in words, and what only some operations have to tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.trace.kinds import MessageNode, Node

_TAG = re.compile(r"\[([^\]]*)\]\s*")


class Origin(Protocol):
    """What made a node: an operator of the table or a bundle."""

    @property
    def name(self) -> str:
        """The operation's name."""
        ...

    @property
    def doc(self) -> str:
        """What the operation does."""
        ...

    @property
    def code(self) -> str:
        """The source of the function, if it is the user's own; else empty."""
        ...

    def info_of(self, node: MessageNode) -> dict[str, Any]:
        """Return the facts about one call."""
        ...


class Named:
    """An origin that has only a name and words."""

    __slots__ = ("doc", "name")
    code = ""

    def __init__(self, name: str, doc: str) -> None:
        self.name = name
        self.doc = doc

    def info_of(self, node: MessageNode) -> dict[str, Any]:
        """Return the facts about one call."""
        inputs: dict[str, Any] = {"args": list(node.sources.values()), "kwargs": {}}
        return {"fun_name": self.name, "doc": self.doc, "inputs": inputs}


class Extra:
    """What only some operations have to tell.

    hidden: nodes that the result depends on and that are no inputs. inner: the output of the graph
    that ran inside.
    """

    __slots__ = ("hidden", "inner")

    def __init__(self, hidden: tuple[Node, ...], inner: Node | None) -> None:
        self.hidden = hidden
        self.inner = inner


def split_tag(text: str) -> tuple[str | None, str]:
    """Return the name in `[name] words`, or None, and the words."""
    found = _TAG.match(text)
    return (found[1], text[found.end() :]) if found else (None, text)
