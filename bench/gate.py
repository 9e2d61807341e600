#!/usr/bin/env python3
"""The budgets of the function's size and start, as CI holds them.

    bench/gate.py size          bytes of the program and of its zip file
    bench/gate.py start         start to first answer, beside an empty Rust function

`make gate` builds both programs first. A start is measured on a stand-in for the Lambda Runtime API, both programs in turns,
and the machine's speed cancels out of the ratio. Other work on the machine does not: a ratio that is too large is measured
again, and the best one counts.
"""
import io
import sys
import zipfile

from report import paired, spread
from services import EMPTY, MAIL, PROGRAM, ROOT, Instance

BINARY, ZIP = 12_000_000, 5_600_000
RATIO, PAIRS, TRIES = 1.6, 25, 3


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
    environment = MAIL | {"DATABASE_URL": "postgres://nobody@database.invalid/none"}
    health = (ROOT / "events/health.json").read_bytes()

    def first_answer(program):
        instance = Instance([program], environment)
        try:
            return instance.invoke(health)
        finally:
            instance.end()

    for program in (EMPTY, PROGRAM):
        first_answer(program)  # from the disk, once
    for attempt in range(TRIES):
        times = [(first_answer(EMPTY), first_answer(PROGRAM)) for _ in range(PAIRS)]
        empty, ours = zip(*times)
        ratio = paired(empty, ours)
        print(f"start  {ratio:.2f} × an empty function, of {RATIO}: {spread(ours)} ms to the first answer, it {spread(empty)}")
        if ratio <= RATIO:
            return True
    return False


def main():
    checks = {"size": size, "start": start}
    assert sys.argv[1:] and set(sys.argv[1:]) <= set(checks), f"takes {' or '.join(checks)}"
    missed = [name for name in sys.argv[1:] if not checks[name]()]
    if missed:
        sys.exit(f"over budget: {', '.join(missed)}")


if __name__ == "__main__":
    main()
