#!/usr/bin/env python3
"""Fuzzes everything that reads external input, with libFuzzer on a stable toolchain.

    make fuzz                     every target
    make fuzz TARGET=address      one target
    make fuzz RUNS=10000000       so many executions per target; from ten million on, writes the figures into docs/generated/fuzz.md
    make fuzz TARGET=address INPUT=target/fuzz/crashes/address/crash-…     repeats one input
    make fuzz KEEP=1              afterwards, stores the smallest inputs with the largest coverage in fuzz/corpus

The inputs found stay in target/fuzz/corpus, and the next run starts with them. A panic, a failed assertion or an input that hangs
stops the target and prints the path of the input; the exit status is then 1.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE, WORK, TABLE = ROOT / "fuzz", ROOT / "target/fuzz", ROOT / "docs/generated/fuzz.md"
# Maximum size of an input, in bytes.
TARGETS = {"address": 512, "database_url": 2048, "duration": 128, "invocation": 2048, "message": 1024, "ses_event": 2048,
           "settings": 512, "signature": 1024}
RUNS = int(os.environ.get("RUNS", 1_000_000))
RECORDED_FROM = 10_000_000
# Maximum size of the inputs that KEEP=1 stores in the repository, in bytes per target.
LARGEST_CORPUS = 4096
# The instrumentation of `cargo fuzz` on nightly: a counter on every edge, and the operands of comparisons.
COVERAGE = ["sancov-module"], ["sanitizer-coverage-level=4", "sanitizer-coverage-inline-8bit-counters", "sanitizer-coverage-pc-table",
                              "sanitizer-coverage-trace-compares", "simplifycfg-branch-fold-threshold=0"]
HEAD = ["target", "executions", "CPU time", "per second", "edges", "inputs kept", "crashes"]


def build(targets):
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout)[1]
    passes, options = COVERAGE
    flags = [f"-Cpasses={name}" for name in passes] + [f"-Cllvm-args=-{option}" for option in options]
    # With --target, build scripts and macros are built without instrumentation.
    command = ["cargo", "build", "--locked", "--release", "--manifest-path", HERE / "Cargo.toml", "--target-dir", WORK, "--target", host]
    bins = [part for target in targets for part in ("--bin", target)]
    subprocess.run(command + bins, env=os.environ | {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}, check=True)
    return WORK / host / "release"


def number(value):
    return f"{value:,}".replace(",", " ")


def fuzz(program, target):
    """Runs a target. Returns its row, or None if it crashed."""
    found, crashes = WORK / "corpus" / target, WORK / "crashes" / target
    for directory in (found, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    dictionary = HERE / "dictionaries" / f"{target}.dict"
    command = [program, found, HERE / "corpus" / target, f"-runs={RUNS}", f"-max_len={TARGETS[target]}",
               f"-artifact_prefix={crashes}/"] + [f"-dict={dictionary}"] * dictionary.exists()
    before, shown, last = os.times(), time.monotonic(), None
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stderr:
            if progress := re.match(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: \d+ corp: (\d+)/(\w+)", line):
                last = progress
                if progress[2] == "DONE" or time.monotonic() > shown + 5:
                    shown = time.monotonic()
                    print(f"{target}: {number(int(progress[1]))} of {number(RUNS)}, {progress[3]} edges, {progress[4]} inputs", flush=True)
            elif not line.startswith(("INFO:", "WARNING:", "\tNEW_FUNC", '"', "#", "Done")):
                print(f"{target}: {line}", end="", flush=True)
    after = os.times()
    if process.returncode != 0 or not last or last[2] != "DONE":
        return None
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    executions = int(last[1])
    return [f"`{target}`", number(executions), f"{seconds / 60:.1f} min", number(round(executions / seconds)), number(int(last[3])),
            f"{last[4]}, {last[5].replace('b', ' B').replace('K B', ' KiB')}", "0"]


def keep(program, target):
    """Stores the smallest inputs with the largest coverage, in addition to the inputs with names."""
    merged, corpus = WORK / "merged" / target, HERE / "corpus" / target
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    for former in corpus.iterdir():
        if re.fullmatch("[0-9a-f]{40}", former.name):
            former.unlink()
    subprocess.run([program, merged, corpus, WORK / "corpus" / target, "-set_cover_merge=1", f"-max_len={TARGETS[target]}"],
                   stderr=subprocess.DEVNULL, check=True)
    left = LARGEST_CORPUS
    named = {file.read_bytes() for file in corpus.iterdir()}
    for input in sorted(merged.iterdir(), key=lambda file: file.stat().st_size):
        left -= input.stat().st_size
        if left >= 0 and input.read_bytes() not in named:
            shutil.copy(input, corpus)


def record(rows):
    """Updates the rows of these targets in the table of docs/generated/fuzz.md."""
    text = TABLE.read_text()
    start, end = "<!-- from `make fuzz` -->\n", "<!-- to here -->\n"
    before, rest = text.split(start)
    table, after = rest.split(end)
    known = {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}
    known |= {row[0]: "| " + " | ".join(row) + " |" for row in rows}
    lines = ["| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1)] + [known[name] for name in sorted(known)]
    TABLE.write_text(before + start + "\n".join(lines) + "\n" + end + after)


def main():
    targets = [os.environ["TARGET"]] if os.environ.get("TARGET") else list(TARGETS)
    if unknown := [target for target in targets if target not in TARGETS]:
        sys.exit(f"no such target: {unknown[0]}; there are {', '.join(TARGETS)}")
    programs = build(targets)
    if os.environ.get("INPUT"):
        sys.exit(subprocess.run([programs / targets[0], os.environ["INPUT"]]).returncode != 0)
    rows, crashed = [], []
    for target in targets:
        row = fuzz(programs / target, target)
        rows += [row] if row else []
        crashed += [] if row else [target]
        if row and RUNS >= RECORDED_FROM:
            record([row])
        if row and os.environ.get("KEEP"):
            keep(programs / target, target)
    print("\n".join("  ".join(cell.rjust(13) for cell in row) for row in [HEAD, *rows]))
    if crashed:
        sys.exit(f"crashed: {', '.join(crashed)}; the inputs are in {WORK.relative_to(ROOT)}/crashes")


if __name__ == "__main__":
    main()
