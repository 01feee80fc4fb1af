"""A server on this machine, so that downloads are tested without a network."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class LocalServer:
    """Serves `files` (name: bytes). `broken[name]` says how one of them goes wrong:

    "dies": half of it is sent and the connection closed; "silent": nothing is ever sent; "stalls": half of it is sent,
    and then nothing; "drips": a byte now and then; "endless": for ever. `asked` lists the requests.
    """

    def __init__(self):
        self.files, self.broken, self.asked = {}, {}, []
        self.stopped = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request):
        name = request.path.lstrip("/")
        self.asked.append(name)
        if self.broken.get(name) == "silent":
            self.stopped.wait(20)
            return
        if name not in self.files:
            request.send_error(404)
            return
        data = self.files[name]
        if self.broken.get(name) in ("stalls", "drips", "endless"):
            self.go_on(request, data, self.broken[name])
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[: len(data) // 2] if self.broken.get(name) == "dies" else data)

    def go_on(self, request, data, how):
        """Send what has no end, or takes too long to have one."""
        request.send_response(200)
        if how != "endless":
            request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        try:
            if how == "stalls":
                request.wfile.write(data[: len(data) // 2])
                self.stopped.wait(20)
            while not self.stopped.wait(0.02 if how == "drips" else 0):
                request.wfile.write(b"." if how == "drips" else data)
        except OSError:  # nobody listens any more
            pass

    def close(self):
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = LocalServer()
    yield local
    local.close()


@pytest.fixture(autouse=True)
def no_data_folder_of_the_user(monkeypatch, tmp_path):
    """What a test downloads by mistake goes to a folder that is thrown away."""
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "minires_data"))
