#!/usr/bin/env python3
"""Compares the program with its alternatives and with the limits of database and network, on the same work in one run.

    make bench                  all parts; writes docs/generated/benchmarks.md
    make bench PART=idle        one part; prints it: transitions reminders idle latency plans start memory cost
    BENCH=full make bench       more rounds
    make bench PART=soak MINUTES=30

The contenders take turns in each round, each on a fresh copy of the same database. The report has medians and their spread.
"""
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

from report import write
from services import COMMITTING, EMPTY, NODE, PEERS, PROGRAM, ROOT, TOOLS, WORK, Instance, Services, installed

ROUNDS = 7 if os.environ.get("BENCH") == "full" else 3
QUEUES = ["pgboss", "graphile", "bullmq"]
OURS, LIMIT, COMMIT = "booking-automation", "the limit", "a Rust function that commits a row"
SCHEDULE, HEALTH = ((ROOT / f"events/{name}.json").read_bytes() for name in ("schedule", "health"))
# Concurrent sends of our program and of the client that measures the limit: as many as the documentation of the queues advises
# for their workers, or the default if the queues do not take part.
CONCURRENCY = {1_000: 100, 20_000: 16}

# The databases for the idle minute, with their number of stored bookings.
STORED = {"an empty table": 0, "10 thousand stored": 10_000, "1 million stored": 1_000_000, "10 million stored": 10_000_000}
IDLE = {name: f"idle_{count}" for name, count in STORED.items()} | {"1 million upcoming, handled": "idle_handled"}

BASE = """
ALTER TABLE bookings ADD COLUMN reminder_sent boolean DEFAULT false;
CREATE INDEX bookings_status ON bookings (status, scheduled_at);
INSERT INTO users (email, display_name, timezone)
SELECT 'c' || n || '@customers.example', 'Customer ' || n, 'Europe/Vienna' FROM generate_series(1, 1000) AS n;
INSERT INTO services (provider_id, title, duration_minutes) SELECT (SELECT id FROM users LIMIT 1), 'Massage', 60;
"""
BRIEFS_EVENTS = """
CREATE TABLE booking_automation_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), booking_id uuid NOT NULL, event_type text NOT NULL, event_data jsonb,
    scheduled_at timestamptz, executed_at timestamptz DEFAULT now(), status text NOT NULL DEFAULT 'completed', error_message text,
    created_at timestamptz DEFAULT now());
"""

# What the function that commits a row writes to.
COMMITS = "CREATE TABLE commits (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now())"


def bookings(count, status, start, duration=60):
    """SQL that stores bookings without firing triggers, as if they existed before. `n` counts them."""
    return f"""
SET session_replication_role = replica;
INSERT INTO bookings (customer_id, provider_id, service_id, status, scheduled_at, duration_minutes, location, created_at)
SELECT person[n % 1000 + 1], person[1], (SELECT id FROM services LIMIT 1), '{status}', {start}, {duration}, 'Ringstraße 1, Wien',
       now() - interval '60 days'
  FROM generate_series(1, {count}) AS n, (SELECT array_agg(id) AS person FROM users) AS people;
SET session_replication_role = DEFAULT;"""


STARTED = "now() - n * interval '1 millisecond'"
REMIND = "now() + interval '23 hours' + n * interval '1 millisecond'"


class Bench:
    def __init__(self, services):
        self.services, self.postgresql = services, services.postgresql
        self.began, self.figures = time.monotonic(), {}

    def say(self, what):
        """Prints the progress."""
        seconds = int(time.monotonic() - self.began)
        print(f"{seconds // 60:3}:{seconds % 60:02}  {what}", file=sys.stderr, flush=True)

    # Databases

    def template(self, name, ours, fill=""):
        """Creates a database to copy: the user's tables, our tables if `ours`, and the rows of `fill`."""
        sql = self.postgresql.sql
        sql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        sql(name, "CREATE EXTENSION pg_stat_statements", (ROOT / "migrations/01_base_tables.sql").read_text(), BASE)
        sql(name, fill) if fill else None
        if ours:
            subprocess.run([PROGRAM, "migrate"], env=self.services.environment(name), check=True, capture_output=True)
            # The rules must be older than the bookings. Each booking has a mail of its own, as with the others.
            sql(name, "UPDATE reminder_rules SET effective_from = '2020-01-01', group_within = '0'")
        else:
            sql(name, BRIEFS_EVENTS)
        sql(name, "VACUUM ANALYZE")

    # Contenders: each does one kind of work on a database and returns the seconds that it took

    def ours(self, kind, database, count, port=None):
        environment = self.services.environment(database, port) | {"SEND_CONCURRENCY": str(CONCURRENCY.get(count, 16))}
        started, done = time.perf_counter(), 0
        while done < count:
            said = json.loads(subprocess.run([PROGRAM, "run", "--for", "10m"], env=environment, check=True, capture_output=True).stdout)
            part = said["transitions"]["started"] if kind == "transitions" else said["reminders"]["sent"]
            assert part > 0, said
            done += part
        return time.perf_counter() - started

    def peer(self, name, kind, database, count, port=None):
        prepared = self.node(name, "prepare", kind, database, port)["prepared"]
        assert prepared == count, f"{name}: {prepared} jobs of {count}"
        self.postgresql.sql("postgres", "CHECKPOINT")
        if name == "bullmq":
            time.sleep(0.1)  # its jobs have a delay of one millisecond
        said = self.node(name, "work", kind, database, port)
        assert said["done"] == count, said
        self.figures.setdefault("versions", {})[name] = said["version"]
        self.figures.setdefault("settings", {}).setdefault(name, {})[kind] = said["settings"]
        return said["seconds"]

    def node(self, name, command, kind, database, port=None):
        """Runs a peer and returns its output."""
        words = [NODE, f"{name}.mjs", command, *([kind] if kind else [])]
        environment = self.services.environment(database, port)
        return json.loads(subprocess.run(words, env=environment, cwd=PEERS, check=True, capture_output=True, text=True).stdout)

    def bare_sql(self, kind, database, count, port=None):
        """The minimum time that the database needs: one statement that includes the audit rows."""
        statement = """
            ALTER TABLE bookings DISABLE TRIGGER USER;
            WITH moved AS (
                UPDATE bookings SET status = 'in_progress', auto_status_updated = true,
                       automation_logs = automation_logs || jsonb_build_object('at', now(), 'from', 'confirmed', 'to', 'in_progress',
                           'due_at', scheduled_at, 'run_id', '4a7c3a60-9a3b-4f5e-8b0e-2d6f1c9e7b55')
                 WHERE status = 'confirmed' AND scheduled_at <= now()
                RETURNING id, scheduled_at)
            INSERT INTO booking_automation_events (booking_id, event_type, event_data, scheduled_at, executed_at)
            SELECT id, 'status_update', jsonb_build_object('from', 'confirmed', 'to', 'in_progress', 'by', 'psql',
                       'run_id', '4a7c3a60-9a3b-4f5e-8b0e-2d6f1c9e7b55'), scheduled_at, now() FROM moved"""
        started = time.perf_counter()
        self.postgresql.sql(database, statement)
        return time.perf_counter() - started

    def saturated(self, kind, database, count, port=None):
        """An HTTP client that sends as fast as the endpoint answers, with the same number of connections."""
        script = WORK / "post.lua"
        body = json.dumps({"Content": {"Simple": {"Body": {"Html": {"Data": "x" * 3000}}}}})
        script.write_text(f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'\n")
        url = f"http://127.0.0.1:{self.services.mail_port}/v2/email/outbound-emails"
        output = subprocess.run(["wrk", "-t1", f"-c{CONCURRENCY[count]}", "-d3s", "-s", script, url], check=True, capture_output=True, text=True)
        self.services.taken()
        return count / float(re.search(r"Requests/sec:\s+([\d.]+)", output.stdout)[1])

    def contenders(self, kind):
        """{name: (contender, template database)}."""
        limit = self.bare_sql if kind == "transitions" else self.saturated
        them = {OURS: (self.ours, "ours"), LIMIT: (limit, "ours"), "phase1": (None, "peers")} | {queue: (None, "peers") for queue in QUEUES}
        if not self.services.redis_port:
            del them["bullmq"]
        if kind == "reminders" and not installed("wrk"):
            del them[LIMIT]
        return them

    def race(self, kind, count, names=None, port=None, rounds=ROUNDS):
        """Seconds of each contender in each round; the contenders take turns."""
        due = bookings(count, "confirmed", STARTED, 600) if kind == "transitions" else bookings(count, "confirmed", REMIND)
        old = bookings(20_000, "completed", "now() - interval '2 days' - n * interval '1 minute'")
        for ours in (True, False):
            if ours or any(name not in (OURS, LIMIT) for name in names or [""]):
                self.template(f"{kind}_{'ours' if ours else 'peers'}", ours, old + due)
        them = {name: them for name, them in self.contenders(kind).items() if not names or name in names}
        seconds = {name: [] for name in them}
        order = itertools.cycle(range(len(them)))
        for round in range(rounds):
            first = next(order)
            for name in list(them)[first:] + list(them)[:first]:
                run, template = them[name]
                self.say(f"{kind} {count:,}, round {round + 1} of {rounds}: {name}{', 5 ms further away' if port else ''}")
                self.postgresql.copy(f"{kind}_{template}", "work")
                self.services.taken()
                took = run(kind, "work", count, port) if run else self.peer(name, kind, "work", count, port)
                self.check(kind, count, name)
                seconds[name].append(took)
        return seconds

    def check(self, kind, count, name):
        """Checks that the contender did the same work as the others."""
        if (kind, name) == ("reminders", LIMIT):
            return
        event = "status_update" if kind == "transitions" else "reminder_sent"
        events = self.postgresql.number("work", f"SELECT count(DISTINCT booking_id) FROM booking_automation_events WHERE event_type = '{event}' AND status = 'completed'")
        if kind == "transitions":
            moved = self.postgresql.number("work", "SELECT count(*) FROM bookings WHERE status = 'in_progress'")
        else:
            moved, sending = self.services.taken()
            self.figures.setdefault("sending", {}).setdefault(count, {}).setdefault(name, []).append(sending)
        assert (events, moved) == (count, count), f"{name}: {events} events, {moved} done, of {count}"

    # Parts

    def transitions(self):
        self.figures["transitions"] = {
            1_000: self.race("transitions", 1_000), 10_000: self.race("transitions", 10_000),
            100_000: self.race("transitions", 100_000, [OURS, LIMIT]),
        }

    def reminders(self):
        self.figures["reminders"] = {1_000: self.race("reminders", 1_000), 20_000: self.race("reminders", 20_000, [OURS, LIMIT])}

    def idle_databases(self):
        for name, count in STORED.items():
            self.say(f"idle: storing {name}")
            old = f"now() - interval '2 days' - n * interval '{max(1, 31_536_000 // max(count, 1))} seconds'"
            self.template(f"idle_{count}", True, bookings(count, "completed", old) if count else "")
        self.say("idle: storing 1 million upcoming, whose reminders are handled")
        upcoming = bookings(1_000_000, "confirmed", "now() + interval '2 hours' + n * interval '75 milliseconds'")
        self.template("idle_handled", True, upcoming)
        self.postgresql.sql("idle_handled", """
            INSERT INTO booking_automation_events (booking_id, event_type, status, rule, audience, channel, starts_at, scheduled_at, executed_at)
            SELECT id, 'reminder_sent', 'completed', '24h', 'customer', 'email', scheduled_at, scheduled_at - interval '1 day', now()
              FROM bookings WHERE status = 'confirmed'""",
            "SET session_replication_role = replica; UPDATE bookings SET reminder_sent = true", "VACUUM ANALYZE")

    def idle(self):
        self.idle_databases()
        databases, rounds = IDLE, 20 * ROUNDS
        instances = {name: Instance([PROGRAM], self.services.environment(database)) for name, database in databases.items()}
        self.postgresql.sql("idle_0", COMMITS)
        commit = Instance([COMMITTING], self.services.environment("idle_0"))
        commit.invoke(SCHEDULE)  # it connects
        times, looks, commits = {name: [] for name in databases}, {}, []
        for name, instance in instances.items():
            # The first pass checks all bookings. With each hour, a sweep begins, which takes a part of each call until it is
            # complete.
            instance.invoke(SCHEDULE)
            self.postgresql.sql(databases[name], "UPDATE automation_runs SET as_of = as_of - interval '1 hour'")
            looks[name] = [instance.invoke(SCHEDULE)]
            while self.postgresql.number(databases[name], "SELECT count(*) FROM booking_automation_sweep") and len(looks[name]) < 200:
                looks[name].append(instance.invoke(SCHEDULE))
            instance.invoke(SCHEDULE)
        for round in range(rounds):
            if round % 20 == 0:
                self.say(f"idle: round {round + 1} of {rounds}")
            for name, instance in instances.items():
                times[name].append(instance.invoke(SCHEDULE))
            commits.append(commit.invoke(SCHEDULE))
        for instance in [commit, *instances.values()]:
            instance.end()
        self.say("idle: phase1")
        loop = {name: self.node("phase1", "idle", None, database) for name, database in databases.items()}
        queues = {}
        for name in QUEUES:
            if name != "bullmq" or self.services.redis_port:
                self.say(f"idle: {name}")
                queues[name] = self.node(name, "idle", None, "idle_0")
        self.figures["idle"] = {"times": times, "commit": commits, "looks": looks, "loop": loop, "queues": queues}

    def start(self):
        self.template("start", True)
        self.postgresql.sql("start", COMMITS)
        self.template("start_peers", False)
        tls = {"DATABASE_CA_CERT": str(self.postgresql.ca), "NODE_EXTRA_CA_CERTS": str(self.postgresql.ca)}
        secure = lambda database: self.services.environment(database) | tls | {
            "DATABASE_URL": f"postgres://postgres@localhost:{self.postgresql.port}/{database}?sslmode=require"}
        nowhere = self.services.environment("none") | {"DATABASE_URL": "postgres://nobody@database.invalid/none"}
        contenders = {
            "an empty Rust function": ([EMPTY], nowhere, HEALTH),
            COMMIT: ([COMMITTING], secure("start"), SCHEDULE),
            "booking-automation, /health": ([PROGRAM], nowhere, HEALTH),
            "booking-automation, a pass": ([PROGRAM], secure("start"), SCHEDULE),
            "Node, bundled, a pass": ([NODE, PEERS / "cold.bundle.mjs"], secure("start_peers"), SCHEDULE),
            "Node, a pass": ([NODE, PEERS / "cold.mjs"], secure("start_peers"), SCHEDULE),
        }
        times = {name: [] for name in contenders}
        Instance([PROGRAM], secure("start")).invoke(SCHEDULE)  # the very first pass checks all bookings
        rounds = 10 * ROUNDS
        for round in range(rounds):
            if round % 10 == 0:
                self.say(f"start: round {round + 1} of {rounds}")
            for name, (command, environment, event) in contenders.items():
                instance = Instance(command, environment)
                times[name].append(instance.invoke(event))
                instance.end()
        self.figures["start"] = times

    def memory(self):
        self.say("memory: storing a million bookings whose reminders are due")
        self.template("memory", True, bookings(1_000_000, "confirmed", REMIND))
        environment, peaks = self.services.environment("memory"), []

        def call(duration, settings):
            """A call as a process of its own; returns its summary and notes its memory."""
            process = subprocess.Popen([PROGRAM, "run", "--for", duration], env=environment | settings, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            said = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0, said
            peaks.append(usage.ru_maxrss)
            return said

        enqueued = lambda: self.postgresql.number("memory", "SELECT count(*) FROM booking_automation_events")
        while (count := enqueued()) < 1_000_000:
            # A pass enqueues 50 000; at this rate it sends one.
            call("30s", {"SEND_RATE": "0.01"})
            assert enqueued() > count, "nothing is enqueued any more"
        self.postgresql.sql("memory", "UPDATE booking_automation_channels SET next_at = now()")
        self.say("memory: sending them for two minutes, in one call")
        self.services.taken()
        started = time.perf_counter()
        said = call("2m", {"SEND_CONCURRENCY": "64"})
        sent = said["reminders"]["sent"]
        assert sent == self.services.taken()[0] > 0, said
        self.figures["memory"] = {"peak_kb": peaks[-1], "enqueueing_kb": max(peaks[:-1]), "seconds": time.perf_counter() - started, "sent": sent}

    def counted(self, database, work):
        """The load that some work puts on the server."""
        sql = self.postgresql.sql
        rows = "SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
        self.postgresql.sql("postgres", "CHECKPOINT")
        time.sleep(1.2)  # the statistics of earlier sessions
        dead = self.postgresql.number(database, rows)
        sql(database, "SELECT pg_stat_statements_reset()")
        with self.services.longer_way(0) as way:
            work(way.port)
        statements, wal = map(int, sql(database, """
            SELECT sum(calls), sum(wal_bytes)
              FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
             WHERE datname = current_database() AND query !~ 'pg_stat_statements'""")[0])
        time.sleep(1.2)
        return {"wal": wal, "dead": self.postgresql.number(database, rows) - dead, "statements": statements, "round_trips": way.counted["round_trips"]}

    def cost(self):
        kinds = {
            "an idle pass": ("transitions", 0), "1 000 transitions": ("transitions", 1_000), "10 000 transitions": ("transitions", 10_000),
            "1 000 reminders": ("reminders", 1_000), "5 000 reminders": ("reminders", 5_000),
        }
        self.figures["cost"] = {}
        for name, (kind, count) in kinds.items():
            start, duration = (STARTED, 600) if kind == "transitions" else (REMIND, 60)
            for who in [OURS, "phase1", "pgboss", "graphile"] if count == 1_000 else [OURS]:
                self.say(f"cost: {name}, {who}")
                self.template("cost", who == OURS, bookings(count, "confirmed", start, duration) if count else "")
                if who != OURS:
                    self.node(who, "prepare", kind, "cost")
                    work = lambda port: self.node(who, "work", kind, "cost", port)
                elif count:
                    work = lambda port: self.ours(kind, "cost", count, port)
                else:
                    self.ours_once("cost")  # the first pass checks all bookings
                    work = lambda port: self.ours_once("cost", port)
                self.figures["cost"].setdefault(name, {})[who] = self.counted("cost", work)

    def ours_once(self, database, port=None):
        subprocess.run([PROGRAM, "run"], env=self.services.environment(database, port), check=True, capture_output=True)

    def latency(self):
        figures = self.figures["latency"] = {}
        with self.services.longer_way(5) as way:
            figures["transitions"] = self.race("transitions", 1_000, [OURS, "phase1", *QUEUES], way.port)
            figures["reminders"] = self.race("reminders", 1_000, [OURS, "phase1", *QUEUES], way.port)
            figures["idle"] = self.idle_far(way.port)

    def idle_far(self, port):
        """An idle pass on each database of the part `idle`, or on an empty one if that part did not run."""
        stored = {row[0] for row in self.postgresql.sql("postgres", "SELECT datname FROM pg_database")}
        if "idle_0" not in stored:
            self.template("idle_0", True)
        databases = {name: database for name, database in IDLE.items() if database in stored | {"idle_0"}}
        instances = {name: Instance([PROGRAM], self.services.environment(database, port)) for name, database in databases.items()}
        times = {name: [] for name in databases}
        for round in range(10 * ROUNDS + 3):
            for name, instance in instances.items():
                took = instance.invoke(SCHEDULE)
                if round >= 3:  # the first pass checks all bookings; the later ones are warm
                    times[name].append(took)
        for instance in instances.values():
            instance.end()
        return times

    def plans(self):
        """EXPLAIN (ANALYZE, BUFFERS) of every statement of a pass on 10 million stored bookings, as the server logs them."""
        self.say("plans: a pass on 10 million stored bookings")
        if not self.postgresql.sql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'idle_10000000'"):
            self.template("idle_10000000", True, bookings(10_000_000, "completed", "now() - interval '2 days' - n * interval '3 seconds'"))
        database = "idle_10000000"
        self.ours_once(database)
        self.postgresql.sql(database, bookings(1_000, "confirmed", STARTED, 600) + bookings(1_000, "confirmed", REMIND), "ANALYZE",
                            "UPDATE automation_runs SET looked_through = now() - interval '2 hours', as_of = now() - interval '1 minute'")
        for setting in ["session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on",
                        "auto_explain.log_buffers = on", "auto_explain.log_timing = off", "auto_explain.log_nested_statements = on"]:
            self.postgresql.sql("postgres", f"ALTER DATABASE {database} SET {setting}")
        size = self.postgresql.log.stat().st_size
        self.ours("transitions", database, 1_000)
        self.ours_once(database)
        log = self.postgresql.log.read_text()[size:]
        self.figures["plans"] = [plan.strip("\n") for plan in re.findall(r"duration: [\d.]+ ms  plan:\n(.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", log, re.S)]

    def soak(self):
        minutes = float(os.environ.get("MINUTES") or 30)
        self.postgresql.sql("postgres", "CREATE DATABASE soak")
        self.say(f"soak: {minutes:g} minutes")
        self.services.mail_port = self.services.mail_endpoint(0)  # no delay: simulated weeks would spend most of their time on it
        environment = self.services.environment("soak") | {"RUST_LOG": "error"}
        process = subprocess.Popen([TOOLS, "soak", "--minutes", str(minutes)], env=environment, stdout=subprocess.PIPE, text=True)
        self.services.processes.append(process)
        days = []
        for line in process.stdout:
            days.append(json.loads(line))
            self.say(f"soak: {line.strip()}")
        assert process.wait() == 0 and days, "the soak failed"
        self.figures["soak"] = days


PARTS = ["transitions", "reminders", "idle", "latency", "plans", "start", "memory", "cost"]


def main():
    part = os.environ.get("PART") or ""
    assert part in ["", "soak", *PARTS], f"PART takes one of {', '.join(PARTS)}, soak"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # like Ctrl-C: stops the started processes
    with Services() as services:
        bench = Bench(services)
        for name in [part] if part else PARTS:
            getattr(bench, name)()
        version = services.postgresql.sql("postgres", "SHOW server_version")[0][0]
        bench.figures["run"] = {"seconds": time.monotonic() - bench.began, "rounds": ROUNDS, "postgresql": version, "concurrency": CONCURRENCY}
    write(bench.figures, part)


if __name__ == "__main__":
    main()
