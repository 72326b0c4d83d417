"""cli: what a user types, what comes back, what a kill leaves behind. All in real processes."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

TASK = """
from harness.types import Pools, Score, SplitSizes, make_example

class Sums:
    name, objective, instruction, program = "sums", "Give the sum.", "Say the sum.", "direct"
    presets = {"default": SplitSizes(4, 6, 8)}

    def load(self, source, sizes, seed):
        pairs = [(a, b) for a in range(1, 9) for b in range(6)]
        rows = [make_example({"question": f"What is {a} + {b}?"}, str(a + b)) for a, b in pairs]
        return Pools(rows, None, "made by the test")

    def score(self, example, output):
        right = output.strip() == example.target
        return Score(float(right), "Right." if right else f"Expected {example.target}.")

TASK = Sums()
"""
MODEL = """
import json, os, re, time

def reply(request):
    if os.path.exists("broken"):
        from harness.errors import LMUnavailable
        raise LMUnavailable("the model is out of order")
    with open(os.environ["ASKED"], "a") as file:
        file.write(request.key(0) + "\\n")
    time.sleep(float(os.environ.get("LATENCY", "0")))
    system, asked = request.messages[0]["content"], request.messages[-1]["content"]
    if request.schema is not None:
        properties = request.schema["properties"]
        if "suggestion" not in properties:
            return json.dumps({name: "Add with digits." for name in properties})
        return json.dumps({"suggestion": {"answer.instruction": "Add with digits."}})
    a, b = (int(n) for n in re.findall(r"[0-9]+", asked)[-2:])
    return str(a + b) if "digits" in system or a % 2 == 0 else "a number"
"""
SUMS = ["--task", "sums.py", "--optimizer", "none"]
RACE = ["--task", "sums.py", "--lm", "script:model.py#reply"]
FIELD = ["none", "best_of_n", "optoprime", "dspy_bootstrap", "dspy_copro"]


class Desk:
    """A user's folder with a task and a model, and the command line in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "sums.py").write_text(TASK)
        (folder / "model.py").write_text(MODEL)
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ASKED": str(folder / "asked")}

    def start(self, *args: str, latency: float = 0.0) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *args],
            cwd=self.folder,
            env={**self.env, "LATENCY": str(latency)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def race(self, *args: str, out: str = "run") -> subprocess.CompletedProcess[str]:
        return self("run", *RACE, *self.field, "--budget", "rollouts=30", "--out", out, *args)

    field = tuple(a for name in FIELD for a in ("--optimizer", name))

    @property
    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def raced(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Desk, subprocess.CompletedProcess[str]]:
    desk = Desk(tmp_path_factory.mktemp("raced"))
    return desk, desk.race()


def test_a_race_ends_in_a_table_with_every_optimizer(raced) -> None:
    _, done = raced

    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in FIELD)
    assert "100.0" in done.stdout
    assert "made by the test" in done.stdout


def test_the_same_command_again_asks_nothing_and_prints_the_same_bytes(raced) -> None:
    desk, done = raced
    before = len(desk.asked)

    again = desk.race()

    assert again.returncode == 0, again.stderr
    assert len(desk.asked) == before
    assert again.stdout == done.stdout


def test_a_fresh_run_with_other_jobs_gives_the_same_table(raced, tmp_path: Path) -> None:
    desk, _ = raced
    other = Desk(tmp_path)

    other.race("--jobs", "1")

    name = "run/table.txt"
    assert (other.folder / name).read_bytes() == (desk.folder / name).read_bytes()


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv", "json"])
def test_every_format_of_the_report_comes_from_the_folder_alone(raced, form: str) -> None:
    desk, _ = raced

    done = desk("report", "run", "--format", form)

    assert done.returncode == 0, done.stderr
    assert "dspy" in done.stdout
    if form == "json":
        assert json.loads(done.stdout)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [r["optimizer"] for r in rows] == FIELD


def test_show_tells_what_changed_as_a_diff(raced) -> None:
    desk, _ = raced

    done = desk("show", "run", "sums:optoprime")

    assert done.returncode == 0, done.stderr
    assert "-Say the sum." in done.stdout
    assert "+Add with digits." in done.stdout
    assert "accepted: 1" in done.stdout
    assert "best_of_n" not in done.stdout


def test_show_of_an_unknown_cell_names_the_cells(raced) -> None:
    desk, _ = raced

    done = desk("show", "run", "nothing")

    assert done.returncode == 2
    assert "sums:optoprime:0" in done.stderr


def test_kill_9_then_the_same_command_repeats_no_recorded_call(desk: Desk, raced) -> None:
    args = ["run", *RACE, *desk.field, "--budget", "rollouts=30", "--out", "run"]
    for kill_after in (5, 25, 45):
        process = desk.start(*args, latency=0.05)
        until = time.monotonic() + 60
        while len(desk.asked) < kill_after and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    done = desk.race()
    first, _ = raced

    assert done.returncode == 0, done.stderr
    in_flight = 4 * 3  # jobs x kills: only what was in flight may be asked again
    repeated = sum(n - 1 for n in Counter(desk.asked).values())
    assert repeated <= in_flight + sum(n - 1 for n in Counter(first.asked).values())
    name = "run/table.txt"
    assert (desk.folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_ctrl_c_stops_cleanly_and_the_line_it_prints_goes_on(desk: Desk, raced) -> None:
    process = desk.start(
        "run", *RACE, "--optimizer", "none", "--optimizer", "best_of_n", "--out", "r", latency=0.2
    )
    until = time.monotonic() + 60
    while len(desk.asked) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "go on with: optorace run --out r" in err
    assert "Traceback" not in err
    done = desk("run", "--out", "r")
    assert done.returncode == 0, done.stderr
    assert "best_of_n" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "--task", "gsm9k", "--optimizer", "none"], "did you mean gsm8k"),
        (["run", "--task", "sums.py", "--optimizer", "opro2"], "unknown optimizer 'opro2'"),
        (["run", "--task", "sums.py", "--optimizer", "none", "--program", "x"], "unknown program"),
        (["run", *RACE, "--optimizer", "none", "--set", "lm.temprature=1"], "lm.temperature"),
        (["run", *RACE, "--optimizer", "none", "--budget", "rolouts=1"], "budget.rollouts"),
        (["run", *RACE], "no optimizer given"),
        (["run", *RACE, "--optimizer", "none", "--data", "gone"], "no data folder gone"),
        (["run", *RACE, "--optimizer", "none", "--out", "sums.py"], "cannot use sums.py"),
        (["run", *RACE, "--optimizer", "best_of_n", "--set", "options.best_of_n.n=many"], "int"),
        (["run", *RACE, "--optimizer", "best_of_n", "--set", "options.best_of_n.m=1"], "known: n"),
        (["run", *RACE, "--optimizer", "none", "--budget", "seconds=x"], "type float"),
        (["run", "gone.toml"], "cannot read gone.toml"),
        (["run", *RACE, "--optimizer", "none", "--set", "options.gepa.x=1"], "not raced"),
        (["run", *RACE, "--optimizer", "none", "--set", "split.preset=x"], "known: default"),
        (["run", "--task", "sums.py", "--optimizer", "none", "--lm", "openai/gpt-4.1-mini"], "KEY"),
        (["run", "--task", "sums.py", "--optimizer", "none", "--lm", "nobody/x"], "nobody/x"),
        (
            ["run", *SUMS, "--lm", "openai-compatible:http://127.0.0.1:9/v1#m"],
            "127.0.0.1:9",
        ),
        (["run", "--task", "sums.py", "--optimizer", "none", "--lm", "local/smol"], "smollm2-135m"),
        (["run", "--task", "sums.py", "--optimizer", "none", "--lm", "local:no.gguf"], "no.gguf"),
        (["report", "nowhere"], "holds no run"),
        (["show", "nowhere"], "holds no run"),
        (["report", "run", "--format", "pdf"], ""),
        (["list", "things"], "things"),
        (["models", "get", "gpt-5"], "smollm2-135m"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    desk: Desk, args: list[str], message: str
) -> None:
    done = desk(*args)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert desk.asked == []


def test_a_task_without_data_says_why_in_its_row_and_the_others_run(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()
    done = desk(
        "run", *RACE, "--task", "gsm8k", "--data", "empty", "--optimizer", "none", "--out", "r"
    )

    assert done.returncode == 0, done.stderr
    assert "empty has no gsm8k/main" in done.stdout
    assert "50.0" in done.stdout


def test_a_folder_of_another_run_is_not_touched(desk: Desk) -> None:
    desk("run", *RACE, "--optimizer", "none", "--out", "r")

    done = desk("run", *RACE, "--optimizer", "none", "--set", "lm.temperature=1", "--out", "r")

    assert done.returncode == 2
    assert "lm.temperature was 0.0, is 1.0" in done.stderr


def test_an_optimizer_can_be_added_to_a_run_and_what_is_there_is_not_asked_again(
    desk: Desk,
) -> None:
    desk("run", *RACE, "--optimizer", "none", "--out", "r")
    before = len(desk.asked)

    done = desk("run", *RACE, "--optimizer", "none", "--optimizer", "best_of_n", "--out", "r")

    assert "best_of_n" in done.stdout
    assert len(set(desk.asked)) == len(desk.asked) > before


def test_an_optimizer_that_raises_has_its_reason_in_its_row(desk: Desk) -> None:
    (desk.folder / "bad.py").write_text(
        "class Bad:\n    name = 'bad'\n    def optimize(self, problem):\n"
        "        raise RuntimeError('I gave \\x1b[31mup')\nOPTIMIZER = Bad\n"
    )

    done = desk("run", *RACE, "--optimizer", "none", "--optimizer", "bad.py", "--out", "r")

    assert done.returncode == 0, done.stderr
    assert "RuntimeError: I gave up" in done.stdout


def test_help_names_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "--help"], capture_output=True, text=True, check=True
    )

    assert all(name in done.stdout for name in ("run", "report", "show", "list", "models"))


def test_a_pipe_that_is_closed_early_says_nothing() -> None:
    command = f"{sys.executable} -m harness.cli list tasks | head -1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout.startswith("bbh/")


def test_a_model_that_goes_down_ends_the_run_with_its_reason_and_nothing_is_lost(
    desk: Desk, raced
) -> None:
    process = desk.start(
        "run", *RACE, *desk.field, "--budget", "rollouts=30", "--out", "run", latency=0.05
    )
    until = time.monotonic() + 60
    while len(desk.asked) < 20 and time.monotonic() < until:
        time.sleep(0.02)
    (desk.folder / "broken").touch()
    _, err = process.communicate(timeout=60)
    (desk.folder / "broken").unlink()

    assert process.returncode == 2
    assert "the model is out of order" in err
    assert "Traceback" not in err
    done, (first, _) = desk.race(), raced
    assert done.returncode == 0, done.stderr
    assert len(desk.asked) == len(set(desk.asked))
    name = "run/table.txt"
    assert (desk.folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_a_run_that_could_not_begin_leaves_its_folder_to_the_corrected_one(desk: Desk) -> None:
    wrong = desk("run", *SUMS, "--lm", "openai-compatible:http://127.0.0.1:9/v1#m", "--out", "r")
    done = desk("run", *RACE, "--optimizer", "none", "--out", "r")

    assert wrong.returncode == 2
    assert done.returncode == 0, done.stderr


def test_patience_may_change_in_a_run_and_a_path_may_hold_a_question_mark(desk: Desk) -> None:
    desk("run", *RACE, "--optimizer", "none", "--out", "w?x=1")
    before = len(desk.asked)

    done = desk(
        *("run", *RACE, "--optimizer", "none", "--out", "w?x=1"),
        *("--set", "lm.timeout_s=9", "--set", "lm.retries=1"),
    )

    assert done.returncode == 0, done.stderr
    assert len(desk.asked) == before
    assert (desk.folder / "w?x=1" / "run.sqlite").is_file()
    assert not (desk.folder / "w").exists()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("def PROGRAM(lm, task):\n    return task.nothing\n", "cannot be built"),
        ("def PROGRAM(lm, task):\n    return 3\n", "cannot be built"),
        (
            "from harness.trace import Module\nclass P(Module):\n"
            "    def __init__(self, lm, task):\n        pass\n"
            "    def forward(self, question):\n        return 'x'\nPROGRAM = P\n",
            "returned a str; return a node",
        ),
    ],
)
def test_a_program_that_is_none_is_one_clear_line(desk: Desk, program: str, message: str) -> None:
    (desk.folder / "mine.py").write_text(program)

    done = desk("run", *RACE, "--optimizer", "none", "--program", "mine.py", "--out", "r")

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("body", ["return Score(7, 'x')", "raise KeyError('gold')"])
def test_a_task_that_cannot_score_gives_failed_rollouts_with_the_reason(
    desk: Desk, body: str
) -> None:
    text = TASK.replace("right = output.strip() == example.target", body)
    (desk.folder / "sums.py").write_text(text)

    done = desk("run", *RACE, "--optimizer", "none", "--out", "r")

    assert done.returncode == 1, done.stderr
    assert "no score" in done.stdout
    assert "8 failed rollouts, most often: the task" in done.stdout
