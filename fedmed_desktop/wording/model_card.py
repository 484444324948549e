# SPDX-License-Identifier: Apache-2.0
"""The model card of an exported adapter: README.md beside its weights, in the form that model hubs read.

It says what one site knows: its own updates and decisions, and what its probes found in them. No person is named and no
note's text is in it; whoever hands the folder on hands on these numbers too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .. import __version__
from ..federation import FederationSpec
from ..federation.gate import POLICY, RULE
from ..federation.work import Entry
from ..storage.outbox import Record
from .probes import revealed, verdict
from .whole_sites import budget_of_sites

CARD: Final = "README.md"
UNFIT: Final = (
    "whether it is fair to groups of patients, or safe to use: it is for research, not for diagnosis or treatment"
)
_NOT_MEASURED: Final = (
    "what other sites' updates reveal: each site looks at its own",
    "what the rounds reveal together: each is compared with the model that it began with",
    "attacks other than those above, such as rebuilding notes from an update alone, or prompts that somebody thinks up",
    UNFIT,
)


def write_model_card(folder: Path, record: Record, base_model: str) -> None:
    """Writes the card into a PEFT folder. Raises OSError."""
    (folder / CARD).write_text(model_card(record, base_model), encoding="utf-8")


def model_card(record: Record, base_model: str) -> str:
    """The whole card; `record` is of a federation that has finished."""
    return "\n".join(_lines(record, base_model)) + "\n"


def front(spec: FederationSpec, base_model: str, title: str) -> Iterator[str]:
    """The beginning of every card: for model hubs, its title, and what the adapter is."""
    # A path of this computer is nobody else's business; the name of its folder says which model.
    name = Path(base_model).name if Path(base_model).exists() else base_model
    yield from ("---", f"base_model: {name}", "library_name: peft", "tags: [lora, federated-learning, clinical]", "---")
    yield from ("", f"# {title}", "")
    yield (
        f"A LoRA adapter (PEFT) for {name}, trained by {spec.round.sites} sites in {spec.rounds} rounds without "
        f"pooling their notes. Written at one of the sites by fedmed-desktop {__version__}."
    )


def _lines(record: Record, base_model: str) -> Iterator[str]:
    spec = record.spec
    assert spec is not None  # there is no adapter of a federation that was not joined
    yield from front(spec, base_model, spec.name)
    yield from ("", "| | |", "| --- | --- |")
    yield f"| Method | {spec.method.name} |"
    yield f"| Tasks | {', '.join(spec.tasks)} |"
    yield f"| Entity types | {', '.join(spec.types) or 'none'} |"
    yield f"| Environment | {spec.environment} |"
    yield f"| Base model, sha256 | {spec.base.fingerprint} |"
    yield f"| Federation's adapter, sha256 | {record.final} |"
    yield f"| Privacy budget | {_budget(record)} |"
    if promise := budget_of_sites(spec):
        yield f"| Privacy budget of whole sites | {promise} |"
    yield from (
        "",
        "## What left this site",
        "",
        "| Round | Training notes | Decision | By |",
        "| --- | --- | --- | --- |",
    )
    trained = [entry for entry in record.entries if entry.update.report.kind == "train"]
    for entry in trained:
        notes = entry.evidence.training_notes or entry.update.report.notes
        yield f"| {entry.plan.round} | {notes:,} | {_STATES.get(entry.state, entry.state)} | {_by(entry, record)} |"
    yield from ("", "## What this site's updates may reveal", "")
    for entry in trained:
        yield f"**Round {entry.plan.round}.** {verdict(entry.evidence.probes)}"
        yield ""
        for row in revealed(entry):
            yield f"- {row.name}: {row.word}. {row.sentence} {row.numbers}".rstrip()
        yield ""
    yield from ("## What was not measured", "")
    yield from (f"- {text}" for text in _NOT_MEASURED)


_STATES = {"acknowledged": "received by the coordinator"}


def _budget(record: Record) -> str:
    """Words on how much of the site's privacy budget was spent, over all rounds."""
    privacy = record.spec.training.privacy if record.spec else None
    if privacy is None and record.spec and record.spec.client_privacy:
        return "none that protects single notes or patients"
    if privacy is None:
        return "differential privacy was not used"
    spent = max((entry.evidence.epsilon_spent or 0.0 for entry in record.entries), default=0.0)
    return f"epsilon {spent:.2f} of {privacy.epsilon:g} spent here, by {privacy.unit} (delta {privacy.delta:g})"


def _by(entry: Entry, record: Record) -> str:
    """Names who decided last, by kind and not by name."""
    words = {RULE: "a rule", POLICY: "the site's policy", "agent": "the program"}
    deciding = ("first_approved", "approved", "kept", "expired")
    last = next((d for d in reversed(record.decisions) if d.sha256 == entry.sha256 and d.decision in deciding), None)
    return "nobody yet" if last is None else words.get(last.by, "a person")
