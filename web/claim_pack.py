"""The pack of a claim for its payer: bills, what they rest on, who paid what, and a manifest of everything with SHA-256."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy.orm import Session

from billing.claims import queries
from billing.claims.queries import Claimed
from billing.claims.tables import ProgrammeClaim
from billing.programmes.tables import FundingProgramme
from booking import queries as booking
from booking.tables import Booking
from devices.discrepancies.queries import sealed_by
from devices.discrepancies.tables import SealedStretch
from evaluation.exports.cells import safe
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.tables import Institution, Organisation, Resource
from web.present.bookings import number_of

LINES = (
    *("statement", "booking", "contract", "firm", "credit_code", "institution", "equipment", "start", "end"),
    *("charge", "base", "claimed", "currency", "state", "evidence_sha256", "fapiao", "firm_paid_by", "passed_on_by", "file"),
)
STATEMENT = ("line", "minutes", "amount", "currency", "programme")
EVIDENCE = ("statement", "equipment", "start", "end", "sha256")


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the claim with all that is said of it."""

    claimed: Claimed
    booking: Booking
    firm: Organisation
    house: Institution
    place: Resource
    receipts: Sequence[str]
    sealed: Sequence[SealedStretch]
    passed_on: str

    @property
    def number(self) -> str:
        return number_of(self.claimed.statement)

    @property
    def file(self) -> str:
        return f"statements/{self.number}.csv"

    @property
    def digest(self) -> str:
        """One hash over the digests of all that was sealed for the bill; nothing where none was."""
        found = sorted(one.digest for one in self.sealed if one.digest)
        return hashlib.sha256("\n".join(found).encode()).hexdigest() if found else ""


def pack_of(session: Session, programme: FundingProgramme, claim: ProgrammeClaim) -> bytes:
    """A ZIP; the same claim in the same state is the same file."""
    told = _told(session, programme, claim)
    files = {"claim.csv": _sheet(LINES, (_row(one) for one in told)), "evidence.csv": _sheet(EVIDENCE, _sealed(told))}
    files |= {one.file: _sheet(STATEMENT, _lines(one)) for one in told}
    return _zipped({**files, "manifest.json": _manifest(programme, claim, files)}, claim)


def _told(session: Session, programme: FundingProgramme, claim: ProgrammeClaim) -> list[Told]:
    lines = queries.lines_of(session, claim.id)
    rows = {row.id: row for row in booking.bookings_of_ids(session, {one.share.booking_id for one in lines})}
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows.values()})}
    firms = {row.id: row for row in people.organisations(session, {one.entitlement.organisation_id for one in lines})}
    houses = {row.id: row for row in people.institutions(session, {one.statement.institution_id for one in lines})}
    receipts = queries.receipts_of_bookings(session, list(rows))
    sealed: dict[str, list[SealedStretch]] = {one.statement.id: [] for one in lines}
    for row in sealed_by(session, list(sealed)):
        sealed[row.cause_id].append(row)
    passed = {one.institution_id: one.passed.serial for one in queries.to_pass_on(session, claim, programme) if one.passed}
    return [
        Told(
            claimed=one,
            booking=rows[one.share.booking_id],
            firm=firms[one.entitlement.organisation_id],
            house=houses[one.statement.institution_id],
            place=places[rows[one.share.booking_id].resource_id],
            receipts=receipts.get(one.share.booking_id, []),
            sealed=sealed[one.statement.id],
            passed_on=passed.get(one.statement.institution_id, ""),
        )
        for one in lines
    ]


def _row(one: Told) -> Sequence[object]:
    statement, share, currency = one.claimed.statement, one.claimed.share, one.claimed.statement.currency
    amounts = (Money(minor, currency).decimal for minor in (statement.charge_minor, share.base_minor, share.amount_minor))
    slot = one.booking.slot
    return (
        one.number,
        one.booking.id,
        safe(one.claimed.entitlement.reference or ""),
        safe(one.firm.name),
        one.firm.credit_code or "",
        safe(one.house.name),
        safe(one.place.name),
        slot.start.isoformat(),
        slot.end.isoformat(),
        *amounts,
        currency,
        share.state.value,
        one.digest,
        "",  # no number of a fapiao is kept here; the payer's form has the column
        safe(" ".join(one.receipts)),
        safe(one.passed_on),
        one.file,
    )


def _sealed(told: Iterable[Told]) -> Iterable[Sequence[object]]:
    for one in told:
        for row in one.sealed:
            yield one.number, row.resource_id, row.starts_at.isoformat(), row.ends_at.isoformat(), row.digest or ""


def _lines(one: Told) -> Iterable[Sequence[object]]:
    """The statement as the firm accepted it, with the minutes that were booked, logged, confirmed and billed."""
    statement = one.claimed.statement
    for line in statement.lines:
        amount = Money(**line["amount"])
        yield line["code"], line.get("minutes", ""), amount.decimal, amount.currency, safe(line.get("name", ""))
    for name in ("booked_s", "logged_s", "confirmed_s", "billed_s"):
        yield name.removesuffix("_s"), getattr(statement, name) / 60, "", "", ""


def _sheet(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(head)
    writer.writerows(rows)
    return ("\ufeff" + sheet.getvalue()).encode()


def _manifest(programme: FundingProgramme, claim: ProgrammeClaim, files: Mapping[str, bytes]) -> bytes:
    said: dict[str, Any] = {
        "programme": {"id": programme.id, "name": programme.name, "payer": programme.payer, "mode": programme.mode.value},
        "claim": {
            "id": claim.id,
            "number": claim.number,
            "state": claim.state.value,
            "from": claim.period_from.isoformat(),
            "to": claim.period_to.isoformat(),
            "asked": {"minor": claim.amount_minor, "currency": claim.currency},
            "paid": {"minor": claim.paid_minor, "currency": claim.currency},
            "bank_serial": claim.serial,
            "received_on": claim.received_on.isoformat() if claim.received_on else None,
        },
        "files": [
            {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(files.items())
        ],
    }
    return json.dumps(said, ensure_ascii=False, indent=1).encode()


def _zipped(files: Mapping[str, bytes], claim: ProgrammeClaim) -> bytes:
    buffer, made = io.BytesIO(), claim.created_at.astimezone(UTC).timetuple()[:6]
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=made)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
