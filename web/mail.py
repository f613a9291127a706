"""Messages as letters in the reader's language, sent by SMTP; without SMTP they stay in the app."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from sqlalchemy.orm import Session

from marketplace.people import queries as people
from marketplace.settings import Settings
from marketplace.tables import Message

TIMEOUT_S = 20

SUBJECTS = {
    "zh": {
        "booking_confirmed": "预约已确认",
        "booking_requested": "预约申请已提交",
        "booking_refused": "预约申请未通过",
        "booking_changed": "预约时间已变更",
        "booking_cancelled": "预约已取消",
        "booking_expired": "预约保留已到期",
        "series_booked": "系列预约已确认",
        "series_requested": "系列预约申请已提交",
        "statement_ready": "用机结算单待确认",
        "statement_settled": "用机结算单已结清",
        "invitation": "邀请您加入中试台",
        "password_reset": "重设中试台密码",
    },
    "en": {
        "booking_confirmed": "Your booking is confirmed",
        "booking_requested": "Your booking request was sent",
        "booking_refused": "Your booking request was declined",
        "booking_changed": "Your booking was moved",
        "booking_cancelled": "Your booking is cancelled",
        "booking_expired": "Your hold has expired",
        "series_booked": "Your series of bookings is confirmed",
        "series_requested": "Your series of requests was sent",
        "statement_ready": "A statement awaits your answer",
        "statement_settled": "Your statement is settled",
        "invitation": "You are invited to Pilotbench",
        "password_reset": "Set a new Pilotbench password",
    },
}
OPEN = {"zh": "打开查看：", "en": "Open it here: "}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to be sent."""

    message_id: str
    to: str
    subject: str
    text: str


def letter(session: Session, message: Message, base_url: str) -> Letter:
    """The message in its reader's language with a link to what it is about."""
    person = people.get_person(session, message.person_id)
    language = "en" if person.locale == "en" else "zh"
    subject = SUBJECTS[language].get(message.kind, message.kind)
    return Letter(message.id, person.email, subject, f"{subject}\n\n{OPEN[language]}{base_url}{path_of(message, language)}\n")


def path_of(message: Message, language: str) -> str:
    """The page a message leads to."""
    data = message.data
    if secret := data.get("secret"):
        page = "invitations" if message.kind == "invitation" else "reset"
        return f"/{language}/{page}/{secret}"
    if booking_id := data.get("booking_id"):
        tail = "/statement" if message.kind.startswith("statement") else ""
        return f"/{language}/bookings/{booking_id}{tail}"
    return f"/{language}/bookings"


class Post:
    """Sends letters by the SMTP server of the settings; without one, a letter counts as sent by being in the app."""

    def __init__(self, settings: Settings) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self._url = urlsplit(settings.smtp_url.get_secret_value())
        self._from = settings.smtp_from

    def send(self, one: Letter) -> None:
        """Raises: SMTPException, OSError."""
        if not self._url.hostname:
            return
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._from, one.to, one.subject
        mail["Message-ID"] = f"<{one.message_id}@pilotbench>"
        mail.set_content(one.text)
        with smtplib.SMTP(self._url.hostname, self._url.port or 25, timeout=TIMEOUT_S) as server:
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            server.send_message(mail)
