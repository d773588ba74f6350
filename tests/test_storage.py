"""Storage: files whole or not at all, journals that survive a tear, one writer, and refusals that are told."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moreish import storage
from moreish.errors import RunLocked, StorageError
from moreish.storage import (
    append_line,
    lock,
    make_directory,
    read_file,
    read_journal,
    remove_file,
    sha256_file,
    write_file,
)

HOST = os.uname().nodename


def answer_of(act: Callable[[], object]) -> str:
    """What a forked process that does this says: its result, or its error's type and sentence."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = repr(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


# Files.


@pytest.mark.parametrize("data", [b"", b"x", bytes(3 << 20), [], [b""], [b"a", memoryview(b"bc"), b""]])
def test_a_file_is_written_and_read_back(tmp_path, data):
    whole = data if isinstance(data, bytes) else b"".join(data)
    for _ in range(2):  # once new, once in place of itself
        assert write_file(tmp_path / "f", data) == hashlib.sha256(whole).hexdigest() == sha256_file(tmp_path / "f")
        assert read_file(tmp_path / "f") == whole
    assert storage.names(tmp_path) == ["f"]


def test_data_that_fails_midway_leaves_the_old_file(tmp_path):
    def data():
        yield b"new"
        raise KeyboardInterrupt

    write_file(tmp_path / "f", b"old")
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "f", data())
    assert read_file(tmp_path / "f") == b"old" and storage.names(tmp_path) == ["f"]


def test_permissions_and_links_stay(tmp_path):
    write_file(tmp_path / "f", b"old")
    (tmp_path / "f").chmod(0o600)
    (tmp_path / "link").symlink_to("f")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and read_file(tmp_path / "f") == b"new"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_reading_has_a_limit(tmp_path):
    write_file(tmp_path / "f", b"12345")
    assert read_file(tmp_path / "f", limit=5) == b"12345"
    with pytest.raises(StorageError, match="longer than 4 bytes"):
        read_file(tmp_path / "f", limit=4)


def test_directories_are_made_with_those_above_and_names_listed(tmp_path):
    for _ in range(2):
        make_directory(tmp_path / "a" / "b" / "c")
    assert storage.names(tmp_path / "a") == ["b"]


def test_removing_what_is_gone_is_no_fault(tmp_path):
    write_file(tmp_path / "f", b"")
    for _ in range(2):
        remove_file(tmp_path / "f")
    assert not storage.names(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EINVAL])
def test_a_refusal_says_what_and_why_and_what_to_do(tmp_path, monkeypatch, code):
    write_file(tmp_path / "a\x1b[31m\nb", b"old")

    def refuse(*_):
        raise OSError(code, "")

    monkeypatch.setattr(storage.disk, "write", refuse)
    with pytest.raises(StorageError) as caught:
        write_file(tmp_path / "a\x1b[31m\nb", b"new")
    reason = os.strerror(code)[0].lower() + os.strerror(code)[1:]
    assert str(caught.value).startswith(f"cannot write {tmp_path}/a\\x1b[31m\\nb: {reason} ({errno.errorcode[code]}). ")
    assert str(caught.value).endswith("; what stood there before is kept.")


def test_macos_is_asked_for_more_than_fsync(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(storage.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(storage.fcntl, "fcntl", lambda handle, what: asked.append(what))
    write_file(tmp_path / "f", b"x")
    assert asked == [51]


# R4: a directory that is read-only, forbidden, gone, or no directory at all. The run directory is `run`.

DOORS: dict[str, Callable[[], object]] = {
    "write": lambda: write_file("run/f", b"new"),
    "append": lambda: append_line("run/f", "{}"),
    "make": lambda: make_directory("run/more"),
    "lock": lambda: lock("run").__enter__(),
    "remove": lambda: remove_file("run/f"),
    "list": lambda: storage.names("run"),
    "read": lambda: read_file("run/f"),
}


def vanish_while_writing() -> None:
    def fsync(handle: int) -> None:
        shutil.rmtree("run")

    Path("run/f").write_text("{}\n{}\n")
    Path("run/f").chmod(0o666)
    storage.disk.fsync = fsync


SITUATIONS: dict[str, tuple[Callable[[], object], dict[str, str]]] = {
    "read-only": (
        lambda: [Path("run/f").write_text("old"), Path("run/f").chmod(0o666), Path("run").chmod(0o555)],
        {"write": "EACCES", "make": "EACCES", "lock": "EACCES", "remove": "EACCES"},
    ),
    "forbidden": (lambda: Path("run").chmod(0), dict.fromkeys(DOORS, "EACCES")),
    "vanished": (
        lambda: Path("run").rmdir(),
        {"write": "ENOENT", "append": "ENOENT", "lock": "ENOENT", "list": "ENOENT", "read": "ENOENT"},
    ),
    "vanishing": (vanish_while_writing, {"write": "ENOENT", "append": "ENOENT"}),
    "a file": (lambda: [Path("run").rmdir(), Path("run").write_text("")], dict.fromkeys(DOORS, "ENOTDIR")),
    "a broken link": (
        lambda: [Path("run").rmdir(), Path("run").symlink_to("nowhere")],
        {"write": "ENOENT", "append": "ENOENT", "make": "EEXIST", "lock": "ENOENT"},
    ),
    "a link in a circle": (
        lambda: [Path("run").rmdir(), Path("run").symlink_to("run")],
        {"write": "ELOOP", "append": "ELOOP", "lock": "ELOOP", "list": "ELOOP", "read": "ELOOP"},
    ),
    "a write-protected file": (
        lambda: [Path("run/f").write_text("old"), Path("run/f").chmod(0o444)],
        {"write": "EACCES", "append": "EACCES"},
    ),
    "a directory where the file should be": (
        lambda: [Path("run/f").mkdir(), Path("run/f/g").mkdir()],
        {"write": "a directory has that name", "append": "EISDIR", "remove": "EISDIR", "read": "EISDIR"},
    ),
    "a pipe where the file should be": (
        lambda: [os.mkfifo("run/f"), Path("run/f").chmod(0o666)],
        {"write": "a pipe or a device has that name", "append": "EINVAL", "read": "EINVAL"},
    ),
    "a directory where the lock should be": (lambda: Path("run/.lock").mkdir(0o555), {"lock": "EISDIR"}),
}


@pytest.mark.parametrize(
    ("situation", "door"), [(name, door) for name, (_, doors) in SITUATIONS.items() for door in doors]
)
def test_what_cannot_be_written_is_said_in_one_line(tmp_path, situation, door):
    prepare, doors = SITUATIONS[situation]
    (tmp_path / "run").mkdir()
    tmp_path.chmod(0o777)
    (tmp_path / "run").chmod(0o777)

    def act() -> object:
        os.chdir(tmp_path)
        prepare()
        if not os.getuid():  # root may do anything
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return DOORS[door]()

    said = answer_of(act)
    assert said.startswith("StorageError: cannot ") and doors[door] in said and "\n" not in said
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".moreish-")]


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_said(path):
    for act in (write_file, append_line):
        with pytest.raises(StorageError, match="is no path"):
            act(path, b"" if act is write_file else "{}")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(StorageError, match="ENAMETOOLONG"):
        write_file(tmp_path / ("x" * 300), b"")
    write_file(tmp_path / ("x" * 255), b"")
    assert not list(tmp_path.glob(".moreish-*"))


# R10: the journal survives a torn last line and reports a torn middle.

LINES = [{"step": 1, "loss": 2.5}, {"text": "é\ud800\n\u2028{}"}, {}, {"step": 3, "nested": [[], {"a": None}]}]


def journal_of(path: Path) -> bytes:
    for line in LINES:
        append_line(path, json.dumps(line, ensure_ascii=False))
    return path.read_bytes()


def test_every_prefix_of_a_journal_loads_and_goes_on(tmp_path):
    data = journal_of(tmp_path / "j")
    for length in range(len(data) + 1):
        (tmp_path / "j").write_bytes(data[:length])
        lines = data[:length].count(b"\n")
        torn = length > 0 and data[length - 1 : length] != b"\n"
        assert read_journal(tmp_path / "j") == (LINES[:lines], torn)
        append_line(tmp_path / "j", '{"next": true}')
        assert read_journal(tmp_path / "j") == ([*LINES[:lines], {"next": True}], False)


@pytest.mark.parametrize(
    "tail", [b"\0" * 50, b"\0" * 20 + b'": 2}\n', b"x", b'{"a": 1}', b"\n", b"[1]\n", b'{"a":' * 9999]
)
def test_a_last_line_of_rubbish_is_dropped(tmp_path, tail):
    data = journal_of(tmp_path / "j")
    (tmp_path / "j").write_bytes(data + tail)
    assert read_journal(tmp_path / "j") == (LINES, True)
    append_line(tmp_path / "j", "{}")
    assert (tmp_path / "j").read_bytes() == data + b"{}\n"


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_a_line_that_could_not_be_written_leaves_no_trace(tmp_path, monkeypatch, operation):
    data = journal_of(tmp_path / "j")
    taken = storage.Disk.write

    def refuse(handle: int, *_) -> None:
        taken(storage.disk, handle, memoryview(b'{"torn'))
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(storage.disk, operation, refuse)
    with pytest.raises(StorageError, match="every earlier line is kept"):
        append_line(tmp_path / "j", "{}")
    assert (tmp_path / "j").read_bytes() == data


def test_long_lines(tmp_path):
    long = {"text": "x" * 300_000}
    for _ in range(2):
        append_line(tmp_path / "j", json.dumps(long))
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"' + b"y" * 200_000)
    append_line(tmp_path / "j", "{}")
    assert read_journal(tmp_path / "j") == ([long, long, {}], False)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"1", b"\0\0\0", b'{"a": ' + b"9" * 5000 + b"}", b"\xff", b"[" * 9999]
)
def test_a_torn_middle_is_reported_with_its_line(tmp_path, damage):
    lines = journal_of(tmp_path / "j").split(b"\n")
    for number in range(1, len(LINES)):
        (tmp_path / "j").write_bytes(b"\n".join([*lines[: number - 1], damage, *lines[number:]]))
        with pytest.raises(StorageError, match=f"j, line {number}: no JSON object"):
            read_journal(tmp_path / "j")


# R8: one writer for a directory.


def hold(directory: Path, ready: int, until: int) -> None:
    """A forked process that locks the directory, says so, and waits."""
    with lock(directory):
        os.write(ready, b"1")
        os.read(until, 1)
    os._exit(0)


def test_a_second_process_is_refused_at_once_and_a_dead_one_frees(tmp_path):
    (ready, say), (until, end) = os.pipe(), os.pipe()
    owner = os.fork()
    if not owner:
        hold(tmp_path, say, until)
    os.read(ready, 1)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        with pytest.raises(RunLocked, match=f"written to by pid {owner} on host {HOST}"), lock(tmp_path):
            pass
        seconds.append(time.perf_counter() - begin)
    assert sorted(seconds)[2] < 0.1
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    begin = time.perf_counter()
    with lock(tmp_path):
        assert time.perf_counter() - begin < 0.1
        assert json.loads((tmp_path / storage.OWNER).read_text()) == {"pid": os.getpid(), "host": HOST}
    assert storage.names(tmp_path) == [storage.LOCK]
    os.close(end)


def test_fifty_racers_have_one_winner(tmp_path):
    (start, fire), (results, say), (until, end) = os.pipe(), os.pipe(), os.pipe()
    racers = []
    for _ in range(50):
        racers.append(os.fork())
        if not racers[-1]:
            os.close(fire)
            os.close(end)
            os.read(start, 1)
            try:
                with lock(tmp_path):
                    os.write(say, f"{os.getpid()} won\n".encode())
                    os.read(until, 1)
            except RunLocked as error:
                os.write(say, f"{error}\n".encode())
            os._exit(0)
    os.close(fire)  # off they go
    os.close(say)
    with os.fdopen(results) as file:
        said = [file.readline() for _ in racers]
        os.close(end)
    assert all(os.waitpid(racer, 0)[1] == 0 for racer in racers)
    (winner,) = [line.split()[0] for line in said if "won" in line]
    assert sum(f"pid {winner} on host {HOST}" in line for line in said) == 49


def test_the_same_process_is_refused_too_and_the_lock_ends_with_an_error(tmp_path):
    with contextlib.suppress(ZeroDivisionError), lock(tmp_path):
        with pytest.raises(RunLocked, match=f"pid {os.getpid()} "), lock(tmp_path):
            pass
        raise ZeroDivisionError
    with lock(tmp_path):
        pass


@pytest.mark.parametrize("note", ["", "{", '{"pid": "x", "host": 1}', f'{{"pid": 999999999, "host": "{HOST}"}}'])
def test_an_owner_who_has_not_signed_is_waited_for_a_little(tmp_path, monkeypatch, note):
    monkeypatch.setattr(storage, "UNSIGNED", 0.02)
    with lock(tmp_path):
        (tmp_path / storage.OWNER).write_text(note)
        with pytest.raises(RunLocked, match="another process, which has not said which it is"), lock(tmp_path):
            pass


def test_an_owner_on_another_host_is_named(tmp_path):
    with lock(tmp_path):
        (tmp_path / storage.OWNER).write_text('{"pid": 7, "host": "far\\u001b"}')
        with pytest.raises(RunLocked, match=r"pid 7 on host far\\x1b\."), lock(tmp_path):
            pass


def test_what_a_dead_writer_left_is_removed(tmp_path):
    (tmp_path / ".moreish-0123456789abcdef.tmp").write_text("half")
    (tmp_path / "mine.tmp").write_text("")
    with lock(tmp_path):
        assert not list(tmp_path.glob(".moreish*")) and (tmp_path / "mine.tmp").exists()
