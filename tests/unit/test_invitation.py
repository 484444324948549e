# SPDX-License-Identifier: Apache-2.0
"""Invitations: read back from whatever people paste, and told as mistyped before anything is connected."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.protocol.invitation import Invitation, file_text, read_invitation
from tests.parts.told import told_as

ONE = Invitation("federation.example.org:8765", "ab" * 32, bytes(range(16)), "Universitätsklinikum Köln")
LINE = ONE.line()

addresses = st.sampled_from(["a:1", "[::1]:65535", "10.0.0.1:8765", "federation.example.org:443"])
names = st.sampled_from(["A", "Mercy General", "Universitätsklinikum Köln", "国立病院"])


@given(
    st.builds(
        Invitation,
        addresses,
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        st.binary(min_size=16, max_size=16),
        names,
        st.booleans(),
    )
)
def test_an_invitation_is_read_back_from_its_line(invitation: Invitation) -> None:
    assert read_invitation(invitation.line()) == invitation


@pytest.mark.parametrize(
    "pasted",
    [
        LINE.upper(),
        f"  <{LINE}>\n",
        f'"{LINE}"',
        f"Dear colleague,\nhere is the line:\n\n{LINE}\n\nBest wishes\nAnn",
        "\n".join(LINE[at : at + 60] for at in range(0, len(LINE), 60)),
        "\n> ".join(LINE[at : at + 60] for at in range(0, len(LINE), 60)),
        LINE[:40] + "-" + LINE[40:],
        f"{LINE[:99]}\n{LINE[99:]}\n\nBest wishes\nAnn",
        "\ufeff" + file_text(ONE, "Kidney notes", datetime(2026, 1, 1, tzinfo=UTC)).replace("\n", "\r\n"),
    ],
)
def test_an_invitation_is_found_in_what_people_paste(pasted: str) -> None:
    assert read_invitation(pasted) == ONE


@example(7, "0")
@given(st.integers(7, len(LINE) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567018"))
def test_one_wrong_sign_is_told_as_mistyped(at: int, sign: str) -> None:
    if LINE[at] != sign:
        with told_as("mistyped"):
            read_invitation(LINE[:at] + sign + LINE[at + 1 :])


@given(st.integers(8, len(LINE) - 2))
def test_a_missing_or_swapped_sign_is_told_as_mistyped(at: int) -> None:
    with told_as("mistyped"):
        read_invitation(LINE[:at] + LINE[at + 1 :])
    if LINE[at] != LINE[at + 1]:
        with told_as("mistyped"):
            read_invitation(LINE[:at] + LINE[at + 1] + LINE[at] + LINE[at + 2 :])


@given(st.text(max_size=300) | st.text(max_size=200).map("fedmed:".__add__))
def test_nothing_but_an_error_for_people_comes_of_any_text(text: str) -> None:
    with pytest.raises(UserFacingError):
        read_invitation(text)


def test_a_text_without_an_invitation_and_an_endless_one_are_told() -> None:
    with told_as("No invitation was found"):
        read_invitation("ws://127.0.0.1:8765")
    with told_as("far longer"):
        read_invitation(LINE + "a" * 20_000)


def _made(body: bytes) -> str:
    from fedmed_desktop.protocol.invitation import _checksum

    return "fedmed:" + base64.b32encode(body + _checksum(body)).decode().rstrip("=")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[:1] + b"\x80" + body[2:],
        lambda body: body + b"more",
        lambda body: body[:-1],
        lambda body: body.replace(b":8765", b":0000"),
        lambda body: body.replace(b"federation.", b"a@eration. "),
        lambda body: body.replace("Köln".encode(), b"K\x1b[2\x07"),
    ],
)
def test_a_whole_invitation_with_impossible_content_is_told(change: object) -> None:
    body = base64.b32decode((LINE[7:] + "=" * (-len(LINE[7:]) % 8)).upper())[:-4]
    assert callable(change)
    with told_as("does not belong in an invitation"):
        read_invitation(_made(change(body)))


def test_a_newer_invitation_is_told() -> None:
    body = base64.b32decode((LINE[7:] + "=" * (-len(LINE[7:]) % 8)).upper())[:-4]
    with told_as("newer version"):
        read_invitation(_made(b"\x09" + body[1:]))
