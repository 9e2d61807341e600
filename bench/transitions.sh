#!/usr/bin/env bash
# 100 000 due status changes with their audit rows: this program against the bare SQL in psql, in turns, on
# fresh copies of one database. Prints seconds for each and the ratio of the medians.
#
#   bench/transitions.sh postgres://postgres@127.0.0.1:5432 [rounds]
#
# Needs psql, a superuser's URL without a database, and `cargo build --release` (or BINARY=…).
set -euo pipefail
server=${1:?"URL of a server, without a database"}
rounds=${2:-5}
binary=${BINARY:-$(dirname "$0")/../target/release/booking-automation}
export EMAIL_FROM=bench@example.com SEND_RATE=1 AWS_REGION=none AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none
export PGOPTIONS="--client-min-messages=warning"
psql() { command psql --no-psqlrc --quiet --tuples-only --set=ON_ERROR_STOP=1 "$@"; }
seconds() { local start end; start=$(date +%s%N); "$@" >/dev/null; end=$(date +%s%N); echo "scale=3; ($end - $start) / 1000000000" | bc; }
fresh() { psql "$server/postgres" -c "DROP DATABASE IF EXISTS bench_$1" -c "CREATE DATABASE bench_$1 TEMPLATE bench_template"; }
median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }

ours() {
    # The limit of one pass is 50 000.
    for _ in 1 2; do DATABASE_URL="$server/bench_ours" "$binary" run; done
}
bare() {
    psql "$server/bench_bare" <<'SQL'
ALTER TABLE bookings DISABLE TRIGGER USER;
BEGIN;
WITH moved AS (
    UPDATE bookings SET status = 'in_progress', auto_status_updated = true,
           automation_logs = automation_logs || jsonb_build_object(
               'at', now(), 'from', 'confirmed', 'to', 'in_progress', 'due_at', scheduled_at, 'run_id', '7091869195317477377')
     WHERE status = 'confirmed' AND scheduled_at <= now()
    RETURNING id, scheduled_at)
INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at)
SELECT id, 'status_update', jsonb_build_object('from', 'confirmed', 'to', 'in_progress', 'by', 'psql', 'run_id', '7091869195317477377'),
       scheduled_at, now() FROM moved;
COMMIT;
SQL
}

psql "$server/postgres" -c "DROP DATABASE IF EXISTS bench_template" -c "CREATE DATABASE bench_template"
DATABASE_URL="$server/bench_template" "$binary" migrate 2>/dev/null >&2
psql "$server/bench_template" <<'SQL'
SET session_replication_role = replica;
INSERT INTO bookings (status, scheduled_at, duration_minutes)
SELECT 'completed', now() - n * interval '1 minute', 60 FROM generate_series(1, 400000) AS n;
INSERT INTO bookings (status, scheduled_at, duration_minutes)
SELECT 'confirmed', now() - n * interval '10 milliseconds', 600 FROM generate_series(1, 100000) AS n;
VACUUM ANALYZE;
SQL

for round in $(seq "$rounds"); do
    fresh ours; fresh bare
    a=$(seconds ours 2>/dev/null); b=$(seconds bare)
    moved=$(psql "$server/bench_ours" -c "SELECT count(*) FROM booking_automation_events" | tr -d ' ')
    same=$(psql "$server/bench_bare" -c "SELECT count(*) FROM booking_automation_events" | tr -d ' ')
    [ "$moved $same" = "100000 100000" ] || { echo "not the same work: $moved and $same rows" >&2; exit 1; }
    echo "round $round: ours $a s, bare SQL $b s"
    echo "$a" >> "/tmp/bench.$$.ours"; echo "$b" >> "/tmp/bench.$$.bare"
done
ours=$(median < "/tmp/bench.$$.ours"); bare=$(median < "/tmp/bench.$$.bare"); rm -f "/tmp/bench.$$."*
echo "median: ours $ours s, bare SQL $bare s, ratio $(echo "scale=2; $ours / $bare" | bc)"
psql "$server/postgres" -c "DROP DATABASE bench_ours" -c "DROP DATABASE bench_bare" -c "DROP DATABASE bench_template"
