# SPDX-License-Identifier: Apache-2.0
"""The device and number format of the base model, chosen once, with the reason as a sentence."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal

import psutil
import torch

from ..errors import UserFacingError

Quantization = Literal["none", "nf4"]
_MIB = 2**20

ENOUGH_FOR_BFLOAT16: Final = 50_000_000
"""Weights from which a CPU with units for bfloat16 computes in it. Measured with AVX512-BF16, tokens per CPU second:
0.9 times those of float32 at 5 million weights, 2.2 times at 100 million; the bound between them is inferred."""


@dataclass(frozen=True)
class Device:
    """`dtype` is that of the base's weights and of matrix products; LoRA factors are float32 everywhere."""

    name: Literal["cpu", "cuda"]
    dtype: torch.dtype
    quantization: Quantization
    reason: str

    @property
    def torch(self) -> torch.device:
        return torch.device(self.name)

    def autocast(self) -> AbstractContextManager[object]:
        """Products with float32 LoRA factors run in the base's dtype; nothing changes where that is float32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.name, self.dtype)

    def begin_peak(self) -> None:
        """Forgets earlier peaks of the GPU; the system keeps that of the process."""
        if self.name == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def peak_memory_mib(self) -> float:
        """Peak since `begin_peak`: allocated on the GPU; else the most that was resident in this process so far."""
        if self.name == "cuda":
            return torch.cuda.max_memory_allocated() / _MIB
        return peak_resident_mib()


def choose_device(
    quantization: Quantization | None = None, prefer: Literal["auto", "cpu", "cuda"] = "auto", weights: int = 0
) -> Device:
    """bf16 on a CUDA device that has it, else float16; float32 on the CPU; NF4 only if asked for.

    `weights`: how many the base has, if it may be held in bf16 on a CPU that has units for it, where that pays.

    Raises UserFacingError if CUDA is asked for and missing, or NF4 without bitsandbytes.
    """
    quantized: Quantization = quantization or "none"
    if quantized == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        raise UserFacingError("training.no_bitsandbytes")
    stored = " The base is held in 4 bits (NF4), as asked for." if quantized == "nf4" else ""
    if prefer == "cuda" and not torch.cuda.is_available():
        raise UserFacingError("training.no_cuda")
    if prefer == "cpu" or not torch.cuda.is_available():
        why = "as asked for" if prefer == "cpu" else "because no CUDA device was found"
        if quantized == "none" and weights >= ENOUGH_FOR_BFLOAT16 and has_bfloat16():
            return Device("cpu", torch.bfloat16, quantized, f"Training runs on the CPU in bfloat16, {why}.")
        return Device("cpu", torch.float32, quantized, f"Training runs on the CPU in float32, {why}.{stored}")
    card = torch.cuda.get_device_name()
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Device("cuda", torch.bfloat16, quantized, f"Training runs on {card} in bfloat16.{stored}")
    why = f"Training runs on {card} in float16, since it has no bfloat16.{stored}"
    return Device("cuda", torch.float16, quantized, why)


def has_bfloat16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16, AMX); torch before 2.13 does not tell."""
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def default_threads() -> int:
    """All cores but one, kept for the rest of the program: the screen stays smooth, training no slower (measured)."""
    return max(1, available_cores() - 1)


def available_cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int:
    """Memory of this machine in bytes: unlike free memory, the same in every run."""
    return int(psutil.virtual_memory().total)


def gpu_memory() -> tuple[str, int, int] | None:
    """Name, bytes and free bytes of the GPU that `choose_device` takes; None: it takes the CPU."""
    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return torch.cuda.get_device_name(), total, free


def peak_resident_mib() -> float:
    """Peak memory of this process so far."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / _MIB)
    import resource as posix  # missing on Windows

    peak = posix.getrusage(posix.RUSAGE_SELF).ru_maxrss
    return float(peak / _MIB if sys.platform == "darwin" else peak / 1024)
