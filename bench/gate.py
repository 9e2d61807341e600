#!/usr/bin/env python3
"""The budgets of the function's size and start, as CI holds them.

    bench/gate.py size          bytes of the program and of its zip file
    bench/gate.py start         start to first answer, beside an empty Rust function

`make gate` builds both programs first. A start is measured on a stand-in for the Lambda Runtime API, both programs in turns, so
that the machine's speed cancels out of the ratio. Other work on the machine does not: each try waits for a quiet moment, a ratio
that is too large is measured again, and the best one counts. A machine that is never quiet proves nothing against the program.
Each try runs fresh copies, since a program starts sooner when its file lies in few large pieces of the page cache.
"""
import io
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from report import paired, spread
from services import EMPTY, MAIL, PROGRAM, ROOT, WORK, Instance

BINARY, ZIP = 12_000_000, 5_600_000
RATIO, PAIRS, TRIES = 1.6, 40, 3
# A machine is quiet when this share of a second is idle; seconds to wait for one that is.
QUIET, PATIENCE = 0.9, 20


def size():
    """Whether the program is small enough."""
    program = PROGRAM.read_bytes()
    packed = io.BytesIO()
    zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9).writestr("bootstrap", program)
    sizes = [("binary", len(program), BINARY), ("zip", len(packed.getvalue()), ZIP)]
    for what, bytes, budget in sizes:
        print(f"{what:7}{bytes:>11,} bytes of {budget:>10,}")
    return all(bytes <= budget for _, bytes, budget in sizes)


def start():
    """Whether it starts soon enough."""
    quiet = False
    for _ in range(TRIES):
        quiet |= wait_until_quiet()
        empty, ours = first_answers()
        ratio = paired(empty, ours)
        print(f"start  {ratio:.2f} × an empty function, of {RATIO}: {spread(ours)} ms to the first answer, it {spread(empty)}", flush=True)
        if ratio <= RATIO:
            return True
    if not quiet:
        print("SKIPPED: the budget of the start (other programs kept this machine busy all the while)")
    return not quiet


def first_answers():
    """Milliseconds to the first answer of an empty function and of the program, pair by pair."""
    environment = MAIL | {"DATABASE_URL": "postgres://nobody@database.invalid/none"}
    health = (ROOT / "events/health.json").read_bytes()

    def first_answer(program):
        instance = Instance([program], environment)
        try:
            return instance.invoke(health)
        finally:
            instance.end()

    with tempfile.TemporaryDirectory(dir=WORK) as directory:
        programs = [Path(shutil.copy(program, directory)) for program in (EMPTY, PROGRAM)]
        for program in programs:
            first_answer(program)
        return zip(*([first_answer(program) for program in programs] for _ in range(PAIRS)))


def wait_until_quiet():
    """Waits for a second in which the machine has nothing to do; whether there was one."""
    for _ in range(PATIENCE):
        before = idle_and_all()
        time.sleep(1)
        idle, all = (now - then for now, then in zip(idle_and_all(), before))
        if idle >= QUIET * all:
            return True
    return False


def idle_and_all():
    """The processors' ticks since the machine started: the idle ones, and all. On systems without /proc, all count as idle."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return time.monotonic(), time.monotonic()
    return ticks[3] + ticks[4], sum(ticks)


def main():
    checks = {"size": size, "start": start}
    assert sys.argv[1:] and set(sys.argv[1:]) <= set(checks), f"takes {' or '.join(checks)}"
    missed = [name for name in sys.argv[1:] if not checks[name]()]
    if missed:
        sys.exit(f"over budget: {', '.join(missed)}")


if __name__ == "__main__":
    main()
