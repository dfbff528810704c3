"""A web server and an object store on this machine, which fail as they are told.

`Store` keeps objects in memory. It answers GET and HEAD, also of ranges, as any web server does, and on the
addresses ``/BUCKET/KEY`` what TensorStore needs of S3: PUT, DELETE and lists.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "em-images"
QUICK_RETRIES = {"max_retries": 2, "initial_delay": "1ms", "max_delay": "2ms"}
Fault = int | str | None  # an HTTP code, "break off", "silent"; None for none


class Store:
    """Objects by their keys, and what was asked for.

    Attributes
    ----------
    objects : dict
        ``BUCKET/KEY`` to content.
    requests : list
        (method, key with the query), in their order.
    fault : callable
        (method, key) to what goes wrong with a request.
    on_range : callable
        Gets the header of each request for a part.
    knows_ranges, has_marks, knows_conditions : bool
        Whether it gives parts of objects, and their ETags, and writes an object only if there is none.
    """

    knows_ranges = has_marks = knows_conditions = True

    def __init__(self, port: int) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.on_range: Callable[[str], None] = lambda wanted: None
        self.fault: Callable[[str, str], Fault] = lambda method, key: None
        self.web = f"http://127.0.0.1:{port}/{BUCKET}"
        self.endpoint = f"http://127.0.0.1:{port}"
        self.s3 = f"s3://{BUCKET}"
        self.released = threading.Event()

    def upload(self, folder: Path, name: str) -> None:
        """Take the files of a folder as objects below a name."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.objects[f"{BUCKET}/{name}/{file.relative_to(folder).as_posix()}"] = file.read_bytes()

    def below(self, name: str) -> dict[str, bytes]:
        """Return the objects below a name, by their keys there."""
        start = f"{BUCKET}/{name}/"
        return {key.removeprefix(start): one for key, one in self.objects.items() if key.startswith(start)}

    def count(self, method: str, end: str) -> int:
        """Count the requests of a method for keys with an ending."""
        return sum(one == method and key.endswith(end) for one, key in self.requests)


@contextmanager
def running_store() -> Iterator[Store]:
    """Run a store in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    store = Store(server.server_port)
    server.store = store  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield store
    finally:
        store.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer_read(with_content=True)

    def do_HEAD(self) -> None:
        self._answer_read(with_content=False)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("If-None-Match") and not self._store.knows_conditions:
            self._send(501, b"<Error><Code>NotImplemented</Code></Error>")
            return
        key = self._begin()
        if key is None:
            return
        if key.split("/")[0] != BUCKET:
            self._send(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        if self.headers.get("If-None-Match") == "*" and key in self._store.objects:
            self._send(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        self._store.objects[key] = content
        self._send(200, b"", {"ETag": _etag(content)})

    def do_DELETE(self) -> None:
        key = self._begin()
        if key is not None:
            self._store.objects.pop(key, None)
            self._send(204, b"")

    @property
    def _store(self) -> Store:
        store: Store = self.server.store  # type: ignore[attr-defined]
        return store

    def _begin(self) -> str | None:
        """Note a request and return its key; None if a fault has answered it."""
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/")
        self._store.requests.append((self.command, key + (f"?{parts.query}" if parts.query else "")))
        fault = self._store.fault(self.command, key)
        if isinstance(fault, int):
            self._send(fault, b"<Error><Code>Told</Code></Error>")
        elif fault == "break off":
            if self.command != "HEAD":  # whose answer has no content: it would be taken for the next one
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"only this")
            self.close_connection = True
        elif fault == "silent":
            self._store.released.wait(30)
            self.close_connection = True
        return key if fault is None else None

    def _answer_read(self, with_content: bool) -> None:
        query = parse_qs(urlsplit(self.path).query)
        key = self._begin()
        if key is None:
            return
        if "list-type" in query:
            self._send_list(key.strip("/"), query.get("prefix", [""])[0])
            return
        content = self._store.objects.get(key)
        if content is None:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", with_content=with_content)
            return
        headers, code = {"ETag": _etag(content)} if self._store.has_marks else {}, 200
        wanted = self.headers.get("Range")
        if wanted and self._store.knows_ranges:
            self._store.on_range(wanted)
            first, end = _range(wanted, len(content))
            if first >= len(content):
                self._send(416, b"<Error><Code>InvalidRange</Code></Error>", with_content=with_content)
                return
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
            content, code = content[first:end], 206
        self._send(code, content, headers, with_content)

    def _send_list(self, bucket: str, prefix: str) -> None:
        keys = sorted(key.removeprefix(f"{bucket}/") for key in self._store.objects)
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
        text = f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{found}'
        self._send(200, f"{text}</ListBucketResult>".encode())

    def _send(
        self, code: int, content: bytes, headers: dict[str, str] | None = None, with_content: bool = True
    ) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if code != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content and code != 204 and self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _range(wanted: str, length: int) -> tuple[int, int]:
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, length - int(last)), length
    return int(first), min(length, int(last) + 1 if last else length)
