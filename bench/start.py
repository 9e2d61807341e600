#!/usr/bin/env python3
"""Process start to first answer, the real function beside an empty one, in turns in one run.

    cargo build --locked --release
    cargo build --locked --release --manifest-path bench/empty-function/Cargo.toml
    DATABASE_URL=postgres://postgres@127.0.0.1:5432/migrated python3 bench/start.py

A stand-in for the Lambda Runtime API on loopback hands each new process one event and stops the clock when its
answer is there: /health, which touches nothing, for both; and, with DATABASE_URL, the scheduler's event too, whose
answer needs a connection and a pass.
"""
import json
import os
import resource
import statistics
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROUNDS = 40
ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT / "target/release/booking-automation"
EMPTY = ROOT / "bench/empty-function/target/release/empty-function"
ENVIRONMENT = {
    # Not on this machine: what TLS takes at the start is part of it. /health never connects.
    "DATABASE_URL": "postgres://nobody@database.invalid/none",
    "EMAIL_FROM": "booking@studio.example",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "SEND_RATE": "1",
    "AWS_LAMBDA_FUNCTION_NAME": "x",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
}


class Api(BaseHTTPRequestHandler):
    """One event a process; the second request for one waits for ever."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.server.event is None:
            self.server.over.wait()
            return
        body, self.server.event = self.server.event, None
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:x")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        answer = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answered = time.perf_counter()
        self.server.answer = (self.path.rsplit("/", 1)[1], json.loads(answer))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.over.set()

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    """Silent when a process that was killed has left its connection."""

    def handle_error(self, *_):
        pass


def first_answer(program, event, settings):
    """Milliseconds from the start of `program` to its answer to `event`."""
    with Server(("127.0.0.1", 0), Api) as server:
        server.event, server.over = event, threading.Event()
        threading.Thread(target=serve, args=[server], daemon=True).start()
        environment = ENVIRONMENT | settings | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"}
        started = time.perf_counter()
        process = subprocess.Popen([program], env=environment, stderr=subprocess.DEVNULL)
        try:
            assert server.over.wait(30), f"{program} does not answer"
        finally:
            process.kill()
            process.wait()
        server.shutdown()
        kind, answer = server.answer
        assert kind == "response", answer
        return (server.answered - started) * 1000


def serve(server):
    server.serve_forever(poll_interval=0.01)


def main():
    health, schedule = ((ROOT / f"events/{name}.json").read_bytes() for name in ("health", "schedule"))
    measured = {"empty function": (EMPTY, health, {}), "booking-automation, /health": (REAL, health, {})}
    if "DATABASE_URL" in os.environ:
        settings = {"DATABASE_URL": os.environ["DATABASE_URL"]}
        measured["booking-automation, a pass"] = (REAL, schedule, settings)
    times = {name: [] for name in measured}
    for _ in range(ROUNDS):
        for name, arguments in measured.items():
            times[name].append(first_answer(*arguments))
    base = statistics.median(times["empty function"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:32} min {min(values):6.1f}  median {median:6.1f}  max {max(values):6.1f} ms  ratio {median / base:.2f}")
    print(f"peak resident of any: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.1f} MB")
    print(f"size: {REAL.stat().st_size} bytes, the empty one {EMPTY.stat().st_size}")


main()
