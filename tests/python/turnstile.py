"""A TCP proxy that lets an HTTP/2 client connect, and keeps its first request until it is told to let it pass."""

import contextlib
import socket
import threading

PREFACE = 24  # bytes, RFC 9113, section 3.4
HEADERS, GOAWAY = 1, 7  # frame types, section 6


class Turnstile:
    """One connection to the server at `port`, whose client is to connect to `self.port`."""

    def __init__(self, running, port):
        self.listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.server = running.enter_context(socket.create_connection(("127.0.0.1", port)))
        self.waiting = threading.Event()  # The request has arrived here.
        self.leaving = threading.Event()  # The server has sent GOAWAY.
        self.may_pass = threading.Event()
        threading.Thread(target=self.forth, daemon=True).start()

    def forth(self):
        client, _ = self.listener.accept()
        threading.Thread(target=self.back, args=[client], daemon=True).start()
        source = client.makefile("rb")
        self.server.sendall(source.read(PREFACE))
        for kind, frame in frames(source):
            if kind == HEADERS:
                self.waiting.set()
                self.may_pass.wait()
            self.server.sendall(frame)

    def back(self, client):
        # A client that has its answer may leave before the server does.
        with client, contextlib.suppress(OSError):
            for kind, frame in frames(self.server.makefile("rb")):
                if kind == GOAWAY:
                    self.leaving.set()
                client.sendall(frame)


def frames(source):
    """The type and the bytes of each frame: section 4.1."""
    while head := source.read(9):
        yield head[3], head + source.read(int.from_bytes(head[:3]))
