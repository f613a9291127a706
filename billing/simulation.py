"""A bill worked out for facts that somebody made up: nothing is read, nothing is stored."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing import ledger, policy, pricing, settlement
from billing.exact import as_decimal, read_rate, read_whole
from billing.ledger import Entry
from billing.policy import Policy
from billing.pricing import Charge, Line, LineCode, Piece, UseState
from billing.programmes.choosing import Programme, ProgrammeKind, programme_pays
from billing.settlement import Funding, Settlement
from billing.tariffs.choosing import PriceList
from billing.tariffs.rules import CLASSES
from marketplace.money import EXPONENTS, Money
from marketplace.refusals import Invalid
from marketplace.slot import Slot

LONGEST = timedelta(days=366)
YEARS = range(1970, 9000)
"""Times outside of them are slips of the pen; so near the ends of the calendar no limit can be counted either."""

MOST_PIECES = 10_000
MOST_PROGRAMMES = 20
MOST_BUFFER = 2 * 24 * 60
MOST_MINOR = 10**12
CLOCK_CHANGERS = (
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""One zone for each pair of offsets that clocks commonly change between."""

_Kind = TypeVar("_Kind", bound=StrEnum)

FIELDS = frozenset(
    {"price_per_hour", "currency", "policy", "start", "end", "timezone", "use", "funding", "class", "quantity"}
    | {"programmes", "cancelled_at", "assisted", "setup_min", "cleaning_min"}
)
MONEY = frozenset({"minor", "currency"})
PIECE = frozenset({"start", "end", "state"})
PROGRAMME = frozenset({"kind", "rate", "remaining", "expires_at", "stack"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a simulation is asked: prices, a policy, a slot, what was seen, how it is paid."""

    prices: PriceList
    slot: Slot
    zone: tzinfo
    policy: Policy = policy.DEFAULT
    use: tuple[Piece, ...] = ()
    funding: Funding = Funding.CARD
    programmes: tuple[Programme, ...] = ()
    cancelled_at: datetime | None = None
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Simulation:
    """The bill: quote, charge by lines, what a programme pays, and how the rest is taken."""

    funding: Funding
    quote: Money
    charge: Charge
    programme: Money
    settled: Settlement

    @property
    def lines(self) -> tuple[Line, ...]:
        """The charge's lines, and what a programme takes over as a negative one."""
        paid_for = (Line(LineCode.PROGRAMME, -self.programme),) if self.programme else ()
        return (*self.charge.lines, *paid_for)

    def as_json(self) -> dict[str, Any]:
        """The answer of POST /price-simulations."""
        settled = self.settled
        amounts = {
            "quote": self.quote,
            "hold": settled.hold,
            "charge": self.charge.amount,
            "capture": settled.capture,
            "release": settled.release,
            "refund": settled.refund,
            "remainder": settled.remainder,
            "platform_fee": settled.platform_fee,
            "transfer": settled.transfer,
            "customer_pays": settled.customer_pays,
            **({"tax": self.charge.tax} if self.charge.tax else {}),
        }
        return {
            "billable_min": _number(self.charge.billable_min),
            "lines": [line_json(line) for line in self.lines],
            **{name: money_json(amount) for name, amount in amounts.items()},
        }


def simulate(request: Request) -> Simulation:
    """Work the bill out. After the start a cancellation changes nothing: use and no-show decide."""
    quoted = pricing.quote(request.prices, request.slot, request.quantity)
    charge = _charge(request, quoted)
    paid_for = programme_pays(pricing.bases_of(charge, request.policy.tax), request.programmes)
    settled = settlement.settle(
        quoted=quoted,
        charge=charge.amount,
        programme=paid_for,
        fee_rate=request.policy.fee_rate,
        funding=request.funding,
        tax=charge.tax,
    )
    return Simulation(request.funding, quoted, charge, paid_for, settled)


def _charge(request: Request, quoted: Money) -> Charge:
    cancelled = request.cancelled_at
    if cancelled is not None and cancelled < request.slot.start:
        fee = pricing.cancellation_fee(quoted, request.slot, request.policy, cancelled_at=cancelled, zone=request.zone)
        return pricing.charge_for_cancellation(fee, tax=request.policy.tax)
    return pricing.charge_for_use(request.prices, request.slot, request.use, request.policy, quantity=request.quantity)


def journal(simulation: Simulation) -> list[Entry]:
    """The entries that collecting through the platform would post until everything now due is paid."""
    settled, tax = simulation.settled, simulation.charge.tax
    charged = [ledger.usage_charge(simulation.charge.amount, settled.platform_fee, simulation.programme, tax)]
    if simulation.funding is Funding.BANK:
        owed = ledger.direct_charge(simulation.charge.amount, settled.platform_fee, tax, simulation.programme)
        direct = [owed, ledger.direct_paid(settled.customer_pays)]
        return [entry for entry in direct if entry.legs]
    payments = [amount for amount in (settled.capture, settled.remainder) if amount]
    if simulation.funding is Funding.WALLET:
        before, after = _prepaid(settled)
        further = _taken(settled.remainder, Funding.WALLET)
        return [entry for entry in (*before, *charged, *after, *further, *_paid_out(settled, payments)) if entry.legs]
    taken = [entry for amount in payments for entry in _taken(amount, Funding.CARD)]
    return [entry for entry in (*charged, *taken, *_paid_out(settled, payments)) if entry.legs]


def _taken(amount: Money, funding: Funding) -> list[Entry]:
    return [ledger.payment_captured(amount), ledger.psp_fee(settlement.processing_fee(amount, funding))]


def _prepaid(settled: Settlement) -> tuple[list[Entry], list[Entry]]:
    before = [
        ledger.prepay_captured(settled.capture),
        ledger.psp_fee(settlement.processing_fee(settled.capture, Funding.WALLET)),
    ]
    after = [
        ledger.prepay_applied(settled.capture - settled.refund),
        ledger.refund_initiated(settled.refund),
        ledger.refund_settled(settled.refund),
    ]
    return before, after


def _paid_out(settled: Settlement, payments: list[Money]) -> list[Entry]:
    return [ledger.transfer_out(part) for part in settlement.transfers(payments, settled.transfer) if part]


def parse(document: Mapping[str, Any]) -> Request:
    """The request of POST /price-simulations. Raises: Invalid (which field, and why)."""
    _known("", document, FIELDS)
    start, end = _instant("start", document.get("start")), _instant("end", document.get("end"))
    if not start < end:
        raise Invalid(field="end", reason="must be after start")
    if end - start > LONGEST:
        raise Invalid(field="end", reason="a slot is at most 366 days long")
    price = read_price(document)
    cancelled = None if document.get("cancelled_at") is None else _instant("cancelled_at", document["cancelled_at"])
    found, zone = _policy(document.get("policy")), _zone(document.get("timezone"), start, cancelled)
    return Request(
        prices=_prices(document, price, found, zone),
        slot=Slot(start, end),
        zone=zone,
        policy=found,
        use=_use(document.get("use")),
        funding=_choice("funding", Funding, document.get("funding", Funding.CARD.value)),
        programmes=_programmes(document.get("programmes"), price.currency),
        cancelled_at=cancelled,
        quantity=read_whole("quantity", document.get("quantity", 1), least=1, most=1000),
    )


def _prices(document: Mapping[str, Any], listed: Money, found: Policy, zone: tzinfo) -> PriceList:
    """What time costs the buyer that is asked for; set-up and cleaning are minutes, nothing where they are not said."""
    kind, assisted = document.get("class"), document.get("assisted", False)
    if kind is not None and kind not in CLASSES:
        raise Invalid(field="class", reason=f"must be one of {', '.join(CLASSES)}")
    if not isinstance(assisted, bool):
        raise Invalid(field="assisted", reason="must be true or false")
    minutes = (read_whole(name, document.get(name, 0), least=0, most=MOST_BUFFER) for name in ("setup_min", "cleaning_min"))
    before, after = (timedelta(minutes=one) for one in minutes)
    return policy.price_list(found, listed, customer_class=kind, assisted=assisted, zone=zone, buffers=(before, after))


def _known(path: str, document: Mapping[str, Any], names: Collection[str]) -> None:
    for name in document:
        if name not in names:
            raise Invalid(field=f"{path}{name}", reason="no such field")


def _policy(value: Any) -> Policy:
    return policy.DEFAULT if value is None else policy.parse(_mapping("policy", value))


def read_price(document: Mapping[str, Any]) -> Money:
    """Minor units, or Money; the currency must be said, and said alike. Raises: Invalid."""
    price, currency = document.get("price_per_hour"), document.get("currency")
    if isinstance(price, Mapping):
        _known("price_per_hour.", price, MONEY)
        if currency is not None and price.get("currency", currency) != currency:
            raise Invalid(field="currency", reason="differs from the currency of price_per_hour")
        currency = price.get("currency", currency)
        price = price.get("minor")
    if not isinstance(currency, str) or currency not in EXPONENTS:
        raise Invalid(field="currency", reason=f"must be one of {', '.join(EXPONENTS)}")
    return Money(read_whole("price_per_hour", price, least=0, most=MOST_MINOR), currency)


def _instant(field: str, value: Any) -> datetime:
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is not None and read.astimezone(UTC).year in YEARS:
            return read
    except (TypeError, ValueError, OverflowError):
        pass
    raise Invalid(field=field, reason="must be a time with offset, such as 2026-03-10T09:00:00+08:00") from None


def _zone(name: Any, start: datetime, cancelled: datetime | None) -> tzinfo:
    """Where local days are counted: the named zone, else the offset that the times are written in.

    Where start and cancellation are written with different offsets, a clock change lies between them: then the first well
    known zone that writes both so.
    """
    if name is not None:
        try:
            return ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Invalid(field="timezone", reason="must be an IANA zone, such as Asia/Shanghai") from None
    if cancelled is not None and cancelled.utcoffset() != start.utcoffset():
        fits = (ZoneInfo(zone) for zone in CLOCK_CHANGERS)
        return next((zone for zone in fits if _writes(zone, start) and _writes(zone, cancelled)), start.tzinfo or UTC)
    return start.tzinfo or UTC


def _writes(zone: ZoneInfo, moment: datetime) -> bool:
    """Whether a clock of `zone` shows `moment` with the offset it is written with."""
    return moment.astimezone(zone).utcoffset() == moment.utcoffset()


def _use(value: Any) -> tuple[Piece, ...]:
    entries = _listed("use", value, MOST_PIECES)
    return tuple(_piece(f"use[{i}]", _mapping(f"use[{i}]", entry)) for i, entry in enumerate(entries))


def _piece(path: str, entry: Mapping[str, Any]) -> Piece:
    _known(f"{path}.", entry, PIECE)
    start, end = _instant(f"{path}.start", entry.get("start")), _instant(f"{path}.end", entry.get("end"))
    if not start < end:
        raise Invalid(field=f"{path}.end", reason="must be after start")
    return Piece(Slot(start, end), _choice(f"{path}.state", UseState, entry.get("state")))


def _programmes(value: Any, currency: str) -> tuple[Programme, ...]:
    entries = _listed("programmes", value, MOST_PROGRAMMES)
    return tuple(_programme(f"programmes[{i}]", _mapping(f"programmes[{i}]", e), currency) for i, e in enumerate(entries))


def _programme(path: str, entry: Mapping[str, Any], currency: str) -> Programme:
    _known(f"{path}.", entry, PROGRAMME)
    left = entry.get("remaining")
    if isinstance(left, Mapping):
        _known(f"{path}.remaining.", left, MONEY)
        if left.get("currency") != currency:
            raise Invalid(field=f"{path}.remaining", reason="must be in the currency of the price")
        left = left.get("minor")
    remaining = None if left is None else read_whole(f"{path}.remaining", left, least=0, most=MOST_MINOR)
    expires = entry.get("expires_at")
    return Programme(
        kind=_choice(f"{path}.kind", ProgrammeKind, entry.get("kind")),
        rate=read_rate(f"{path}.rate", entry.get("rate"), most=Fraction(1)),
        remaining=None if remaining is None else Money(remaining, currency),
        expires_at=None if expires is None else _instant(f"{path}.expires_at", expires),
        stack=None if entry.get("stack") is None else str(entry["stack"]),
    )


def _listed(field: str, value: Any, most: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > most:
        raise Invalid(field=field, reason=f"must be a list of at most {most}")
    return list(value)


def _mapping(field: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(field=field, reason="must be an object")
    return value


def _choice(field: str, kind: type[_Kind], value: Any) -> _Kind:
    try:
        return kind(value)
    except ValueError:
        raise Invalid(field=field, reason=f"must be one of {', '.join(kind)}") from None


def with_tax(lines: Sequence[Mapping[str, Any]], within: Money) -> list[dict[str, Any]]:
    """The lines of a statement whose sum was set otherwise: what of it is tax said anew."""
    return [{**line, "tax": money_json(within)} if "tax" in line else dict(line) for line in lines]


def money_json(amount: Money) -> dict[str, Any]:
    return {"minor": amount.minor, "currency": amount.currency}


def line_json(line: Line) -> dict[str, Any]:
    """A line of the contract: code, minutes where counted, amount; an hour's price where there are several; rate and tax."""
    minutes = {} if line.minutes is None else {"minutes": _number(line.minutes)}
    hour = {} if line.hour is None else {"price_per_hour": money_json(line.hour)}
    taxed = {"rate": as_decimal(line.taxed[0]), "tax": money_json(line.taxed[1])} if line.taxed else {}
    return {"code": line.code.value, **minutes, **hour, **taxed, "amount": money_json(line.amount)}


def _number(minutes: Fraction) -> int | float:
    return minutes.numerator if minutes.denominator == 1 else round(float(minutes), 2)
