"""The chain finder from what was typed, and the review of a proposal before it is booked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from secrets import token_urlsafe
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from billing.quotes.queries import terms_of
from booking.places import load_places
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, by_currency
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import EmptySlot, Slot
from marketplace.tables import ResourceKind
from web import chains
from web.chains import MOST_STEPS, Answer, AskedChain, AskedStep, Proposal
from web.finding import prices_at
from web.present import names
from web.present.search import YUAN, minor_of, window_of
from web.views.chains import ChainsView, PartRow, Problem, ProposalCard, ReviewView, StepRow
from web.views.frame import Choice, FieldError, Form, Lang

LONGEST_H = 744
SHOWN = 6
SORTS = ("earliest", "cheapest", "fewest")


@dataclass(frozen=True, slots=True)
class TypedStep:
    """One row of the form, as typed."""

    text: str = ""
    kind: str = ""
    hours: str = ""
    gap_min: str = ""
    gap_max: str = ""
    assisted: str = ""

    @property
    def empty(self) -> bool:
        return not (self.text.strip() or self.kind)


@dataclass(frozen=True, slots=True)
class Leg:
    """A step of a proposal, as an address carries it."""

    resource_id: str
    slot: Slot
    assisted: bool = False

    @property
    def token(self) -> str:
        told = [
            self.resource_id,
            self.slot.start.isoformat(),
            self.slot.end.isoformat(),
            *(["assisted"] if self.assisted else []),
        ]
        return "~".join(told)


@dataclass(frozen=True, slots=True)
class Typed:
    """The address of the page, as typed."""

    steps: Sequence[TypedStep] = ()
    day: date | None = None
    until: date | None = None
    budget: str = ""
    district: str = ""
    sort: str = "earliest"
    organisation_id: str = ""
    more: bool = False


def view(session: Session, typed: Typed, *, actor: Actor, lang: Lang, now: datetime, wrong: str) -> ChainsView:
    """The form as typed and, once it holds a step, its answer. `wrong` is what is said of a number that is none."""
    given = [step for step in typed.steps if not step.empty][:MOST_STEPS]
    rows = max(2, len(given) + (1 if typed.more else 0))
    shown = [*given, *[TypedStep()] * rows][: min(rows, MOST_STEPS)]
    firms = people.organisations(session, actor.organisations) if len(actor.organisations) > 1 else []
    drawn = ChainsView(
        steps=[_row(number, step) for number, step in enumerate(shown, 1)],
        day=typed.day,
        until=typed.until,
        budget=typed.budget,
        district=typed.district,
        sorts=[Choice(name, name, name == typed.sort) for name in SORTS],
        organisations=[Choice(firm.id, firm.name, firm.id == typed.organisation_id) for firm in firms],
        may_add=len(shown) < MOST_STEPS,
    )
    if not given or typed.more:
        return drawn
    try:
        asked = as_asked(typed, given, firms[0].id if firms else None, now)
    except Invalid as invalid:
        return replace(drawn, form=Form(errors=[FieldError(str(invalid.values["field"]), wrong)]))
    sort = typed.sort if typed.sort in SORTS else "earliest"
    answer = chains.propose(session, actor=actor, asked=asked, sort=sort, limit=SHOWN, now=now)
    cards = [_card(session, one, asked, lang) for one in answer.proposals]
    ids = [part.resource_id for card in cards for part in card.parts]
    live = names.live_of(session, set(ids), now=now)
    cards = [replace(card, parts=[replace(part, live=live[part.resource_id]) for part in card.parts]) for card in cards]
    return replace(drawn, proposals=cards, problems=_problems(answer, drawn.steps), live_url=names.live_url(ids, lang))


def as_asked(typed: Typed, steps: Sequence[TypedStep], organisation_id: str | None, now: datetime) -> AskedChain:
    """Raises: Invalid, naming the field."""
    budget = minor_of(typed.budget)
    if typed.budget and budget is None:
        raise Invalid(field="budget", reason="must be a number from 0")
    return AskedChain(
        steps=[_step(number, step) for number, step in enumerate(steps, 1)],
        within=window_of(typed.day, typed.until, now),
        budget=None if budget is None else Money(budget, YUAN),
        district=typed.district or None,
        organisation_id=typed.organisation_id or organisation_id,
    )


def _step(number: int, step: TypedStep) -> AskedStep:
    gap_max = _hours(f"gap_max_{number}", step.gap_max) if step.gap_max else None
    gap_min = _hours(f"gap_min_{number}", step.gap_min or "0")
    length = _hours(f"hours_{number}", step.hours or "1")
    if not length:
        raise Invalid(field=f"hours_{number}", reason="must be a number from 0")
    return AskedStep(
        text=step.text[:200],
        kind=ResourceKind(step.kind) if step.kind in set(ResourceKind) else None,
        length=length,
        gap_min=gap_min,
        gap_max=None if gap_max is None else max(gap_min, gap_max),
        assisted=bool(step.assisted),
    )


def _hours(field: str, text: str) -> timedelta:
    """To the minute. Raises: Invalid."""
    try:
        hours = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise Invalid(field=field, reason="must be a number from 0") from error
    if not (hours.is_finite() and 0 <= hours <= LONGEST_H):
        raise Invalid(field=field, reason="must be a number from 0")
    return timedelta(minutes=round(float(hours) * 60))


def _row(number: int, step: TypedStep) -> StepRow:
    kinds = [Choice(kind.value, kind.value, kind.value == step.kind) for kind in ResourceKind]
    return StepRow(number, step.text[:200], step.hours[:20], step.gap_min[:20], step.gap_max[:20], kinds, bool(step.assisted))


def _problems(answer: Answer, steps: Sequence[StepRow]) -> list[Problem]:
    found = [Problem(code, steps[number]) for number, code in sorted(answer.unserved.items())]
    return [*found, Problem(answer.why)] if answer.why else found


def _card(session: Session, found: Proposal, asked: AskedChain, lang: Lang) -> ProposalCard:
    houses = names.institution_names(session, {part.resource.institution_id for part in found.parts}, lang)
    whole = found.slot
    parts = [
        PartRow(
            number=number,
            resource_id=part.resource.id,
            name=names.name_of(part.resource, lang),
            foreign=names.foreign_of(part.resource, lang),
            institution=houses.get(part.resource.institution_id, ""),
            slot=part.slot,
            zone=part.resource.timezone,
            price=part.price,
            x=round(100 * ((part.slot.start - whole.start) / whole.duration), 2),
            width=round(100 * (part.slot.duration / whole.duration), 2),
            assisted=part.assisted,
        )
        for number, part in enumerate(found.parts, 1)
    ]
    tokens = [Leg(part.resource.id, part.slot, part.assisted).token for part in found.parts]
    return ProposalCard(
        parts, whole, parts[0].zone, found.totals, found.houses, found.best, review_url(lang, tokens, asked.organisation_id)
    )


def read_tokens(tokens: Sequence[str]) -> list[Leg]:
    """Raises: Invalid."""
    found = []
    for token in tokens[:MOST_STEPS]:
        try:
            resource_id, start, end, *assisted = token.split("~")
            found.append(
                Leg(resource_id, Slot(datetime.fromisoformat(start), datetime.fromisoformat(end)), assisted == ["assisted"])
            )
        except (ValueError, EmptySlot, OverflowError) as error:
            raise Invalid(field="part", reason="not one that a page before gave") from error
    if not found:
        raise Invalid(field="part", reason="not one that a page before gave")
    return found


def review_url(lang: Lang, tokens: Sequence[str], organisation_id: str | None) -> str:
    query = [("part", token) for token in tokens] + ([("organisation_id", organisation_id)] if organisation_id else [])
    return f"/{lang.value}/chains/review?{urlencode(query)}"


def review(
    session: Session, parts: Sequence[Leg], *, actor: Actor, organisation_id: str, lang: Lang, now: datetime,
    purpose: str = "", key: str = "",
) -> ReviewView:  # fmt: skip
    """Raises: NotFound (also for a listing the actor may not know of), NotAllowed."""
    rows = [catalogue.get_visible(session, actor, part.resource_id) for part in parts]
    places = load_places(session, {row.id for row in rows})
    if len(places) < len({row.id for row in rows}):
        raise NotFound(kind="resource")
    houses = names.institution_names(session, {row.institution_id for row in rows}, lang)
    asker = chains.asker_for(session, actor, organisation_id or None)
    firm = people.get_organisation(session, asker.organisation_id) if asker.organisation_id else None
    terms = terms_of(session, places)
    live = names.live_of(session, {row.id for row in rows}, now=now)
    drawn = [
        PartRow(
            number=number,
            resource_id=row.id,
            name=names.name_of(row, lang),
            foreign=names.foreign_of(row, lang),
            institution=houses.get(row.institution_id, ""),
            slot=part.slot,
            zone=row.timezone,
            price=quotes.quote_slot(
                prices=prices_at(row.price, places[row.id], asker, terms, assisted=part.assisted), slot=part.slot
            ),
            assisted=part.assisted,
            by_request=places[row.id].rules.asks(asker.at(row.institution_id).organisation_id),
            live=live[row.id],
        )
        for number, (row, part) in enumerate(zip(rows, parts, strict=True), 1)
    ]
    return ReviewView(
        parts=drawn,
        tokens=[part.token for part in parts],
        totals=by_currency([part.price for part in drawn]),
        organisation_id=organisation_id,
        organisation=firm.name if firm else None,
        key=key or token_urlsafe(16),
        purpose=purpose,
        back_url=f"/{lang.value}/chains",
        live_url=names.live_url([row.id for row in rows], lang),
    )


def moved(parts: Sequence[Leg], ways_out: Sequence[Slot], lang: Lang, organisation_id: str) -> list[str]:
    """The addresses of this review with all its parts moved together to each of the stretches."""
    start = min(part.slot.start for part in parts)
    tokens = [[replace(part, slot=part.slot.shift(way.start - start)).token for part in parts] for way in ways_out]
    return [review_url(lang, one, organisation_id) for one in tokens]
