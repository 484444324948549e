# SPDX-License-Identifier: Apache-2.0
"""The encoder baseline: one cell of token classification, by FedAvg of all trained weights, or by sites on their own.

Rounds, splits and the notes that it is measured on are those of the other cells. Bytes are those of the trained weights
in float32, fetched by each site before a round and sent after it, and fetched once more at the end. All sites take part
in each round; where a federation asks some of them, the encoder's sites do that share of their steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..federation import TrainingSettings
from ..scores import Scores
from ..storage.results import SiteRow
from ..training.device import choose_device
from ..training.encoder.model import Encoder, State
from ..training.encoder.tagging import Tagged, Tags
from ..training.encoder.training import EncoderTraining, averaged, evaluate, train
from .by_task import site_scores
from .cell import Measurement, steps_of
from .cells import Cell
from .engines import Measured, Size, Split
from .experiment import Experiment
from .partition import EVERYBODY, LabSite
from .rows import on_all_notes, together
from .simulate import Snapshot


@dataclass(frozen=True)
class _Member:
    """One that trains: its examples, its steps in a round, and the training notes by which it weighs."""

    name: str
    examples: Sequence[Tagged]
    steps: int
    notes: int


class EncoderRun:
    """One cell of the baseline "encoder". Raises UserFacingError where its folder is no encoder."""

    def __init__(self, experiment: Experiment, cell: Cell, sites: Sequence[LabSite], splits: Sequence[Split]) -> None:
        self._experiment, self._cell, self._splits = experiment, cell, splits
        self._settings = settings = experiment.encoder
        self._sites = sorted(sites, key=lambda site: site.name)
        tags, device = Tags(experiment.types), choose_device(None)
        if settings.folder is None:
            self._encoder = Encoder.from_scratch(tags, cell.seed, device, settings.max_tokens)
        else:
            self._encoder = Encoder.load(
                settings.folder,
                tags,
                cell.seed,
                device,
                max_tokens=settings.max_tokens,
                freeze_embeddings=settings.freeze_embeddings,
            )
        self._encoder.threads = experiment.threads
        self._start = self._encoder.state()
        self._members = [self._member(site) for site in self._sites]

    def run(self) -> Iterator[Measurement]:
        """All snapshots of the cell, each with measures of its own."""
        if self._cell.way == "alone":
            yield from self._alone()
        elif self._cell.way == "centralised":
            for snapshot in self._federation([self._everybody()], self._sites):
                yield snapshot, {}
        else:
            for snapshot in self._federation(self._members, self._sites):
                yield snapshot, {}

    def _alone(self) -> Iterator[Measurement]:
        """Every site's own model on its own notes; the last rows have the mean of its scores on all notes too."""
        found: dict[tuple[int, Split], list[Snapshot]] = {}
        everywhere: dict[Split, list[dict[str, Measured]]] = {split: [] for split in self._splits}
        for site, member in zip(self._sites, self._members, strict=True):
            for snapshot in self._federation([member], [site]):
                found.setdefault((snapshot.round, snapshot.split), []).append(snapshot)
            for split in self._splits:
                everywhere[split].append(self._measured(split, self._sites))
        for (number, split), snapshots in found.items():
            last = number == self._experiment.rounds and all(everywhere[split])
            yield together(snapshots), on_all_notes(everywhere[split], True) if last else {}

    def _federation(self, members: Sequence[_Member], judges: Sequence[LabSite]) -> Iterator[Snapshot]:
        """The common model before training and after each round on validation notes, then the last on test notes.

        It is left in the encoder. Of one member it is that member's own, and no bytes move.
        """
        start, rounds, size = self._start, self._experiment.rounds, self._encoder.bytes
        moved = size if len(members) > 1 else 0
        for number in range(rounds):
            self._encoder.put(start)
            yield self._snapshot(number, "validation", judges, members, moved)
            start = averaged((self._trained(member, start, number), member.notes) for member in members)
        self._encoder.put(start)
        for split in self._splits:
            if any(split == "validation" or site.notes.test for site in judges):
                yield self._snapshot(rounds, split, judges, members, moved)

    def _trained(self, member: _Member, start: State, number: int) -> State:
        settings, experiment = self._settings, self._experiment
        self._encoder.put(start)
        training = EncoderTraining(
            member.steps,
            settings.batch_size,
            settings.learning_rate,
            schedule=experiment.training.schedule,
            number=number + 1,
            rounds=experiment.rounds,
        )
        train(self._encoder, member.examples, training, _seed(self._cell.seed, number, member.name))
        return self._encoder.state()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _member(self, site: LabSite) -> _Member:
        experiment, settings = self._experiment, self._settings
        examples = self._encoder.tagger.tagged(site.notes.train, site.types)
        asked = experiment.clients / len(self._sites) if experiment.clients else 1.0
        size = Size(len(examples), sum(map(len, examples)), {})
        training = TrainingSettings(epochs=settings.epochs, batch_size=settings.batch_size)
        steps = max(1, round(asked * steps_of(size, training, site.speed, experiment.max_tokens_per_site)))
        return _Member(site.name, examples, steps, len(site.notes.train))

    def _everybody(self) -> _Member:
        """One with the notes of all, each tagged by the types of its site, and the steps of all together."""
        return _Member(
            EVERYBODY,
            [example for member in self._members for example in member.examples],
            sum(member.steps for member in self._members),
            sum(member.notes for member in self._members),
        )

    def _measured(self, split: Split, judges: Sequence[LabSite]) -> dict[str, Measured]:
        found = {}
        for site in judges:
            notes = site.notes.validation if split == "validation" else site.notes.test
            if notes:
                one = evaluate(self._encoder, notes, site.types)
                found[site.name] = Measured(one.loss, Scores.of_entities(one.scores), one.units)
        return found

    def _snapshot(
        self, number: int, split: Split, judges: Sequence[LabSite], members: Sequence[_Member], moved: int
    ) -> Snapshot:
        """`moved`: bytes of one transfer. Of the last round's rows the fetching of the final model is part."""
        measured = self._measured(split, judges)
        last = number == self._experiment.rounds
        steps = {member.name: member.steps for member in members} if number else {}
        fetched = (1 if number else 0) + (1 if last else 0)
        rows = tuple(
            SiteRow(
                site=site.name,
                notes=len(site.notes.train),
                steps=steps.get(site.name, 0),
                loss=measured[site.name].loss,
                bytes_up=moved if number else 0,
                bytes_down=moved * fetched,
                **site_scores(measured[site.name].scores),
            )
            for site in judges
            if site.name in measured
        )
        traffic = moved * len(members) * (2 * number + (1 if last else 0))
        return Snapshot(number, split, measured, None, None, traffic, rows)


def _seed(seed: int, number: int, site: str) -> int:
    """One for each site and round, the same alone and in a federation."""
    digest = hashlib.sha256(json.dumps(["encoder", seed, number, site]).encode()).digest()
    return int.from_bytes(digest[:4], "big")
