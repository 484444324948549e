# SPDX-License-Identifier: Apache-2.0
"""Limits of the coordinator, each with its reason, and the counters that keep them. Time is handed in.

They come before memory is touched: what a peer has not been granted is never read, held or stored for it. Bounds of
single messages are in `protocol.wire`. Numbers without a source are inferred.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from ..errors import UserFacingError
from ..protocol.transfer import CHUNK
from ..protocol.wire import is_loopback

# -- before a site has joined ------------------------------------------------------------------------------------------

# Open at once, of all kinds. A federation has tens of sites; a thousand leave room for themselves and their return.
MAX_CONNECTIONS = 4096
# Begun TLS handshakes. Each holds some 40 KiB; a thousand sites that come back at once need a moment each.
MAX_HANDSHAKES = 256
# A handshake takes a second even on a bad line. Past this age it gives way where others wait.
HANDSHAKE_PATIENCE = 2.0
HANDSHAKE_SECONDS = 10
# Connections that have not said who they are. More are told so if they ask properly; twice as many are cut off at once.
MAX_STRANGERS = 256
# All that one may send before it has joined: the HTTP request, which may last for seconds, and its first messages.
MAX_STRANGER_BYTES = 2**14
# From one address, outside this computer: a group of hospitals may share one, and nobody else needs more than two.
MAX_FROM_ADDRESS = 128
MAX_STRANGERS_FROM_ADDRESS = 32
# Joins per minute and address, with as many at once: sites behind one address all come back when the coordinator does.
MAX_JOINS_PER_MINUTE = 240
# Wrong codes of invitations per minute and address. None can be guessed; this keeps the tries out of disk and log.
MAX_GUESSES_PER_MINUTE = 10
# Addresses that are remembered for these; beyond, the one that has not come for longest is forgotten.
MAX_ADDRESSES = 8192

# -- of a site that has joined -----------------------------------------------------------------------------------------

# Messages per second, with MESSAGES_AT_ONCE in a burst: a site says a few in a minute. Full chunks do not count, since
# reading no further is what slows an upload down.
MESSAGES_PER_SECOND = 20.0
MESSAGES_AT_ONCE = 200
# Sites that upload at once. Each may have 4 MiB on its way into memory; more do not make the disk or the line faster.
UPLOAD_SLOTS = 8
# Sites that download at once. Each has two chunks in memory, and a third that waits to be sent.
DOWNLOAD_SLOTS = 64
# An upload or download that has not moved for this long gives way where others wait.
TRANSFER_PATIENCE = 30.0
# A connection whose waiting bytes have not become fewer by DRAIN_BYTES in DRAIN_SECONDS is cut off: some 1 KiB/s, far
# below the slowest line that could carry an adapter.
DRAIN_SECONDS = 60.0
DRAIN_BYTES = 2**16
# Updates of the largest size that one site may have on disk for one attempt of a round, ones that were refused among
# them: an honest one sends one, or two where its folder was lost in between.
KEPT_UPDATES = 4
# Offers per minute of one site that are refused, or not signed by it: each is an entry in the audit chain for good.
MAX_REFUSALS_PER_MINUTE = 60

# -- of a person who hosts from a desktop ------------------------------------------------------------------------------

# Acts per minute of one host: each is two entries in the audit chain for good, and a person decides a few at most.
MAX_ACTS_PER_MINUTE = 30

Clock = Callable[[], float]


class Bucket:
    """Token bucket: `most` at once, `per_second` in the long run."""

    __slots__ = ("_clock", "_left", "_most", "_per_second", "_seen")

    def __init__(self, most: float, per_second: float, clock: Clock) -> None:
        self._most, self._per_second, self._clock = most, per_second, clock
        self._left, self._seen = most, clock()

    def has(self) -> bool:
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._seen) * self._per_second)
        self._seen = now
        return self._left >= 1

    def take(self) -> bool:
        """Takes one if there is one."""
        if taken := self.has():
            self._left -= 1
        return taken


class PerMinute:
    """Bucket for each address or site, per minute; never holds more than MAX_ADDRESSES of them."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most, self._clock = most, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def has(self, address: str) -> bool:
        bucket = self._buckets.get(address)
        return bucket is None or bucket.has()

    def take(self, address: str) -> bool:
        """Takes one if the address still has one."""
        bucket = self._buckets.pop(address, None) or Bucket(self._most, self._most / 60, self._clock)
        self._buckets[address] = bucket  # the last one now
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return bucket.take()

    def __len__(self) -> int:
        return len(self._buckets)


class Guesses:
    """Wrong codes of invitations: `check` before a code is looked at, `wrong` after one was no code."""

    def __init__(self, clock: Clock) -> None:
        self._left = PerMinute(MAX_GUESSES_PER_MINUTE, clock)

    def check(self, address: str) -> None:
        """Raises a retryable UserFacingError("limit.guesses") for an address that has guessed too often."""
        if not self._left.has(origin(address)):
            raise UserFacingError("limit.guesses", retryable=True)

    def wrong(self, address: str) -> None:
        self._left.take(origin(address))


class Refusals:
    """Offers of each site that were refused, over all its connections."""

    def __init__(self, clock: Clock) -> None:
        self._left = PerMinute(MAX_REFUSALS_PER_MINUTE, clock)

    def check(self, site: str) -> None:
        """Counts one. Raises a retryable UserFacingError("limit.messages") where it is too many."""
        if not self._left.take(site):
            raise UserFacingError("limit.messages", retryable=True)


class Acts:
    """Acts of each host, over all its connections."""

    def __init__(self, clock: Clock) -> None:
        self._left = PerMinute(MAX_ACTS_PER_MINUTE, clock)

    def check(self, host: str) -> None:
        """Counts one. Raises a retryable UserFacingError("limit.acts") where it is too many."""
        if not self._left.take(host):
            raise UserFacingError("limit.acts", retryable=True)


class Pace:
    """Limit on how fast one joined site may talk."""

    def __init__(self, clock: Clock) -> None:
        self._bucket = Bucket(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND, clock)

    def heard(self, frame: str | bytes) -> None:
        """Raises a retryable UserFacingError("limit.messages") where it is too many."""
        full = isinstance(frame, bytes) and len(frame) > CHUNK
        if not full and not self._bucket.take():
            raise UserFacingError("limit.messages", retryable=True)


class Slots:
    """Places for sites to upload, or download, now: so many sites at once, the others in the order in which they asked.

    A site that does not move gives its slot to one that waits: its next `moved` says so.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self._most = clock, most
        self._moved: dict[str, float] = {}  # who has a slot, and when bytes of it came last
        self._waiting: OrderedDict[str, Callable[[], None]] = OrderedDict()

    def ask(self, site: str, begin: Callable[[], None]) -> None:
        """Calls `begin` when it is the site's turn: at once if it is now. A site that asks again keeps its place."""
        self._waiting[site] = begin
        self._let_in()

    def moved(self, site: str) -> None:
        """Notes that bytes came. Raises a retryable UserFacingError("limit.transfer") from one that has no slot."""
        if site not in self._moved:
            raise UserFacingError("limit.transfer", retryable=True)
        self._moved[site] = self._clock()

    def leave(self, site: str) -> None:
        """The site is done, was refused, or is gone."""
        self._waiting.pop(site, None)
        self._moved.pop(site, None)
        self._let_in()

    def tick(self) -> None:
        """Gives the slots of transfers that stand still to those that wait; called every few seconds."""
        now = self._clock()
        for site in [one for one, since in self._moved.items() if now - since > TRANSFER_PATIENCE]:
            if self._waiting:
                del self._moved[site]
                self._let_in()

    def _let_in(self) -> None:
        for site in list(self._waiting):
            if site in self._moved or len(self._moved) < self._most:
                self._moved[site] = self._clock()
                self._waiting.pop(site)()

    @property
    def waiting(self) -> list[str]:
        return list(self._waiting)

    @property
    def in_use(self) -> int:
        return len(self._moved)


class DiskShare:
    """Bytes that each site has had kept in the open attempt of a round, whether they count or not.

    What counted in earlier rounds is one update of each, which the rules of the ledger keep or prune.
    """

    def __init__(self) -> None:
        self._open = (0, 0)
        self._kept: Counter[str] = Counter()

    def check(self, site: str, attempt: tuple[int, int], offered: int, largest: int) -> None:
        """Raises UserFacingError("update.disk_quota") where an offer would be too much. `largest`: of an update."""
        if attempt != self._open:
            self._open = attempt
            self._kept.clear()
        held, limit = self._kept[site], KEPT_UPDATES * largest
        if held + offered > limit:
            raise UserFacingError("update.disk_quota", held=held, limit=limit)

    def keep(self, site: str, size: int) -> None:
        self._kept[site] += size


class SiteLimits:
    """Limits of joined sites that outlive a connection."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.uploads = Slots(clock, UPLOAD_SLOTS)
        self.downloads = Slots(clock, DOWNLOAD_SLOTS)
        self.disk = DiskShare()
        self.refusals = Refusals(clock)
        self.acts = Acts(clock)


def origin(address: str) -> str:
    """The part of an address that stands for one network: an IPv4 address, or the first half of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped or found.is_loopback:
            return str(found.ipv4_mapped or found)
        return str(ipaddress.IPv6Network((found, 64), strict=False).network_address)
    return str(found)


def is_own(address: str) -> bool:
    """Tells whether an address is this computer's own (loopback): tunnels and local sites all come from there."""
    return is_loopback(address)


def is_here(address: str, called: str) -> bool:
    """Tells whether who comes from this address is on this computer; `called`: the address that was called.

    If both are the same it is: no answer would reach anybody else.
    """
    return is_own(address) or (bool(called) and address == called)


_SPARE_FILES: Final = 128  # ledger, adapters, logs, the journals of SQLite


def connections_allowed() -> int:
    """MAX_CONNECTIONS, or fewer where the system allows this process fewer files; asks it for more first."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_CONNECTIONS
    wanted = MAX_CONNECTIONS + MAX_CONNECTIONS // 4
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, max(16, soft - _SPARE_FILES))
