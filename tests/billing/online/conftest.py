"""The product and the provider on one watch."""

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.billing.conftest import Stripe
from tests.billing.online.town import Town, Watch
from tests.billing.test_card_flow import BEFORE


@pytest.fixture
def watch() -> Watch:
    return Watch(BEFORE)


@pytest.fixture
def stripe_now(watch: Watch) -> Callable[[], datetime]:
    return watch.read


@pytest.fixture
def town(committed_db: sessionmaker[Session], stripe: Stripe, watch: Watch) -> Town:
    return Town(committed_db, stripe, watch)
