"""What the step before a page achieved, by its code in ?done=."""

from collections.abc import Collection

from booking.states import BookingState


def _(text: str) -> str:
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return text


DONE = {
    "booked": _("Booked. The time is yours."),
    "held": _("Held for you while the card is checked. You are told how that ends."),
    "requested": _("Requested. The institution will answer."),
    "cancelled": _("The booking is cancelled."),
    "approved": _("The booking is approved."),
    "moved": _("The booking is moved; the customer is told."),
    "refused": _("The request is declined; the firm is told."),
    "waiting": _("You are in line. We tell you as soon as the time is free and it is your turn."),
    "offer_declined": _("The offer passes to the next in line."),
    "left_line": _("You have left the line."),
    "checked_in": _("Checked in."),
    "finished": _("Finished; the rest of the time is free again."),
    "moved_own": _("The booking is moved."),
    "moved_asks": _("Moved. The institution must agree to the new time."),
    "moved_together": _("All of it is moved."),
    "moved_together_asks": _("All of it is moved. An institution must agree to the new time."),
    "rated": _("Thank you. Your rating is saved; you can change it for 14 days."),
    "handed_over": _("Handed over. Your colleague is told."),
    "swapped": _("The two bookings have exchanged their times."),
    "swap_proposed": _("Proposed. The other side is told."),
    "swap_declined": _("The proposal is declined."),
    "swap_withdrawn": _("The proposal is withdrawn."),
    "look_again": _("Nothing is booked yet. This is what your choice costs; confirm it below."),
    "series_booked": _("Booked. All times are yours."),
    "series_requested": _("Requested. The institution will answer."),
    "series_some": _("Done for the times that could be had; the others are listed below, with why."),
    "series_edited": _("The series is changed."),
    "series_gaps": _("The series is changed; some times could not be had. They are listed below."),
    "series_cancelled": _("Those bookings are cancelled."),
    "gaps_filled": _("Booked what could be had."),
    "accepted": _("The statement is accepted."),
    "disputed": _("Your objection has been sent to the institution."),
    "resolved": _("Your answer has been sent to the customer."),
    "received": _("The payment is marked as received."),
    "returned": _("The payment back is recorded."),
    "flag_closed": _("The question is closed. It stays on record with your word of why."),
    "use_stated": _("Stated. The other side is told and can sign or decline."),
    "use_sign": _("Signed. The booking and its bill follow."),
    "use_decline": _("Declined. The other side is told."),
    "use_withdraw": _("The statement is withdrawn."),
    "listed": _("The machine is listed and published. Connect its meter next."),
    "saved": _("Saved."),
    "published": _("Published."),
    "paused": _("Paused. Accepted bookings stay."),
    "retired": _("Retired."),
    "certificate_revoked": _("The certificate is revoked; within seconds nobody can connect by it."),
    "revoked": _("The device is revoked; its messages are turned away from now on."),
    "reading": _("From now on its messages are read so; what was read before stays as it is."),
    "main_meter": _("The main meter is set from now on; older use stays as it is."),
    "thresholds": _("The thresholds hold from now on; older sessions stay as they are."),
    "outage": _("The outage is entered."),
    "outage_ended": _("It ends earlier; the time behind that is free again."),
    "outage_withdrawn": _("It is withdrawn; its time is free again."),
    "calendar_connected": _("The calendar is connected. Its busy time is closed here as soon as it has been read."),
    "calendar_read": _("The file was read; its busy time is closed here."),
    "calendar_soon": _("The calendar is being read. Reload in a moment."),
    "calendar_gone": _("The calendar is disconnected; its busy time is free again."),
    "frozen": _("A revision is frozen."),
    "entered": _("The value is entered."),
    "signed_out": _("You are signed out."),
    "password": _("The password is changed; other browsers are signed out."),
    "token_revoked": _("The token no longer works."),
    "session_ended": _("That browser is signed out."),
    "kind_defined": _("The qualification is defined. Grant it to people below."),
    "granted": _("Granted; the person is told."),
    "taken_back": _("Taken back; the person is told. Bookings that stand are left alone."),
    "operator_added": _("Added. Assisted bookings may claim this person's time from now on."),
    "operator_left": _("Removed. Others have taken over the bookings ahead."),
    "absence": _("The absence is entered; others have taken over."),
    "rules": _("The rules hold from now on; accepted bookings keep theirs."),
    "policy": _("These terms hold from now on; accepted bookings keep theirs."),
    "programme_made": _("The programme is drafted. Say its years, look at what it would have paid, and publish it."),
    "programme_published": _("Published. From now on it pays for what is booked."),
    "entitled": _("Granted. It counts for what the firm books from now on."),
    "claimed": _("The claim is made. Hand its pack in to the payer."),
    "claim_paid": _("Entered. What it paid for waits to be passed on to the institutions."),
    "claim_rejected": _("Entered. The firms are told what they owe now, and have their grants back."),
    "passed_on": _("Entered as passed on."),
    "all_read": _("All messages are marked as read."),
    "joined": _("Welcome. Your account is ready."),
    "disabled": _("The account is disabled."),
    "enabled": _("The account is enabled."),
}


def of_bookings(states: Collection[BookingState]) -> str:
    """The code for bookings made together; while any of them is only held or asked for, they do not all stand.

    >>> of_bookings([BookingState.CONFIRMED, BookingState.HELD]), of_bookings([BookingState.CONFIRMED])
    ('held', 'booked')
    """
    waiting = (BookingState.HELD, BookingState.REQUESTED)
    return next((one.value for one in waiting if one in states), "booked")
