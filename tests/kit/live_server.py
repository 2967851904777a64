"""A redis-server of the tests' own."""

import signal
import socket
import subprocess
import time
from pathlib import Path


class Server:
    "A redis-server on this machine that can be killed and started again."

    def __init__(self, folder: Path, *words: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.words, self.url = folder, words, f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        from redis import Redis
        from redis.exceptions import ConnectionError

        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(
            ["redis-server", *where, *self.words],
            stdin=subprocess.DEVNULL,
            stdout=open(self.folder / "log", "ab"),
            stderr=subprocess.STDOUT,
        )
        client = Redis(port=self.port, protocol=2)
        for left in range(1500, -1, -1):
            try:
                if not client.info()["loading"]:
                    return client.close()
            except ConnectionError:
                pass
            assert self.process.poll() is None and left, (self.folder / "log").read_text()
            time.sleep(0.02)

    def ask(self, *words: object) -> object:
        "Past the software, straight to the server."
        from redis import Redis

        with Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
