# SPDX-License-Identifier: Apache-2.0
"""Network and sockets of a guest: tap by Python and by vhost-net, vsock by vhost-vsock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from minivmm.virtio.tap import Tap

from tests.arm64.vmm.linux import linux

pytestmark = pytest.mark.needs("linux_guest", "tap", "vhost")

#: Bytes each way: 50 MB in all.
MANY = 25 << 20
_TUNSETPERSIST = 0x400454CB
_CARD = (
    "modprobe virtio_mmio; modprobe virtio_net; until ip link set eth0 up 2>/dev/null; do :; done; "
    "ip addr add 192.0.2.2/24 dev eth0; "
)


@pytest.fixture
def tap() -> Iterator[str]:
    """A network interface that guests may use."""
    name = f"pk{os.getpid() % 100000}"
    with Tap(name) as made:
        fcntl.ioctl(made, _TUNSETPERSIST, 1)
    for words in (f"addr add 192.0.2.1/24 dev {name}", f"link set {name} up"):
        subprocess.run(["ip", *words.split()], check=True)
    yield name
    with Tap(name) as made:
        fcntl.ioctl(made, _TUNSETPERSIST, 0)


@pytest.mark.parametrize("vhost", ["off", "on"])
def test_pings_and_megabytes_both_ways(tap: str, vhost: str) -> None:
    data = os.urandom(1 << 20) * (MANY >> 20)
    with socket.create_server(("192.0.2.1", 0)) as server:
        port = server.getsockname()[1]
        got = hashlib.sha256()

        def serve() -> None:
            """Gives the first caller the data, and takes it back from the second."""
            first, _ = server.accept()
            with first:
                first.sendall(data)
            second, _ = server.accept()
            with second:
                while part := second.recv(1 << 16):
                    got.update(part)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        script = _CARD + (
            f"ping -c 3 192.0.2.1 | tail -2; nc 192.0.2.1 {port} </dev/null >/tmp/it; "
            f"sha256sum /tmp/it; nc 192.0.2.1 {port} </tmp/it; "
            "echo waiting; sleep 1000"
        )
        with linux(script, "--tap", tap, "--vhost", vhost) as guest:
            said = guest.until("waiting")
            assert "3 packets transmitted, 3 packets received" in said
            assert hashlib.sha256(data).hexdigest() in said
            thread.join(60)
            assert got.hexdigest() == hashlib.sha256(data).hexdigest()
            guest.signal(signal.SIGTERM)
            assert guest.end() == (143, "")


def test_vsock_echoes() -> None:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as server:
        server.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        server.listen()
        port = server.getsockname()[1]

        def serve() -> None:
            caller, (cid, _) = server.accept()
            assert cid == 7
            with caller:
                while part := caller.recv(1 << 16):
                    caller.sendall(part)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        script = (
            "modprobe virtio_mmio; modprobe vmw_vsock_virtio_transport; "
            f"until probe vsock {port} 50; do sleep 0.1; done; poweroff -f"
        )
        with linux(script, "--vsock", "7") as guest:
            guest.until("vsock: 50 echoes")
            assert guest.end() == (0, "")
