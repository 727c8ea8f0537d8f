"""CPU and bytes of one change of a seat list, encoded and compressed as a whole (decision 0019).

`python bench/seat_documents.py [seats changed]`, with `src` on the path.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

from waitline.booking.seat_documents import COMPRESSORS, SeatListing

SEATS = 10_000
ROUNDS = 40

_HEAD = (
    '{"seatId":%d,"scheduleId":1,"seatNumber":"VIP-%d-%d","grade":"VIP","price":50000,"status":"'
)
_TAILS = {ord("A"): b'AVAILABLE"}', ord("R"): b'RESERVED"}', ord("O"): b'OCCUPIED"}'}


def _states(changed: int) -> Iterator[bytes]:
    rng = random.Random(1)  # noqa: S311 - a run that can be repeated
    states = bytearray(b"A" * SEATS)
    while True:
        for _ in range(changed):
            states[rng.randrange(SEATS)] = rng.choice(b"ARO")
        yield bytes(states)


def _measured(make: Callable[[bytes], int], changed: int) -> tuple[float, int]:
    """Return the median of the CPU in ms, and the bytes of the last result."""
    took_ms, size = [], 0
    for _, states in zip(range(ROUNDS), _states(changed), strict=False):
        began_s = time.process_time()
        size = make(states)
        took_ms.append((time.process_time() - began_s) * 1000)
    return median(took_ms), size


def main(changed: int) -> None:
    """Print a line for the encoding, and one for each coding with its encoding."""
    heads = [(_HEAD % (seat, seat // 50, seat % 50)).encode() for seat in range(1, SEATS + 1)]
    listing = SeatListing(heads, _TAILS, b"")
    ways: dict[str, Callable[[bytes], int]] = {
        "plain": lambda states: len(listing.document(states).plain)
    }
    for coding, compress in COMPRESSORS.items():
        ways[coding] = lambda states, way=compress: len(way(listing.document(states).plain))  # type: ignore[misc]
    for name, way in ways.items():
        took_ms, size = _measured(way, changed)
        sys.stdout.write(f"{name:6} {took_ms:5.2f} ms  {size:9,} bytes\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
