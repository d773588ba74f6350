"""What a C compiler makes is kept, known again, never trusted blindly, and never missed where it cannot be had."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from moreish.errors import ConfigError
from moreish.explaining.grains.lecture_net import fresh
from moreish.ops import compiled, compiled_step
from moreish.ops.compiled import NotCompiled, library
from moreish.ops.mlp_step import MLPStep

CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(CC is None, reason="there is no C compiler here")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of one's own."""
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def source(tmp_path) -> Path:
    """A C file that takes no time."""
    path = tmp_path / "answer.c"
    path.write_text("int answer(void) { return 42; }\n")
    return path


@pytest.fixture
def anew():
    """The step's library is asked for anew, and after the test again."""
    compiled_step.checked_library.cache_clear()
    yield
    compiled_step.checked_library.cache_clear()


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """A compiler that knows its version and otherwise does this."""
    path = tmp_path / "compiler"
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo 1.0; exit 0 ;; esac\n{does}\n')
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))


@needs_compiler
def test_what_was_built_is_known_again(cache, source, monkeypatch):
    assert library(source).answer() == 42
    (kept,) = cache.iterdir()
    monkeypatch.setattr(compiled, "_built", lambda *_: pytest.fail("it was built again"))
    assert library(source).answer() == 42
    assert list(cache.iterdir()) == [kept]


@needs_compiler
@pytest.mark.parametrize("change", ["source", "processor", "version", "command"])
def test_another_source_processor_or_compiler_is_another_library(change, cache, source, monkeypatch):
    library(source)
    if change == "source":
        source.write_text("int answer(void) { return 43; }\n")
    elif change == "processor":
        monkeypatch.setattr(compiled, "processor", lambda: "another")
    elif change == "command":
        monkeypatch.setenv("CC", f"{CC} -Danswer=other")
        assert library(source).other() == 42
        monkeypatch.setenv("CC", str(CC))
    else:
        found = compiled._compiler()[0]
        monkeypatch.setattr(compiled, "_compiler", lambda: (found, "another"))
    assert library(source).answer() == (43 if change == "source" else 42)
    assert len(list(cache.iterdir())) == (3 if change == "command" else 2)


@needs_compiler
@pytest.mark.parametrize("damage", ["cut", "emptied", "a bit"])
def test_a_damaged_library_is_built_anew(damage, cache, source):
    # Built by another process: on some systems a file that is loaded cannot be changed without harm.
    code = "import sys; from pathlib import Path; from moreish.ops.compiled import library; library(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(source)], check=True)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    bit = bytes([whole[900] ^ 1])
    kept.write_bytes({"cut": whole[:-100], "emptied": b"", "a bit": whole[:900] + bit + whole[901:]}[damage])
    assert library(source).answer() == 42
    (again,) = cache.iterdir()
    assert compiled._digest(again.read_bytes()) in again.name


@needs_compiler
def test_what_another_process_removes_meanwhile_is_built_anew(cache, source, monkeypatch):
    library(source)
    (kept,) = cache.iterdir()
    listed = [kept.name, kept.name.replace(kept.name[-19:-3], "0" * 16)]  # one that is gone, one that will be
    monkeypatch.setattr(compiled, "names", lambda place: listed[1:])
    assert library(source).answer() == 42 and kept.exists()
    found = compiled._kept

    def then_gone(place: Path, stem: str) -> Path | None:
        path = found(place, stem)
        assert path == kept
        path.unlink()
        return path

    monkeypatch.setattr(compiled, "names", lambda place: listed[:1])
    monkeypatch.setattr(compiled, "_kept", then_gone)
    monkeypatch.setattr(compiled.ctypes, "CDLL", _fresh_load)
    assert library(source).answer() == 42 and kept.exists()


def _fresh_load(path: str):
    """A library from its file, though the process may hold one of that name."""
    if not Path(path).exists():
        raise OSError(f"{path}: cannot open shared object file")
    return ctypes.PyDLL(path)


@needs_compiler
def test_several_processes_at_once(cache, source):
    code = "import sys; from pathlib import Path; from moreish.ops.compiled import library; "
    code += "print(library(Path(sys.argv[1])).answer())"
    each = [
        subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate()[0] for process in each] == ["42\n"] * 4
    assert {path.suffix for path in cache.iterdir()} == {".so"}


@needs_compiler
def test_old_libraries_go(cache, source):
    for i in range(compiled.MOST_KEPT + 3):
        source.write_text(f"int answer(void) {{ return {i}; }}\n")
        assert library(source).answer() == i
    assert len(list(cache.iterdir())) == compiled.MOST_KEPT


def test_no_compiler(cache, anew, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiled, "COMPILERS", ("no-such-compiler",))
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert step.engine == "plain"
    assert step.why_plain == "no C compiler was found (looked for no-such-compiler); $CC may name one."
    with pytest.raises(ConfigError, match=r"no compiled step here: no C compiler was found .* Use engine='auto'"):
        MLPStep(**fresh(9, 3, 4, 21, seed=3), engine="compiled")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo 'x.c:1: error: no headers here' >&2; exit 1", "failed: x.c:1: error: no headers here"),
        ("exit 1", "failed: it said nothing"),
        ("exit 0", "failed: it said nothing"),  # and it made nothing
        ('while [ "$1" != -o ]; do shift; done; echo rubbish > "$2"', "could not be loaded"),
    ],
)
def test_a_compiler_that_fails(does, said, cache, source, anew, tmp_path, monkeypatch):
    script(tmp_path, monkeypatch, does)
    with pytest.raises(NotCompiled, match=said):
        library(source)
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert step.engine == "plain" and said in step.why_plain


def test_a_compiler_that_cannot_even_say_its_version(cache, source, tmp_path, monkeypatch):
    path = tmp_path / "compiler"
    path.write_text("#!/bin/sh\necho 'no licence' >&2; exit 3\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    with pytest.raises(NotCompiled, match=r"does not work: no licence"):
        library(source)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CC", "gcc '-O3", "CC is no command"),
        ("CC", "no-such-cc -O2", "CC names 'no-such-cc', which is no command here"),
        ("TMPDIR", "/nowhere", "could not be put to work"),
    ],
)
def test_an_environment_that_is_wrong(name, value, said, cache, source, monkeypatch):
    monkeypatch.setenv(name, value)
    if name == "TMPDIR":
        monkeypatch.setattr(tempfile, "tempdir", value)
    with pytest.raises(NotCompiled, match=said):
        library(source)


def test_a_compiler_that_hangs_is_ended_with_what_it_started(cache, source, tmp_path, monkeypatch):
    script(tmp_path, monkeypatch, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    monkeypatch.setattr(compiled, "LONGEST", 0.5)
    began = time.monotonic()
    with pytest.raises(NotCompiled, match=r"was stopped after 0.5 seconds"):
        library(source)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _lives(child):
            break
        time.sleep(0.05)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_cc_that_is_not_there_is_said(anew, cache, monkeypatch):
    monkeypatch.setenv("CC", "no-such-cc")
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert step.engine == "plain"
    assert step.why_plain == "$CC names 'no-such-cc', which is no command here. Correct it, or unset it."


def test_a_cache_that_cannot_be_written(cache, anew, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOREISH_CACHE", str(tmp_path / "file"))
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert step.engine == "plain" and step.why_plain.startswith("what was compiled could not be kept: ")


@needs_compiler
def test_nobody_else_may_write_there(cache, source, monkeypatch):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert library(source).answer() == 42
    assert not cache.stat().st_mode & 0o022
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    if own:  # root may write anywhere anyway, and what root owns is trusted
        with pytest.raises(NotCompiled, match="belongs to another user"):
            library(source)


def _planted(cache: Path, source: Path) -> None:
    """A library that was never built from the source, under the name of the one that was."""
    library(source)
    (kept,) = cache.iterdir()
    stem = kept.name[: -len("0123456789abcdef.so")]
    kept.unlink()
    evil = cache / "evil.c"
    evil.write_text("int answer(void) { return 666; }\n")
    assert CC is not None
    made = cache / "made"
    subprocess.run([CC, "-shared", "-fPIC", "-o", str(made), str(evil)], check=True)
    made.rename(cache / f"{stem}{compiled._digest(made.read_bytes())}.so")
    evil.unlink()


@needs_compiler
def test_what_others_may_have_put_there_is_not_trusted(cache, source):
    _planted(cache, source)
    cache.chmod(0o777)
    assert library(source).answer() == 42
    assert not cache.stat().st_mode & 0o022
    (kept,) = cache.iterdir()
    assert library(source).answer() == 42 and list(cache.iterdir()) == [kept]


@needs_compiler
@pytest.mark.parametrize("kind", ["another user's", "a link"])
def test_a_kept_library_is_a_file_of_the_users(kind, cache, source, monkeypatch):
    library(source)
    (kept,) = cache.iterdir()
    stem = kept.name[: -len("0123456789abcdef.so")]
    assert compiled._kept(cache, stem) == kept
    if kind == "a link":
        kept.rename(cache / "elsewhere")
        kept.symlink_to(cache / "elsewhere")
    elif own := os.getuid():
        monkeypatch.setattr(os, "getuid", lambda: own + 1)
    else:
        os.chown(kept, 1, -1)
    assert compiled._kept(cache, stem) is None
    assert not kept.is_symlink() and not kept.exists()


@needs_compiler
def test_nobody_may_put_another_directory_in_its_place(cache, source):
    library(source)
    cache.parent.chmod(0o777)
    with pytest.raises(NotCompiled, match=r"anybody may write to .*MOREISH_CACHE"):
        library(source)
    cache.parent.chmod(0o1777)
    assert library(source).answer() == 42


@needs_compiler
def test_a_library_that_computes_something_else_is_not_used(cache, anew, tmp_path, monkeypatch):
    script(tmp_path, monkeypatch, f'exec {CC} -Dlog=log10 "$@"')
    step = MLPStep(**fresh(9, 3, 4, 21, seed=3))
    assert step.engine == "plain"
    assert step.why_plain == "what the compiler made does not compute what plain torch does."
