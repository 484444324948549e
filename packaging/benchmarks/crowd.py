# SPDX-License-Identifier: Apache-2.0
"""Many sites in one process, which speak the protocol by hand: light enough that a thousand fit beside a coordinator.

    python crowd.py FILE [--pings]          # a line for each site: its invitation

Joins all sites of the file, says `joined`, takes part in the round and in the closing evaluation as agents would
(fetches the adapter, offers, sends what is wanted), and says `finished` once all have been told so. With `--pings` it
also pings on the first one's connection, and then says the time and the length of each ping. Run by endurance.py.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Final

from raw_lines import say
from rounds import FINGERPRINT, trained
from websockets.asyncio.client import ClientConnection, connect

from fedmed_desktop.federation import Part, Report, Update
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.protocol.handshake import answered, check_challenge
from fedmed_desktop.protocol.invitation import Invitation, read_invitation
from fedmed_desktop.protocol.messages import (
    VERSION,
    Ask,
    Challenge,
    Finished,
    Goodbye,
    Hello,
    OfferUpdate,
    Refused,
    Want,
    Welcome,
    decode,
    encode,
)
from fedmed_desktop.protocol.signing import Bond
from fedmed_desktop.protocol.transfer import CHUNK, Chunk, decode_chunk
from fedmed_desktop.protocol.wire import MAX_SIZE_TO_SITE
from fedmed_desktop.scores import Scores
from fedmed_desktop.site.tls import context_for, peer_key

AT_ONCE: Final = 16  # joins
PING_SECONDS: Final = 0.02


class Site:
    """One site, its connection, and the update that it makes of the adapter that it is given."""

    def __init__(self, invitation: Invitation, tls: ssl.SSLContext) -> None:
        self.name = invitation.site
        self._invitation = invitation
        self._key = PrivateKey(hashlib.sha256(self.name.encode()).digest())
        self._tls = tls
        self._bond = Bond("0" * 64, self._key.public, "0" * 64)
        self._blobs: dict[str, bytes] = {}
        self.line: ClientConnection

    async def join(self) -> None:
        url = self._invitation.url
        self.line = await connect(
            url, ssl=self._tls, compression=None, max_size=MAX_SIZE_TO_SITE, proxy=None, ping_interval=None
        )
        given = decode(await self.line.recv(decode=True))
        assert isinstance(given, Challenge)
        check_challenge(given, peer_key(self.line.transport.get_extra_info("ssl_object")), self._invitation.fingerprint)
        code = self._invitation.code.hex()
        hello = Hello(version=VERSION, site=self.name, key=self._key.public, base=FINGERPRINT, code=code)
        await self.line.send(encode(answered(self._key, given, hello)))
        welcome = decode(await self.line.recv(decode=True))
        assert isinstance(welcome, Welcome), welcome
        self._bond = Bond(welcome.federation, self._key.public, given.key)

    async def take_part(self) -> None:
        """Answers until the federation has finished."""
        plan: Ask | None = None
        start = bytearray()
        async for frame in self.line:
            if isinstance(frame, bytes):
                assert plan is not None
                chunk = decode_chunk(frame)
                start += chunk.data
                if len(start) == chunk.total:
                    await self._offer(plan, Adapter.from_blob(bytes(start)))
                    start.clear()
                continue
            message = decode(frame)
            match message:
                case Ask(plan=asked):
                    self._bond.check(message)
                    plan = message
                    if asked.kind == "train":
                        await self.line.send(encode(Want(sha256=asked.start)))
                    else:
                        await self._offer(message, None)
                case Want(sha256=sha256, offset=offset):
                    blob = self._blobs[sha256]
                    for at in range(offset, len(blob), CHUNK):
                        await self.line.send(Chunk(sha256, at, len(blob), blob[at : at + CHUNK]).encode())
                case Goodbye() | Refused():
                    raise RuntimeError(f"{self.name}: {message}")
                case Finished():
                    self._bond.check(message)
                    return

    async def _offer(self, ask: Ask, start: Adapter | None) -> None:
        plan, parts, report = ask.plan, dict[str, Part](), Report(kind="evaluate", notes=10, scores_after=Scores())
        if start is not None:
            blob, report = _trained(start, self.name)
            sha256 = hashlib.sha256(blob).hexdigest()
            self._blobs = {sha256: blob}
            parts["adapter"] = Part(sha256=sha256, size=len(blob))
        update = Update(round=plan.round, parts=parts, report=report)
        offer = OfferUpdate(update=update, plan=plan.sha256, attempt=ask.attempt, approval="a" * 64)
        await self.line.send(encode(self._bond.signed(self._key, offer)))


def _trained(start: Adapter, name: str) -> tuple[bytes, Report]:
    after = trained(start, name)
    norms = {"start_norm": algebra.norm(start), "update_norm": algebra.distance(after, start)}
    return after.to_blob(), Report(
        notes=10, supervised_tokens=70, steps=4, loss_before=1.0, loss_after=0.5, effective_rank=1.0, **norms
    )


async def pings(line: ClientConnection, taken: list[tuple[float, float]]) -> None:
    while True:
        began = time.time()
        await asyncio.wait_for(await line.ping(), 60)
        taken.append((began, time.time() - began))
        await asyncio.sleep(PING_SECONDS)


async def run(options: argparse.Namespace) -> None:
    tls = context_for(roots=False)
    sites = [Site(read_invitation(line), tls) for line in options.file.read_text().splitlines()]
    places = asyncio.Semaphore(AT_ONCE)

    async def join(site: Site) -> None:
        async with places:
            await site.join()

    await asyncio.gather(*(join(site) for site in sites))
    say("joined")
    taken: list[tuple[float, float]] = []
    pinging = asyncio.create_task(pings(sites[0].line, taken)) if options.pings else None
    await asyncio.gather(*(site.take_part() for site in sites))
    if pinging:
        pinging.cancel()
        say("pings " + json.dumps(taken))
    say("finished")
    await asyncio.Event().wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--pings", action="store_true")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
