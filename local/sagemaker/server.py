"""Serve the API over HTTP (AWS JSON 1.1), on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.guard import refusal
from local.ports import port_of
from local.sagemaker.service import SageMaker
from local.sagemaker.validation import RequestError

# (headers, operation, request, tags of the job that it names); raises RequestError if the caller may not do it
Authorize = Callable[[Mapping[str, str], str, Mapping[str, Any], Mapping[str, str]], None]


class SageMakerServer:
    """Serves `sagemaker` on the socket `listener`, in separate threads, until closed; `authorize` checks each call."""

    def __init__(self, sagemaker: SageMaker, listener: socket.socket, authorize: Authorize) -> None:
        self._sagemaker = sagemaker
        self._server = ThreadingHTTPServer(
            listener.getsockname(), _handler(sagemaker, authorize), bind_and_activate=False
        )
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        self.port = port_of(listener)
        self._thread = threading.Thread(target=self._server.serve_forever, name="sagemaker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop serving and stop every job."""
        self._server.shutdown()
        self._server.server_close()
        self._sagemaker.close()


def _handler(sagemaker: SageMaker, authorize: Authorize) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if self._refused():
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            try:
                request = json.loads(body or b"{}")
                authorize(dict(self.headers), operation, request, sagemaker.tags(operation, request))
                self._answer(200, sagemaker.call(operation, request))
            except RequestError as error:
                self._answer(400, {"__type": error.code, "message": error.message})
            except json.JSONDecodeError as error:
                self._answer(400, {"__type": "SerializationException", "message": str(error)})
            except Exception as error:
                self._answer(500, {"__type": "InternalFailure", "message": f"{type(error).__name__}: {error}"})

        def do_GET(self) -> None:
            if self._refused():
                return
            self._answer(200 if self.path == "/health" else 404, {})

        def _refused(self) -> bool:
            port = self.connection.getsockname()[1]
            headers = {name.lower(): value for name, value in self.headers.items()}
            reason = refusal(port, self.command, self.path, headers)
            if reason is not None:
                self.close_connection = True  # its body was not read
                self._answer(403, {"__type": "AccessDeniedException", "message": reason})
            return reason is not None

        def _answer(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
