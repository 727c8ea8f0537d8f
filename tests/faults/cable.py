"""A cable that takes time: it carries each frame between a host and the bridge, later.

The kernel of a test machine may have no `netem`, so frames take the way through this process: from
a packet socket at the host's end to a TAP device at the bridge, and back.
"""

import fcntl
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

FRAME_BYTES = 65_536

# Frames on their way in one direction; more are lost, as in a router. At 20 Mbit/s they are a
# second's worth.
FRAMES_MAX = 2_000

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


class Cable:
    """Made on the hub; `device` is then to be attached to its bridge.

    Args:
        port: The host's end on the hub, detached from the bridge.
        delay_s: How long a frame takes.
    """

    device = "cable"

    def __init__(self, port: str, delay_s: float) -> None:
        self._delay_s = delay_s
        self._tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        request = struct.pack("16sH22x", self.device.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(self._tap, _TUNSETIFF, request)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        # Otherwise what it sends comes back to it.
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((port, 0))
        self._socket.settimeout(0)
        self._over, self._end = os.pipe()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Carry frames until the block ends."""
        thread = threading.Thread(target=self._carry)
        thread.start()
        try:
            yield
        finally:
            os.close(self._end)
            thread.join()
            os.close(self._over)
            os.close(self._tap)
            self._socket.close()

    def _carry(self) -> None:
        to_bridge: deque[tuple[float, bytes]] = deque()
        to_host: deque[tuple[float, bytes]] = deque()
        while True:
            due_s = [line[0][0] for line in (to_bridge, to_host) if line]
            wait_s = max(min(due_s) - monotonic(), 0) if due_s else None
            files = [self._over, self._tap, self._socket.fileno()]
            ready, _, _ = select.select(files, [], [], wait_s)
            if self._over in ready:
                return
            # A full buffer loses the frame.
            with suppress(BlockingIOError):
                if self._socket.fileno() in ready:
                    self._take(self._socket.recv(FRAME_BYTES), to_bridge)
            with suppress(BlockingIOError):
                if self._tap in ready:
                    self._take(os.read(self._tap, FRAME_BYTES), to_host)
            for frame in self._arrived(to_bridge):
                with suppress(OSError):
                    os.write(self._tap, frame)
            for frame in self._arrived(to_host):
                with suppress(OSError):
                    self._socket.send(frame)

    def _take(self, frame: bytes, line: deque[tuple[float, bytes]]) -> None:
        if len(line) < FRAMES_MAX:
            line.append((monotonic() + self._delay_s, frame))

    @staticmethod
    def _arrived(line: deque[tuple[float, bytes]]) -> Iterator[bytes]:
        now_s = monotonic()
        while line and line[0][0] <= now_s:
            yield line.popleft()[1]
