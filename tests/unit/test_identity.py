# SPDX-License-Identifier: Apache-2.0
"""Keys, signatures and phrases."""

from __future__ import annotations

import hashlib

import pytest
from mnemonic import Mnemonic

from fedmed_desktop.identity import PrivateKey, canonical, fingerprint, is_signed, phrase, verify
from tests.parts.told import told_as

ONE, OTHER = PrivateKey(bytes(32)), PrivateKey(bytes([1] * 32))


def test_a_key_survives_being_stored() -> None:
    key = PrivateKey.new()
    assert PrivateKey(key.raw).public == key.public
    assert key.public not in (ONE.public, PrivateKey.new().public)


def test_a_key_shows_only_its_public_half() -> None:
    assert ONE.raw.hex() not in repr(ONE) and ONE.public in repr(ONE)


def test_a_signature_holds_for_one_key_one_purpose_and_one_content() -> None:
    signature = ONE.sign("offer", {"round": 3, "update": "ab"})
    assert is_signed(ONE.public, "offer", {"update": "ab", "round": 3}, signature)
    assert not is_signed(OTHER.public, "offer", {"round": 3, "update": "ab"}, signature)
    assert not is_signed(ONE.public, "receipt", {"round": 3, "update": "ab"}, signature)
    assert not is_signed(ONE.public, "offer", {"round": 4, "update": "ab"}, signature)
    assert not is_signed(ONE.public, "offer", {"round": "3", "update": "ab"}, signature)
    assert not is_signed(ONE.public, "offer", {"round": 3, "update": "ab"}, "00" * 64)


@pytest.mark.parametrize("key", ["", "zz", "00" * 31, "ff" * 32])
def test_a_malformed_key_signed_nothing(key: str) -> None:
    assert not is_signed(key, "offer", {}, "00" * 64)


def test_signed_bytes_do_not_depend_on_the_order_of_keys() -> None:
    assert canonical("offer", {"b": 1, "a": "Köln"}) == b'fedmed-desktop offer\0{"a":"K\xc3\xb6ln","b":1}'


def test_a_wrong_signature_is_told() -> None:
    with told_as("signature"):
        verify(ONE.public, "offer", {}, "00" * 64)


def test_the_phrase_is_six_words_that_both_sides_find() -> None:
    words = phrase(ONE.public, OTHER.public)
    assert len(words.split("-")) == 6
    assert words == phrase(OTHER.public, ONE.public)
    assert words != phrase(ONE.public, PrivateKey.new().public)


@pytest.mark.usefixtures("words_cost_work")
def test_that_each_set_of_keys_whose_words_are_tried_costs_work() -> None:
    """A plain hash let a coordinator that makes up two sites for each real one find equal words in hours: it needs only
    two sets of its choice that agree, not a second one for a given set."""
    one, other = PrivateKey.new().public, PrivateKey.new().public
    keys = bytes.fromhex("".join(sorted([one, other])))
    slow = hashlib.scrypt(keys, salt=b"fedmed-desktop phrase", n=2**14, r=8, p=1, dklen=32)
    found = [Mnemonic("english").wordlist.index(word) for word in phrase(one, other).split("-")]
    assert found == [int.from_bytes(slow, "big") >> (11 * place) & 2047 for place in range(6)]


def test_a_fingerprint_is_of_the_raw_key() -> None:
    assert ONE.fingerprint == fingerprint(ONE.public)
    assert len(ONE.fingerprint) == 64
