"""The platform's own pages: what must hold, whose messages were turned away, institutions, audit."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.health import queries as meters
from devices.health.queries import Which
from marketplace import audit
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.settings import Settings
from marketplace.tables import AuditEntry, InstitutionKind
from web.changes import title, told
from web.i18n import Formats, translations, translator
from web.labels import word
from web.present import names
from web.present.rejections import reason_in_words
from web.views.frame import EMPTY_FORM, Choice, Form, Lang
from web.views.operator import (
    AuditRow,
    AuditView,
    Check,
    HealthView,
    InstitutionRow,
    InstitutionsView,
    RejectedCount,
    SilentDevice,
)

MOST_REJECTED = 500
MOST_SILENT = 10
"""Of the silent and of the never heard; the page of all meters has the rest."""
MOST_LINES = 8
"""Of a change, the first values."""


def health(session: Session, checks: Mapping[str, bool], settings: Settings, *, lang: Lang, now: datetime) -> HealthView:
    counted = meters.counts(session, None, now=now)
    silent = [
        row
        for which in (Which.SILENT, Which.NEVER)
        for row in meters.list_doing(session, None, which, now=now, limit=MOST_SILENT)
    ]
    places = {row.id: names.name_of(row, lang) for row in catalogue.resources(session, {row.resource_id for row in silent})}
    heard = devices.last_heartbeat(session)
    houses = people.institutions(session)
    return HealthView(
        checks=[Check(code, "ok" if holds else "fail", "") for code, holds in checks.items()],
        messages_hour=0,
        lag_s=(now - heard).total_seconds() if heard else None,
        devices=counted[Which.ALL],
        online=counted[Which.HEARD],
        rejected=_rejected(session, lang),
        silent=[SilentDevice(places[row.resource_id], row.name, row.device_id, row.last_message_at) for row in silent],
        first_steps=[
            ("institution", bool(houses)),
            ("broker", bool(settings.mqtt_url)),
            ("mail", bool(settings.smtp_url.get_secret_value())),
            ("payments", bool(settings.stripe_key.get_secret_value())),
        ],
    )


def _rejected(session: Session, lang: Lang) -> list[RejectedCount]:
    found: dict[tuple[str, str], list[datetime]] = {}
    for row in devices.rejected_recently(session, limit=MOST_REJECTED):
        found.setdefault((row.reason, row.device_key), []).append(row.received_at)
    return [RejectedCount(reason_in_words(reason, lang), len(times), max(times), key) for (reason, key), times in found.items()]


def institutions(session: Session, lang: Lang, *, link: str | None = None, form: Form = EMPTY_FORM) -> InstitutionsView:
    translate = translations(lang).gettext
    return InstitutionsView(
        rows=[
            InstitutionRow(
                row.id, names.name_of(row, lang), row.kind.value, row.district, row.credit_code, row.settlement.value,
                len(catalogue.resources_of(session, [row.id])), len(people.members_of_institution(session, row.id)),
            )
            for row in people.institutions(session)
        ],
        kinds=[Choice(kind.value, word(translate, "house", kind.value)) for kind in InstitutionKind],
        link=link,
        form=form,
    )  # fmt: skip


def changes(session: Session, lang: Lang) -> AuditView:
    rows = audit.recent(session)
    who = people.names_of(session, {row.actor_id for row in rows if row.actor_id})
    return AuditView([_change(row, who, lang) for row in rows], "platform")


def _change(row: AuditEntry, who: Mapping[str, str], lang: Lang) -> AuditRow:
    _ = translator(lang)
    lines = told(row.before or {}, row.after or {}, Formats(lang), _)
    actor = who.get(row.actor_id or "") or _("the system")
    return AuditRow(row.at, actor, title(row.object_kind, row.action, _), row.object_id, lines[:MOST_LINES])
