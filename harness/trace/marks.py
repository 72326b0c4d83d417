"""Text that plain Python makes from nodes: f-strings, `%`, `str.format`, `str(node)`.

Python joins such text without asking the nodes, so the text itself carries an invisible mark for
each of them. When it enters the program again, as an argument or an operand, the marks are taken
out and the nodes become its inputs. A mark that was cut, or escaped as by json.dumps, is refused.

Only text that stays outside the program keeps its marks; `plain_text` takes them out. What looks
like a mark but was not made by this process (in a data set, say) is text like any other.
"""

from __future__ import annotations

import json
import opcode
import os
import re
import sys
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

from harness.trace.errors import UsageError

# Letters and digits of the Unicode block "Tags", which are never drawn. The key is drawn once per
# process, so that no foreign text can name a node.
_TAGS = {ord(c): 0xE0000 + ord(c) for c in "0123456789abcdef"}
_DIGITS = {tag: c for c, tag in _TAGS.items()}
_OPEN = "\U000e0001" + os.urandom(2).hex().translate(_TAGS)
_CLOSE = "\U000e007f"
# The process and the node's number: a forked process has the same key and gives the same numbers.
_BETWEEN, _NUMBER = chr(_TAGS[ord("a")]), "[\U000e0030-\U000e0039]+"
_MARK = re.compile(f"{_OPEN}({_NUMBER}){_BETWEEN}({_NUMBER}){_CLOSE}")
_STARTS = "|".join(_OPEN[:n] for n in range(2, len(_OPEN)))
_CUT = re.compile(f"{_OPEN}|({_STARTS})$|^[\U000e0030-\U000e0066]+{_CLOSE}")
_ESCAPES = (json.dumps(_OPEN)[1:-1], _OPEN.encode("unicode_escape").decode())

_BINARY_OP = opcode.opmap.get("BINARY_OP")
_REMAINDERS = (6, 19)  # `%` and `%=`, as dis shows them

# The nodes that were written into a text, by number; weak, so that a text keeps no graph alive.
_MARKED: WeakValueDictionary[int, Any] = WeakValueDictionary()
# A node made inside an f-string has no other reference: the last ones of each thread or task are
# kept. A tuple, because tasks share what their contexts were copied with.
_N_KEPT = 1000
# The latest nodes as nested pairs, their number, and as many before them.
_LATEST: ContextVar[tuple[Any, int, Any]] = ContextVar("LATEST", default=(None, 0, None))


def marked(node: Any, text: str) -> str:
    """Return the text of a node with its mark before it."""
    _MARKED[node.serial] = node
    latest, number, before = _LATEST.get()
    if number == _N_KEPT:
        latest, number, before = None, 0, latest
    _LATEST.set(((node, latest), number + 1, before))
    return f"{_OPEN}{f'{os.getpid()}a{node.serial}'.translate(_TAGS)}{_CLOSE}{text}"


def is_marked(text: str) -> bool:
    """Tell whether a text was made from nodes. Raises UsageError if their marks were escaped."""
    if text.isascii():
        if any(escaped in text for escaped in _ESCAPES):
            raise _refused("was escaped (by json.dumps or repr?)")
        return False
    return _OPEN[0] in text or (text[0] >= "\U000e0030" and _CUT.search(text) is not None)


def unmarked(text: str) -> tuple[str, list[Any]]:
    """Return the text without marks, and the nodes that they name, each once, in their order.

    Raises UsageError for a mark that was cut or escaped, or whose node is gone.
    """
    if not is_marked(text):
        return text, []
    found: dict[int, Any] = {}
    for process, digits in _MARK.findall(text):
        if int(process.translate(_DIGITS)) != os.getpid():
            raise _refused("was made in another process")
        number = int(digits.translate(_DIGITS))
        found[number] = _MARKED.get(number)
    if None in found.values():
        raise _refused("is gone; keep a reference to it until the text is used")
    clean = _MARK.sub("", text) if found else text
    if _CUT.search(clean):
        raise _refused("was cut out in part")
    return clean, list(found.values())


def plain_text(text: str) -> str:
    """Return text made from nodes as plain text, for use outside the program."""
    return text if text.isascii() else _MARK.sub("", text)


def refuse_percent() -> None:
    """Refuse `"%d" % node`: Python asks the node for a number, and the text would forget it."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]  # tells `%` from int(node)
    code, at = frame.f_code.co_code, frame.f_lasti
    if code[at] == _BINARY_OP and code[at + 1] in _REMAINDERS:
        raise TypeError(
            "a node in `%d` and the like would lose what the text depends on; write `%s`, an "
            "f-string, or node.data for a number that is to forget where it comes from"
        )


def _refused(why: str) -> UsageError:
    return UsageError(
        f"this text was made from a node, and the node's mark in it {why}: what the text depends "
        "on would be lost; use the node's own methods (format, join, split, ...) or a @bundle "
        "function to make it, or node.data for a text that is to forget where it comes from"
    )
