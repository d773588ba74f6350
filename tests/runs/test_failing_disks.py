"""A run's files on disks that fail, fill up or lose their power: the old or the new survives, and the error is told."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from failing_disk import FAULTS, KILLED, REFUSALS, Failing, Full
from power_loss import Recorder, Tree, crash_states, lay_out
from small_run import META, tensors_of, whole

from moreish import storage
from moreish.errors import CheckpointError, MoreishError, StorageError
from moreish.runs.checkpoint import save

EVENTS = "events.jsonl"


def advance(run: Path, step: int) -> None:
    """One save as a run does it, in a directory that it makes and locks."""
    storage.make_directory(run)
    with storage.lock(run):
        save(run, step, META, tensors_of(step))
        storage.append_line(run / EVENTS, json.dumps({"saved": step}))


def noted(run: Path) -> list[int]:
    return [event["saved"] for event in storage.read_journal(run / EVENTS)[0]]


def litter(run: Path) -> list[str]:
    return [path.name for path in run.iterdir() if path.name.startswith(storage.TEMPORARY[0])]


@contextlib.contextmanager
def instead(disk: storage.Disk) -> Iterator[None]:
    usual, storage.disk = storage.disk, disk
    try:
        yield
    finally:
        storage.disk = usual


@pytest.fixture(autouse=True)
def no_waiting():
    """Without waiting for the hardware, which no test here can tell."""
    with instead(Failing()):
        yield


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with steps 10 and 20 saved, and in its journal the beginning of a torn line."""
    run = tmp_path / "run"
    advance(run, 10)
    advance(run, 20)
    with (run / EVENTS).open("ab") as file:
        file.write(b'{"saved": 2')
    return run


def in_child(act: Callable[[], None]) -> int:
    """How a forked process ends that does this."""
    child = os.fork()
    if not child:
        try:
            act()
            os._exit(0)
        except MoreishError:
            os._exit(1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def operations(act: Callable[[], None]) -> list[str]:
    disk = Failing()
    with instead(disk):
        act()
    return disk.done


def check(run: Path, reported: bool) -> None:
    """What must hold after step 30 was tried: nothing is lost, and the run goes on."""
    step = whole(run)
    assert step == 30 or (step == 20 and reported)
    assert noted(run) in ([10, 20], [10, 20, 30])
    if not reported:
        assert noted(run) == [10, 20, 30]
    advance(run, 40)
    assert whole(run) == 40 and noted(run)[-1] == 40 and not litter(run)


# R2: every operation may fail, in every way, once or for ever.


@pytest.mark.parametrize("forever", [False, True], ids=["once", "forever"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_operation_may_fail(tmp_path, run, fault, forever):
    shutil.copytree(run, tmp_path / "before")
    count = len(operations(lambda: advance(run, 30)))
    assert count > 20
    for at in range(count):
        shutil.rmtree(run)
        shutil.copytree(tmp_path / "before", run)
        disk = Failing(at, fault, forever)
        reported = killed = False
        if fault == "kill":
            with instead(disk):
                killed = in_child(lambda: advance(run, 30)) == KILLED
            assert killed
        else:
            try:
                with instead(disk):
                    advance(run, 30)
            except StorageError as error:
                reported = True
                said = str(error)
                assert said.startswith(("cannot ", "checkpoint-30")) and "\n" not in said
                assert all(name in said for name in litter(run))
        name = disk.done[at] if not killed else ""
        if fault in REFUSALS and not reported:
            assert name == "unlink" and at == count - 1  # taking away the owner's note, when all is done
        if fault == "lost" and name == "write":
            assert reported or at < 5  # the owner's note, which is for people
        if fault == "short" and not forever:
            assert not reported  # what was not taken is written again
        assert forever or killed or not litter(run)
        check(run, reported or killed)


def test_a_first_save_may_fail(tmp_path):
    run = tmp_path / "run"
    names = operations(lambda: advance(run, 1))
    for fault, (at, name) in itertools.product(REFUSALS, enumerate(names)):
        shutil.rmtree(run, ignore_errors=True)
        with instead(Failing(at, fault, True)):
            if name == "unlink":  # taking away the owner's note, when all is done
                advance(run, 1)
            else:
                with pytest.raises(StorageError):
                    advance(run, 1)
        advance(run, 1)
        assert whole(run) == 1 and not litter(run)


# R3: a full disk.


def full(run: Path, before: Path, disk: storage.Disk) -> bool:
    shutil.rmtree(run)
    shutil.copytree(before, run)
    try:
        with instead(disk):
            advance(run, 30)
    except StorageError as error:
        assert "no space left on device (ENOSPC). Free some space and run it again" in str(error)
        assert not litter(run)
        check(run, True)
        return False
    check(run, False)
    return True


def test_a_disk_that_fills_up_at_any_byte_or_file(tmp_path, run):
    shutil.copytree(run, before := tmp_path / "before")
    room = 0
    while not full(run, before, Full(room)):
        room += 1
    assert room > (run / "checkpoint-30.safetensors").stat().st_size
    assert [full(run, before, Full(10**6, inodes)) for inodes in range(3)] == [False, False, True]


def test_the_last_good_checkpoint_is_said_to_be_kept(run):
    with instead(Full(200)), pytest.raises(StorageError, match=r"; the last good checkpoint is kept\.$"):
        save(run, 30, META, tensors_of(30))


def test_a_limit_on_the_size_of_files(tmp_path, run):
    """The kernel's own short writes: a write beyond the limit takes what fits, and the next one fails."""
    shutil.copytree(run, tmp_path / "before")
    size = (run / "checkpoint-20.safetensors").stat().st_size
    for limit in (*range(1, size, 23), size - 1, size):
        shutil.rmtree(run)
        shutil.copytree(tmp_path / "before", run)

        def act(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            advance(run, 30)

        code = in_child(act)
        assert code == (0 if limit == size else 1) and not litter(run)
        check(run, code == 1)


def mount(source: str, target: Path, options: str) -> None:
    """Mount a small file system, in a name space of this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, private, recursive = 0x20000, 1 << 18, 1 << 14
    if libc.unshare(new_mounts) or libc.mount(b"none", b"/", None, private | recursive, None):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(source.encode(), str(target).encode(), source.encode(), 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")


@pytest.mark.parametrize("options", ["size=64k", "size=1m,nr_inodes=9"], ids=["bytes", "inodes"])
def test_a_real_full_disk(tmp_path, options):
    (tmp_path / "small").mkdir()
    run = tmp_path / "small" / "run"

    def act() -> None:
        try:
            mount("tmpfs", tmp_path / "small", options)
        except (OSError, AttributeError):
            os._exit(77)
        storage.disk = storage.Disk()
        advance(run, 10)
        advance(run, 20)
        filler = run.parent / "filler"
        filler.mkdir()
        with contextlib.suppress(OSError):
            for i in range(99):
                (filler / str(i)).write_bytes(bytes(4096))
        try:
            advance(run, 30)
        except StorageError as error:
            assert "no space left on device" in str(error)
            assert not litter(run)
            shutil.rmtree(filler)
            check(run, True)
            os._exit(0)

    code = in_child(act)
    if code == 77:
        pytest.skip("mounting a small file system needs rights that this process lacks")
    assert code == 0


# The power fails.


def record(run: Path) -> Recorder:
    """A run's life, and what it may count on at each moment of it."""
    disk = Recorder()
    with instead(disk):
        storage.make_directory(run)
        disk.promise("made")
        with storage.lock(run):
            for step in (10, 20, 30, 40):
                save(run, step, META, tensors_of(step))
                disk.promise("saved", step)
                storage.append_line(run / EVENTS, json.dumps({"saved": step}))
                disk.promise("noted", step)
    return disk


def survives(promises: list[tuple], tree: Tree, directory: Path) -> bool:
    """Whether what was promised is there, and whatever is there is whole."""
    shutil.rmtree(directory, ignore_errors=True)
    lay_out(tree, directory)
    run = directory / "deep" / "run"
    saved = max((step for name, *step in promises if name == "saved"), default=[0])[0]
    lines = [step[0] for name, *step in promises if name == "noted"]
    if not run.exists():
        return not promises
    try:
        if whole(run) < saved:
            return False
    except (CheckpointError, Warning):
        if saved or list(run.glob("checkpoint-*")):
            return False
    if (run / EVENTS).exists():
        if noted(run)[: len(lines)] != lines:
            return False
    elif lines:
        return False
    advance(run, saved + 10)
    return whole(run) == saved + 10 and noted(run)[-1] == saved + 10 and not litter(run)


def first_loss(disk: Recorder, root: Path, without: tuple[str, ...] | None, directory: Path) -> tuple[int, bool]:
    """How many different states were looked at, and whether one of them had lost something."""
    seen = set()
    for promises, tree in crash_states(disk.log, root, without):
        state = json.dumps([promises, tree], default=bytes.hex, sort_keys=True)
        if state not in seen:
            seen.add(state)
            if not survives(promises, tree, directory):
                return len(seen), True
    return len(seen), False


def test_the_power_may_fail_at_any_moment(tmp_path):
    (tmp_path / "root").mkdir()
    disk = record(tmp_path / "root" / "deep" / "run")
    states, lost = first_loss(disk, tmp_path / "root", None, tmp_path / "found")
    assert not lost and states > 300


def test_no_fsync_can_be_spared(tmp_path):
    (tmp_path / "root").mkdir()
    disk = record(tmp_path / "root" / "deep" / "run")
    sites = {entry[-1] for entry in disk.log if entry[0].startswith("fsync")}
    assert {site[-2] for site in sites} == {"write_file", "append_line", "make_directory"} and len(sites) == 5
    for site in sites:
        assert first_loss(disk, tmp_path / "root", site, tmp_path / "found")[1], site
