"""The child's half of ``Guard``, and the framing of messages between the two.

A message is a pickle (protocol 5) whose large buffers, numpy arrays above all, follow it raw: they
are sent from and received into place without being copied through the pickle.
"""

from __future__ import annotations

import pickle
import socket
import struct
import sys
from typing import Any, TypeAlias

from pfp.io.children import end_with_parent

_HEADER = struct.Struct("<QQ")  # bytes of the pickle, number of buffers
_LENGTH = struct.Struct("<Q")

# The exception itself when it can travel, its class name, its text.
_Failure: TypeAlias = tuple[Exception | None, str, str]


def send_message(connection: socket.socket, message: Any) -> None:
    """Send one message; it is pickled whole before the first byte leaves."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    connection.sendall(_HEADER.pack(len(body), len(views)))
    connection.sendall(b"".join(_LENGTH.pack(view.nbytes) for view in views))
    connection.sendall(body)
    for view in views:
        connection.sendall(view)


def receive_message(connection: socket.socket) -> Any:
    """Receive one message; ``EOFError`` when the other side has gone."""
    body_size, num_buffers = _HEADER.unpack(_receive(connection, _HEADER.size))
    lengths = _receive(connection, _LENGTH.size * num_buffers)
    sizes = [length for (length,) in _LENGTH.iter_unpack(lengths)]
    body = _receive(connection, body_size)
    buffers = [_receive(connection, size) for size in sizes]
    return pickle.loads(body, buffers=buffers)  # noqa: S301 - from our own child or parent


def serve(descriptor: int, parent_pid: int) -> None:
    """Run calls until the parent closes its end. Entry point of the child process."""
    connection = socket.socket(fileno=descriptor)
    memory_bytes: int = receive_message(connection)
    _limit_memory(memory_bytes)
    end_with_parent(parent_pid)  # even in the middle of a decode that hangs
    while True:
        try:
            call = receive_message(connection)
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - the function cannot be imported here
            send_message(connection, (None, _portable(error)))
            continue
        _answer(connection, call)


def _answer(connection: socket.socket, call: tuple[Any, Any, Any]) -> None:
    function, args, kwargs = call
    reply: tuple[Any, _Failure | None]
    try:
        reply = (function(*args, **kwargs), None)
    except Exception as error:  # noqa: BLE001 - raised again on the other side
        reply = (None, _portable(error))
    try:
        send_message(connection, reply)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        send_message(connection, (None, _portable(error)))


def _portable(error: Exception) -> _Failure:
    """The exception itself when it survives pickling, its class name and its text."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever its class does, it does not travel
        copy = None
    same = error if type(copy) is type(error) and str(copy) == str(error) else None
    return same, type(error).__name__, str(error)


def _receive(connection: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return buffer


def _limit_memory(memory_bytes: int) -> None:
    """Make allocations beyond the limit fail, where the system counts private data (Linux)."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
