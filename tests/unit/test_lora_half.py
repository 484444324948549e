# SPDX-License-Identifier: Apache-2.0
"""Half blobs are one exact encoding of one factor, completed with the other of an adapter that both ends have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.half import METADATA_KEY, HalfReader, encode_update, half_blob, open_update
from fedmed_desktop.lora.module import Factor
from fedmed_desktop.wording import told

Q, V = "layers.0.q_proj", "layers.1.v_proj"
BOTH: tuple[Factor, ...] = ("A", "B")


def example(seed: int, rank: int = 2) -> Adapter:
    rng = np.random.default_rng(seed)
    return Adapter(
        {
            Q: Module(rng.normal(size=(6, rank)), rng.normal(size=(rank, 5)), 2.0),
            V: Module(rng.normal(size=(3, rank)), rng.normal(size=(rank, 5)), 0.1),
        }
    )


def read(tmp_path: Path, blob: bytes, factor: Factor, rest: Adapter) -> Adapter:
    path = tmp_path / "half"
    path.write_bytes(blob)
    with HalfReader(path, factor, rest) as reader:
        inside = {name: reader.module(name) for name in reader.names}
    assert Adapter({name: reader.module(name) for name in reader.names}) == Adapter(inside)
    return Adapter(inside)


@pytest.mark.parametrize("factor", BOTH)
def test_that_a_half_is_completed_with_the_other_factor(tmp_path: Path, factor: Factor) -> None:
    trained, start = example(1), example(2)
    blob = half_blob(trained, factor)
    found = read(tmp_path, blob, factor, start)
    for name in (Q, V):
        a, b = (trained, start) if factor == "A" else (start, trained)
        assert np.array_equal(found[name].A, a[name].A) and np.array_equal(found[name].B, b[name].B)
        assert found[name].scale == trained[name].scale
    assert found != start and found != trained
    assert len(blob) < 0.75 * len(trained.to_blob()) + 300


@pytest.mark.parametrize("factor", BOTH)
def test_that_a_half_holds_not_a_byte_of_the_other_factor(factor: Factor) -> None:
    trained = example(1)
    other = "B" if factor == "A" else "A"
    blob = half_blob(trained, factor)
    assert sorted(safetensors.numpy.load(blob)) == [f"{Q}.lora_{factor}", f"{V}.lora_{factor}"]
    for module in trained.values():
        values = getattr(module, other).tobytes()
        assert not any(values[at : at + 4] in blob for at in range(0, len(values), 4))


def test_that_an_update_holds_what_is_shared(tmp_path: Path) -> None:
    trained, start = example(1), example(2)
    for factors in (BOTH, ("A",), ("B",)):
        path = tmp_path / "update"
        path.write_bytes(encode_update(trained, factors))
        with open_update(path, factors, start) as opened:
            assert np.array_equal(opened.module(Q).A, (trained if "A" in factors else start)[Q].A)
            assert np.array_equal(opened.module(Q).B, (trained if "B" in factors else start)[Q].B)


def changed(blob: bytes, **changes: Any) -> bytes:
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    said = json.loads(header["__metadata__"][METADATA_KEY]) | changes
    header["__metadata__"][METADATA_KEY] = json.dumps(said, separators=(",", ":"))
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + blob[8 + length :]


A_HALF = half_blob(example(1), "A")


@pytest.mark.parametrize(
    ("blob", "code"),
    [
        (half_blob(example(1), "B"), "lora.metadata"),
        (example(1).to_blob(), "lora.metadata"),
        (changed(A_HALF, format=2), "lora.metadata"),
        (changed(A_HALF, more=1), "lora.metadata"),
        (changed(A_HALF, scales={}), "lora.adapter_empty"),
        (changed(A_HALF, scales=[1.0]), "lora.adapter_empty"),
        (changed(A_HALF, scales={Q: 2.0}), "lora.tensor_unknown"),
        (changed(A_HALF, scales={Q: 2.0, V: 0.1, "x": 1.0}), "lora.partner_missing"),
        (changed(A_HALF, scales={Q: 2.0, V: -0.1}), "lora.scale"),
        (changed(A_HALF, scales={V: 0.1, Q: 2.0}), "lora.not_canonical"),
        (A_HALF[:-1], "lora.tensor_entry"),
        (half_blob(example(1, rank=3), "A"), "lora.factor_shape"),
    ],
)
def test_that_anything_else_is_refused(tmp_path: Path, blob: bytes, code: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        read(tmp_path, blob, "A", example(2))
    assert caught.value.code == code and told(caught.value)


def test_that_a_missing_file_and_an_unknown_module_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        HalfReader(tmp_path / "none", "A", example(2))
    assert caught.value.code == "lora.file_missing"
    (tmp_path / "half").write_bytes(A_HALF)
    with pytest.raises(UserFacingError) as caught:
        HalfReader(tmp_path / "half", "A", example(2)).module("x")
    assert caught.value.code == "lora.module_unknown"
