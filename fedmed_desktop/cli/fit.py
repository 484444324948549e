# SPDX-License-Identifier: Apache-2.0
"""`--fit`: an adapter of a federation, fitted to one site's own notes, and what that is worth there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserFacingError
from .numbers import positive
from .outputs import check_new
from .parser import Parser

if TYPE_CHECKING:
    from rich.console import Console

    from ..federation import FederationSpec
    from ..federation.fitted import Outcome
    from ..training.fitted import Fitting


def run(argv: list[str]) -> int:
    """Fits, writes the adapter and prints what each share of the way is worth. Raises UserFacingError."""
    options = _parser().parse_args(argv)
    from rich.console import Console

    from ..clinical import read_notes_folder
    from ..federation.fitted import FittedSettings
    from ..site.fitted import common_adapter, keep_fitted
    from ..training.model_folder import resolve_model
    from ..wording.fitted import write_fitted_card

    # What can be wrong at once comes before torch, which takes seconds to load.
    spec, where, out = _given(options)
    model = resolve_model(options.model)
    common = common_adapter(where, spec, model)
    notes = read_notes_folder(options.notes)
    from ..training.fitted import fit
    from ..training.loading import LoadedBase
    from ..training.preparation import trainer_factory

    console = Console(markup=False, emoji=False)
    base = LoadedBase(model, "nf4" if options.nf4 else None, options.threads)
    trainer = trainer_factory(base, options.notes.name, notes, options.notes, types_file=options.types_map)(spec)
    settings = FittedSettings(steps=options.steps)
    with console.status("begins") as status:
        fitted = fit(trainer, spec, common, settings, lambda fitting: status.update(_progress(fitting)))
    outcome = fitted.outcome(len(notes.validation))
    keep_fitted(out, fitted.adapter, outcome, options.model)
    write_fitted_card(out, spec, outcome, options.model)
    _print(console, outcome, options.notes)
    console.print(
        f"Adapter: {out}. It was trained on this site's notes alone: keep it at your site.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --fit",
        description="Train a federation's adapter on for some steps with this site's own notes, and take as much of "
        "that as is best on its validation notes. Nothing is sent.",
    )
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the site that took part")
    whose.add_argument("--federation", type=Path, metavar="SPEC", help="or the federation's specification")
    parser.add_argument("--model", required=True, metavar="PATH_OR_ID", help="the federation's base model")
    parser.add_argument("--notes", required=True, type=Path, metavar="FOLDER", help="train and validation, as --site")
    parser.add_argument("--types-map", type=Path, metavar="FILE", help="types map (default: types.toml in there)")
    parser.add_argument("--adapter", type=Path, metavar="FOLDER", help="default: final in the site's folder")
    parser.add_argument("--steps", type=positive, metavar="N", help="default: three passes over the notes")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: fitted in the site's folder")
    parser.add_argument("--nf4", action="store_true", help="load the base model in 4 bits (bitsandbytes)")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads (default: all but one)")
    return parser


def _given(options: argparse.Namespace) -> tuple[FederationSpec, Path, Path]:
    """The federation, the adapter's folder and the one to write into. Raises UserFacingError."""
    from ..federation.spec import load_spec
    from ..site.fitted import FINAL, FITTED, OWN
    from ..site.folder import known_spec

    if options.out is not None:  # `fitted` in the site's folder is the program's own
        check_new(options.out, "--out")
    if options.federation is not None:
        if options.adapter is None or options.out is None:
            raise UserFacingError("fit.adapter_and_out")
        return load_spec(options.federation), options.adapter, options.out
    if (spec := known_spec(options.data_dir)) is None:
        raise UserFacingError("fit.no_federation", path=str(options.data_dir))
    if options.adapter is None and (own := options.data_dir / OWN).exists():
        raise UserFacingError("fit.has_own", path=str(own), method=spec.method.name)
    return spec, options.adapter or options.data_dir / FINAL, options.out or options.data_dir / FITTED


def _progress(fitting: Fitting) -> str:
    if fitting.part == "training":
        return f"trains: step {fitting.done} of {fitting.total}"
    return f"scores on the validation notes: {fitting.done} of {fitting.total}"


def _print(console: Console, found: Outcome, notes: Path) -> None:
    """The verdict in a sentence, then the loss of each share of the way."""
    from rich.table import Table

    from ..wording.fitted import verdict

    console.print(verdict(found), markup=False, highlight=False, soft_wrap=True)
    console.print(f"Loss on the validation notes of {notes.name}:", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("share of its own", "loss", ""):
        table.add_column(column, justify="right" if column else "left")
    for share, loss in found.losses:
        table.add_row(f"{share:.0%}", f"{loss:.4f}", "taken" if share == found.share else "")
    console.print(table)
