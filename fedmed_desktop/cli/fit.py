# SPDX-License-Identifier: Apache-2.0
"""`--fit`: an adapter of a federation, fitted to one site's own notes, and what that is worth there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserFacingError
from .numbers import positive

if TYPE_CHECKING:
    from rich.console import Console

    from ..federation import FederationSpec
    from ..training.fitted import Fitted, Fitting

FITTED = "fitted"
_FINAL = "final"


def run(argv: list[str]) -> int:
    """Fits, writes the adapter and prints what each share of the way is worth. Raises UserFacingError."""
    options = _parser().parse_args(argv)
    from rich.console import Console

    from ..clinical import read_notes_folder
    from ..federation.fitted import FittedSettings
    from ..lora.base_model import fingerprint
    from ..lora.load import load_adapter
    from ..training.model_folder import resolve_model

    # What can be wrong at once comes before torch, which takes seconds to load.
    spec, where, out = _given(options)
    common, model = load_adapter(where), resolve_model(options.model)
    if (found := fingerprint(model)) != spec.base.fingerprint:
        raise UserFacingError("join.other_base", found=found[:12], expected=spec.base.fingerprint[:12])
    notes = read_notes_folder(options.notes)
    from ..training.fitted import fit
    from ..training.loading import LoadedBase
    from ..training.preparation import trainer_factory

    console = Console()
    base = LoadedBase(model, "nf4" if options.nf4 else None, options.threads)
    trainer = trainer_factory(base, options.notes.name, notes, options.notes, types_file=options.types_map)(spec)
    settings = FittedSettings(steps=options.steps)
    with console.status("begins") as status:
        fitted = fit(trainer, spec, common, settings, lambda fitting: status.update(_progress(fitting)))
    fitted.adapter.save_peft(out, options.model)
    _print(console, fitted, options.notes)
    console.print(
        f"Adapter: {out}. It was trained on this site's notes alone: keep it at your site.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedmed-desktop --fit",
        description="Train a federation's adapter on for some steps with this site's own notes, and take as much of "
        "that as is best on its validation notes. Nothing is sent.",
        allow_abbrev=False,
    )
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the site that took part")
    whose.add_argument("--federation", type=Path, metavar="SPEC", help="or the federation's specification")
    parser.add_argument("--model", required=True, metavar="PATH_OR_ID", help="the federation's base model")
    parser.add_argument("--notes", required=True, type=Path, metavar="FOLDER", help="train and validation, as --site")
    parser.add_argument("--types-map", type=Path, metavar="FILE", help="types map (default: types.toml in there)")
    parser.add_argument("--adapter", type=Path, metavar="FOLDER", help=f"default: {_FINAL} in the site's folder")
    parser.add_argument("--steps", type=positive, metavar="N", help="default: as many as in all rounds")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"default: {FITTED} in the site's folder")
    parser.add_argument("--nf4", action="store_true", help="load the base model in 4 bits (bitsandbytes)")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads (default: all but one)")
    return parser


def _given(options: argparse.Namespace) -> tuple[FederationSpec, Path, Path]:
    """The federation, the adapter's folder and the one to write into. Raises UserFacingError."""
    from ..federation.spec import load_spec
    from ..site.folder import known_spec

    if options.federation is not None:
        if options.adapter is None or options.out is None:
            raise UserFacingError("fit.adapter_and_out")
        return load_spec(options.federation), options.adapter, options.out
    if (spec := known_spec(options.data_dir)) is None:
        raise UserFacingError("fit.no_federation", path=str(options.data_dir))
    adapter = options.adapter or options.data_dir / _FINAL
    if not adapter.exists():
        raise UserFacingError("fit.not_finished", path=str(adapter))
    return spec, adapter, options.out or options.data_dir / FITTED


def _progress(fitting: Fitting) -> str:
    if fitting.part == "training":
        return f"trains: step {fitting.done} of {fitting.total}"
    return f"scores on the validation notes: {fitting.done} of {fitting.total}"


def _print(console: Console, found: Fitted, notes: Path) -> None:
    """The verdict in a sentence, then the loss of each share of the way."""
    from rich.table import Table

    console.print(_verdict(found), markup=False, highlight=False, soft_wrap=True)
    console.print(f"Loss on the validation notes of {notes.name}:", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("share of its own", "loss", ""):
        table.add_column(column, justify="right" if column else "left")
    for share, loss in found.losses.items():
        table.add_row(f"{share:.0%}", f"{loss:.4f}", "taken" if share == found.share else "")
    console.print(table)


def _verdict(found: Fitted) -> str:
    if not found.share:
        return "Nothing was gained by training on: the common adapter is kept as it is."
    way = f"Fitted: {found.share:.0%} of the way to an adapter of these notes alone."
    if not found.after.scores:
        return way
    return f"{way} It scores {found.after.scores.headline:.3f}, the common one {found.before.scores.headline:.3f}."
