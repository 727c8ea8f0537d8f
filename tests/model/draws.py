"""What Hypothesis draws for the line's model. Nothing of it depends on the time."""

from hypothesis import strategies as st

from waitline.kernel.ids import VisitorId
from waitline.queue.limits import Limits
from waitline.queue.model import ACCOUNT_MARK

NAMES = [VisitorId(f"v{number}") for number in range(6)]
LEASE_MS = 50

# A visitor's key, another one, none, and a statement of the shop's.
MARKS = st.sampled_from(["key-one", "key-two", "", ACCOUNT_MARK])
VISITORS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6)
# Who claims is drawn by where it stands, or most claims would come from nobody.
WHO = st.tuples(st.sampled_from(["admitted", "waiting", "passed", "anybody"]), st.integers(0, 5))
CLAIM = st.tuples(WHO, st.sampled_from(["right", "none", "wrong", "earlier"]))
CLAIMS = st.lists(CLAIM, min_size=1, max_size=3)
UNTIL = st.sampled_from(["token", "silence", "expiry", "lease"])
STAGES = ["active", "ready", "waiting", "new"]
HOLDERS = st.sampled_from([["a", "b"], [""], ["b", "", "a"], ["a"], ["b"]])
CHUNKS = st.sampled_from([250, 2, 1])
HEARD = st.sampled_from([True, True, True, False])
STEPS_MS = [3_600_000, 2_500, 600, -20, -3_600_000]
LIMITS = st.builds(
    Limits,
    active_max=st.sampled_from([3, 1, 5]),
    admit_per_s=st.sampled_from([1000.0, 1000.0, 100.0, 0.5]),
    admit_burst=st.sampled_from([3, 1, 2, 0]),
    waiting_max=st.sampled_from([4, 2, 100]),
    ready_ttl_ms=st.sampled_from([30, 10_000]),
    active_ttl_ms=st.sampled_from([40, 10_000]),
    idle_ms=st.sampled_from([32, 0, 10_000]),
    return_ms=st.sampled_from([10_000, 30, 0]),
    extensions_max=st.sampled_from([1, 0, 2]),
    stay_ms=st.sampled_from([20_000, 60, 0]),
)


Drawn = tuple[tuple[str, int], str]
