"""Two languages: Chinese from its catalogue, English as the templates are written; dates, numbers and money in each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from marketplace.money import EXPONENTS, Money
from marketplace.slot import Slot
from web.views.frame import Lang

LOCALES = Path(__file__).parent / "locale"
BABEL = {Lang.ZH: Locale("zh", "CN", "Hans"), Lang.EN: Locale("en", "GB")}
DAY = {Lang.ZH: "M月d日 EEE", Lang.EN: "EEE d MMM"}
SHORT_DAY = {Lang.ZH: "M月d日", Lang.EN: "d MMM"}
MONTH = {Lang.ZH: "y年M月", Lang.EN: "MMMM y"}
LONG_DAY = {Lang.ZH: "y年M月d日", Lang.EN: "d MMMM y"}
SIGNS = {"CNY": "¥", "EUR": "€", "GBP": "£", "USD": "US$", "JPY": "JP¥"}
Day = date
"""A name for dates inside a class that has a method `date`."""
DASH, MINUS = "–", "−"
BEIJING = "Asia/Shanghai"


class MissingCatalogue(RuntimeError):
    """The .mo file was not built; `pip install -e .` does it."""


@lru_cache
def translations(lang: Lang) -> NullTranslations:
    """The catalogue of `lang`; English needs none. Raises: MissingCatalogue."""
    if lang is Lang.EN:
        return NullTranslations()
    found = Translations.load(LOCALES, [lang.value])
    if not isinstance(found, Translations):
        raise MissingCatalogue(lang.value)
    return found


def translator(lang: Lang) -> Callable[[str], str]:
    """A plain `_` for code outside templates."""
    return translations(lang).gettext


def instant(at: datetime) -> str:
    """An instant as addresses and fields carry it.

    >>> instant(datetime(2026, 11, 25, 7, 30, tzinfo=UTC))
    '2026-11-25T07:30Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


@dataclass(frozen=True, slots=True)
class Formats:
    """How values are written in one language. Instants come with the zone they are shown in."""

    lang: Lang

    def money(self, amount: Money) -> str:
        """With all decimal places.

        >>> Formats(Lang.ZH).money(Money(339200, "CNY"))
        '¥3,392.00'
        """
        return self._money(amount, EXPONENTS[amount.currency])

    def price(self, amount: Money) -> str:
        """Without decimals where they are zero: list prices."""
        whole = amount.decimal == amount.decimal.to_integral_value()
        return self._money(amount, 0 if whole else EXPONENTS[amount.currency])

    def _money(self, amount: Money, places: int) -> str:
        sign = MINUS if amount.minor < 0 else ""
        return f"{sign}{SIGNS.get(amount.currency, amount.currency + ' ')}{self.number(abs(amount.decimal), places)}"

    def number(self, value: Decimal | float, places: int = 0) -> str:
        text = format_decimal(value, f"#,##0.{'0' * places}" if places else "#,##0", BABEL[self.lang])
        return text.replace("-", MINUS)

    def change(self, value: float, places: int = 1) -> str:
        """Always with its sign."""
        return f"+{self.number(value, places)}" if value > 0 else self.number(value, places)

    def hours(self, seconds: float) -> str:
        """Hours with one place, without the unit."""
        return self.number(seconds / 3600, 1)

    def minutes(self, seconds: float) -> str:
        return self.number(seconds // 60)

    def length(self, minutes: int) -> str:
        """A length of time: minutes below an hour, else hours, with the unit.

        >>> Formats(Lang.EN).length(45), Formats(Lang.EN).length(150), Formats(Lang.EN).length(480)
        ('45 min', '2.5 h', '8 h')
        """
        if minutes < 60:
            return f"{minutes} min"
        return f"{minutes // 60} h" if minutes % 60 == 0 else f"{self.number(Decimal(minutes) / 60, 1)} h"

    def day(self, value: date) -> str:
        return format_date(value, DAY[self.lang], BABEL[self.lang])

    def short_day(self, value: date) -> str:
        return format_date(value, SHORT_DAY[self.lang], BABEL[self.lang])

    def long_day(self, value: date) -> str:
        return format_date(value, LONG_DAY[self.lang], BABEL[self.lang])

    def day_text(self, value: str) -> str:
        """The day of a select's value."""
        return self.day(date.fromisoformat(value))

    def weekday(self, number: int) -> str:
        """0 = Monday: 周一, Mon."""
        return BABEL[self.lang].days["format"]["abbreviated"][number]  # type: ignore[no-any-return]

    def narrow_weekday(self, number: int) -> str:
        """一, M."""
        return BABEL[self.lang].days["stand-alone"]["narrow"][number]  # type: ignore[no-any-return]

    def local(self, at: datetime, zone: str) -> datetime:
        return at.astimezone(ZoneInfo(zone))

    def clock(self, at: datetime, zone: str) -> str:
        return f"{self.local(at, zone):%H:%M}"

    def date(self, at: datetime, zone: str) -> str:
        return self.day(self.local(at, zone).date())

    def moment(self, at: datetime, zone: str) -> str:
        """Day and clock."""
        return f"{self.date(at, zone)} {self.clock(at, zone)}"

    def soon(self, at: datetime, zone: str) -> str:
        """Weekday and clock, for something within a week."""
        return f"{self.weekday(self.local(at, zone).weekday())} {self.clock(at, zone)}"

    def iso_date(self, at: datetime, zone: str) -> str:
        return self.local(at, zone).date().isoformat()

    def iso_moment(self, at: datetime, zone: str) -> str:
        return f"{self.local(at, zone):%Y-%m-%d %H:%M}"

    def other_zone(self, zone: str, readers: str, at: datetime) -> str:
        """The zone's name and offset where its clock shows something else than the reader's; empty where it does not."""
        same = self.local(at, zone).utcoffset() == self.local(at, readers).utcoffset()
        return "" if same else f"{self.zone(zone)}, {self.offset(zone, at)}"

    def month(self, value: Day) -> str:
        return format_date(value, MONTH[self.lang], BABEL[self.lang])

    def until(self, at: datetime, now: datetime) -> tuple[int, int, int]:
        """Whole days, hours and minutes from `now` to `at`; the last minute counts whole, nothing is left once it is over.

        >>> now = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)
        >>> Formats(Lang.EN).until(datetime(2026, 11, 26, 9, tzinfo=UTC), now), Formats(Lang.EN).until(now, now)
        ((1, 1, 30), (0, 0, 0))
        """
        minutes = max(-(-(at - now) // timedelta(minutes=1)), 0)
        return minutes // 1440, minutes // 60 % 24, minutes % 60

    def wall(self, at: datetime, zone: str) -> str:
        """As a field for date and time holds it."""
        return f"{self.local(at, zone):%Y-%m-%dT%H:%M}"

    def clocks(self, slot: Slot, zone: str) -> str:
        """15:30–18:00; midnight at the end is 24:00."""
        start, end = self.local(slot.start, zone), self.local(slot.end, zone)
        return f"{start:%H:%M}{DASH}{_closing(start, end)}"

    def span(self, slot: Slot, zone: str) -> str:
        """Day and both clocks; the second day too where it is another."""
        start, end = self.local(slot.start, zone), self.local(slot.end, zone)
        if _closing(start, end) == "24:00" or start.date() == end.date():
            return f"{self.day(start.date())} {self.clocks(slot, zone)}"
        return f"{self.moment(slot.start, zone)} {DASH} {self.moment(slot.end, zone)}"

    def iso_span(self, slot: Slot, zone: str) -> str:
        """As `span`, with the day as documents write it.

        >>> from datetime import UTC
        >>> day = Slot(datetime(2026, 11, 24, 5, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
        >>> Formats(Lang.ZH).iso_span(day, "Asia/Shanghai"), Formats(Lang.ZH).iso_span(day, "America/New_York")
        ('2026-11-24 13:00–17:00', '2026-11-24 00:00–04:00')
        """
        start, end = self.local(slot.start, zone), self.local(slot.end, zone)
        if _closing(start, end) == "24:00" or start.date() == end.date():
            return f"{start:%Y-%m-%d} {self.clocks(slot, zone)}"
        return f"{self.iso_moment(slot.start, zone)} {DASH} {self.iso_moment(slot.end, zone)}"

    def days_of(self, slot: Slot, zone: str) -> str:
        """The first and the last day that `slot` reaches into; one that ends at midnight ends with the day before.

        >>> from datetime import UTC
        >>> october = Slot(datetime(2026, 9, 30, 16, tzinfo=UTC), datetime(2026, 10, 31, 16, tzinfo=UTC))
        >>> Formats(Lang.EN).days_of(october, "Asia/Shanghai")
        '1 Oct – 31 Oct'
        """
        last = self.local(slot.end - timedelta(microseconds=1), zone)
        return self.days(self.local(slot.start, zone).date(), last.date())

    def days(self, first: Day, last: Day) -> str:
        return f"{self.short_day(first)} {DASH} {self.short_day(last)}"

    def minute(self, minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    def instant(self, at: datetime) -> str:
        return instant(at)

    def rfc3339(self, at: datetime, zone: str) -> str:
        return self.local(at, zone).isoformat(timespec="minutes")

    def offset(self, zone: str, at: datetime) -> str:
        """UTC+8."""
        seconds = int((self.local(at, zone).utcoffset() or timedelta()).total_seconds())
        sign, rest = ("+" if seconds >= 0 else MINUS), abs(seconds)
        return f"UTC{sign}{rest // 3600}" + (f":{rest % 3600 // 60:02}" if rest % 3600 else "")

    def zone(self, name: str) -> str:
        """北京时间 for China's zone, the IANA name otherwise."""
        return "北京时间" if name == BEIJING and self.lang is Lang.ZH else name


def _closing(start: datetime, end: datetime) -> str:
    next_midnight = end.time() == time() and end.date() - start.date() == timedelta(days=1)
    return "24:00" if next_midnight else f"{end:%H:%M}"
