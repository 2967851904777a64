"""A server that starts slowly is waited for as long as it lives, and one that ends is not."""

import subprocess
import sys

from served import free_port

from predelinquency.service import bento

SLOW = """
import http.server, sys
class Slow(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Slow.asked += 1
        self.send_response(200 if Slow.asked > 20 else 503)
        self.end_headers()
    def log_message(self, *said): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Slow).serve_forever()
"""


def started(code: str, port: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, str(port)], start_new_session=True)


def test_a_server_that_starts_slowly_is_waited_for_and_says_how_far_it_is() -> None:
    port, heard = free_port(), []
    process = started(SLOW, port)
    try:
        assert bento.wait(f"http://127.0.0.1:{port}", process, heard.append, every=0.1)
    finally:
        bento.stop(process)
    assert len(heard) > 1, "said more than once: it took 20 questions until it was ready"
    assert f"waiting until http://127.0.0.1:{port} is ready" in heard[0]
    assert "kernels are compiled so far" in heard[0]


def test_a_server_that_ends_before_it_is_ready_is_not_waited_for() -> None:
    port = free_port()
    assert not bento.wait(f"http://127.0.0.1:{port}", started("raise SystemExit(3)", port))
