"""Writes the results of a run into docs/generated/benchmarks.md, with charts, or to the terminal."""
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

OURS, LIMIT, COMMIT = "booking-automation", "the limit", "a Rust function that commits a row"
NAMES = {"phase1": "the Phase 1 loop", "pgboss": "pg-boss", "graphile": "graphile-worker", "bullmq": "BullMQ"}
DOCS = ROOT / "docs/generated"


def name(who):
    return NAMES.get(who, who)


def number(value):
    """Three significant digits, with spaces between thousands."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def paired(ours, others):
    """Median of the ratios of each round, so that changes of the machine's speed cancel out."""
    return statistics.median(other / our for our, other in zip(ours, others))


def svg(file, title, height, body):
    """Writes a picture for light and dark mode into docs/generated/bench. Returns the Markdown for it."""
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
    """Lines over days, each on its own scale."""
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
    return ("## Status changes\n\nThe time of our program is that of the whole process. The time of a queue runs from the start of the connected worker to the last job that "
            "is recorded as done, without the time for enqueueing the jobs. The limit is one UPDATE with its audit rows in psql, with our triggers "
            f"disabled.\n{races('transitions', figures['transitions'], 10_000)}")


def part_reminders(figures):
    flights = " and ".join(f"{flight} in flight of {number(count)} due" for count, flight in figures["run"]["concurrency"].items())
    return (f"## Reminders\n\nAll send to the same endpoint, which answers after 20 ms. Our program, including the start of its process, has {flights}. The limit is an HTTP "
            f"client (wrk) with as many connections and no other work. The peers use the settings above.\n"
            f"{races('reminders', figures['reminders'], 1_000, figures['sending'])}")


def part_idle(figures):
    idle = figures["idle"]
    base = idle["times"]["an empty table"]
    rows = [[who, spread(values), f"{statistics.median(value / empty for value, empty in zip(values, base)):.2f} ×", f"{number(max(idle['looks'][who]))}, {len(idle['looks'][who])} calls",
             number(idle["loop"][who]["idle_ms_median"])] for who, values in idle["times"].items()]
    queues = [[name(who), number(said["idle_ms_median"]), said["method"]] for who, said in idle["queues"].items()]
    return ("## An idle minute\n\nThe time of a warm function from the invocation to its answer over the Lambda Runtime API: four round trips, and one row on disk that "
            "records the pass. With each hour, a sweep of all bookings within the longest lead begins, which takes a part of each call until it is complete; its "
            "slowest call and the number of its calls have their own column. The last column shows the two SELECTs of the Phase 1 loop in a running process, which write nothing.\n\n"
            + table(["stored", "ms (least–most)", "of an empty table", "with the sweep: slowest, ms", "Phase 1's SELECTs, ms"], rows)
            + f"\nThe limit is {COMMIT} over a connection that it keeps: {spread(idle['commit'])} ms, in turns with the passes. An idle pass on an empty table takes "
            f"**{paired(idle['commit'], base):.2f} ×** as long.\n"
            + "\nA queue polls many times a minute. One poll of an empty queue in a running worker:\n\n"
            + table(["", "ms, median", "measured"], queues))


def part_start(figures):
    start = figures["start"]
    base = start["an empty Rust function"]
    ours = start["booking-automation, a pass"]
    rows = [[who, spread(values), f"{paired(base, values):.2f} ×", f"{paired(ours, values):.2f} ×"] for who, values in start.items()]
    medians = {who: statistics.median(values) for who, values in start.items()}
    return ("## Cold start\n\nThe time from the start of the process to its first answer over the Lambda Runtime API. A pass includes the connection to PostgreSQL, "
            f"with TLS and a verified certificate. Its limit is {COMMIT} over such a connection; a pass takes **{paired(start[COMMIT], ours):.2f} ×** as long.\n\n" + table(["", "ms (least–most)", "of the empty one", "of our pass"], rows)
            + "\n" + chart("start.svg", "Process start to first answer", "ms", medians))


def part_memory(figures):
    memory = figures["memory"]
    return (f"## Memory\n\n1 000 000 reminders are due. The calls that enqueue them have **{memory['enqueueing_kb'] / 1024:.1f} MiB** peak resident at most. The next call sends "
            f"for two minutes, with 64 in flight: **{memory['peak_kb'] / 1024:.1f} MiB**, {number(memory['sent'])} reminders, {number(memory['sent'] / memory['seconds'])} a second.\n")


def part_cost(figures):
    rows = [[work if who == OURS else "", name(who), number(cost["round_trips"]), number(cost["statements"]), number(cost["wal"]), number(cost["dead"])]
            for work, costs in figures["cost"].items() for who, cost in costs.items()]
    return ("## Load on the database\n\nRound trips are counted on the wire and include connecting. Statements are counted by pg_stat_statements, without those in our triggers. "
            "WAL bytes are those of the statements and include full-page images after a checkpoint. Dead rows are old versions that an UPDATE or DELETE left in any table. "
            "The figures of the queues do not include enqueueing.\n\n" + table(["work", "", "round trips", "statements", "WAL bytes", "dead rows"], rows))


def part_latency(figures):
    latency = figures["latency"]
    return ("## A remote database\n\nEach round trip to PostgreSQL takes 5 ms longer. BullMQ's Redis stays local.\n"
            + races("transitions, far", {1_000: latency["transitions"]}, None) + races("reminders, far", {1_000: latency["reminders"]}, None)
            + "\nAn idle pass of a warm function:\n\n" + table(["stored", "ms (least–most)"], [[who, spread(times)] for who, times in latency["idle"].items()]))


def short(plan):
    """The first line of the statement, and the plan."""
    lines = plan.replace("\t", "").splitlines()
    tree = next((index for index, line in enumerate(lines) if re.search(r"\(cost=[\d.]+", line)), 0)
    return "\n".join([re.sub(r"\s+", " ", lines[0])[:140], *(line[:200] for line in lines[tree:])])


def part_plans(figures):
    (DOCS / "plans.md").write_text(
        "# Plans\n\nThe plan of every statement of a busy call (1 000 status changes, 1 000 reminders, including statements in triggers) and of the idle call after it, on 10 million "
        "stored bookings, as `auto_explain` logs it: ANALYZE, BUFFERS, without times of the nodes. `make bench` writes this document.\n"
        + "".join(f"\n```\n{short(plan)}\n```\n" for plan in figures["plans"]))
    return f"## Plans\n\n[plans.md](plans.md) has the plan of each of the {len(figures['plans'])} statements of a pass on 10 million stored bookings.\n"


def part_soak(figures):
    days = figures["soak"]
    (WORK / "soak.json").write_text(json.dumps(days))
    series = {"resident kB": [day["resident_kb"] for day in days], "bytes": [day["bytes"] for day in days],
              "pass, ms (median)": [day["pass_ms_median"] for day in days], "events": [day["events"] for day in days]}
    last = days[-1]
    return (f"## Soak\n\n{len(days)} simulated days in {figures['run']['seconds'] / 60:.0f} minutes, one pass per simulated minute, {sum(day['sent'] for day in days)} reminders, "
            f"{sum(day['moved'] for day in days)} status changes, in one process; events and runs are stored for a week. On the last day: {last['resident_kb'] / 1024:.1f} MiB "
            f"resident, {last['bytes'] / 1e6:.1f} MB in our tables with their indexes after a vacuum, a pass in {last['pass_ms_median']:.2f} ms.\n\n"
            + lines("soak.svg", "Over the simulated days, each line on its own scale", series))


def size():
    said = subprocess.run(["make", "-s", "size"], cwd=ROOT, capture_output=True, text=True)
    return f"## Size of the function\n\n`make size`, the largest dependencies first:\n\n```\n{said.stdout.strip()}\n```\n" if said.returncode == 0 else ""


def machine(figures):
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    memory = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
    run = figures["run"]
    facts = {
        "machine": f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, {int(memory[1]) / 2**20:.0f} GiB; shared with other programs, so compare the ratios",
        "rounds": f"{run['rounds']} of each comparison, the contenders in turns; {run['seconds'] / 60:.0f} minutes in all",
        "PostgreSQL": f"{run['postgresql']}, default settings except shared_buffers = 512MB and rare checkpoints; fsync and synchronous_commit are on",
        "this program": ", ".join([version(PROGRAM, "--version"), f"{PROGRAM.stat().st_size:,} bytes".replace(",", " "), version("rustc", "--version")]),
    }
    for who, version in figures.get("versions", {}).items():
        if who != "phase1":
            settings = figures["settings"][who]
            facts[name(who)] = f"{version}; " + "; ".join(f"{kind}: `{json.dumps(said)}`" for kind, said in settings.items())
    return table(["", ""], facts.items()).replace("---:", "---")


def budgets(figures):
    """The budgets and expectations of the design: the measured value, and the reason if it misses the target."""
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
    cold = paired(start[COMMIT], start["booking-automation, a pass"])
    warm = paired(idle["commit"], base)
    most = max(memory["peak_kb"], memory["enqueueing_kb"])
    thousand = median(limit / ours for limit, ours in zip(*(figures["reminders"][1_000][who] for who in (LIMIT, OURS))))
    hundred = median(limit / ours for limit, ours in zip(figures["reminders"][1_000][LIMIT], figures["sending"][1_000][OURS]))
    slowest = max(max(looks) for looks in idle["looks"].values())
    far = max(median(times) for times in figures["latency"]["idle"].values())
    said = lambda met, why="": "met" if met else f"**not met**{why and ': ' + why}"
    rows = [
        ["statements and round trips: constant per pass, plus a constant per page", f"{trips['1 000 transitions']} round trips for 1 000 status changes, "
         f"{trips['10 000 transitions']} for 10 000; {trips['1 000 reminders']} for 1 000 reminders, {trips['5 000 reminders']} for 5 000",
         said(trips["1 000 transitions"] == trips["10 000 transitions"])],
        ["idle pass: at most 5 round trips", f"{trips['an idle pass']}", said(trips["an idle pass"] <= 5)],
        ["idle pass: as long as on an empty table, ± 20 %", f"{worst:.2f} × at the worst", said(abs(worst - 1) <= 0.2)],
        ["100 000 status changes with audit: at most 1.2 × the bare SQL", f"{bare:.2f} ×", said(bare <= 1.2)],
        ["the sweep: at most 200 ms of a call", f"{slowest - median(base):.0f} ms at the worst", said(slowest - median(base) <= 200)],
        ["memory with 1 000 000 reminders due: at most 32 MiB", f"{most / 1024:.1f} MiB", said(most <= 32 * 1024)],
        ["delivery with 16 in flight: at least 95 % of the limit, first answer to last", f"{100 * sending:.1f} %", said(sending >= 0.95)],
        ["delivery with 100 in flight: at least 90 % of the limit, first answer to last", f"{100 * hundred:.1f} %",
         said(hundred >= 0.9)],
        ["1 000 reminders, process start and connection included: at least 75 % of the limit", f"{100 * thousand:.0f} %", said(thousand >= 0.75)],
        [f"cold pass: at most 1.3 × {COMMIT}, with TLS", f"{cold:.2f} ×", said(cold <= 1.3)],
        [f"idle pass: at most 2.5 × {COMMIT}, over a warm connection", f"{warm:.2f} ×", said(warm <= 2.5)],
        ["binary at most 10 MB, zip at most 4.7 MB", f"{binary:.2f} and {packed:.2f} MB", said(binary <= 10 and packed <= 4.7)],
        ["start: first answer within 1.6 × the time of an empty Rust function", f"{first:.2f} ×", said(first <= 1.6)],
        ["no transaction is open during a call to another service", "tested by `no_transaction_is_open_while_a_message_is_in_flight`", "met"],
        ["idle pass with round trips of 5 ms: at most 30 ms", f"{far:.1f} ms at the worst", said(far <= 30)],
    ]
    return "## The budgets\n\n" + table(["budget", "measured", ""], rows).replace("---:", "---")


INTRODUCTION = """# Benchmarks

`make bench` measures and writes this document. `BENCH=full make bench` runs more rounds; `make bench PART=idle` runs one part and prints it.

The program is compared with the Phase 1 loop of its specification (Node and `pg`: a SELECT, then an UPDATE, an audit row and a message for each booking, one
after the other) and with three job queues. The queues run one job for each status change and each reminder, configured for throughput as their documentation
advises: the job's UPDATE and audit row are one statement, on pipelined connections. All of them send messages to the same local endpoint, which implements SES v2.
All contenders do the same work in turns, on fresh copies of one database, and the run checks the result each time. Seconds are medians with minimum and
maximum; ratios are medians of the ratios of each round.
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
    """The soak is a separate run, so the document keeps the section of the last one."""
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
