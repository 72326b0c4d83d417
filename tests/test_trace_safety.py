"""Replaced code cannot touch this process; no state is shared, nothing heavy is imported."""

import asyncio
import copy
import gc
import os
import subprocess
import sys
import weakref

import pytest

from harness.trace import ExecutionError, Parameter, bundle, node

SECRET = "only in this process"


@bundle(trainable=True)
def learned(x):
    return x


def failure(code):
    """Run code that replaced `learned` in the library's own sandbox; return its failed node."""
    with pytest.raises(ExecutionError) as caught:
        result(code)
    return caught.value.exception_node


def result(code):
    mine = copy.deepcopy(learned)
    assert mine.parameter is not None
    mine.parameter.set(code)
    return mine(node(1)).data


def test_an_exit_in_replaced_code_is_a_failed_operation():
    failed = failure("import sys\ndef learned(x):\n    sys.exit(3)\n")

    assert "SystemExit" in failed.create_feedback("full")
    assert failed.inputs["x"].data == 1


def test_replaced_code_does_not_see_what_this_process_holds():
    code = "def learned(x):\n    return sorted(name for name in globals() if name[0] != '_')\n"

    assert result(code) == ["learned"]
    assert "NameError" in failure("def learned(x):\n    return SECRET\n").create_feedback("full")


def test_replaced_code_cannot_change_this_process():
    before = dict(os.environ)

    for code in (
        "import os\ndef learned(x):\n    os.environ['OPTORACE_LEAK'] = '1'\n    return 1\n",
        "import sys\ndef learned(x):\n    sys.modules.clear()\n    return 1\n",
    ):
        try:
            result(code)
        except ExecutionError as error:
            assert "learned" in str(error)  # either way is safe

    assert dict(os.environ) == before and "harness" in sys.modules


def test_replaced_code_cannot_read_files_of_this_machine(tmp_path):
    (tmp_path / "secret.txt").write_text(SECRET)

    failed = failure(f"def learned(x):\n    return open({str(tmp_path / 'secret.txt')!r}).read()\n")

    assert SECRET not in failed.create_feedback("full")


def test_replaced_code_that_never_ends_is_stopped():
    failed = failure("def learned(x):\n    while True:\n        pass\n")

    assert failed.inputs["x"].data == 1


def test_what_replaced_code_changes_in_its_arguments_stays_there():
    mine = copy.deepcopy(learned)
    words = node(["a"])
    assert mine.parameter is not None
    mine.parameter.set("def learned(x):\n    x.append('b')\n    return x\n")

    made = mine(words)

    assert made.data == ["a", "b"] and words.data == ["a"]


def test_a_saved_state_holds_values_and_no_objects_that_run(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")

    with pytest.raises(ValueError, match="is no state"):
        learned.load(path)


def test_a_decorated_function_keeps_nothing_of_its_callers_alive():
    class Big:
        pass

    def make():
        big = Big()

        @bundle
        def small(x):
            return x

        return small, weakref.ref(big)

    small, gone = make()
    gc.collect()

    assert small(1).data == 1 and gone() is None


def test_what_ran_dies_while_its_parameter_lives():
    parameter = Parameter(1)
    gone: list[weakref.ref[object]] = []

    for _ in range(5):
        out = learned(parameter) + 1
        out.backward("f")
        for told in (parameter, *learned.parameters()):
            told.zero_feedback()
        gone.append(weakref.ref(out))
        del out
    gc.collect()

    assert [ref() for ref in gone] == [None] * 5


def test_only_the_latest_nodes_written_into_a_text_are_kept():
    gone: list[weakref.ref[object]] = []

    for i in range(20_000):
        made = node(i)
        gone.append(weakref.ref(made))
        str(made)
    del made  # pyright: ignore[reportPossiblyUnbound]

    assert gone[0]() is None
    assert sum(ref() is not None for ref in gone) < 10_000


def test_an_unrelated_read_while_a_bundle_waits_is_no_hidden_dependency():
    other = node("other")
    read: list[str] = []

    @bundle
    async def waits(x):
        await asyncio.sleep(0)
        return x

    async def reads() -> None:
        for _ in range(5):
            read.append(other.data)
            await asyncio.sleep(0)

    async def both() -> list[int]:
        made, _ = await asyncio.gather(waits(1), reads())
        return made.data

    assert asyncio.run(both()) == 1 and len(read) == 5


def test_the_import_brings_the_standard_library_only():
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import harness.trace\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print([m for m in sorted(new - set(sys.stdlib_module_names))"
        " if not m.startswith('_sysconfigdata')])\n"
        "print(sorted(m for m in sys.modules if m.startswith('harness.')"
        " and not m.startswith('harness.trace')))\n"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "['harness']\n[]\n"


def test_a_function_made_without_a_file_can_be_a_bundle():
    space: dict[str, object] = {"bundle": bundle}

    exec("@bundle\ndef f(x):\n    return x + 1\ng = bundle()(lambda x: x)", space)

    assert space["f"](1).data == 2 and space["g"](1).data == 1  # pyright: ignore[reportCallIssue]
