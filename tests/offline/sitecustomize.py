"""No network in any Python process of the tests: the folder is on PYTHONPATH, and every interpreter imports this first.

A socket to an address that is not a path (TCP, UDP) and the look-up of a name fail. Sockets of the file system stay.
"""

import sys


def refuse(event: str, arguments: tuple) -> None:
    """An audit hook; Python's own socket module tells it before anything is sent."""
    to = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.bind": 1}.get(event)
    if (to is not None and isinstance(arguments[to], tuple)) or event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        raise AssertionError(f"a test used the network: {event}{arguments[1:] if to else arguments}")


sys.addaudithook(refuse)
