"""How far a further version may raise what was accepted."""

from datetime import datetime, timedelta

from billing.pricing import Line, LineCode
from marketplace.money import Money, zero


def may_rise(*, found_at: datetime, ends_at: datetime, late_data_hours: int) -> bool:
    """Late messages may make a booking dearer only so long after its end; they may make it cheaper at any time.

    >>> from datetime import UTC
    >>> end = datetime(2026, 3, 10, 12, tzinfo=UTC)
    >>> [may_rise(found_at=end + timedelta(hours=h), ends_at=end, late_data_hours=24) for h in (24, 25)]
    [True, False]
    """
    return found_at <= ends_at + timedelta(hours=late_data_hours)


def not_charged(amount: Money, ceiling: Money | None) -> Line | None:
    """What of `amount` lies above the ceiling, as the line that takes it off.

    >>> line = not_charged(Money(60000, "CNY"), Money(52500, "CNY"))
    >>> line and (line.code.value, line.amount.minor)
    ('late', -7500)
    """
    over = amount - ceiling if ceiling is not None else zero(amount.currency)
    return Line(LineCode.LATE, -over) if over.minor > 0 else None
