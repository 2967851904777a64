"""The service over HTTP on loopback: `python benchmarks/service.py [--root data] [--seconds 20] [--json]`.

In one run: scores of the Bento, the same scores with columns read word by word instead of at once, an empty route of the same Bento, and a plain FastAPI handler under uvicorn. First 50 requests a second whether or not the last one has come back (open loop: each is timed from the
moment at which it was due), then as many as two workers answer over 16 connections (closed loop). The asking side is a process of its own, on the same cores. What others take of them is seen from the CPU time
of an answer, on both sides, which stands beside; the last column is what all cores would give at that price if they had nothing else to do.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from _table import Row, arguments, faster, less, more, say, show

KEY = "a-key-for-measuring-only"
PLAIN = """
import os, socket, sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/readyz")
async def ready(): return {}
@app.get("/")
async def empty(): return {"service": "nothing"}
# a socket that says it is TCP: of any other asyncio does not switch off Nagle's delay, and every answer takes 40 ms
shared = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
shared.bind(("127.0.0.1", int(sys.argv[1])))
shared.listen(2048)
for _ in range(int(sys.argv[2]) - 1):
    if os.fork() == 0: break
uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="error")).run(sockets=[shared])
"""
WORD_BY_WORD = """
from predelinquency.service import bento, columns
columns._read_column = lambda values, read, strictly: strictly(values)
Predelinquency = bento.bento()
"""


# --- the asking side: prepared bytes over plain sockets, so that little of the two cores goes to it


class Line(asyncio.Protocol):
    "One connection."

    async def open(self, port):
        self.transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)

    def ask(self, message):
        self.got, self.whole, self.status = b"", 0, asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return self.status

    def data_received(self, data):
        self.got += data
        if not self.whole and (end := self.got.find(b"\r\n\r\n")) >= 0:
            self.whole = end + 4 + int(re.search(rb"(?i)\ncontent-length: *(\d+)", self.got[:end])[1])
        if self.whole and len(self.got) >= self.whole:
            self.status.set_result(int(self.got[9:12]))

    def connection_lost(self, problem):
        if not self.status.done():
            self.status.set_exception(problem or ConnectionError("the server hung up"))


def cpu_seconds(pid):
    "Of a process and all below it."
    top = psutil.Process(pid)
    times = [p.cpu_times() for p in (top, *top.children(recursive=True))]
    return sum(t.user + t.system for t in times)


async def steady(port, messages, seconds, rate):
    "Open loop: latencies in milliseconds from the moment each was due."
    idle, took, wrong, tasks = [], [], 0, []
    for _ in range(8):
        line = Line()
        await line.open(port)
        idle.append(line)

    async def one(due, message):
        nonlocal wrong
        if idle:
            line = idle.pop()
        else:
            line = Line()
            await line.open(port)
        wrong += await line.ask(message) != 200
        took.append((time.perf_counter() - due) * 1000)
        idle.append(line)

    start = time.perf_counter() + 0.05
    for i in range(int(seconds * rate)):
        due = start + i / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(due, messages[i % len(messages)])))
    await asyncio.gather(*tasks)
    return dict(
        p50=float(np.percentile(took, 50)),
        p99=float(np.percentile(took, 99)),
        worst=max(took),
        n=len(took),
        wrong=wrong,
    )


async def flat_out(port, messages, seconds, server, lines=16):
    "Closed loop: answers a second, and milliseconds of CPU an answer on either side."
    done, wrong, until = 0, 0, time.perf_counter() + seconds

    async def one(offset):
        nonlocal done, wrong
        line = Line()
        await line.open(port)
        i = offset
        while time.perf_counter() < until:
            wrong += await line.ask(messages[i % len(messages)]) != 200
            done, i = done + 1, i + lines

    began, served, asked = time.perf_counter(), cpu_seconds(server), time.process_time()
    await asyncio.gather(*(one(k) for k in range(lines)))
    took, served, asked = time.perf_counter() - began, cpu_seconds(server) - served, time.process_time() - asked
    return dict(rate=done / took, wrong=wrong, server_ms=served / done * 1000, asking_ms=asked / done * 1000)


def asking(job):
    "Runs in the process of the asking side."
    messages = [bytes.fromhex(m) for m in json.loads(Path(job["messages"]).read_text())]
    asyncio.run(flat_out(job["port"], messages, 2, job["server"]))  # connections, caches, branch predictors
    found = asyncio.run(steady(job["port"], messages, job["seconds"], job["rate"]))
    print(
        json.dumps(
            found
            | {
                f"full_{k}": v
                for k, v in asyncio.run(flat_out(job["port"], messages, job["seconds"], job["server"])).items()
            }
        )
    )


# --- the other side


def http(method, path, body=b""):
    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def requests(root, many):
    "Histories of customers of a results folder, as they would be sent."
    from predelinquency.service import scoring, wire

    from predelinquency.ground import disk

    part, found = disk.parts(root / "raw", "customers")[0], []
    names = [
        n
        for n in (
            "customers",
            "transactions",
            "obligations",
            "payments",
            "accounts",
            "preferences",
            "circumstances",
            "contacts",
        )
        if (root / "raw" / n).is_dir()
    ]
    tables = {n: disk.read(root / "raw", n, part) for n in names}
    as_of = str((tables["transactions"].arrived_at.max() + np.timedelta64(1, "D")).date())
    sizes = []
    for customer in tables["customers"].customer_id:
        rows = {n: t[t.customer_id == customer] for n, t in tables.items()}
        body = json.dumps(scoring.request(rows, as_of), separators=(",", ":")).encode()
        if len(body) <= wire.SINGLE_BYTES:
            found.append(http("POST", "/v1/score", body))
            sizes.append((len(rows["transactions"]), len(body)))
        if len(found) == many:
            break
    return found, np.median(sizes, axis=0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(name, port, server, messages, asked, folder):
    say(f"{name}: {2 + 2 * asked.seconds:.0f} s")
    path = folder / "messages.json"
    path.write_text(json.dumps([m.hex() for m in messages]))
    job = dict(port=port, server=server.pid, messages=str(path), seconds=asked.seconds, rate=asked.rate)
    done = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True, check=True
    )
    return dict(what=name, **json.loads(done.stdout))


def main():
    parser = arguments(__doc__)
    parser.add_argument("--root", type=Path, default=Path("data"), help="a folder of results")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50, help="requests a second in the open loop")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--customers", type=int, default=100)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        return asking(json.loads(asked.job))
    from predelinquency.service import bento as service_bento
    from predelinquency.service import desk as service_desk

    bento = asked.root / "bento"
    say("requests from the tables")
    bodies, (transactions, size) = requests(asked.root, asked.customers)
    with tempfile.TemporaryDirectory() as scratch:
        folder, rows = Path(scratch), []
        environ = service_bento.environment(
            folder / "home", asked.workers, None if bento.is_dir() else asked.root / "model"
        ) | {service_desk.KEY: KEY}
        (folder / "plain.py").write_text(PLAIN)
        (folder / "word_by_word.py").write_text(WORD_BY_WORD)
        ports = free_port(), free_port(), free_port()
        commands = (
            service_bento.server_command(bento if bento.is_dir() else None, "127.0.0.1", ports[0]),
            [sys.executable, str(folder / "plain.py"), str(ports[1]), str(asked.workers)],
            [
                w.replace("predelinquency.service.bento:", "word_by_word:")
                for w in service_bento.server_command(None, "127.0.0.1", ports[2])
            ],
        )
        environs = (
            environ,
            environ,
            environ
            | {"BENTOML_HOME": str(folder / "other"), service_desk.MODEL: str((asked.root / "model").resolve())},
        )
        with (folder / "log").open("w") as log:
            servers = [
                subprocess.Popen(c, env=e, cwd=folder, stdout=log, stderr=log, start_new_session=True)
                for c, e in zip(commands, environs, strict=True)
            ]
        try:
            say("three servers start")
            for server, port in zip(servers, ports, strict=True):
                if not service_bento.wait(f"http://127.0.0.1:{port}", server, 300):
                    raise SystemExit((folder / "log").read_text())
            time.sleep(3)  # the other workers
            load = os.getloadavg()[0]
            rows.append(measure("score, the Bento", ports[0], servers[0], bodies, asked, folder))
            rows.append(measure("score, columns word by word", ports[2], servers[2], bodies, asked, folder))
            rows.append(measure("empty route, the same Bento", ports[0], servers[0], [http("GET", "/")], asked, folder))
            rows.append(measure("empty route, plain FastAPI", ports[1], servers[1], [http("GET", "/")], asked, folder))
        finally:
            for server in servers:
                service_bento.stop(server)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)  # what the plain one forked
    score, slow, empty, plain = rows
    cores, wrong = os.cpu_count(), sum(r["wrong"] + r["full_wrong"] for r in rows)

    def cost(r):
        return r["full_server_ms"] + r["full_asking_ms"]

    at = f"at {asked.rate:.0f}/s"
    lines = [
        Row(f"scores {at}, {p}", "ms", score[p], empty[p], "empty route, the same Bento", score[p] / empty[p])
        for p in ("p50", "p99", "worst")
    ]
    lines += [
        more("scores, at most", "answers/s", score["full_rate"], empty["full_rate"], "empty route, the same Bento"),
        more("scores, at most", "answers/s", score["full_rate"], slow["full_rate"], "columns word by word"),
        Row("scores, at most", "answers/s", score["full_rate"], bar=">= 1500"),
        more("empty route, at most", "answers/s", empty["full_rate"], plain["full_rate"], "plain FastAPI"),
        less(
            "CPU of the server for a score",
            "ms",
            score["full_server_ms"],
            empty["full_server_ms"],
            "empty route, the same Bento",
        ),
        faster(
            "CPU of the server for a score",
            "ms",
            score["full_server_ms"],
            slow["full_server_ms"],
            "columns word by word",
        ),
        Row("CPU of the asking side for a score", "ms", score["full_asking_ms"]),
        Row("cores used", "", score["full_rate"] * cost(score) / 1000),
        Row("scores of all cores, if they had nothing else to do", "answers/s", cores * 1000 / cost(score)),
        Row("answers other than 200", "", wrong, bar="<= 0"),
    ]
    show(
        f"{asked.workers} workers on {cores} cores, load before {load:.1f}; {len(bodies)} customers, median {transactions:.0f} transactions "
        f"and {size / 1024:.0f} KiB a request; {'Bento' if bento.is_dir() else 'source'}",
        lines,
        asked.json,
    )


if __name__ == "__main__":
    main()
