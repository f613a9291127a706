"""What a time would cost: the bill of each way that it may go, by the functions that bill."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.pricing import Piece, UseState
from billing.programmes import queries as programmes
from billing.programmes.choosing import Programme
from billing.settlement import Funding
from billing.simulation import Request, Simulation, simulate
from billing.tariffs.choosing import PriceList
from booking.places import get_place
from marketplace.permissions import Actor
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.present import names
from web.present.resource import buyer_of, organisation_choices, prices_to, quote_line
from web.present.turns import asking
from web.views.costs import CostRow, CostView
from web.views.frame import Form, Lang

OVER = timedelta(minutes=30)
MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Asked:
    slot: Slot
    quantity: int = 1
    organisation: str = ""
    assisted: bool = False
    minutes: int | None = None
    """Of run, from the start on; None where nothing was typed."""


def costs(
    session: Session, row: Resource, actor: Actor, asked: Asked | None, *, lang: Lang, now: datetime, form: Form
) -> CostView:
    """Without a time the form alone."""
    place = get_place(session, row.id)
    empty = CostView(
        resource_id=row.id,
        resource=names.name_of(row, lang),
        zone=row.timezone,
        capacity=row.capacity,
        organisations=organisation_choices(session, actor, asked.organisation if asked else ""),
        assistance=place.rules.assistance.mode.value,
        form=asking(form, row.timezone, lang),
    )
    if asked is None:
        return empty
    prices, price_class = prices_to(session, row, place, actor, asked.organisation, assisted=asked.assisted)
    card = billing.takes_cards(session, institution_id=row.institution_id)
    request = Request(
        prices=prices,
        slot=asked.slot,
        zone=ZoneInfo(row.timezone),
        policy=bills.policy_of(session, row.id),
        funding=Funding.CARD if card else Funding.BANK,
        programmes=_programmes(session, actor, asked, prices.hour.currency),
        quantity=asked.quantity,
    )
    whole = simulate(replace(request, use=_run(asked.slot, asked.slot.duration)))
    return replace(
        empty,
        slot=asked.slot,
        quote=whole.quote,
        hold=whole.settled.hold if card else None,
        price_class=price_class,
        rows=[*_by_use(request, asked), *_by_cancelling(request, now)],
    )


def _programmes(session: Session, actor: Actor, asked: Asked, currency: str) -> tuple[Programme, ...]:
    """What vouchers and subsidies have left for a use then."""
    firm = buyer_of(session, actor, asked.organisation)
    offered = programmes.offered_to(session, [firm.id]) if firm else []
    return tuple(one.as_programme() for one in offered if one.covers(asked.slot.start, currency))


def _run(slot: Slot, length: timedelta) -> tuple[Piece, ...]:
    """From the start on; the rest of the time it stands idle."""
    ran = (Piece(Slot(slot.start, slot.start + length), UseState.RUN),) if length else ()
    return (*ran, *((Piece(Slot(slot.start + length, slot.end), UseState.IDLE),) if length < slot.duration else ()))


def _by_use(request: Request, asked: Asked) -> Iterator[CostRow]:
    whole = request.slot.duration
    lengths = {"whole": whole, "three_quarters": whole * 3 / 4, "half": whole / 2, "over": whole + OVER, "missed": timedelta()}
    if asked.minutes is not None:
        lengths = {"as_typed": timedelta(minutes=asked.minutes), **lengths}
    for code, length in lengths.items():
        yield _row(code, simulate(replace(request, use=_run(request.slot, length))), request.prices, request.quantity, length)


def _by_cancelling(request: Request, now: datetime) -> Iterator[CostRow]:
    """Now, and at the last instant of each tier that is still ahead."""
    limits = {tier.limit(request.slot.start, request.zone) for tier in request.policy.cancel_tiers}
    ahead = sorted(at for at in limits if now < at < request.slot.start)
    for at in (now, *ahead, request.slot.start - MOMENT):
        if at < request.slot.start:
            found = simulate(replace(request, cancelled_at=at))
            yield replace(_row("cancelled", found, request.prices, request.quantity, timedelta()), at=at)


def _row(code: str, found: Simulation, prices: PriceList, quantity: int, length: timedelta) -> CostRow:
    return CostRow(
        code=code,
        minutes=int(length / timedelta(minutes=1)),
        charge=found.settled.customer_pays,
        lines=[quote_line(line, prices, quantity) for line in found.lines],
        back=found.settled.release if found.settled.hold else None,
    )
