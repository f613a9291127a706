"""Weeks of use, made by the product's own actions as if they had happened on their days."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.actions import Receipt
from billing.objections import actions as objections
from billing.settlement import Funding
from billing.tables import Statement, StatementState
from booking import actions as booking
from booking import queries as bookings
from booking.outages.actions import record_outage
from booking.states import BookingState
from booking.tables import Booking
from devices import actions as devices
from devices.flags import queries as flags
from devices.intake import actions as intake
from devices.machines import Machine, history
from evaluation import actions as evaluation
from marketplace.inbox import actions as inbox
from marketplace.money import Money
from marketplace.people import queries as known
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from web import checkout, timers, worker
from web.checkout import Order
from web.demo import equipment, scenes
from web.demo.equipment import Fleet
from web.demo.stage import Stage
from web.demo.story import Equipment, qualify

DAYS_BACK, DAYS_AHEAD = 45, 6
HOLD = timedelta(minutes=10)
CARD = "pm_card_visa"
STARTS = (8.5, 9, 10, 13, 14, 15)
NIGHT = 20.0
LENGTHS = (2, 2.5, 3, 4)
MANUAL = (("A1", 4), ("B4", 4), ("C7", 2))
"""What an evaluator has looked at on the spot."""

PAYS_AFTER = timedelta(days=2)
PURPOSES = ("工艺放大", "样品表征", "配方验证", "小批试产")
CUSTOMERS = ("firm@demo.example", "pharma@demo.example", "storage@demo.example", "aero@demo.example")
SHOW = Callable[[str], None]


def play(stage: Stage, fleet: Fleet, show: SHOW) -> None:
    """The past, then what is booked for the next days; progress is shown by the week."""
    chance = Random(stage.today.toordinal())
    show("booking six weeks")
    booked = book_all(stage, chance)
    with stage.sessions.begin() as session:
        interrupt(session, stage)
        occupy(session, fleet.live_resources, now=stage.now)
    with stage.sessions() as session:
        machines = equipment.machines(session, fleet, until=stage.now + timedelta(days=1))
    heard = scenes.silenced(stage, machines)
    for number in range(-DAYS_BACK, 1):
        if number % 7 == 0:
            show(f"measured and billed until {stage.today + timedelta(days=number)}")
        scenes.play(stage, booked, machines, number)
        live_through(stage, heard, stage.day(number), chance)
    ask(stage, fleet)
    with stage.sessions.begin() as session:
        publish(session, stage)
        qualify(session, stage.cast, now=stage.now)


def book_all(stage: Stage, chance: Random) -> scenes.Booked:
    """Day by day; gives those of the scenes."""
    told: dict[str, str] = {}
    for number in range(-DAYS_BACK, DAYS_AHEAD + 1):
        with stage.sessions.begin() as session:
            told |= scenes.book(session, stage, number)
        for key, one in stage.cast.equipment.items():
            for slot in _wishes(stage, one, number, chance):
                _book(stage, key, one, slot, chance)
    return told


def _wishes(stage: Stage, one: Equipment, number: int, chance: Random) -> list[Slot]:
    """What is wanted of a machine on a day: nothing, a day run, and a night run where nights are open."""
    if one.live and number in {0, 1}:
        return []
    day = stage.day(number)
    weekend = (stage.today + timedelta(days=number)).weekday() > 4
    if weekend and (one.hours == "workdays" or chance.random() < 0.6):
        return []
    begins = [chance.choice(STARTS)] if chance.random() < one.busy else []
    begins += [NIGHT] if one.hours == "always" and chance.random() < one.busy / 2 else []
    lengths = [chance.choice(LENGTHS) * (2 if begin == NIGHT or one.run_w > 9000 else 1) for begin in begins]
    return [
        Slot(day.start + timedelta(hours=begin), day.start + timedelta(hours=begin + round(length)))
        for begin, length in zip(begins, lengths, strict=True)
    ]


def _book(stage: Stage, key: str, one: Equipment, slot: Slot, chance: Random) -> None:
    """Made about two days before by some firm, paid and answered at once; a slot that is taken is left alone."""
    email = "group@demo.example" if key in {"tem", "xrd"} and chance.random() < 0.3 else chance.choice(CUSTOMERS)
    asked_at = min(slot.start - timedelta(hours=30 + chance.randrange(40)), stage.now - timedelta(minutes=30))
    order = Order(one.resource_id, slot, purpose=chance.choice(PURPOSES), payment_method=CARD)
    try:
        with stage.sessions.begin() as session:
            actor = known.get_actor(session, stage.cast.people[email])
            made, _ = checkout.book(session, actor=actor, order=order, now=asked_at, hold=HOLD)
    except Refusal:
        return
    with stage.sessions.begin() as session:
        _answer(stage, session, made, asked_at, chance)


def _answer(stage: Stage, session: Session, made: Booking, asked_at: datetime, chance: Random) -> None:
    """Cards are held at once; requests are answered two hours later, those for the next days wait; a few change their mind."""
    if made.state is BookingState.HELD:
        while worker.pay_once(stage.provider, stage.sessions):
            pass
        for booking_id in bills.holds_secured(session):
            booking.confirm_hold(session, booking_id=booking_id, now=asked_at + timedelta(minutes=1))
    elif made.state is BookingState.REQUESTED and made.starts_at < stage.now + timedelta(days=2):
        booking.approve(session, booking_id=made.id, actor_id=stage.cast.people["lab@demo.example"], now=asked_at)
    if chance.random() < 0.05:
        late = made.starts_at - timedelta(hours=chance.choice((6, 20, 60)))
        actor = known.get_actor(session, made.person_id)
        checkout.cancel(session, actor=actor, booking_id=made.id, now=max(asked_at, min(late, stage.now)))


def interrupt(session: Session, stage: Stage) -> None:
    """Planned maintenance next week, and a breakdown two weeks ago."""
    spray, five = (stage.cast.equipment[key].resource_id for key in ("spray", "five"))
    ahead, past = stage.day(4), stage.day(-13)
    manager = stage.cast.people["manager@demo.example"]
    planned = Slot(ahead.start + timedelta(hours=8), ahead.start + timedelta(hours=12))
    broken = Slot(past.start + timedelta(hours=15), past.start + timedelta(hours=19))
    record_outage(session, resource_id=spray, slot=planned, planned=True, reason="季度保养", actor_id=manager, now=stage.now)
    record_outage(session, resource_id=five, slot=broken, planned=False, reason="主轴报警", actor_id=manager, now=broken.start)


def occupy(session: Session, resource_ids: Sequence[str], *, now: datetime) -> None:
    """Somebody is at work on each of `resource_ids` at `now`: a booking that began within the hour, where nobody has one."""
    current = bookings.current_bookings(session, resource_ids, now=now + timedelta(minutes=10))
    customer = known.find_person_by_email(session, CUSTOMERS[0])
    for resource_id in resource_ids:
        if resource_id in current or customer is None:
            continue
        begun = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        free = bookings.free_time(session, resource_id, within=Slot(begun, begun + timedelta(hours=5)), now=begun)
        span = next((slot for slot in free if slot.start <= now < slot.end), None)
        if span and span.duration >= timedelta(hours=2):
            order = Order(resource_id, Slot(span.start, min(span.end, span.start + timedelta(hours=4))), purpose="工艺放大")
            actor = known.get_actor(session, customer.id)
            checkout.book(session, actor=actor, order=order, now=begun - timedelta(hours=3), hold=HOLD)


def live_through(stage: Stage, machines: list[Machine], day: Slot, chance: Random) -> None:
    """One day: what the meters said, what follows from it, and what people do with their bills in the evening."""
    end = min(day.end, stage.now)
    if end <= day.start:
        return
    with stage.sessions.begin() as session:
        for machine in machines:
            if machine.since < end:
                intake.store(session, list(history(machine, Slot(max(day.start, machine.since), end))))
    stage.fold(end)
    with stage.sessions.begin() as session:
        devices.confirm_uses(session, now=end)
        timers.conclude_bookings(session, end)
        billing.draft_statements(session, now=end)
        billing.accept_silent(session, now=end)
    with stage.sessions.begin() as session:
        answer_statements(session, stage, end, chance)
        for person_id in stage.cast.people.values():
            inbox.mark_all_read(session, person_id=person_id, now=end - timedelta(days=1))
    while worker.pay_once(stage.provider, stage.sessions):
        pass


def answer_statements(session: Session, stage: Stage, now: datetime, chance: Random) -> None:
    """Most firms accept within days, one objects, the institution's finance sees transfers come in."""
    for row in session.scalars(select(Statement).where(Statement.state == StatementState.OPEN)).all():
        booked = bookings.get_booking(session, row.booking_id)
        if equipment.in_a_scene(booked) or now - row.created_at < timedelta(hours=20) or chance.random() < 0.4:
            continue
        person = booked.person_id
        if chance.random() < 0.03:
            reason = "设备当天多次报警，实际有效时间少于计量时间。"
            objections.dispute_statement(session, statement_id=row.id, reason=reason, actor_id=person, now=now)
        else:
            billing.accept_statement(session, statement_id=row.id, actor_id=person, now=now)
    accepted = select(Statement).where(Statement.state == StatementState.ACCEPTED, Statement.funding == Funding.BANK)
    for row in session.scalars(accepted).all():
        if now - row.created_at > PAYS_AFTER and row.firm_minor and chance.random() < 0.5:
            serial = f"{now:%Y%m%d}{row.id[-8:].upper()}"
            receipt = Receipt(serial, Money(row.firm_minor, row.currency), now.date())
            finance = stage.cast.people["finance@demo.example"]
            billing.mark_received(session, statement_id=row.id, receipt=receipt, actor_id=finance, now=now)


def ask(stage: Stage, fleet: Fleet) -> None:
    """Each meter's first day is looked at for open questions, so that a wrong wiring is on the desk; the worker goes on."""
    waits = True
    while waits:
        with stage.sessions.begin() as session:
            timers.look_at_meters(session, stage.now)
            waits = bool(flags.not_looked_at(session, before=fleet.born.date(), limit=1))


def publish(session: Session, stage: Stage) -> None:
    """The evaluator has entered what no meter knows, and the closed periods are frozen."""
    evaluator = stage.cast.people["evaluator@demo.example"]
    period = f"{(stage.today.replace(day=1) - timedelta(days=1)):%Y-%m}"
    for house in stage.cast.institutions.values():
        for indicator, value in MANUAL:
            evaluation.enter_manual(
                session, institution_id=house, period=period, indicator=indicator, value=Fraction(value),
                note="现场核查", evidence="核查记录", actor_id=evaluator, now=stage.now,
            )  # fmt: skip
    evaluation.publish_due(session, now=stage.now)
