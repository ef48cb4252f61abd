"""A local web server, which answers as a test tells it."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def serving(answer: Callable[[str], tuple[int, bytes, int]]) -> Iterator[str]:
    """Yields the server's address; answer(path) is the status, the content and the length that the
    server promises."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, content, promised = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
