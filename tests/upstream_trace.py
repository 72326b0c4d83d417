"""Trace's own tests and example programs, pointed at our tracing core; nothing of them lies here.

trace-opt 0.1.3.8 (MIT) comes from the package index as its source distribution: once, by pip, with
its hash checked. Unpacked, its core is taken out, and every import of it names ours instead. What
is left of the package `opto`, the authors' optimizers and model client, then works on our nodes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

HOUSE = Path(__file__).resolve().parent.parent
RELEASE = "trace_opt-0.1.3.8"
SHA256 = "bcda50fa292ab963dd072f693b3ec23aa7f4086f7de8e31e4274b1f84cc63477"
PIP_PATIENCE_S = 300.0
PROGRAM_PATIENCE_S = 120.0

# Their TextGrad mends replies with two functions of text that stand in the core's utils.
TEXT_HELPERS = ("opto/trace/utils.py", "opto/utils/reply_text.py")
POINTED = (
    (r"^from opto\.trace\.utils (?=import escape_json)", "from opto.utils.reply_text "),
    (r"\bopto\.trace\.propagators\.(propagators|graph_propagator)\b", "harness.trace.propagators"),
    (r"\bopto\.trace\b", "harness.trace"),
    (r"\bfrom opto import trace\b", "from harness import trace"),
    # Unused there, not installed here:
    (r"^from graphviz import Digraph$", ""),
    # Loads for four seconds, and only a real provider would be called through it:
    (r"^import litellm$", ""),
)
# What a notebook does for its reader: pictures, and a client for models that is not used; and whole
# cells that set up a machine or train on data from elsewhere.
SHOW = re.compile(r"render_opt_step|render_html|matplotlib|\bplt\.|import autogen|autogen import")
SETUP = re.compile(
    r"^[%!]|ipywidgets|urlretrieve|sklearn|LogisticRegression|train_classifier", re.MULTILINE
)

# In Trace, `call_llm` asks the authors' client; in ours, it asks what the program says.
ASKING = """
import runpy, sys
from harness.trace import use_llm
from opto.utils.llm import LLM

def ask(messages, **settings):
    return LLM()(messages=messages, **settings).choices[0].message.content

with use_llm(ask):
    runpy.run_path(sys.argv[1], run_name="__main__")
"""


class Unreachable(Exception):
    """The package index does not give the source distribution."""


def archive_in(cache: Path) -> Path:
    """Return the verified source distribution in the cache folder; fetched if it is not there.

    Raises Unreachable with pip's own words.
    """
    path = cache / "sdists" / f"{RELEASE}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _download(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise RuntimeError(
            f"{path} has the sha256 {digest}, needed is {SHA256}; delete it, and it will be "
            "fetched again"
        )
    return path


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the distribution into `folder` with its core replaced by ours; return its root."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    root = folder / RELEASE
    shutil.move(root / TEXT_HELPERS[0], root / TEXT_HELPERS[1])
    shutil.rmtree(root / "opto" / "trace")
    for notebook in sorted(root.rglob("*.ipynb")):
        notebook.with_suffix(".py").write_text(_of_notebook(notebook), encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    (root / "README.py").write_text(_of_readme(readme), encoding="utf-8")
    for file in sorted(root.rglob("*.py")):
        file.write_text(pointed_at_ours(file.read_text(encoding="utf-8")), encoding="utf-8")
    return root


def pointed_at_ours(source: str) -> str:
    """Return a program of theirs with our core imported; line numbers stay as they are."""
    for pattern, ours in POINTED:
        source = re.sub(pattern, ours, source, flags=re.MULTILINE)
    return source


def run(
    root: Path, program: Sequence[str], cwd: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, with what is left of their package importable."""
    path = os.pathsep.join(map(str, (root, root / "examples", HOUSE)))
    return subprocess.run(
        [sys.executable, *program],
        cwd=cwd,
        env={**os.environ, **environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PROGRAM_PATIENCE_S,
        check=False,
    )


def _download(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(f"trace-opt==0.1.3.8 --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=1", "-q"]
        try:
            done = subprocess.run(
                [*command, "-d", folder, "-r", str(wanted)],
                capture_output=True,
                text=True,
                timeout=PIP_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise Unreachable(f"pip got no trace-opt within {PIP_PATIENCE_S:g} s") from e
        if done.returncode != 0:
            told = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unreachable(f"pip cannot download trace-opt 0.1.3.8: {told}")
        os.replace(Path(folder, path.name), path)


def _of_notebook(notebook: Path) -> str:
    """Return the program in a notebook, without what it does for a reader at the screen."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    program = "\n\n".join(s for s in sources if not SETUP.search(s))
    return "\n".join(line for line in program.splitlines() if not SHOW.search(line))


def _of_readme(text: str) -> str:
    """Return the snippets of the README that build on each other as one program."""
    walk_through = text.partition("## Supported Optimizers")[0]
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", walk_through, re.DOTALL | re.MULTILINE))
