"""Trace's own unit tests, its examples and its optimizers, on our tracing core."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from upstream_model import served
from upstream_trace import ASKING, HOUSE, Unreachable, archive_in, run, unpack

from harness.lm import cache_folder

SUITE = "tests/unit_tests"
UNIT_TESTS = (
    "test_apply_op",
    "test_asyncio",
    "test_backward",
    "test_basic_containers",
    "test_basic_operators",
    "test_bool",
    "test_bundle",
    "test_class_method",
    "test_containers",
    "test_copy",
    "test_dependencies",
    "test_error_handling",
    "test_llm",
    "test_modules",
    "test_multi_decorators",
    "test_nodes",
    "test_optimizer",
    "test_python_funcs",
    "test_randomness",
    "test_re_parsing",
    "test_saving_loading",
    "test_to_data",
)
# The others need a package, data or a provider that is not here: IPython, uxsim, llfbench, autogen.
PROGRAMS = (
    "README",
    "docs/tutorials/basic_tutorial",
    "docs/tutorials/error_handling_tutorial",
    "docs/tutorials/minibatch",
    "docs/tutorials/optimization_tutorial",
    "docs/quickstart/quick_start",
    "docs/quickstart/quick_start_2",
    "docs/examples/basic/greeting",
    "docs/examples/game/battleship",
    "examples/textgrad_examples/notebooks/textgrad_primitives",
    "examples/textgrad_examples/notebooks/textgrad_solution_optimization",
)
CASES = (
    "a_failure_reaches_the_optimizer_with_its_message",
    "a_parameter_that_is_the_output_gets_the_feedback",
    "a_propagator_of_ones_own_carries_numbers",
    "a_registered_rule_takes_the_place_of_the_general_one",
    "an_optimizer_is_copied_with_its_parameters",
    "feedback_reaches_a_parameter_inside_a_traced_body",
    "masked_sections_stay_empty",
    "memory_shows_the_values_of_steps_before",
    "one_node_used_twice_is_one_variable",
    "opro_shows_every_value_it_tried",
    "optoprime_changes_a_number_and_shows_its_graph",
    "optoprime_reads_a_program_of_two_parameters",
    "optoprime_replaces_code_and_the_new_code_runs",
    "several_candidates_are_drawn_and_one_is_taken",
    "textgrad_asks_along_every_edge",
    "the_summary_of_a_parameter_holds_its_own_way_and_its_edge",
    "two_optimizers_share_a_graph",
    "two_outputs_with_feedback_of_their_own_make_one_problem",
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The unpacked distribution and what its programs find in their environment."""

    root: Path
    environ: Mapping[str, str]

    def run(self, program: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        # Where this file is, the parts of their tests that need a model are run, too.
        (cwd / "OAI_CONFIG_LIST").write_text("[]", encoding="utf-8")
        return run(self.root, program, cwd, self.environ)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    try:
        archive = archive_in(cache_folder())
    except Unreachable as e:
        pytest.skip(f"could not run: {e}")
    root = unpack(archive, tmp_path_factory.mktemp("upstream"))
    with served() as url:
        client = {"TRACE_DEFAULT_LLM_BACKEND": "CustomLLM", "TRACE_CUSTOMLLM_URL": url}
        yield Upstream(root, {**client, "TRACE_CUSTOMLLM_API_KEY": "none"})


@pytest.fixture(scope="module")
def outcomes(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What went wrong in each case with their optimizers; one process for all, it loads slowly."""
    cwd = tmp_path_factory.mktemp("cases")
    done = upstream.run([str(HOUSE / "tests" / "upstream_cases.py"), "outcomes.json"], cwd)
    assert done.returncode == 0, done.stderr
    return json.loads((cwd / "outcomes.json").read_text(encoding="utf-8"))


def test_an_index_without_the_archive_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(Unreachable, match=r"cannot download trace-opt 0\.1\.3\.8: ERROR"):
        archive_in(tmp_path)


def test_an_archive_with_other_content_is_refused(tmp_path: Path):
    file = tmp_path / "sdists" / "trace_opt-0.1.3.8.tar.gz"
    file.parent.mkdir()
    file.write_bytes(b"something else")

    with pytest.raises(RuntimeError, match="delete it, and it will be fetched again"):
        archive_in(tmp_path)


def test_no_unit_test_of_theirs_is_left_out(upstream: Upstream):
    files = (upstream.root / SUITE).glob("test_*.py")

    assert sorted(file.stem for file in files) == sorted(UNIT_TESTS)


def test_nothing_of_theirs_can_reach_their_own_core(upstream: Upstream, tmp_path: Path):
    done = upstream.run(["-c", "import opto, opto.trace"], tmp_path)

    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'opto.trace'"


def test_a_program_of_theirs_that_is_broken_is_seen(upstream: Upstream, tmp_path: Path):
    source = (upstream.root / SUITE / "test_basic_operators.py").read_text(encoding="utf-8")
    broken = tmp_path / "broken.py"
    broken.write_text(f"{source}\nassert (x + y).data == 4\n", encoding="utf-8")

    done = upstream.run([str(broken)], tmp_path)

    assert done.returncode == 1 and "AssertionError" in done.stderr


@pytest.mark.parametrize("name", UNIT_TESTS)
def test_their_unit_test_passes(upstream: Upstream, name: str, tmp_path: Path):
    done = upstream.run([str(upstream.root / SUITE / f"{name}.py")], tmp_path)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_their_example_runs_to_its_end(upstream: Upstream, name: str, tmp_path: Path):
    done = upstream.run(["-c", ASKING, str(upstream.root / f"{name}.py")], tmp_path)

    assert done.returncode == 0, done.stderr


def test_no_case_is_left_out(outcomes: dict[str, str | None]):
    assert sorted(outcomes) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_their_optimizers_work_on_our_nodes(outcomes: dict[str, str | None], case: str):
    assert outcomes[case] is None, outcomes[case]
