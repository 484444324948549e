# SPDX-License-Identifier: Apache-2.0
"""Fitting of the common model to this site's notes: where there is something to fit, and how it is shown. No Qt."""

from __future__ import annotations

from ...federation.fitted import Outcome
from ...site.fitted import FITTED
from ...wording import together, tr, written
from ...wording.fitted import verdict
from ..look.runs import RunView, without_result
from ..work.desk import Desk
from ..work.judgement import Judgement, judged_values
from ..work.requests import FittingWanted


def fitting_for(desk: Desk) -> FittingWanted | None:
    """Request for a fitting; None before there is a final adapter here, and where the site has a model of its own, of
    which its method keeps a part here.
    """
    session, spec = desk.session, desk.spec
    is_over = desk.scored is not None if desk.is_demo else desk.record.final is not None
    if session is None or session.final is None or spec is None or not is_over or desk.has_own:
        return None
    return FittingWanted(
        spec=spec,
        site=session.site,
        notes=session.notes,
        types_map=session.types_map,
        model=session.model,
        common=session.final,
        folder=session.final.with_name(FITTED),
    )


def about_fitting(desk: Desk) -> str:
    """Says what the button does, before somebody presses it."""
    what = tr(
        "The common model goes on learning from your training notes, on this computer, in three passes over them. As "
        "much of that is kept as is best on your validation notes. Nothing is sent."
    )
    if desk.is_demo and desk.session:
        return together(what, tr("Here the example notes of {site} stand for yours.").format(site=desk.session.site))
    return what


def fitting_view(desk: Desk) -> RunView | None:
    """None where nothing was started yet. The model of an earlier fitting outlasts one that is stopped or fails."""
    shown = desk.fitting
    if shown is None:
        return None
    if desk.fitted and shown.state in ("done", "stopped"):
        return _done(desk.fitted)
    match shown.state:
        case "waiting" | "stopped" | "failed":
            earlier = tr("The model that was fitted before is still here.") if desk.fitted and not shown.runs else ""
            return without_result(shown.state, tr("Not fitted"), together(shown.sentence, earlier))
        case "training":
            said = tr("Step {done} of {total}").format(done=written(shown.done), total=written(shown.total))
            return RunView(tr("Learning from your notes…"), "dim", said, shown.done / shown.total)
        case "scoring":
            return RunView(tr("Comparing on your validation notes…"), "dim", "", shown.done / shown.total)
    return RunView(tr("Reading the notes and the model…"), "dim")


def _done(found: Outcome) -> RunView:
    judged = judged_values(found.before, found.after, found.notes, "")
    on = tr("Measured on %n validation note(s).", "", found.notes)
    if judged.way in ("better", "worse") and not judged.is_sure:
        on = tr("Measured on %n validation note(s): so small a difference may be chance.", "", found.notes)
    where = tr("You can choose it under Try it, and save it from there.") if found.has_gained else ""
    keep = tr("Its last training was on your notes alone: keep it at your site.") if found.has_gained else ""
    rows = tuple((_named(share, found), written(loss, ".3f")) for share, loss in found.losses)
    headings = tr("Share from your notes"), tr("Loss")
    return RunView(verdict(found), _tone(found, judged), together(on, where, keep), None, headings, rows)


def _tone(found: Outcome, judged: Judgement) -> str:
    if not found.has_gained:
        return "dim"
    if judged.way == "worse":
        return "warn"
    return "ok" if judged.way == "unknown" or (judged.way == "better" and judged.is_sure) else "dim"


def _named(share: float, found: Outcome) -> str:
    names = tr("the common model") if not share else "", tr("taken") if share == found.share else ""
    return " · ".join(filter(None, (written(share, ".0%"), *names)))
