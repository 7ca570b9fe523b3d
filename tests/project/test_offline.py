"""No test has a network, in this process or in one that it starts; and the commands need none."""

import socket
import subprocess
import sys
import urllib.request

import pytest

TRIES = {
    "tcp": "socket.create_connection(('127.0.0.1', 9), 1)",
    "udp": "with socket.socket(type=socket.SOCK_DGRAM) as s: s.sendto(b'x', ('127.0.0.1', 9))",
    "server": "with socket.socket() as s: s.bind(('127.0.0.1', 0))",
    "name": "socket.gethostbyname('example.org')",
    "page": "urllib.request.urlopen('http://127.0.0.1:9/', timeout=1)",
}


@pytest.mark.parametrize("way", TRIES)
def test_the_network_is_refused_here_and_in_processes_below(way):
    names = {"socket": socket, "urllib": urllib}
    with pytest.raises(AssertionError, match="a test used the network"):
        exec(TRIES[way], names)  # noqa: S102 - of the list above
    done = subprocess.run(
        [sys.executable, "-c", f"import socket, urllib.request\n{TRIES[way]}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "a test used the network" in done.stderr) == (1, True), done.stderr


def test_a_socket_of_the_file_system_is_no_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")
