"""HTTP as bytes, for requests that no HTTP client sends."""

import socket


def exchange(port: int, request: bytes) -> bytes:
    """Send the bytes to a local server; return all that it sends back before it closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    return received
