"""A listing's page: its week, the booking panel, the price before confirming."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from secrets import token_urlsafe
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.pricing import Line, cancellation_fee
from billing.quotes import actions as quotes
from billing.quotes.queries import class_prices_of, prices_for
from billing.settlement import hold_for
from billing.tariffs.choosing import PriceList
from booking import queries as booking
from booking.admission import SlotRefused, lacking
from booking.availability import MINUTE, local_midnight
from booking.competence import Mode
from booking.places import Place, get_place
from booking.qualifications import queries as qualifications
from booking.ratings import queries as ratings
from booking.states import HOLDING
from booking.tables import Booking
from devices.live import queries as sensing
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import NotFound, Refusal, Refused
from marketplace.slot import EmptySlot, Slot
from marketplace.tables import ListingState, Organisation, Resource
from web import checkout
from web.checkout import Order
from web.finding import use_at
from web.i18n import Formats, translator
from web.present import names, policy, tariffs
from web.present.training import titled
from web.reasons import sentence
from web.refusals import title
from web.views.frame import Choice, Lang
from web.views.resource import Booked, CellKind, Fact, Panel, Praise, Quote, QuoteLine, RefusalPanel, ResourceView, Week
from web.wall import is_near
from web.weekgrid import Busy, panel_choices, week, week_of

NEWEST_TEXTS = 20
LOOK = timedelta(days=60)
"""How far ahead the panel offers days."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; `start` and `end` are instants as typed."""

    week: date | None = None
    day: date | None = None
    start: str = ""
    end: str = ""
    first_weekday: int = 0
    """With which the reader's weeks begin; 0 = Monday."""
    organisation: str = ""
    purpose: str = ""
    assisted: bool = False
    quantity: int = 1
    override: str = ""
    """Why the publisher's own rules do not count this time."""

    @property
    def slot(self) -> Slot | None:
        start, end = read_instant(self.start), read_instant(self.end)
        try:
            return Slot(start, end) if start and end else None
        except EmptySlot:
            return None


def read_instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo and is_near(found) else None


def view(session: Session, row: Resource, asked: Asked, *, actor: Actor, lang: Lang, now: datetime) -> ResourceView:
    place = get_place(session, row.id)
    house = people.get_institution(session, row.institution_id)
    free = booking.free_time(session, row.id, within=Slot(now, now + LOOK), now=now)
    own = may(actor, Action.REVIEW_USE, institution_id=row.institution_id)
    live = names.live_of(session, [row.id], now=now)[row.id]
    shown = the_week(session, row, place, asked, actor=actor, lang=lang, now=now)
    return ResourceView(
        id=row.id,
        name=names.name_of(row, lang),
        kind=row.kind.value,
        institution=names.name_of(house, lang),
        district=row.district or house.district,
        address=row.address,
        zone=row.timezone,
        live=live,
        power=sensing.power_of_resource(session, row.id),
        summary=names.summary_of(row, lang),
        tags=names.tags_of(row, lang),
        facts=[
            *facts(row, place, metered=live.state != "no_sensor"),
            *_asks(session, place, lang),
        ],
        terms=policy.facts(bills.policy_of(session, row.id), lang),
        class_prices=list(class_prices_of(session, row.id).items()),
        tariff=tariffs.told(bills.policy_of(session, row.id), row.currency, lang),
        price=row.price,
        week=shown,
        shown_days=first_days(shown, asked, place),
        panel=panel(session, row, asked, actor=actor, lang=lang, now=now),
        listed_on=row.listed_on,
        live_url=f"/{lang.value}/live?ids={row.id}",
        manage_url=f"/{lang.value}/desk/resources/{row.id}" if own else None,
        praise=praise(session, row, own=own),
        next_free=next((slot.start for slot in free), None),
    )


def praise(session: Session, row: Resource, *, own: bool) -> Praise | None:
    """Nothing while nobody has rated it; the texts for its own staff only."""
    found = ratings.standings(session, [row.id]).get(row.id)
    if found is None:
        return None
    newest = ratings.ratings_of(session, row.id, limit=NEWEST_TEXTS) if own else []
    texts = [(one.stars, one.comment, one.edited_at or one.rated_at) for one in newest if one.comment]
    return Praise(found.average, found.count, texts)


def facts(row: Resource, place: Place, *, metered: bool) -> list[Fact]:
    """What one must know before booking; minutes and days as numbers, the template gives them units."""
    rules = place.rules
    minutes = {
        "min": rules.min_min,
        "max": rules.max_min,
        "notice": rules.notice_min,
        "setup": int(rules.buffers.setup.total_seconds() // 60),
        "cleaning": int(rules.buffers.cleaning.total_seconds() // 60),
        "horizon": rules.horizon_days,
    }
    found = [Fact("capacity", str(row.capacity))] if row.capacity > 1 else []
    found += [Fact(code, str(value)) for code, value in minutes.items() if value]
    found += [Fact("approval", "request")] if rules.by_request else []
    spans = {"check_in": rules.check_in_grace, "overrun": rules.overtime}
    found += [Fact(code, str(span // MINUTE)) for code, span in spans.items() if span is not None]
    return [*found, Fact("confirmation", "meter" if metered else "hand")]


def _asks(session: Session, place: Place, lang: Lang) -> list[Fact]:
    """What a booker must hold, and who stands by."""
    needs, asks, _ = place.rules.qualifications, place.rules.assistance, translator(lang)
    kinds = qualifications.qualifications(session, {need.qualification_id for need in needs})
    found = []
    for need in needs:
        kind = kinds[need.qualification_id]
        named = f"{titled(kind, lang)} · {titled(kind.levels[need.level - 1], lang)}"
        alone = _("{qualification}, or with an operator") if need.unless_assisted else "{qualification}"
        found.append(Fact("qualification", alone.format(qualification=named)))
    found += [Fact("assistance", asks.mode.value)] if asks.mode is not Mode.NONE else []
    return found + ([Fact("supervised_runs", str(asks.supervised_runs))] if asks.supervised_runs else [])


def first_days(shown: Week, asked: Asked, place: Place) -> int:
    """With which column a phone's three days begin: the day asked for, else today, at latest the fifth."""
    day = asked.slot.start.astimezone(place.zone).date() if asked.slot else asked.day
    number = next((n for n, column in enumerate(shown.columns) if column.day == day or (day is None and column.today)), 0)
    return min(number, 4)


def the_week(session: Session, row: Resource, place: Place, asked: Asked, *, actor: Actor, lang: Lang, now: datetime) -> Week:
    zone = place.zone
    chosen = asked.slot.start.astimezone(zone).date() if asked.slot else asked.day
    first = week_of(asked.week or chosen or now.astimezone(zone).date(), asked.first_weekday)
    this = week_of(now.astimezone(zone).date(), asked.first_weekday)
    span = Slot(local_midnight(first, zone), local_midnight(first + timedelta(days=7), zone))
    quantity = units(row, asked)
    many = f"quantity={quantity}&" if quantity > 1 else ""
    base = f"/{lang.value}/r/{row.id}?{many}week="
    last = now + timedelta(days=place.rules.horizon_days)
    return week(
        first=first,
        now=now,
        zone=zone,
        step_min=place.rules.step_min,
        min_min=place.rules.min_min,
        free=booking.free_time(session, row.id, within=span, now=now, quantity=quantity),
        busy=_busy(session, row, span, actor, now),
        previous=f"{base}{first - timedelta(days=7)}" if first > this else None,
        this=f"{base}{this}",
        following=f"{base}{first + timedelta(days=7)}" if span.end < last else None,
    )


def _busy(session: Session, row: Resource, span: Slot, actor: Actor, now: datetime) -> list[Busy]:
    """What is taken, one's own marked; with several units a stretch counts as taken only where none is left."""
    if row.capacity > 1:
        return []
    mine = {b.slot: b for b in booking.bookings_of_resource(session, row.id, within=span) if _is_mine(b, actor)}
    found = []
    for busy in booking.busy_time(session, row.id, within=span):
        own = next((b for slot, b in mine.items() if slot.overlaps(busy.slot) and busy.kind != "buffer"), None)
        kind = {"outage": CellKind.OUTAGE, "buffer": CellKind.CLOSED}.get(busy.kind, CellKind.BOOKED)
        if own:
            kind = CellKind.MINE
        elif busy.kind == "booking" and busy.slot.start <= now < busy.slot.end:
            kind = CellKind.IN_USE
        found.append(Busy(busy.slot, kind))
    return found


def _is_mine(row: Booking, actor: Actor) -> bool:
    own = row.person_id == actor.person_id or row.organisation_id in actor.organisations
    return row.state in HOLDING and actor.person_id is not None and own


def panel(
    session: Session,
    row: Resource,
    asked: Asked,
    *,
    actor: Actor,
    lang: Lang,
    now: datetime,
    key: str = "",
) -> Panel:
    place, slot, quantity = get_place(session, row.id), asked.slot, units(row, asked)
    free = booking.free_time(session, row.id, within=Slot(now, now + LOOK), now=now, quantity=quantity)
    start = slot.start if slot else read_instant(asked.start)
    choices = panel_choices(
        free=free,
        zone=place.zone,
        step_min=place.rules.step_min,
        min_min=place.rules.min_min,
        max_min=place.rules.max_min,
        day=asked.day,
        start=start,
        end=slot.end if slot else None,
    )
    beside = Order(row.id, slot, asked.organisation or None, quantity, assisted=True) if slot else None
    lacks, helped = _lacking(session, place, actor, beside, lang, now) if beside else ((), False)
    prices = prices_to(session, row, place, actor, asked.organisation, assisted=asked.assisted or helped)
    return Panel(
        resource_id=row.id,
        zone=row.timezone,
        days=choices.days,
        starts=choices.starts,
        ends=choices.ends,
        chosen=slot,
        quote=quote(session, row, slot, prices, quantity, now=now) if slot else None,
        organisations=_priced(session, row, actor, asked.organisation, lang),
        signed_in=actor.person_id is not None,
        key=key or token_urlsafe(16),
        purpose=asked.purpose,
        review=place.rules.by_request or billing.takes_cards(session, institution_id=row.institution_id),
        assistance=place.rules.assistance.mode.value,
        assisted=asked.assisted or helped,
        lacking=lacks,
        helped=helped,
        by_request=place.rules.by_request,
        quantity=quantity,
        capacity=row.capacity,
        closed=None if row.state is ListingState.PUBLISHED else row.state.value,
    )


def units(row: Resource, asked: Asked) -> int:
    """How many the panel offers time for: no more than there are."""
    return min(asked.quantity, row.capacity)


def _lacking(session: Session, place: Place, actor: Actor, order: Order, lang: Lang, now: datetime) -> tuple[Sequence[str], bool]:
    """What somebody signed in lacks for the slot without an operator, and whether one would make up for it then."""
    if actor.person_id is None:
        return (), False
    alone = lacking(session, place, actor.person_id, order.slot.start, assisted=False)
    optional = bool(alone) and place.rules.assistance.mode is Mode.OPTIONAL
    helped = optional and not isinstance(checkout.foresee(session, actor=actor, order=order, now=now), SlotRefused)
    return [sentence(one.code, one.values, translator(lang)) for one in alone], helped


def organisation_choices(session: Session, actor: Actor, chosen: str = "") -> Sequence[Choice]:
    """For whom one may book, where there is a choice."""
    rows = people.organisations(session, actor.organisations)
    first = chosen if chosen in actor.organisations else rows[0].id if rows else ""
    return [Choice(row.id, row.name, row.id == first) for row in rows] if len(rows) > 1 else []


def _priced(session: Session, place: Resource, actor: Actor, chosen: str, lang: Lang) -> Sequence[Choice]:
    """The same with an hour's price where it is not the same for all."""
    choices = organisation_choices(session, actor, chosen)
    if not choices:
        return []
    prices = {row.id: prices_for(session, place, row)[0].hour for row in people.organisations(session, actor.organisations)}
    differ = len(set(prices.values())) > 1
    told = {key: f" · {Formats(lang).price(price)}" if differ else "" for key, price in prices.items()}
    return [Choice(one.value, one.label + told[one.value], one.chosen) for one in choices]


def buyer_of(session: Session, actor: Actor, chosen: str) -> Organisation | None:
    """For whom the actor would book: as chosen, else their first firm; None where they have none."""
    buyers = people.organisations(session, actor.organisations)
    return next((one for one in buyers if one.id == chosen), buyers[0] if buyers else None)


def prices_to(
    session: Session, row: Resource, place: Place, actor: Actor, chosen: str = "", *, assisted: bool
) -> tuple[PriceList, str | None]:
    """What time would cost the actor there, and the class that has prices of its own."""
    buyer = buyer_of(session, actor, chosen)
    own_house = buyer is None and row.institution_id in actor.institutions()
    return prices_for(session, row, buyer, use_at(place, assisted=assisted), own_house=own_house)


def quote(
    session: Session, row: Resource, slot: Slot, found: tuple[PriceList, str | None], quantity: int, *, now: datetime
) -> Quote:
    """The price of `slot`, worked out by the same function that the booking freezes."""
    terms, (prices, price_class) = bills.policy_of(session, row.id), found
    total = quotes.quote_slot(prices=prices, slot=slot, quantity=quantity)
    lines = [quote_line(one, prices, quantity) for one in quotes.lines_of_slot(prices=prices, slot=slot, quantity=quantity)]
    lines = lines or [QuoteLine("usage", total, slot.seconds // 60, prices.hour, quantity)]
    card = billing.takes_cards(session, institution_id=row.institution_id)
    zone = ZoneInfo(row.timezone)
    free_until = terms.free_until(slot.start, zone)
    in_time = free_until if free_until is not None and free_until > now else None
    fee = cancellation_fee(total, slot, terms, cancelled_at=now, zone=zone)
    return Quote(lines, total, in_time, fee, price_class, hold_for(total) if card else None)


def quote_line(line: Line, prices: PriceList, quantity: int) -> QuoteLine:
    """A line of a bill as it is shown."""
    if line.taxed:
        return QuoteLine("tax", line.amount) if line.amount else QuoteLine("tax_included", line.taxed[1])
    return QuoteLine(line.code.value, line.amount, int(line.minutes or 0), line.hour or prices.hour, quantity)


def refused(found: Panel, refusal: Refusal, lang: Lang) -> Panel:
    """The panel in place after a refusal: what happened, that nothing was booked or charged, three ways out."""
    shown, taken = refusal_panel(refusal, lang), isinstance(refusal, SlotRefused)
    return replace(found, refusal=shown, chosen=None if taken else found.chosen, quote=None if taken else found.quote)


def refusal_panel(refusal: Refusal, lang: Lang) -> RefusalPanel:
    translate = translator(lang)
    reasons = refusal.reasons if isinstance(refusal, Refused) else []
    return RefusalPanel(
        title=title(refusal.code, translate),
        text=sentence(refusal.code, refusal.values, translate),
        reasons=[sentence(reason.code, reason.values, translate) for reason in reasons if reason.code != refusal.code],
        alternatives=refusal.alternatives if isinstance(refusal, SlotRefused) else (),
        conflicts=refusal.conflicts if isinstance(refusal, SlotRefused) else (),
        wait=refusal.wish.slot if isinstance(refusal, SlotRefused) and refusal.conflicts else None,
    )


def booked(session: Session, found: Panel, row: Booking) -> Panel:
    """The panel after a booking."""
    made = bills.find_quote(session, row.id)
    if made is None:
        raise NotFound(kind="quote")
    total = Booked(row.id, row.slot, row.state.value, Money(made.quote_minor, made.currency), row.hold_until)
    return replace(found, booked=total, chosen=None, quote=None)


def with_panel(found: ResourceView, shown: Panel) -> ResourceView:
    return replace(found, panel=shown)
