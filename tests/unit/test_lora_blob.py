# SPDX-License-Identifier: Apache-2.0
"""A blob is one exact encoding, and nothing else is believed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.blob import METADATA_KEY, BlobReader, read_blob_header
from fedmed_desktop.lora.tensorfile import MAX_HEADER_BYTES
from fedmed_desktop.wording import SENTENCES, told
from tests.parts.told import told_as

Q = "model.layers.0.self_attn.q_proj"
V = "model.layers.0.self_attn.v_proj"
Header = dict[str, Any]


def example(seed: int = 0) -> Adapter:
    rng = np.random.default_rng(seed)
    q = Module(rng.normal(size=(6, 2)), rng.normal(size=(2, 5)), 2.0)
    v = Module(rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), 0.1)
    return Adapter({Q: q, V: v})


def split(blob: bytes) -> tuple[Header, bytes]:
    length = int.from_bytes(blob[:8], "little")
    return json.loads(blob[8 : 8 + length]), blob[8 + length :]


def join(header: Header | bytes, data: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + data


def said(header: Header) -> Header:
    return json.loads(header["__metadata__"][METADATA_KEY])


def say(header: Header, **changes: Any) -> None:
    header["__metadata__"][METADATA_KEY] = json.dumps(said(header) | changes, separators=(",", ":"))


def refused(blob: bytes) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        Adapter.from_blob(blob)
    assert caught.value.code in SENTENCES
    return caught.value


def test_that_a_blob_comes_back_to_the_same_adapter_without_a_copy() -> None:
    adapter = example()
    blob = adapter.to_blob()
    back = Adapter.from_blob(blob)
    assert back.sha256 == adapter.sha256
    assert back.to_blob() == blob
    for name, module in adapter.items():
        np.testing.assert_array_equal(back[name].A, module.A)
        np.testing.assert_array_equal(back[name].B, module.B)
        assert back[name].scale == module.scale
    assert np.shares_memory(back[Q].A, np.frombuffer(blob, np.uint8))


def test_that_a_blob_in_writable_memory_is_copied() -> None:
    memory = bytearray(example().to_blob())
    adapter = Adapter.from_blob(memoryview(memory))
    memory[-4:] = b"\0\0\0\0"
    assert adapter == example()


def test_that_the_order_of_making_does_not_change_the_bytes() -> None:
    adapter = example()
    turned = Adapter({V: Module(np.asfortranarray(adapter[V].B), adapter[V].A.astype(np.float64), 0.1), Q: adapter[Q]})
    assert turned.to_blob() == adapter.to_blob()


def test_that_the_scale_is_part_of_what_is_hashed() -> None:
    adapter = example()
    other = adapter.map(lambda module: Module(module.B, module.A, module.scale * 2))
    assert other.sha256 != adapter.sha256


def test_that_the_safetensors_library_reads_a_blob(tmp_path: Path) -> None:
    adapter, path = example(), tmp_path / "adapter.safetensors"
    path.write_bytes(adapter.to_blob())
    tensors = safetensors.numpy.load_file(path)
    assert sorted(tensors) == [f"{Q}.lora_A", f"{Q}.lora_B", f"{V}.lora_A", f"{V}.lora_B"]
    np.testing.assert_array_equal(tensors[f"{Q}.lora_A"], adapter[Q].A)
    np.testing.assert_array_equal(tensors[f"{V}.lora_B"], adapter[V].B)
    with safetensors.safe_open(path, "np") as file:
        assert list(file.metadata()) == [METADATA_KEY]
        told = json.loads(file.metadata()[METADATA_KEY])
    assert told == {"dtype": "float32", "format": 1, "scales": {Q: 2.0, V: 0.1}}


def test_that_tensors_begin_at_a_multiple_of_eight_bytes() -> None:
    for name in ("m", "mm", "mmm", "mmmm", "mmmmm"):
        blob = Adapter.initial({name: (3, 5)}, rank=1, scale=1.0, seed=0).to_blob()
        assert (8 + int.from_bytes(blob[:8], "little")) % 8 == 0


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_-]{1,8}(\.[A-Za-z0-9_-]{1,8}){0,3}", fullmatch=True),
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
        min_size=1,
        max_size=6,
    ),
    st.floats(1e-300, 1e300),
)
def test_that_any_adapter_survives_its_blob(layout: dict[str, tuple[int, int, int]], scale: float) -> None:
    rng = np.random.default_rng(0)
    adapter = Adapter(
        {n: Module(rng.normal(size=(d, r)), rng.normal(size=(r, k)), scale) for n, (d, k, r) in layout.items()}
    )
    assert Adapter.from_blob(adapter.to_blob()) == adapter
    assert Adapter.from_blob(adapter.to_blob()).ranks == adapter.ranks


# One hostile change of the header each, with the code it must be refused by.
def _offsets(begin: int, end: int) -> Callable[[Header], None]:
    return lambda h: h[f"{Q}.lora_A"].update(data_offsets=[begin, end])


def _entry(**changes: Any) -> Callable[[Header], None]:
    return lambda h: h[f"{Q}.lora_A"].update(changes)


def _swap_modules(h: Header) -> None:
    for key in (f"{Q}.lora_A", f"{Q}.lora_B"):
        h[key] = h.pop(key)


HOSTILE: dict[str, tuple[Callable[[Header], Any], str]] = {
    "negative offset": (_offsets(-8, 32), "lora.tensor_entry"),
    "reversed offsets": (_offsets(40, 0), "lora.tensor_entry"),
    "overlap": (lambda h: h[f"{Q}.lora_B"].update(data_offsets=[32, 80]), "lora.tensor_entry"),
    "gap": (lambda h: h[f"{Q}.lora_B"].update(data_offsets=[48, 96]), "lora.tensor_entry"),
    "beyond the end": (lambda h: h[f"{V}.lora_B"].update(shape=[2**20, 4], data_offsets=[168, 168 + 2**24]), "lora.te"),
    "boolean offset": (_offsets(False, 40), "lora.tensor_entry"),  # type: ignore[arg-type]
    "fractional offset": (_offsets(0.0, 40.0), "lora.tensor_entry"),  # type: ignore[arg-type]
    "three offsets": (_entry(data_offsets=[0, 40, 40]), "lora.tensor_entry"),
    "huge shape": (_entry(shape=[2**62, 2**62]), "lora.tensor_entry"),
    "many dimensions": (_entry(shape=[1] * 30), "lora.tensor_entry"),
    "flat factor": (_entry(shape=[10]), "lora.factor_shape"),
    "four-dimensional factor": (_entry(shape=[2, 5, 1, 1]), "lora.factor_shape"),
    "empty factor": (_entry(shape=[0, 5], data_offsets=[0, 0]), "lora.tensor_entry"),
    "rank of A unlike rank of B": (_entry(shape=[5, 2]), "lora.factor_shape"),
    "unknown dtype": (_entry(dtype="F8_E5M2"), "lora.tensor_dtype"),
    "dtype that is a list": (_entry(dtype=["F32"]), "lora.tensor_dtype"),
    "known dtype of another format": (_entry(dtype="F16", shape=[2, 10]), "lora.tensor_dtype"),
    "further field": (_entry(note="x"), "lora.tensor_entry"),
    "entry that is a list": (lambda h: h.update({f"{Q}.lora_A": []}), "lora.tensor_entry"),
    "stranger": (lambda h: h.update({"stranger": h.pop(f"{Q}.lora_A")}), "lora.partner_missing"),
    "tensor of no module": (lambda h: say(h, scales={V: 0.1}), "lora.tensor_unknown"),
    "module without tensors": (lambda h: say(h, scales=said(h)["scales"] | {"other": 1.0}), "lora.partner_missing"),
    "no metadata": (lambda h: h.pop("__metadata__"), "lora.metadata"),
    "further metadata": (lambda h: h["__metadata__"].update(made="today"), "lora.metadata"),
    "metadata that are numbers": (lambda h: h.update(__metadata__={METADATA_KEY: 3}), "lora.file_header"),
    "metadata that are no JSON": (lambda h: h.update(__metadata__={METADATA_KEY: "{"}), "lora.file_header"),
    "further statement": (lambda h: say(h, note="x"), "lora.metadata"),
    "too new a format": (lambda h: say(h, format=2), "lora.format_too_new"),
    "format that is a boolean": (lambda h: say(h, format=True), "lora.metadata"),
    "other dtype stated": (lambda h: say(h, dtype="bfloat16"), "lora.tensor_dtype"),
    "no scales": (lambda h: say(h, scales={}), "lora.adapter_empty"),
    "negative scale": (lambda h: say(h, scales={Q: -1.0, V: 0.1}), "lora.scale"),
    "infinite scale": (lambda h: h["__metadata__"].update({METADATA_KEY: _infinite(h)}), "lora.scale"),
    "NaN scale": (lambda h: say(h, scales={Q: float("nan"), V: 0.1}), "lora.file_header"),
    "scale that is text": (lambda h: say(h, scales={Q: "2", V: 0.1}), "lora.scale"),
    "malformed name": (lambda h: say(h, scales={"a b": 2.0}), "lora.module_name"),
    "scales in another order": (lambda h: say(h, scales={V: 0.1, Q: 2.0}), "lora.not_canonical"),
    "entries in another order": (_swap_modules, "lora.not_canonical"),
}


def _infinite(header: Header) -> str:
    return header["__metadata__"][METADATA_KEY].replace("2.0", "1e999")


@pytest.mark.parametrize("fault", HOSTILE)
def test_that_a_hostile_header_is_refused_in_words(fault: str) -> None:
    change, code = HOSTILE[fault]
    header, data = split(example().to_blob())
    change(header)
    assert refused(join(header, data)).code.startswith(code)


def test_that_exactly_the_canonical_bytes_are_accepted() -> None:
    header, data = split(example().to_blob())
    assert join(header, data) == example().to_blob()  # so that each refusal above is due to its one change
    spaced = json.dumps(header).encode()
    assert refused(join(spaced, data)).code == "lora.not_canonical"


def test_that_a_repeated_key_is_refused() -> None:
    header, data = split(example().to_blob())
    raw = json.dumps(header, separators=(",", ":")).encode()
    twice = raw[:-1] + b',"' + f"{Q}.lora_A".encode() + b'":{}}'
    assert "twice" in told(refused(join(twice, data)))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe{}", b"[" * 100_000, b"9" * 10_000, b'{"a":NaN}'])
def test_that_a_header_that_is_no_json_object_is_refused(text: bytes) -> None:
    assert refused(join(text, b"")).code == "lora.file_header"


def test_that_too_large_a_header_is_refused_before_it_is_read() -> None:
    class Probe(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None and 0 <= size <= 8
            return super().read(size)

    claim = (MAX_HEADER_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(UserFacingError) as caught:
        read_blob_header(Probe(claim + bytes(MAX_HEADER_BYTES + 1)))
    assert caught.value.code == "lora.file_header_size"
    assert refused(b"\xff" * 8).code == "lora.file_header_size"


@settings(max_examples=60)
@given(st.data())
def test_that_a_blob_cut_anywhere_or_with_bytes_behind_is_refused(data: st.DataObject) -> None:
    blob = example().to_blob()
    cut = data.draw(st.integers(0, len(blob) - 1))
    assert refused(blob[:cut]).code.startswith("lora.")
    assert refused(blob + b"\0" * data.draw(st.integers(1, 9))).code == "lora.file_size"


@settings(max_examples=150)
@given(st.data())
def test_that_a_damaged_byte_is_refused_or_gives_another_hash(data: st.DataObject) -> None:
    blob = bytearray(example().to_blob())
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    try:
        adapter = Adapter.from_blob(bytes(blob))
    except UserFacingError:
        return
    assert adapter.to_blob() == bytes(blob)
    assert adapter.sha256 != example().sha256


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_that_values_that_are_not_finite_are_refused_by_the_tensors_name(value: float, tmp_path: Path) -> None:
    blob = example().to_blob()
    broken = blob[:-4] + np.float32(value).tobytes()
    error = refused(broken)
    assert (error.code, error.params["tensor"]) == ("lora.tensor_not_finite", f"{V}.lora_B")
    (tmp_path / "blob").write_bytes(broken)
    with BlobReader(tmp_path / "blob") as reader, told_as(r"v_proj\.lora_B"):
        assert reader.module(Q).rank == 2
        reader.module(V)


def test_that_names_from_outside_are_cut_and_escaped_in_messages() -> None:
    header, data = split(example().to_blob())
    header["\x1b[2J" + "x" * 5000] = header.pop(f"{Q}.lora_A") | {"dtype": "?"}
    text = told(refused(join(header, data)))
    assert text.isprintable() and len(text) < 400


def test_that_a_reader_gives_each_module_and_reads_only_its_bytes(tmp_path: Path) -> None:
    adapter, path = example(), tmp_path / "blob"
    path.write_bytes(adapter.to_blob())
    reader = BlobReader(path)
    assert reader.names == (Q, V)
    with path.open("r+b") as file:  # the other module's damage is not seen, since its bytes are not read
        file.seek(-4, os.SEEK_END)
        file.write(np.float32(np.nan).tobytes())
    with reader:
        module = reader.module(Q)
    np.testing.assert_array_equal(module.B, adapter[Q].B)
    np.testing.assert_array_equal(module.A, adapter[Q].A)
    assert module.scale == adapter[Q].scale


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed by Linux only")
def test_that_a_reader_keeps_the_file_open_only_inside_its_with_block(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(example().to_blob())

    def is_open() -> bool:
        return any(link.is_symlink() and link.readlink() == path for link in Path("/proc/self/fd").iterdir())

    reader = BlobReader(path)
    assert not is_open()
    with reader:
        reader.module(V)
        assert is_open()
    assert not is_open()
    assert reader.module(V).rank == 4  # opened for this one read
    assert not is_open()


def test_that_a_reader_names_what_it_lacks(tmp_path: Path) -> None:
    with told_as("absent"):
        BlobReader(tmp_path / "absent")
    path = tmp_path / "blob"
    path.write_bytes(example().to_blob())
    reader = BlobReader(path)
    with told_as("no module other"):
        reader.module("other")
    path.write_bytes(example().to_blob()[:-4])
    with told_as("incomplete"):
        reader.module(V)


def test_that_too_new_a_format_asks_for_an_update() -> None:
    header, data = split(example().to_blob())
    say(header, format=99)
    assert "Update fedmed-desktop" in told(refused(join(header, data)))
