"""What the run measured, as docs/generated/benchmarks.md with its charts, or on the terminal."""
import io
import json
import math
import os
import platform
import re
import statistics
import subprocess
import zipfile

from services import PROGRAM, ROOT, WORK

OURS, LIMIT = "booking-automation", "the limit"
NAMES = {"phase1": "the Phase 1 loop", "pgboss": "pg-boss", "graphile": "graphile-worker", "bullmq": "BullMQ"}
DOCS = ROOT / "docs/generated"


def name(who):
    return NAMES.get(who, who)


def number(value):
    """Three significant digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def paired(ours, others):
    """Median of the ratios, round by round: the machine's mood cancels out."""
    return statistics.median(other / our for our, other in zip(ours, others))


def svg(file, title, height, body):
    """A picture in docs/generated/bench, readable in the dark, too; the Markdown for it."""
    style = "text{font:13px system-ui,sans-serif;fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
    (DOCS / "bench").mkdir(exist_ok=True)
    (DOCS / "bench" / file).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" width="720" role="img" aria-label="{title}"><style>{style}</style>'
        f"{body}</svg>\n")
    return f"![{title}](bench/{file})\n"


def chart(file, title, unit, values):
    """Horizontal bars on a logarithmic scale."""
    bottom = math.floor(math.log10(min(values.values())) - 0.3)
    span = math.log10(max(values.values())) - bottom
    bars = []
    for index, (label, value) in enumerate(values.items()):
        y, width = 40 + 30 * index, 400 * (math.log10(value) - bottom) / span
        color = "#0a7d5c" if label.startswith(OURS) else "#8a8f98"
        bars.append(f'<text x="190" y="{y + 15}" text-anchor="end">{label}</text><rect x="200" y="{y}" width="{width:.1f}" height="20" '
                    f'rx="3" fill="{color}"/><text x="{206 + width:.1f}" y="{y + 15}">{number(value)}</text>')
    head = f'<text x="200" y="20" font-weight="bold">{title} ({unit}, logarithmic)</text>'
    return svg(file, title, 44 + 30 * len(values), head + "".join(bars))


def lines(file, title, series):
    """Lines over days, each to its own scale."""
    paths, colors = [], ["#0a7d5c", "#b35900", "#3b6fd4", "#8a8f98"]
    for index, (label, values) in enumerate(series.items()):
        top = max(values) or 1
        points = " ".join(f"{40 + 640 * day / max(len(values) - 1, 1):.1f},{220 - 170 * value / top:.1f}" for day, value in enumerate(values))
        paths.append(f'<polyline points="{points}" fill="none" stroke="{colors[index]}" stroke-width="2"/>'
                     f'<text x="{40 + 165 * index}" y="244" style="fill:{colors[index]};font-size:11px">{label}, at most {number(top)}</text>')
    head = f'<text x="40" y="20" font-weight="bold">{title}</text><path d="M40 30V220H680" fill="none" stroke="#8a8f98"/>'
    return svg(file, title, 256, head + "".join(paths))


def races(kind, figures, charted, figures_of_sending={}):
    text = ""
    for count, seconds in figures.items():
        rows = []
        for who, values in seconds.items():
            ratio = "" if who == OURS else f"{paired(seconds[OURS], values):.2f} ×"
            rows.append([name(who), number(count / statistics.median(values)), spread(values), ratio])
        text += f"\n**{number(count)} due**\n\n" + table([kind, "per second", "seconds (least–most)", "of ours"], rows)
        sending = figures_of_sending.get(count, {}).get(OURS) if LIMIT in seconds else None
        if sending:
            speed = statistics.median(values / taken for taken, values in zip(sending, seconds[LIMIT]))
            text += (f"\nOurs while it sends, from the endpoint's first answer to its last: {number(count / statistics.median(sending))} a second, "
                     f"**{100 * speed:.1f} %** of the limit.\n")
        if count == charted:
            speeds = {name(who): count / statistics.median(values) for who, values in seconds.items()}
            text += "\n" + chart(f"{kind}.svg", f"{kind}, {number(count)} due", "per second", speeds)
    return text


def part_transitions(figures):
    return ("## Status changes\n\nOurs: the whole process, from its start to its end. The queues: from the worker's start, connected, to the last job that "
            "is recorded as done; that the jobs were enqueued, one a booking, is not in it. The limit: one UPDATE with its audit rows, in psql, our "
            f"triggers off.\n{races('transitions', figures['transitions'], 10_000)}")


def part_reminders(figures):
    flights = " and ".join(f"{flight} in flight of {number(count)} due" for count, flight in figures["run"]["concurrency"].items())
    return (f"## Reminders\n\nAll send to the same endpoint, which answers after 20 ms. Ours, its process included, with {flights}; the limit is an HTTP client "
            f"(wrk) with as many connections and nothing else to do; the peers with what their settings above give them.\n"
            f"{races('reminders', figures['reminders'], 1_000, figures['sending'])}")


def part_idle(figures):
    idle = figures["idle"]
    base = idle["times"]["an empty table"]
    rows = [[who, spread(values), f"{statistics.median(value / empty for value, empty in zip(values, base)):.2f} ×", number(idle["looks"][who]),
             number(idle["loop"][who]["idle_ms_median"])] for who, values in idle["times"].items()]
    queues = [[name(who), number(said["idle_ms_median"]), said["method"]] for who, said in idle["queues"].items()]
    return ("## An idle minute\n\nA warm function, from the invocation to its answer, over the Lambda Runtime API, in turns: four round trips, and a row on disk "
            "that says that the pass ran. One call an hour looks at all bookings within the longest lead once more, after the pass was committed; it is in a column of its "
            "own. Beside it the two SELECTs of the Phase 1 loop, in a process that runs, which write nothing.\n\n"
            + table(["stored", "ms (least–most)", "of an empty table", "once an hour, ms", "Phase 1's SELECTs, ms"], rows)
            + "\nA queue asks many times a minute; one of its questions, on an empty queue, in a worker that runs:\n\n"
            + table(["", "ms, median", "what is timed"], queues))


def part_start(figures):
    start = figures["start"]
    base = start["an empty Rust function"]
    ours = start["booking-automation, a pass"]
    rows = [[who, spread(values), f"{paired(base, values):.2f} ×", f"{paired(ours, values):.2f} ×"] for who, values in start.items()]
    medians = {who: statistics.median(values) for who, values in start.items()}
    return ("## Cold start\n\nFrom the start of the process to its first answer over the Lambda Runtime API. A pass includes the connection to PostgreSQL, "
            "with TLS and the certificate verified.\n\n" + table(["", "ms (least–most)", "of the empty one", "of our pass"], rows)
            + "\n" + chart("start.svg", "Process start to first answer", "ms", medians))


def part_memory(figures):
    memory = figures["memory"]
    return (f"## Memory\n\n{number(memory['sent'])} reminders in one call, 64 in flight: **{memory['peak_kb'] / 1024:.1f} MiB** peak resident, "
            f"{number(memory['seconds'])} s, {number(memory['sent'] / memory['seconds'])} a second.\n")


def part_cost(figures):
    rows = [[work if who == OURS else "", name(who), number(cost["round_trips"]), number(cost["statements"]), number(cost["wal"]), number(cost["dead"])]
            for work, costs in figures["cost"].items() for who, cost in costs.items()]
    return ("## What it costs the database\n\nRound trips are counted on the wire, connections included; statements by pg_stat_statements, those in our triggers "
            "not; WAL is that of the statements, full-page images after a checkpoint included; dead rows are versions that an UPDATE or DELETE left behind, in all tables. The queues' figures are those of "
            "the work alone, without the enqueueing.\n\n" + table(["work", "", "round trips", "statements", "WAL bytes", "dead rows"], rows))


def part_latency(figures):
    latency = figures["latency"]
    return ("## A database in another building\n\n5 ms are added to each round trip to PostgreSQL. BullMQ's Redis stays near.\n"
            + races("transitions, far", {1_000: latency["transitions"]}, None) + races("reminders, far", {1_000: latency["reminders"]}, None)
            + "\nAn idle pass of a warm function:\n\n" + table(["stored", "ms (least–most)"], [[who, spread(times)] for who, times in latency["idle"].items()]))


def short(plan):
    """The first line of the statement, and the plan."""
    lines = plan.replace("\t", "").splitlines()
    tree = next((index for index, line in enumerate(lines) if re.search(r"\(cost=[\d.]+", line)), 0)
    return "\n".join([re.sub(r"\s+", " ", lines[0])[:140], *(line[:200] for line in lines[tree:])])


def part_plans(figures):
    (DOCS / "plans.md").write_text(
        "# Plans\n\nEvery statement of a busy call (1 000 status changes, 1 000 reminders; those in the triggers, too) and of the idle one after it, on 10 million stored bookings, as "
        "`auto_explain` logged it: ANALYZE, BUFFERS, without the nodes' times. Written by `make bench`.\n"
        + "".join(f"\n```\n{short(plan)}\n```\n" for plan in figures["plans"]))
    return f"## Plans\n\n[plans.md](plans.md) has the plan of each of the {len(figures['plans'])} statements of a pass on 10 million stored bookings.\n"


def part_soak(figures):
    days = figures["soak"]
    (WORK / "soak.json").write_text(json.dumps(days))
    series = {"resident kB": [day["resident_kb"] for day in days], "bytes": [day["bytes"] for day in days],
              "pass, ms (median)": [day["pass_ms_median"] for day in days], "events": [day["events"] for day in days]}
    last = days[-1]
    return (f"## Soak\n\n{len(days)} simulated days in {figures['run']['seconds'] / 60:.0f} minutes, a pass each simulated minute, {sum(day['sent'] for day in days)} reminders, "
            f"{sum(day['moved'] for day in days)} status changes, in one process; events and runs are kept for a week. On the last day: {last['resident_kb'] / 1024:.1f} MiB "
            f"resident, {last['bytes'] / 1e6:.1f} MB in our tables with their indexes after a vacuum, a pass in {last['pass_ms_median']:.2f} ms.\n\n"
            + lines("soak.svg", "Over the simulated days, each line to its own scale", series))


def size():
    said = subprocess.run(["make", "-s", "size"], cwd=ROOT, capture_output=True, text=True)
    return f"## The function's weight\n\n`make size`, the largest first:\n\n```\n{said.stdout.strip()}\n```\n" if said.returncode == 0 else ""


def machine(figures):
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    memory = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
    run = figures["run"]
    facts = {
        "machine": f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, {int(memory[1]) / 2**20:.0f} GiB; shared with others, hence ratios",
        "rounds": f"{run['rounds']} of each race, the contenders in turns; {run['seconds'] / 60:.0f} minutes in all",
        "PostgreSQL": f"{run['postgresql']}, its defaults but for shared_buffers = 512MB and rare checkpoints; fsync and synchronous_commit on",
        "this program": ", ".join([version(PROGRAM, "--version"), f"{PROGRAM.stat().st_size:,} bytes".replace(",", " "), version("rustc", "--version")]),
    }
    for who, version in figures.get("versions", {}).items():
        if who != "phase1":
            settings = figures["settings"][who]
            facts[name(who)] = f"{version}; " + "; ".join(f"{kind}: `{json.dumps(said)}`" for kind, said in settings.items())
    return table(["", ""], facts.items()).replace("---:", "---")


def budgets(figures):
    """Each line of the design's budgets, and of what was expected beside the peers: met, or by how much not and why."""
    median = statistics.median
    cost, idle, start, memory = (figures[part] for part in ["cost", "idle", "start", "memory"])
    trips = {work: costs[OURS]["round_trips"] for work, costs in cost.items()}
    base = idle["times"]["an empty table"]
    flat = {who: median(value / empty for value, empty in zip(values, base)) for who, values in idle["times"].items()}
    worst = max(flat.values(), key=lambda ratio: abs(ratio - 1))
    bare = median(ours / limit for ours, limit in zip(*(figures["transitions"][100_000][who] for who in (OURS, LIMIT))))
    sending = median(limit / ours for limit, ours in zip(figures["reminders"][20_000][LIMIT], figures["sending"][20_000][OURS]))
    zipped = io.BytesIO()
    zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=9).write(PROGRAM, "bootstrap")
    binary, packed = PROGRAM.stat().st_size / 1e6, len(zipped.getvalue()) / 1e6
    first = paired(start["an empty Rust function"], start["booking-automation, /health"])
    node = paired(start["booking-automation, a pass"], start["Node, a pass"])
    bundle = paired(start["booking-automation, a pass"], start["Node, bundled, a pass"])
    races = figures["transitions"][10_000]
    loop, limit = paired(races[OURS], races["phase1"]), paired(races[LIMIT], races["phase1"])
    queue = min(paired(races[OURS], races[who]) for who in races if who in ("pgboss", "graphile", "bullmq"))
    best = min(paired(races[LIMIT], races[who]) for who in races if who in ("pgboss", "graphile", "bullmq"))
    far = max(median(times) for times in figures["latency"]["idle"].values())
    said = lambda met, why="": "met" if met else f"**not met**{why and ': ' + why}"
    rows = [
        ["statements and round trips: constant per pass, plus a constant per page", f"{trips['1 000 transitions']} round trips for 1 000 status changes, "
         f"{trips['10 000 transitions']} for 10 000; {trips['1 000 reminders']} for 1 000 reminders, {trips['5 000 reminders']} for 5 000",
         said(trips["1 000 transitions"] == trips["10 000 transitions"])],
        ["idle pass: at most 5 round trips", f"{trips['an idle pass']}", said(trips["an idle pass"] <= 5)],
        ["idle pass: what an empty table costs, ± 20 %", f"{worst:.2f} × at the worst", said(abs(worst - 1) <= 0.2)],
        ["100 000 status changes with audit: at most 1.5 × the bare SQL", f"{bare:.2f} ×", said(bare <= 1.5)],
        ["memory while 100 000 reminders go out: at most 64 MiB", f"{memory['peak_kb'] / 1024:.1f} MiB", said(memory["peak_kb"] <= 64 * 1024)],
        ["delivery: at least 90 % of what latency × concurrency allows", f"{100 * sending:.1f} %",
         said(sending >= 0.9, "between two pages, while one is recorded and the next is claimed, nothing is sent: no transaction may be open then")],
        ["binary at most 12 MB, zip at most 5.6 MB", f"{binary:.2f} and {packed:.2f} MB", said(binary <= 12 and packed <= 5.6)],
        ["start: first answer within 1.6 × an empty Rust function's", f"{first:.2f} ×", said(first <= 1.6)],
        ["transaction open: never while a call to anything but the database is in flight", "by a test: `no_transaction_is_open_while_a_message_is_in_flight`", "met"],
        ["expected: status changes at least 50 × the Phase 1 loop", f"{loop:.1f} × with 10 000 due",
         said(loop >= 50, f"the bare SQL itself is {limit:.1f} × the loop, whose round trips cost next to nothing on one machine; with 5 ms each it is "
              f"{paired(figures['latency']['transitions'][OURS], figures['latency']['transitions']['phase1']):.0f} ×, with 1 000 due")],
        ["expected: status changes at least 10 × the best queue", f"{queue:.1f} ×", said(queue >= 10, f"the bare SQL itself is {best:.1f} × the best queue")],
        ["expected: cold start at most 1/10 of Node's", f"1/{node:.1f}, bundled 1/{bundle:.1f}",
         said(min(node, bundle) >= 10, "most of our pass is PostgreSQL's: a new connection with TLS, plans on cold caches, a row on disk; the function itself "
              f"answers after {median(start['booking-automation, /health']):.1f} ms")],
        ["expected: an idle pass at most 30 ms with round trips of 5 ms", f"{far:.1f} ms at the worst", said(far <= 30)],
    ]
    return "## The budgets\n\n" + table(["budget", "measured", ""], rows).replace("---:", "---")


INTRODUCTION = """# Benchmarks

Written by `make bench`; no figure in it that the run did not measure. `BENCH=full make bench` takes more rounds, `make bench PART=idle` one
part, on the terminal. Peers: the brief's Phase 1 loop (Node and `pg`: select, then an update, an audit row and a send per booking, one after the other),
and three job queues with one job a status change and one a reminder, each set up as its documentation advises for throughput: the job's update and audit
row are one statement, over pipelined connections. Sends go to one local endpoint that speaks SES v2. Everybody does the same work, which is checked after
each run, in turns, on fresh copies of one database. Seconds are medians with the least and the most; ratios are medians of each round's own.
"""


def write(figures, part):
    WORK.mkdir(parents=True, exist_ok=True)
    parts = [text(figures) for key, text in PARTS.items() if key in figures]
    if part:
        print("\n".join(parts))
        if part == "soak":
            replace_soak(parts[0])
        return
    (WORK / "figures.json").write_text(json.dumps(figures))
    soak = kept_soak()
    (DOCS / "benchmarks.md").write_text("\n".join([INTRODUCTION, machine(figures), budgets(figures), *parts, size(), soak]).rstrip() + "\n")
    print("docs/generated/benchmarks.md is written")


def kept_soak():
    """The soak is a run of its own: what the document says of the last one stays."""
    document = DOCS / "benchmarks.md"
    found = re.search(r"^## Soak\n.*?(?=^## |\Z)", document.read_text(), re.S | re.M) if document.exists() else None
    return found[0] if found else ""


def replace_soak(text):
    document = DOCS / "benchmarks.md"
    if document.exists():
        old, before = kept_soak(), document.read_text()
        document.write_text((before.replace(old, text) if old else before + "\n" + text).rstrip() + "\n")


PARTS = {
    "transitions": part_transitions, "reminders": part_reminders, "idle": part_idle, "start": part_start, "memory": part_memory,
    "cost": part_cost, "latency": part_latency, "plans": part_plans, "soak": part_soak,
}
