"""What the weeks are played on."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session, sessionmaker

from billing.providers.base import Provider
from booking.availability import local_midnight
from devices import actions as devices
from marketplace.slot import Slot
from web.demo.story import ZONE, Cast


@dataclass(frozen=True, slots=True)
class Stage:
    """`now` is the true present."""

    sessions: sessionmaker[Session]
    provider: Provider
    cast: Cast
    now: datetime

    @property
    def today(self) -> date:
        return today_of(self.now)

    def day(self, number: int) -> Slot:
        return Slot(midnight(self.today + timedelta(days=number)), midnight(self.today + timedelta(days=number + 1)))

    def fold(self, now: datetime) -> None:
        """All that was heard by then."""
        folded = 1
        while folded:
            with self.sessions.begin() as session:
                folded = devices.fold_devices(session, now=now)


def today_of(now: datetime) -> date:
    return now.astimezone(ZoneInfo(ZONE)).date()


def midnight(day: date) -> datetime:
    """With which it begins where the story is told."""
    return local_midnight(day, ZoneInfo(ZONE))
