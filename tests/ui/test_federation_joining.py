# SPDX-License-Identifier: Apache-2.0
"""Joining through the window, with a coordinator in a process of its own: what is wrong is said, then it goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.desktop.join.form import FieldName
from fedmed_desktop.identity import phrase
from fedmed_desktop.lora.base_model import fingerprint
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.secrets import public_key
from tests.parts.loopback import RawSite
from tests.parts.ui import SITE, Desktop
from tests.ui.hosting import Coordinator, found

pytestmark = pytest.mark.integration
Hosted = Callable[..., Coordinator]
Opened = Callable[..., Desktop]


def fill_in(desktop: Desktop, name: FieldName, text: str) -> str:
    """Types into a field of the form; the sentence below it once it was looked at."""
    field = desktop.window.join.fields[name]
    desktop.type(field.line, text)
    desktop.until(lambda: not field.waiting and field.verdict.state != "checking")
    return field.sentence()


def test_that_a_form_wrong_in_every_field_and_then_right_joins(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.click(one.window.rounds.empty.buttons[0])
    form = one.window.join
    one.click(form.where.turn)
    wrong = {
        "address": "ws://192.0.2.7:8765", "name": "-", "model": str(notes), "notes": str(tiny_model),
        "types_map": str(notes / "train.jsonl"),
    }  # fmt: skip
    for name, text in wrong.items():
        fill_in(one, name, text)
        assert form.fields[name].verdict.state == "wrong"
        assert not form.join.isEnabled()
    right = {"address": host.address, "name": SITE, "model": str(tiny_model), "notes": str(notes), "types_map": ""}
    for name, text in right.items():
        assert not form.join.isEnabled()
        fill_in(one, name, text)
    one.click(form.join)
    one.agree()
    entry = one.until_asked()
    assert entry.update.report.notes == 6
    assert one.window.rounds.isVisible() and one.headline() == "Ready for your decision"


def test_that_an_invited_site_compares_six_words_is_confirmed_and_needs_its_invitation_once(
    desktop: Opened, coordinator: Callable[[Path], Coordinator], tmp_path: Path, tiny_model: Path, notes: Path
) -> None:
    host = coordinator(found(tmp_path / "federation", tiny_model))
    host.start("--tls", "--confirm-sites")
    one = desktop().begin()
    one.until(host.listens)
    where = f"127.0.0.1:{host.port}"
    issued = issue(host.data, SITE, timedelta(days=1), datetime.now(UTC), "host", out=tmp_path, address=where)
    one.click(one.window.rounds.empty.buttons[0])
    form = one.window.join
    form.where.open(str(issued.file))
    fill_in(one, "model", str(tiny_model))
    fill_in(one, "notes", str(notes))
    one.until(form.join.isEnabled)
    one.click(form.join)
    one.until_state("unconfirmed")
    one.window.show_now()
    card = one.window.rounds.session.identity
    registry = Registry(host.data / REGISTRY_FILE)
    (member,) = registry.members()
    assert card.words.text() == phrase(member.key or "", public_key(host.data) or ""), "as the host sees it"
    assert one.headline() == "Waiting for the host to confirm this site" and not card.same.isVisible()
    registry.confirm(SITE, datetime.now(UTC), "host")
    registry.close()
    one.agree()
    one.until_asked()
    one.click(card.same)
    assert not card.isVisible()
    one.click(one.window.rounds.session.six_words)
    assert card.isVisible(), "they can be seen again"
    joined = one.program.settings.values.joined
    assert joined is not None and joined.invitation == "" and joined.address.startswith("wss://")
    one.close()
    again = desktop().begin()
    again.until_asked()
    assert not again.window.rounds.session.identity.isVisible() and "Connected" in again.header()


def test_that_a_coordinator_that_is_not_there_yet_is_waited_for(
    desktop: Opened, coordinator: Callable[[Path], Coordinator], tmp_path: Path, tiny_model: Path, notes: Path
) -> None:
    host = coordinator(found(tmp_path / "federation", tiny_model))
    one = desktop().begin()
    one.join(host.address, tiny_model, notes)
    one.until_state("offline")
    one.window.show_now()
    assert one.headline() == "The host's computer cannot be reached"
    assert "does not answer" in one.text("rounds") and "Offline" in one.header()
    host.start()
    one.until_asked()
    assert "Connected" in one.header() and "Riverside federation" in one.header()


def occupy(host: Coordinator, model: Path) -> None:
    """Somebody else joins under our site's name."""

    async def join() -> None:
        raw = RawSite(host.port, SITE)
        raw.hello = raw.hello.model_copy(update={"base": fingerprint(model)})
        async with raw:
            await raw.join()

    asyncio.run(join())


def test_that_a_taken_name_is_told_and_another_one_joins(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.until(host.listens)
    occupy(host, tiny_model)
    one.join(host.address, tiny_model, notes)
    one.until_state("failed")
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    assert one.headline() == "This cannot continue"
    assert "Another site has already joined with the name North" in one.text("rounds")
    one.click(one.window.rounds.session.status.button)
    form = one.window.join
    assert form.isVisible() and form.fields["name"].text() == SITE
    assert "Another site has already joined with the name North" in form.banner.text()
    fill_in(one, "name", "North 2")
    one.until(form.join.isEnabled)
    one.click(form.join)
    one.until(lambda: one.desk.joined is not None and one.desk.prepared is not None)
    assert one.program.settings.values.joined and one.program.settings.values.joined.name == "North 2"


@pytest.mark.slow
def test_that_another_base_model_is_told_and_the_right_one_joins(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    host = hosted()
    one = desktop().begin()
    one.join(host.address, other, notes)
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    assert "This site's base model is not the federation's" in one.text("rounds")
    assert one.text("rounds").count("base model is not") == 1, "it is said once"
    one.click(one.window.rounds.session.status.button)
    fill_in(one, "model", str(tiny_model))
    one.until(one.window.join.join.isEnabled)
    one.click(one.window.join.join)
    one.agree()
    one.until_asked()


def test_that_nothing_is_trained_before_the_person_has_seen_the_federation_and_agreed(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.join(host.address, tiny_model, notes, agreed=False)
    one.until_state("agreement")
    one.window.show_now()
    said = one.text("rounds")
    assert "Take part in" in said and host.address.removeprefix("ws://") in said
    assert "a trained adapter of rank" in said and "how much the model finds correctly" in said
    one.until(lambda: one.desk.standing is not None and "paused" in one.desk.standing.sites)
    assert one.desk.curves.is_empty and one.desk.pending is None and not one.desk.paused
    one.click(one.window.rounds.session.status.button)
    one.until_asked()
    one.close()
    two = desktop().begin()
    two.until_asked()
    assert not two.desk.asks_agreement, "who has agreed is not asked again"


def test_that_a_model_folder_gone_since_is_told_at_once(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path, tmp_path: Path
) -> None:
    one = desktop().begin()
    one.join(hosted().address, tmp_path / "gone", notes)
    one.until(lambda: one.desk.ended is not None)
    one.window.show_now()
    assert one.headline() == "This cannot continue" and "gone" in one.text("rounds")
    assert not one.faults()


def test_that_a_folder_in_use_by_another_desktop_is_told(
    desktop: Opened, hosted: Hosted, tiny_model: Path, notes: Path
) -> None:
    host = hosted()
    one = desktop().begin()
    one.join(host.address, tiny_model, notes)
    one.until_asked()
    two = desktop().begin()
    two.until(lambda: "Another fedmed-desktop" in two.said())
    assert two.desk.session is None, "the other one's federation is not gone on with"
    two.join(host.address, tiny_model, notes)
    two.until(lambda: two.desk.ended is not None)
    two.window.show_now()
    assert two.headline() == "This cannot continue" and "in use by another" in two.text("rounds")
    assert one.desk.running and not two.faults()
    two.close()
    one.close()
    assert desktop().program.settings.values.rejoin, "the second one has not written over the settings"


def test_that_an_address_of_the_command_line_opens_the_form(desktop: Opened) -> None:
    one = desktop().begin(join="ws://127.0.0.1:9")
    assert one.window.join.isVisible() and one.window.join.fields["address"].text() == "ws://127.0.0.1:9"
