"""What the two commands do around their transactions: which rows there are, what became of each, and telling it."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import typer
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from booking.admission import SlotRefused
from booking.bundles.actions import BundleRefused
from booking.external.lines import LARGEST
from booking.series.actions import SeriesRefused
from marketplace.catalogue import queries as catalogue
from marketplace.imports import queries as keys
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Busy, NotFound, Refusal
from web.deps import note
from web.present import feeds
from web.running import first_operator
from web.transfer import files, giving
from web.transfer.files import Format, UnreadableFile
from web.transfer.kinds import COLUMNS, ICS, TURNS, Kind
from web.transfer.secrets import SecretsFile
from web.transfer.taking import Hand, Outcome, Verdict, key_of, take, take_calendar
from web.transfer.together import name_of, stretches, take_together, unusable, wrong
from web.views.frame import Lang

TELL_EVERY = 200
"""Rows between two signs of life."""


class UnknownKind(Refusal):
    """`kind`, `kinds`."""

    code = "unknown_kind"


@dataclass(frozen=True, slots=True)
class Task:
    """Rows to take in at once, as a rule one, and how."""

    rows: Sequence[tuple[int, Callable[[], str | None]]]
    """The line of each and its key."""
    run: Callable[[Hand], Sequence[Verdict]]

    def refused(self, refusal: Refusal) -> list[Verdict]:
        return [Verdict(line, _key(key), Outcome.REFUSED, refusal=refusal) for line, key in self.rows]


@dataclass(frozen=True, slots=True)
class Work:
    """On whose word rows are taken in."""

    actor: Actor
    hold: timedelta
    secrets: SecretsFile | None = None

    def take(self, session: Session, task: Task, *, now: datetime) -> Sequence[Verdict]:
        """A verdict a row, in a savepoint: what is refused leaves nothing behind."""
        try:
            with session.begin_nested():
                hand = Hand(session, self.actor, now, self.hold)
                verdicts = task.run(hand)
                session.flush()
            for verdict in verdicts:
                self._tell(verdict, hand)
        except Refusal as refusal:
            return task.refused(refusal)
        except OperationalError:
            return task.refused(Busy())
        except DataError:
            return task.refused(wrong("row", "holds what cannot be stored"))
        return verdicts

    def _tell(self, verdict: Verdict, hand: Hand) -> None:
        if self.secrets and verdict.object_id:
            for known in hand.handed:
                self.secrets.note(verdict.line, verdict.key, verdict.object_id, known)

    def seal(self) -> None:
        """Before a transaction is committed."""
        if self.secrets:
            self.secrets.seal()

    def note(self, session: Session, verdicts: Sequence[Verdict], *, now: datetime) -> None:
        """Keep the demand that was turned away, once where rows went together."""
        if isinstance(verdicts[0].refusal, SlotRefused | BundleRefused | SeriesRefused):
            note(session, verdicts[0].refusal, now)


def _key(key: Callable[[], str | None]) -> str | None:
    try:
        return key()
    except Refusal:
        return None


def operator(session: Session, email: str) -> Actor:
    """Raises: NotFound, NotAllowed."""
    person = people.find_person_by_email(session, email.strip().lower()) if email else first_operator(session)
    if person is None:
        raise NotFound(kind="person")
    actor = people.get_actor(session, person.id)
    require(actor, Action.MANAGE_PLATFORM)
    return actor


def tasks(kind: str, file: Path, form: Format | None, *, resource: str, name: str) -> Iterator[Task]:
    """Raises: UnknownKind, UnreadableFile."""
    if kind == ICS:
        return iter([_calendar(file, resource, name or file.stem)])
    known = kind_of(kind)
    read = partial(files.rows, file, form or files.format_of(file), TURNS)
    if known is Kind.BOOKINGS:
        never = unusable(read())
        return (_bookings(found, never) for found in stretches(read(), never))
    return (_task(known, row) for row in read())


def _task(kind: Kind, row: files.Row) -> Task:
    return Task([(row.line, partial(key_of, row))], lambda hand: [take(hand, kind, row)])


def _bookings(rows: Sequence[files.Row], never: Mapping[str, str]) -> Task:
    """A row that stands alone, or those that go together."""
    name = name_of(rows[0])
    if name is None:
        return _task(Kind.BOOKINGS, rows[0])

    def run(hand: Hand) -> Sequence[Verdict]:
        if name in never:
            raise wrong("together", never[name])
        return take_together(hand, rows)

    return Task([(row.line, partial(key_of, row)) for row in rows], run)


def _calendar(file: Path, resource: str, name: str) -> Task:
    if not resource:
        raise UnreadableFile(file=str(file), reason="say whose busy time it is with --resource")
    if not file.is_file():
        raise UnreadableFile(file=str(file), reason="there is no such file")
    with file.open("rb") as opened:
        body = opened.read(LARGEST + 1)
    return Task([(1, lambda: name)], lambda hand: [take_calendar(hand, resource=resource, name=name, body=body)])


def kind_of(kind: str) -> Kind:
    """Raises: UnknownKind."""
    if kind not in set(Kind):
        raise UnknownKind(kind=kind, kinds=", ".join((*Kind, ICS)))
    return Kind(kind)


def report(verdicts: Iterable[Verdict], kind: str, *, as_json: bool, dry_run: bool, whole: bool) -> Mapping[Outcome, int]:
    """Tell each verdict as it comes, progress on standard error, and the sums at the end."""
    counts: Counter[Outcome] = Counter()
    if as_json:
        typer.echo(f'{{"kind": {json.dumps(kind)}, "dry_run": {json.dumps(dry_run)}, "rows": [')
    for number, verdict in enumerate(verdicts, 1):
        counts[verdict.outcome] += 1
        before = ",\n" if as_json and number > 1 else ""
        said = before + json.dumps(verdict.as_json(), ensure_ascii=False, default=str) if as_json else f"{verdict.as_text()}\n"
        typer.echo(said, nl=False)
        if number % TELL_EVERY == 0:
            typer.echo(f"{number} rows: {_sums(counts)}", err=True)
    kept = not dry_run and not (whole and counts[Outcome.REFUSED])
    if as_json:
        sums = {outcome.value: counts[outcome] for outcome in Outcome}
        typer.echo(f'\n], "kept": {json.dumps(kept)}, {json.dumps(sums)[1:-1]}}}')
    typer.echo(f"{sum(counts.values())} rows: {_sums(counts)}{'' if kept else '. Nothing was kept.'}", err=True)
    return counts


def _sums(counts: Counter[Outcome]) -> str:
    return ", ".join(f"{counts[outcome]} {outcome.value.replace('_', ' ')}" for outcome in Outcome)


def form_of_export(form: Format, out: Path | None, *, as_json: bool) -> Format:
    """Raises: UnreadableFile."""
    if as_json:
        return Format.JSON
    return files.format_of(out) if out and out.suffix != f".{ICS}" else form


def export(session: Session, kind: str, form: Format, *, resource: str, base_url: str, now: datetime) -> Iterator[str]:
    """The file in pieces. Raises: UnknownKind, NotFound."""
    if kind == ICS:
        place = catalogue.get_resource(session, keys.id_of(session, Kind.RESOURCES, resource))
        return iter([feeds.of_resource(session, place, Lang.EN, base_url, now).decode()])
    known = kind_of(kind)
    return files.written(giving.give(session, known), COLUMNS[known], form)


def put(pieces: Iterable[str], out: Path | None) -> None:
    """To a file that is there only when it is whole, or to standard output."""
    if out is None:
        for piece in pieces:
            sys.stdout.write(piece)
        return
    part = out.with_name(f".{out.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    part.replace(out)
