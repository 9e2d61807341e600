#!/usr/bin/env python3
"""Checks the budgets of the function's size and start time, and the levels of its log. CI runs it.

    bench/gate.py size          bytes of the program and of its zip file
    bench/gate.py logs          no line below `info`, whatever RUST_LOG says
    bench/gate.py start         time to the first answer, compared with an empty Rust function

`make gate` builds both programs first. The script measures starts on a stand-in for the Lambda Runtime API, both programs in
turns, so that the machine's speed cancels out of the ratio. Other work on the machine does not cancel out, so each try waits for
a quiet moment, a ratio over the budget is measured again, and the best one counts. If the machine is never quiet, the check is
skipped. Each try runs fresh copies, because the layout of a file in the page cache changes the start time.
"""
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from report import paired, spread
from services import EMPTY, MAIL, PROGRAM, ROOT, WORK, Instance, free_port

BINARY, ZIP = 10_000_000, 4_700_000
RATIO, PAIRS, TRIES = 1.6, 40, 3
# A machine is quiet if this share of a second is idle. PATIENCE: seconds to wait for such a second.
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


def logs():
    """Whether a release logs nothing below `info`. Nothing listens where it looks for the Runtime API, of which the HTTP client
    would write finer lines."""
    function = {f"AWS_LAMBDA_FUNCTION_{name}": "128" for name in ["NAME", "MEMORY_SIZE", "VERSION"]}
    environment = MAIL | function | {
        "DATABASE_URL": "postgres://nobody@database.invalid/none", "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{free_port()}", "RUST_LOG": "trace",
    }
    said = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, timeout=60).stderr
    finer = [line for line in said.splitlines() if re.search("TRACE|DEBUG", line)]
    print(f"logs   {len(said.splitlines())} lines, {len(finer)} of them below info")
    return "ERROR" in said and not finer


def start():
    """Whether it starts fast enough."""
    quiet = False
    for _ in range(TRIES):
        quiet |= wait_until_quiet()
        empty, ours = first_answers()
        ratio = paired(empty, ours)
        print(f"start  {ratio:.2f} × an empty function, budget {RATIO}: {spread(ours)} ms to the first answer, empty function {spread(empty)} ms", flush=True)
        if ratio <= RATIO:
            return True
    if not quiet:
        print("SKIPPED: the budget of the start time (other programs kept this machine busy)")
    return not quiet


def first_answers():
    """Milliseconds to the first answer of an empty function and of the program, in pairs."""
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
    """Waits for a second in which the machine is idle. Returns whether there was one."""
    for _ in range(PATIENCE):
        before = idle_and_all()
        time.sleep(1)
        idle, all = (now - then for now, then in zip(idle_and_all(), before))
        if idle >= QUIET * all:
            return True
    return False


def idle_and_all():
    """Idle ticks and all ticks of the processors since the machine started. Without /proc, all ticks count as idle."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return time.monotonic(), time.monotonic()
    return ticks[3] + ticks[4], sum(ticks)


def main():
    checks = {"size": size, "logs": logs, "start": start}
    assert sys.argv[1:] and set(sys.argv[1:]) <= set(checks), f"takes {' or '.join(checks)}"
    missed = [name for name in sys.argv[1:] if not checks[name]()]
    if missed:
        sys.exit(f"not as it must be: {', '.join(missed)}")


if __name__ == "__main__":
    main()
