"""What letters about a payment say: how much, and what happens next."""

from collections.abc import Callable
from datetime import datetime

from marketplace.money import Money
from marketplace.tables import Message
from web.i18n import Formats, translator
from web.views.frame import Lang


def facts(message: Message, formats: Formats, at: Callable[[datetime], str], lang: Lang) -> list[tuple[str, str]]:
    """The amount, and what its reader can do on the page that the letter leads to."""
    _, data = translator(lang), message.data
    return [(_("Amount"), formats.money(Money(data["minor"], data["currency"]))), (_("What next"), _next(message, at, lang))]


def _next(message: Message, at: Callable[[datetime], str], lang: Lang) -> str:
    _ = translator(lang)
    match message.kind:
        case "payment_rest":
            return _("What you paid in advance does not cover it. Pay the rest on the page below.")
        case "payment_hold_refused":
            return _(
                "Have it held on a card on the page below before the start. If nothing is done, the booking stands all the same."
            )
        case "payment_unsecured":
            return _(
                "The customer's bank refused to hold it. The booking stands and is charged after its use; you may also cancel it."
            )
    if again := message.data["again"]:
        return _("It is sent again after {at}. The money is still yours.").format(at=at(datetime.fromisoformat(again)))
    return _("It is not sent again by itself. The money is still yours: tell the platform where it may go.")
