#!/usr/bin/env python3
"""Breaks the program in one way after the other, and reports after how many random histories the test fails.

    scripts/histories_mutants.py [HISTORIES [SEED [WORDS]]]    (400 1; only the mutants with these words)

It prints one line for each mutant, for docs/testing.md, and restores each file.
"""
import glob
import os
import re
import subprocess
import sys

MUTANTS = [
    # Description, file, text, replacement.
    ("late below half of the lead instead of two thirds", "src/reminders/decisions.sql", "f.lead * 2 / 3", "f.lead / 2"),
    ("of several rules due at once, all are sent", "src/reminders/decisions.sql", "j.name DESC) > 1", "j.name DESC) > 9"),
    ("a queued reminder does not supersede an earlier rule", "src/reminders/decisions.sql",
     "booking_automation_supersedes(e.scheduled_at, e.rule, j.due_at, j.name)", "false"),
    ("`effective_from` is ignored", "schema/functions/booking_automation_is_due.sql",
     "starts_at >= effective_from + lead", "true"),
    ("a reminder is due only after its due time", "schema/functions/booking_automation_is_due.sql",
     "starts_at <= moment + lead", "starts_at < moment + lead"),
    ("the claim does not compare the revision", "src/delivery/claim.sql", " OR coalesce(s.revision, 0) <> e.revision", ""),
    ("the claim does not look for a nearer rule", "src/delivery/claim.sql",
     "booking_automation_supersedes(nearer.scheduled_at, nearer.rule, e.scheduled_at, e.rule)", "false"),
    ("the claim does not check whether the rule is active", "src/delivery/claim.sql",
     "r.name IS NULL OR NOT r.active OR NOT e.channel = ANY (r.channels)", "false"),
    ("the claim does not check the status", "src/delivery/claim.sql", "WHEN b.status <> 'confirmed' THEN 'cancelled'", ""),
    ("every reminder is sent to the customer", "src/delivery/claim.sql", "AND c.audience = e.audience", "AND c.audience = 'customer'"),
    ("while the account cannot send, a whole page is tried", "src/delivery/claim.sql", "CASE WHEN held THEN 1 END", "NULL"),
    ("a sixth attempt", "src/delivery/record.sql", "e.attempts >= $9", "e.attempts > $9"),
    ("attempts after the start", "src/delivery/record.sql", " OR e.starts_at <= o.as_of + make_interval(secs => o.wait)", ""),
    ("a released message counts as an attempt", "src/delivery/record.sql", "e.attempts - (j.outcome = 'released')::integer", "e.attempts"),
    ("an outcome is recorded although another call has claimed the row since", "src/delivery/record.sql", " AND e.claim = j.claim", ""),
    ("flags for another start", "src/delivery/flags.sql", " AND e.starts_at = b.scheduled_at", ""),
    ("a moved booking keeps its flags", "schema/functions/booking_automation_on_move.sql",
     "       AND starts_at = NEW.scheduled_at", ""),
    ("a moved booking is not armed again", "schema/functions/booking_automation_on_update.sql",
     "(o.status IS DISTINCT FROM n.status\n                                           OR o.scheduled_at IS DISTINCT FROM n.scheduled_at)",
     "o.status IS DISTINCT FROM n.status"),
    ("the time of unblocking is not stored", "schema/functions/booking_automation_on_update.sql",
     "WHERE c.armed OR c.unblocked", "WHERE c.armed"),
    ("a status change without its event", "schema/functions/booking_automation_on_update.sql",
     "WHERE old_status IS DISTINCT FROM new_status", "WHERE old_status IS DISTINCT FROM new_status AND new_status <> 'paid'"),
    ("overdue only after `EXPIRE_AFTER`, not at it", "src/bookings/steps.rs",
     'due: "{end} <= $2', 'due: "{end} < $2'),
    ("overdue counts from the end, even after unblocking", "src/bookings/steps.rs", '"{due} AND {NOT_JUST_UNBLOCKED}"', '"{due}"'),
    ("`completed_at` is not set", "src/bookings/steps.rs", '", completed_at = $1"', '""'),
    ("an overdue booking may be completed", "src/bookings/steps.rs", '"{due} AND {NOT_OVERDUE}"', '"{due}"'),
    ("back-off of 2, 4, 8, 16 minutes", "src/delivery/message_lane.rs", "1 << (attempt - 1).clamp(0, 3)", "2 << (attempt - 1).clamp(0, 3)"),
    ("a skipped message ends the probe of a held account (found by this test)", "src/delivery/mod.rs",
     "held && !sent.is_empty() &&", "held &&"),
    ("a clock that was set back (found by this test)", "src/reminders/take_rechecks.sql", "as_of > $2 AND EXISTS", "false AND EXISTS"),
    ("rechecks are ignored", "src/reminders/decisions.rs",
     "watermark.looked_through,\n        &rechecks,", "watermark.looked_through,\n        &[],"),
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
            # The tests run the program in target/debug. The tests themselves are not built again.
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
        # Shows whether the test failed for the right reason.
        why = [line for line in run.stdout.splitlines() if line.startswith("step ")]
        print(f"{what}: {why}", file=sys.stderr, flush=True)
    build("build", "--bin", "booking-automation")


def build(*arguments):
    subprocess.run(["cargo", arguments[0], "--locked", "--quiet", *arguments[1:]], check=True)


main()
