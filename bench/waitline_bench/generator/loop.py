"""Event loop of a generator process, as far as all share it: one request per connection at a time.

A base class and no object beside it: the loops run once per answer, and share the machine with the
service.
"""

from abc import ABC, abstractmethod
from math import inf

from waitline_bench.generator import answers, orders, sockets


class GeneratorLoop(ABC):
    """Puts answers together from their parts, and receives the interval to measure."""

    def __init__(self) -> None:
        # By descriptor: the slot that awaits an answer, and the bytes received so far.
        self._asking: dict[int, int] = {}
        self._part: dict[int, bytes] = {}
        self._from_s = self._until_s = inf
        self._ended = False

    @abstractmethod
    def _answer(self, descriptor: int, slot: int, data: bytes) -> None:
        """Handle a whole answer."""

    @abstractmethod
    def _lose(self, descriptor: int) -> None:
        """Handle a connection that the service has closed or reset."""

    def _receive(self, descriptor: int) -> None:
        data = sockets.receive(descriptor)
        if not data:
            if data is not None:
                self._lose(descriptor)
            return
        if self._part:
            data = self._part.pop(descriptor, b"") + data
        if answers.size(data) == len(data):
            self._answer(descriptor, self._asking.pop(descriptor), data)
        else:
            self._part[descriptor] = data

    def _obey(self) -> None:
        """Receive an order: the interval to measure. The end of stdin ends the process."""
        order = orders.receive()
        if order is None:
            self._ended = True
        else:
            self._from_s, self._until_s = order["from_s"], order["until_s"]
