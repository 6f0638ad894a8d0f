"""A receiver of spans, as a tracing backend has one: OTLP over HTTP, on a free port of the loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """One span as it was received; ids are in hexadecimal."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: Mapping[str, Any]
    is_error: bool


class Receiver:
    """Keeps the spans that it is sent, in the order in which they come."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[Span] = []

    def take(self, body: bytes) -> None:
        """Take a request's spans."""
        request = ExportTraceServiceRequest.FromString(body)
        for of_service in request.resource_spans:
            service = _plain(of_service.resource.attributes)["service.name"]
            for scope in of_service.scope_spans:
                self.spans += [_span(service, each) for each in scope.spans]


def _span(service: str, given: Any) -> Span:
    return Span(
        service,
        given.name,
        given.SpanKind.Name(given.kind).removeprefix("SPAN_KIND_"),
        given.trace_id.hex(),
        given.span_id.hex(),
        given.parent_span_id.hex(),
        tuple(each.span_id.hex() for each in given.links),
        _plain(given.attributes),
        given.status.code == given.status.STATUS_CODE_ERROR,
    )


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def receiving(*, keeps: bool = True) -> Iterator[Receiver]:
    """Receive spans as long as the block lasts, and keep them, or not."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if keeps and self.path == "/v1/traces":
                zipped = self.headers["Content-Encoding"] == "gzip"
                received.take(gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
