#!/usr/bin/env python3
"""Breaks the program in ways that random histories should notice, one at a time, and tells after how many they did.

    scripts/histories_mutants.py [HISTORIES [SEED [WORDS]]]    (400 1; only the mutants with these words)

Writes a line a mutant to stdout, for docs/testing.md. Each file is put back as it was.
"""
import glob
import os
import re
import subprocess
import sys

MUTANTS = [
    # What is taken out or changed, where, what stands there, and what then does.
    ("late below half of the lead, not two thirds", "src/reminders/decisions.sql", "f.lead * 2 / 3", "f.lead / 2"),
    ("of several rules due at once all go out", "src/reminders/decisions.sql", "j.lead, j.name) > 1", "j.lead, j.name) > 9"),
    ("a rule is not superseded by one queued before", "src/reminders/decisions.sql",
     "(e.scheduled_at, e.rule) > (j.due_at, j.name)", "false"),
    ("`effective_from` is not looked at", "src/reminders/decisions.sql", "b.scheduled_at >= r.effective_from + r.lead", "true"),
    ("due a lead before the start, exclusive", "src/reminders/decisions.sql", "b.scheduled_at <= $1 + r.lead", "b.scheduled_at < $1 + r.lead"),
    ("the claim does not compare the revision", "src/delivery/claim.sql", " OR coalesce(s.revision, 0) <> e.revision", ""),
    ("the claim does not look for a nearer rule", "src/delivery/claim.sql",
     "(nearer.scheduled_at, nearer.rule) > (e.scheduled_at, e.rule)", "false"),
    ("the claim does not ask whether the rule is on", "src/delivery/claim.sql",
     "r.name IS NULL OR NOT r.active OR NOT e.channel = ANY (r.channels)", "false"),
    ("the claim does not ask for the status", "src/delivery/claim.sql", "WHEN b.status <> 'confirmed' THEN 'cancelled'", ""),
    ("everybody is written to as the customer", "src/delivery/claim.sql", "AND c.audience = e.audience", "AND c.audience = 'customer'"),
    ("an account that cannot send is tried with a whole page", "src/delivery/claim.sql", "CASE WHEN held THEN 1 END", "NULL"),
    ("a sixth attempt", "src/delivery/record.sql", "e.attempts >= $9", "e.attempts > $9"),
    ("attempts after the start", "src/delivery/record.sql", " OR e.starts_at <= o.as_of + make_interval(secs => o.wait)", ""),
    ("what was no attempt counts as one", "src/delivery/record.sql", "e.attempts - (j.outcome = 'released')::integer", "e.attempts"),
    ("the fence: an outcome is recorded whoever has claimed the row since", "src/delivery/record.sql", " AND e.claim = j.claim", ""),
    ("flags for another start", "src/delivery/flags.sql", " AND e.starts_at = b.scheduled_at", ""),
    ("a moved booking keeps its flags", "migrations/07_triggers.sql", "       AND starts_at = NEW.scheduled_at", ""),
    ("a moved booking is not armed again", "migrations/07_triggers.sql",
     "(o.status IS DISTINCT FROM n.status\n                                           OR o.scheduled_at IS DISTINCT FROM n.scheduled_at)",
     "o.status IS DISTINCT FROM n.status"),
    ("nobody remembers when it was unblocked", "migrations/07_triggers.sql", "WHERE c.armed OR c.unblocked", "WHERE c.armed"),
    ("a status change without its event", "migrations/07_triggers.sql",
     "WHERE old_status IS DISTINCT FROM new_status", "WHERE old_status IS DISTINCT FROM new_status AND new_status <> 'paid'"),
    ("overdue only after `EXPIRE_AFTER`, exclusive", "src/bookings/transitions.rs",
     'due: "booking_end(b.scheduled_at, b.duration_minutes) <= $2', 'due: "booking_end(b.scheduled_at, b.duration_minutes) < $2'),
    ("overdue counts from the end, unblocked or not", "src/bookings/transitions.rs", '"{due} AND {NOT_JUST_UNBLOCKED}"', '"{due}"'),
    ("`completed_at` is forgotten", "src/bookings/transitions.rs", '", completed_at = $1"', '""'),
    ("what is overdue may be completed", "src/bookings/transitions.rs", '"{due} AND {NOT_OVERDUE}"', '"{due}"'),
    ("back-off of 2, 4, 8, 16 minutes", "src/delivery/mod.rs", "1 << (attempt - 1).clamp(0, 3)", "2 << (attempt - 1).clamp(0, 3)"),
    ("what is skipped ends the try of a held account (found by this test)", "src/delivery/mod.rs",
     "held && !sent.is_empty() &&", "held &&"),
    ("a clock set back (found by this test)", "src/reminders/mod.rs", "as_of > $2 AND EXISTS", "false AND EXISTS"),
    ("bookings that came into force are not looked at", "src/reminders/mod.rs",
     "give_verdicts(transaction, as_of, watermark.looked_through, &looks, run_id)",
     "give_verdicts(transaction, as_of, watermark.looked_through, &[], run_id)"),
]


def main():
    histories = sys.argv[1] if len(sys.argv) > 1 else "400"
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    build("test", "--test", "it", "--no-run")
    tests = max((path for path in glob.glob("target/debug/deps/it-*") if "." not in path), key=os.path.getmtime)
    environment = dict(os.environ, HISTORIES=histories, SEED=seed, RUST_BACKTRACE="0", PROPTEST_MAX_SHRINK_ITERS="0")
    for what, path, old, new in MUTANTS:
        if only not in what:
            continue
        original = open(path).read()
        assert old in original, (path, old)
        try:
            open(path, "w").write(original.replace(old, new))
            # The tests run the program that lies in target/debug; they themselves stay as they are.
            build("build", "--bin", "booking-automation")
            run = subprocess.run([tests, "random_histories"], env=environment, capture_output=True, text=True)
        finally:
            open(path, "w").write(original)
        found = re.search(r"in history (\d+)", run.stdout)
        if run.returncode == 0:
            result = f"not in {histories}"
        elif found:
            result = found.group(1)
        else:
            sys.exit(f"{what}: {run.stdout}{run.stderr}")
        print(f"| {what} | `{path}` | {result} |", flush=True)
        # For whoever wonders whether it was found for the right reason.
        why = [line for line in run.stdout.splitlines() if line.startswith("step ")]
        print(f"{what}: {why}", file=sys.stderr, flush=True)
    build("build", "--bin", "booking-automation")


def build(*arguments):
    subprocess.run(["cargo", arguments[0], "--locked", "--quiet", *arguments[1:]], check=True)


main()
