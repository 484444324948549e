# SPDX-License-Identifier: Apache-2.0
"""A packed blob is one exact encoding of a difference, decoded to the same bits at both ends; nothing else counts."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.blocks import Packed, decoded, encoded, from_bfloat16, lengths, to_bfloat16
from fedmed_desktop.lora.half import open_update
from fedmed_desktop.lora.module import Factor
from fedmed_desktop.lora.quantised import METADATA_KEY, PackedReader, Packing, extended, packed
from fedmed_desktop.wording import told
from tests.parts.changed import changed_blob

Q, V = "layers.0.q_proj", "layers.1.v_proj"
BOTH: tuple[Factor, ...] = ("A", "B")
DTYPES: tuple[Packed, ...] = ("bfloat16", "int8", "int4")
# Of the largest value in its block, which the nearest code is away from a value at most.
FURTHEST = {"bfloat16": 2**-8, "int8": 0.6 / 127, "int4": 0.16}


def example(seed: int, rank: int = 2, size: float = 1.0) -> Adapter:
    rng = np.random.default_rng(seed)

    def factor(*shape: int) -> np.ndarray:
        return rng.normal(size=shape, scale=size)

    q = Module(factor(37, rank), factor(rank, 45), 2.0)
    return Adapter({Q: q, V: Module(factor(3, rank), factor(rank, 5), 0.1)})


def near(start: Adapter, seed: int) -> Adapter:
    """An adapter that a training could have come to from this start."""
    change = example(seed, start[Q].rank, 1e-3)
    return Adapter({n: Module(m.B + change[n].B, m.A + change[n].A, m.scale) for n, m in start.items()})


def opened(
    tmp_path: Path, blob: bytes, packing: Packing, start: Adapter, factors: tuple[Factor, ...] = BOTH
) -> PackedReader:
    path = tmp_path / "update"
    path.write_bytes(blob)
    reader = open_update(path, factors, start, hashlib.sha256(blob).hexdigest(), packing)
    assert isinstance(reader, PackedReader)
    return reader


def read(tmp_path: Path, blob: bytes, packing: Packing, start: Adapter, factors: tuple[Factor, ...] = BOTH) -> Adapter:
    with opened(tmp_path, blob, packing, start, factors) as reader:
        return Adapter({name: reader.module(name) for name in reader.names})


@pytest.mark.parametrize("dtype", DTYPES)
def test_that_both_ends_read_the_same_adapter_near_the_trained_one(tmp_path: Path, dtype: Packed) -> None:
    start, packing = example(2), Packing(dtype, 16)
    trained = near(start, 1)
    blob, adapter = packed(trained, start, packing, BOTH)
    assert read(tmp_path, blob, packing, start) == adapter
    assert packed(trained, start, packing, BOTH)[0] == blob
    lost = algebra.distance(adapter, trained) / algebra.distance(trained, start)
    assert 0 < lost < {"bfloat16": 0.004, "int8": 0.01, "int4": 0.15}[dtype]


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 0.55), ("int8", 0.35), ("int4", 0.22)])
def test_that_it_is_that_much_smaller(dtype: Packed, most: float) -> None:
    start = Adapter.initial({Q: (512, 512)}, 16, 2.0, 1)
    blob, _ = packed(near_of(start), start, Packing(dtype, 64), BOTH)
    assert len(blob) < most * len(start.to_blob())


def near_of(start: Adapter) -> Adapter:
    rng = np.random.default_rng(1)
    return start.map(lambda m: Module(m.B + 1e-3 * rng.normal(size=m.B.shape), m.A, m.scale))


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    block=st.sampled_from([16, 64, 128]),
    size=st.sampled_from([0.0, 1e-42, 1e-30, 1e-3, 1.0, 1e9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_that_no_value_is_further_off_than_its_block_allows(
    dtype: Packed, shape: tuple[int, int], block: int, size: float, seed: int
) -> None:
    matrix = (np.random.default_rng(seed).standard_t(3, shape) * size).clip(-1e9, 1e9).astype(np.float32)
    coded = encoded(matrix, dtype, block)
    assert (coded.values.size, 0 if coded.scales is None else coded.scales.size) == lengths(matrix.size, dtype, block)
    there = decoded(coded, shape, dtype, block).reshape(-1)
    flat = matrix.reshape(-1)
    for at in range(0, flat.size, block):
        part, most = flat[at : at + block], float(np.abs(flat[at : at + block]).max())
        assert (
            float(np.abs(there[at : at + block] - part).max()) <= FURTHEST[dtype] * most * 1.01 + 1e-40
        )  # where bfloat16 ends
    assert not there[flat == 0].any()


def test_that_bfloat16_rounds_to_the_nearest_and_up_where_asked() -> None:
    values = np.array([1.0, 1.00390625, 1.0078125, 1.01171875, -1.001, 0.0, -0.0], np.float32)
    assert from_bfloat16(to_bfloat16(values)).tolist() == [1.0, 1.0, 1.0078125, 1.015625, -1.0, 0.0, -0.0]
    assert from_bfloat16(to_bfloat16(values, up=True)).tolist()[1:5] == [1.0078125, 1.0078125, 1.015625, -1.0078125]


@pytest.mark.parametrize("factor", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_that_one_factor_travels_alone(tmp_path: Path, dtype: Packed, factor: Factor) -> None:
    start, packing = example(2), Packing(dtype, 16)
    trained = near(start, 1)
    blob, adapter = packed(trained, start, packing, (factor,))
    found = read(tmp_path, blob, packing, start, (factor,))
    other = "B" if factor == "A" else "A"
    for name in (Q, V):
        assert np.array_equal(getattr(found[name], factor), getattr(adapter[name], factor))
        assert np.array_equal(getattr(found[name], other), getattr(start[name], other))
        assert np.array_equal(getattr(adapter[name], other), getattr(trained[name], other))
    assert f"lora_{other}" not in blob.decode("latin-1")


def test_that_a_smaller_site_sends_differences_from_the_first_directions(tmp_path: Path) -> None:
    start, packing = example(2, rank=4), Packing("int8", 16, "first")
    begun = start.map(lambda m: algebra.module_cut(m, 2, "first"))
    trained = near(begun, 1)
    blob, adapter = packed(trained, start, packing, BOTH)
    assert read(tmp_path, blob, packing, start) == adapter
    assert algebra.distance(adapter, trained) < 0.02 * algebra.distance(trained, begun)


@pytest.mark.parametrize("cut", ["best", "first"])
def test_that_a_larger_site_sends_differences_from_the_start_with_zeros_where_it_ends(
    tmp_path: Path, cut: algebra.Cut
) -> None:
    start, packing = example(2, rank=4), Packing("int8", 16, cut)
    trained = near(start.map(lambda m: extended(m, 6)), 1)
    blob, adapter = packed(trained, start, packing, BOTH)
    assert read(tmp_path, blob, packing, start) == adapter and set(adapter.ranks.values()) == {6}
    assert algebra.distance(adapter, trained) < 0.02 * algebra.distance(trained, start)
    assert rb"\"whole\":[]" in blob


def test_that_a_module_with_zeros_for_more_directions_does_the_same() -> None:
    module = example(2, rank=4)[Q]
    wider = extended(module, 6)
    assert (wider.rank, extended(module, 4), extended(module, 2)) == (6, module, module)
    assert np.array_equal(wider.B @ wider.A, module.B @ module.A)


def test_that_what_has_no_common_start_travels_whole(tmp_path: Path) -> None:
    rank = 2
    start, packing, trained = example(2, rank=4), Packing("int4", 16, "best"), example(3, rank)
    blob, adapter = packed(trained, start, packing, BOTH)
    assert read(tmp_path, blob, packing, start) == adapter
    assert np.array_equal(adapter[Q].A, from_bfloat16(to_bfloat16(trained[Q].A)))
    with pytest.raises(UserFacingError, match=r"lora\.packed"):  # said of a module that has one
        read(tmp_path, blob, packing, example(2, rank))


def test_that_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    start = example(2)
    for dtype in ("int8", "int4"):
        blob, _ = packed(near(start, 1), start, Packing(dtype, 16), BOTH)  # type: ignore[arg-type]
        tensors = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        assert sorted(tensors) == sorted(
            ["__metadata__", *(f"{n}.lora_{f}{end}" for n in (Q, V) for f in BOTH for end in ("", ".scale"))]
        )
        path = tmp_path / "update"
        path.write_bytes(blob)
        with safetensors.safe_open(path, "np") as file:
            said = json.loads(file.metadata()[METADATA_KEY])
            assert file.get_tensor(f"{Q}.lora_A").dtype == (np.int8 if dtype == "int8" else np.uint8)
        assert said == {
            "block": 16, "dtype": dtype, "factors": ["A", "B"], "format": 1, "whole": [],
            "modules": {Q: [37, 45, 2, 2.0], V: [3, 5, 2, 0.1]},
        }  # fmt: skip


# -- nothing else is believed ------------------------------------------------------------------------------------------

START = example(2)
PACKING = Packing("int4", 16)
BLOB = packed(near(START, 1), START, PACKING, BOTH)[0]


def header_of(blob: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(blob[:8], "little")
    return json.loads(blob[8 : 8 + length]), 8 + length


def said(**changes: Any) -> bytes:
    """The blob with other metadata, written as ours are."""
    header, begin = header_of(BLOB)
    found = json.loads(header["__metadata__"][METADATA_KEY]) | changes
    header["__metadata__"][METADATA_KEY] = json.dumps(found, separators=(",", ":"))
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + BLOB[begin:]


def at(tensor: str, data: bytes, blob: bytes = BLOB) -> bytes:
    """The blob with other bytes at a tensor's beginning (its end, with "-" before the name)."""
    header, begin = header_of(blob)
    first, last = header[tensor.removeprefix("-")]["data_offsets"]
    place = begin + (last - len(data) if tensor.startswith("-") else first)
    return blob[:place] + data + blob[place + len(data) :]


INT8 = packed(near(START, 1), START, Packing("int8", 16), BOTH)[0]
HALF = packed(near(START, 1), START, PACKING, ("A",))[0]
GOOD = {Q: [37, 45, 2, 2.0], V: [3, 5, 2, 0.1]}


@pytest.mark.parametrize(
    ("blob", "code"),
    [
        (START.to_blob(), "lora.metadata"),
        (INT8, "lora.metadata"),
        (HALF, "lora.metadata"),
        (said(format=2), "lora.metadata"),
        (said(format=True), "lora.not_canonical"),
        (said(block=32), "lora.metadata"),
        (said(block=16.0), "lora.not_canonical"),
        (said(more=1), "lora.metadata"),
        (said(modules={}), "lora.adapter_empty"),
        (said(modules=[1]), "lora.adapter_empty"),
        (said(modules={Q: GOOD[Q]}), "lora.not_canonical"),
        (said(modules=GOOD | {"x": [1, 1, 1, 1.0]}), "lora.not_canonical"),
        (said(modules=GOOD | {V: [3, 5, 2]}), "lora.metadata"),
        (said(modules=GOOD | {V: [3, 5, 2, 0.1, 1]}), "lora.metadata"),
        (said(modules=GOOD | {V: [3, 5, True, 0.1]}), "lora.metadata"),
        (said(modules=GOOD | {V: [0, 5, 2, 0.1]}), "lora.metadata"),
        (said(modules=GOOD | {V: [2**31, 2**31, 2**31, 0.1]}), "lora.metadata"),
        (said(modules=GOOD | {V: [2**30, 2**30, 2**30, 0.1]}), "lora.not_canonical"),
        (said(modules=GOOD | {V: [3, 5, 2, -0.1]}), "lora.scale"),
        (said(modules=GOOD | {"no name": [3, 5, 2, 0.1]}), "lora.module_name"),
        (said(whole=[V]), "lora.not_canonical"),
        (said(whole=["x"]), "lora.metadata"),
        (said(whole=[[]]), "lora.metadata"),
        (said(whole=V), "lora.metadata"),
        (BLOB[:-1], "lora.tensor_entry"),
        (BLOB + b"\0", "lora.file_size"),
        (at(f"{Q}.lora_A.scale", b"\x80\x7f"), "lora.packed"),  # infinite
        (at(f"{Q}.lora_A.scale", b"\xc0\x7f"), "lora.packed"),  # no number
        (at(f"{V}.lora_B.scale", b"\x80\xbf"), "lora.packed"),  # -1
        (at(f"{V}.lora_B.scale", b"\x00\x80"), "lora.packed"),  # -0
    ],
)
def test_that_anything_else_is_refused(tmp_path: Path, blob: bytes, code: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        read(tmp_path, blob, PACKING, START)
    assert caught.value.code == code and told(caught.value)


def test_that_codes_which_nobody_writes_are_refused(tmp_path: Path) -> None:
    start = Adapter.initial({Q: (3, 3)}, 1, 1.0, 1)  # three values: half a byte is spare
    blob, _ = packed(near_of(start), start, PACKING, BOTH)
    assert read(tmp_path, blob, PACKING, start).names == (Q,)
    for data, packing in (
        (at(f"-{Q}.lora_A", b"\x17", blob), PACKING),
        (at(f"{Q}.lora_A", b"\x80", INT8), Packing("int8", 16)),
    ):
        with pytest.raises(UserFacingError, match=r"lora\.packed"):
            read(tmp_path, data, packing, start if packing is PACKING else START)


def test_that_values_out_of_range_are_refused(tmp_path: Path) -> None:
    packing = Packing("bfloat16", 16)
    blob, _ = packed(near(START, 1), START, packing, BOTH)
    for value in (b"\x80\x7f", b"\xc0\xff"):
        with pytest.raises(UserFacingError) as caught:
            read(tmp_path, at(f"{V}.lora_A", value, blob), packing, START)
        assert caught.value.code == "lora.tensor_not_finite" and V in told(caught.value)


@pytest.mark.parametrize("other", [example(2).map(lambda m: Module(m.B[:2], m.A, m.scale)), example(2, rank=3)])
def test_that_another_start_is_noticed(tmp_path: Path, other: Adapter) -> None:
    with pytest.raises(UserFacingError) as caught:
        read(tmp_path, BLOB, PACKING, other)
    assert caught.value.code in ("lora.shapes_differ", "lora.packed")


def test_that_a_missing_file_an_unknown_module_and_other_bytes_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        PackedReader(tmp_path / "none", PACKING, BOTH, START)
    assert caught.value.code == "lora.file_missing"
    reader = opened(tmp_path, BLOB, PACKING, START)
    with pytest.raises(UserFacingError) as caught:
        reader.module("x")
    assert caught.value.code == "lora.module_unknown"
    (tmp_path / "update").write_bytes(at(f"{Q}.lora_A", b"\x11"))
    with pytest.raises(UserFacingError) as caught, reader:
        reader.module(Q)
    assert caught.value.code == "lora.file_damaged"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_that_changed_bytes_are_refused_in_words_or_read_as_finite_numbers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    blob, packing = data.draw(st.sampled_from([(BLOB, PACKING), (INT8, Packing("int8", 16))]))
    rng = random.Random(data.draw(st.integers(0, 2**32 - 1)))
    changed = data.draw(st.sampled_from([changed_blob, _damaged]))(blob, rng) or b""
    folder = tmp_path_factory.getbasetemp()
    try:
        found = read(folder, changed, packing, START)
    except UserFacingError as error:
        assert told(error)
    else:
        assert found.shapes == START.shapes


def _damaged(blob: bytes, rng: random.Random) -> bytes:
    """Some bytes replaced, cut out or put in."""
    data = bytearray(blob)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data))
        data[place : place + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
    return bytes(data)
