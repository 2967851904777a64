"""A sender of letters, as a bank has one: takes calls, keeps their ids, and does what real ones do."""

import base64
import hmac
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Took(NamedTuple):
    "One call."

    name: str
    body: bytes
    at: float  # seconds, when it was there
    signed: bool

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.body)["data"]


class Receiver:
    "What was taken, and how the next calls are answered."

    def __init__(self, seed: int = 0, trouble: float = 0.0):
        self.took: list[Took] = []
        self.dice, self.trouble, self.status = random.Random(seed), trouble, 200
        self.url = ""

    def answer(self) -> int | None:  # None: the line is cut
        if self.dice.random() < self.trouble:
            return self.dice.choice([500, 503, 429, None])
        return self.status


@contextmanager
def receiving(seed: int = 0, trouble: float = 0.0) -> Iterator[Receiver]:
    "A server on a port of its own, as long as the block lasts."
    held = Receiver(seed, trouble)

    class Taking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if len(body) < int(self.headers["content-length"]):  # its sender was killed while it spoke
                self.close_connection = True
                return
            name, moment = (self.headers.get(f"webhook-{of}", "") for of in ("id", "timestamp"))
            right = base64.b64encode(hmac.digest(KEY, f"{name}.{moment}.".encode() + body, "sha256")).decode()
            held.took.append(Took(name, body, time.time(), self.headers["webhook-signature"] == f"v1,{right}"))
            status = held.answer()
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            "Says nothing."

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    held.url = f"http://127.0.0.1:{server.server_port}/messages"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
