"""Letters as a mail server receives them: what, where, when, what it costs, how to get out, and the entry for the calendar."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from billing import queries as bills
from booking import actions as booking
from booking.outages.plans import Proposal, Step
from booking.presence import actions as presence
from booking.qualifications import actions as qualifications
from booking.qualifications.actions import Named
from booking.tables import Booking
from marketplace import clock, outbox
from marketplace.inbox import actions as inbox
from marketplace.people import queries as people
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from marketplace.topics import Delivery, Topic
from tests.builders import a_booking, a_member, a_resource, a_rule_version, an_institution, an_organisation
from tests.mailbox import Mailbox, a_mailbox, calendar_of, events_of, text_of
from web import bundling, checkout
from web.checkout import Order
from web.mail import SENDING, Post
from web.outages import PlannedOutage, record_outage
from web.worker import mail_once

HOUR = timedelta(hours=1)
START = (clock.now() + timedelta(days=10)).astimezone(UTC).replace(hour=1, minute=0, second=0, microsecond=0)
SLOT = Slot(START, START + 2 * HOUR)
NAME = "中试级喷雾干燥与连续结晶一体化生产线（含在线粒度监测、溶剂回收; 防爆）, 二号"


@dataclass
class Firm:
    """A firm's member who books, the post office and the box where letters arrive."""

    sessions: sessionmaker[Session]
    box: Mailbox
    post: Post
    member: str = ""
    resource: str = ""

    def letters(self) -> list[EmailMessage]:
        """Everything that is waiting, sent and received."""
        while mail_once(self.post, self.sessions):
            pass
        return self.box.take()

    def actor(self, session: Session) -> Actor:
        return people.get_actor(session, self.member)

    def booked(self, slot: Slot = SLOT) -> str:
        with self.sessions.begin() as session:
            order = Order(self.resource, slot)
            made, _ = checkout.book(session, actor=self.actor(session), order=order, now=clock.now(), hold=HOUR)
            return made.id

    def moved(self, booking_id: str, slot: Slot) -> None:
        with self.sessions.begin() as session:
            version = session.get_one(Booking, booking_id).version
            actor, now = self.actor(session), clock.now()
            checkout.move(session, actor=actor, booking_id=booking_id, slot=slot, version=version, now=now)

    def cancelled(self, booking_id: str) -> None:
        with self.sessions.begin() as session:
            checkout.cancel(session, actor=self.actor(session), booking_id=booking_id, now=clock.now())

    def speaks(self, locale: str) -> None:
        with self.sessions.begin() as session:
            people.get_person(session, self.member).locale = locale


@pytest.fixture
def firm(committed_db: sessionmaker[Session]) -> Iterator[Firm]:
    with a_mailbox() as box:
        post = Post(Settings(smtp_url=box.url, base_url="https://pilot.example/"))  # type: ignore[arg-type]
        made = Firm(committed_db, box, post)
        with committed_db.begin() as session:
            made.member = a_member(session, Role.MEMBER, organisation=an_organisation(session)).id
            made.resource = a_resource(session, name=NAME, name_en="Spray dryer", address="成都市天府大道1号").id
        yield made


def test_a_confirmation_says_what_where_when_the_price_and_the_way_out(firm: Firm) -> None:
    booking_id = firm.booked()
    (mail,) = firm.letters()
    local = START + 8 * HOUR
    free = local - timedelta(days=2)
    assert mail["Subject"].startswith(f"预约已确认：{NAME}，{local.month}月{local.day}日")
    assert text_of(mail).splitlines() == [
        "预约已确认",
        "",
        f"设备：{NAME}",
        "地点：天府合成生物中试基地, 成都市天府大道1号",
        f"时间：{local.month}月{local.day}日 周{'一二三四五六日'[local.weekday()]} 09:00–11:00（北京时间, UTC+8）",
        "价格：最多 ¥600.00",
        f"取消预约：{free.month}月{free.day}日 周{'一二三四五六日'[free.weekday()]} 09:00 前可在下方页面免费取消",
        f"打开查看：https://pilot.example/zh/bookings/{booking_id}",
    ]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] is not None


def test_a_reader_of_english_gets_an_english_letter(firm: Firm) -> None:
    firm.speaks("en")
    firm.booked()
    (mail,) = firm.letters()
    assert mail["Subject"].startswith("Your booking is confirmed: Spray dryer, ")
    assert "09:00–11:00 (Asia/Shanghai, UTC+8)" in text_of(mail)
    assert "Price: at most ¥600.00" in text_of(mail)
    assert "Cancel: free until " in text_of(mail)


def test_the_calendar_of_a_confirmation_is_an_invitation(firm: Firm) -> None:
    booking_id = firm.booked()
    (mail,) = firm.letters()
    (part,) = mail.iter_attachments()
    assert part.get_content_type() == "text/calendar"
    assert part["Content-Type"].params["method"] == "REQUEST"
    content = calendar_of(mail)
    assert content
    assert b"METHOD:REQUEST\r\n" in content
    (event,) = events_of(content)
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (f"{booking_id}@pilotbench", "1", "CONFIRMED")
    assert (event["DTSTART"], event["DTEND"]) == (f"{SLOT.start:%Y%m%dT%H%M%SZ}", f"{SLOT.end:%Y%m%dT%H%M%SZ}")
    assert (event["SUMMARY"], event["LOCATION"]) == (NAME, "天府合成生物中试基地, 成都市天府大道1号")
    assert event["ORGANIZER"] == "mailto:pilotbench@localhost"
    assert event["ATTENDEE"] == f"mailto:{mail['To']}"


def test_a_move_tells_the_old_and_the_new_time_and_moves_the_same_entry(firm: Firm) -> None:
    booking_id = firm.booked()
    later = Slot(SLOT.start + 3 * HOUR, SLOT.end + 3 * HOUR)
    firm.moved(booking_id, later)
    first, mail = firm.letters()
    assert "09:00–11:00" in text_of(first)
    told = text_of(mail).splitlines()
    assert told[0] == "预约时间已变更"
    assert next(line for line in told if line.startswith("原时间：")).endswith("09:00–11:00（北京时间, UTC+8）")
    assert next(line for line in told if line.startswith("新时间：")).endswith("12:00–14:00（北京时间, UTC+8）")
    before, after = (events_of(calendar_of(one) or b"")[0] for one in (first, mail))
    assert before["UID"] == after["UID"]
    assert (before["SEQUENCE"], after["SEQUENCE"]) == ("1", "2")
    assert (before["DTSTART"], after["DTSTART"]) == (f"{SLOT.start:%Y%m%dT%H%M%SZ}", f"{later.start:%Y%m%dT%H%M%SZ}")


def test_a_cancellation_takes_the_entry_out_and_tells_the_fee(firm: Firm) -> None:
    booking_id = firm.booked()
    firm.cancelled(booking_id)
    _, mail = firm.letters()
    assert "费用：无" in text_of(mail).splitlines()
    content = calendar_of(mail)
    assert content
    assert b"METHOD:CANCEL\r\n" in content
    (event,) = events_of(content)
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (f"{booking_id}@pilotbench", "2", "CANCELLED")


def test_a_late_cancellation_tells_what_it_costs(firm: Firm) -> None:
    soon = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=30)
    booking_id = firm.booked(Slot(soon, soon + 2 * HOUR))
    (confirmed,) = firm.letters()
    assert "取消预约：可在下方页面取消，现在取消须付 ¥150.00" in text_of(confirmed).splitlines()
    firm.cancelled(booking_id)
    (mail,) = firm.letters()
    assert "费用：¥150.00" in text_of(mail).splitlines()


def test_a_request_withdrawn_at_the_last_moment_costs_nothing(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        firm.resource = a_resource(session, rules={"approval": "request"}).id
    soon = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=5)
    booking_id = firm.booked(Slot(soon, soon + 2 * HOUR))
    firm.cancelled(booking_id)
    _, mail = firm.letters()
    assert "费用：无" in text_of(mail).splitlines()
    with firm.sessions() as session:
        assert bills.statements_of_booking(session, booking_id) == []


def test_an_institution_that_cancels_says_that_it_costs_nothing(firm: Firm) -> None:
    soon = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=5)
    booking_id = firm.booked(Slot(soon, soon + 2 * HOUR))
    with firm.sessions.begin() as session:
        by = booking.CancelledBy.PROVIDER
        checkout.cancel(session, actor=firm.actor(session), booking_id=booking_id, now=clock.now(), by=by)
    _, mail = firm.letters()
    assert "费用：无，由机构取消" in text_of(mail).splitlines()


def test_who_is_sent_to_another_institution_by_an_outage_gets_one_letter_of_both(firm: Firm) -> None:
    booking_id = firm.booked()
    firm.letters()
    with firm.sessions.begin() as session:
        other = an_institution(session, name="成都分析测试中心")
        there = a_resource(session, institution=other, name="喷雾干燥机", name_en="Spray dryer 2", price_minor=20000).id
        row = session.get_one(Booking, booking_id)
        manager = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id=row.institution_id)}))
        outage, plan = PlannedOutage(SLOT, planned=True, reason="检修"), [Proposal(row, Step.MOVE, resource_id=there)]
        record_outage(session, actor=manager, resource_id=firm.resource, outage=outage, plan=plan, now=clock.now())
    (mail,) = firm.letters()
    lines = text_of(mail).splitlines()
    assert lines[0] == "您的预约改到另一家机构"
    assert lines[2:4] == ["设备：喷雾干燥机", "地点：成都分析测试中心"]
    assert f"原预约：{NAME}，天府合成生物中试基地, 成都市天府大道1号" in lines
    assert "价格：最多 ¥400.00" in lines
    new, old = (events_of(part.get_payload(decode=True)) for part in mail.iter_attachments())  # type: ignore[arg-type]
    assert [event["STATUS"] for event in (*new, *old)] == ["CONFIRMED", "CANCELLED"]
    assert (old[0]["UID"].startswith(booking_id), new[0]["UID"] == old[0]["UID"]) == (True, False)


def test_an_outage_tells_a_person_of_several_bookings_in_one_letter(firm: Firm) -> None:
    moved, ended, gone, shifted = (firm.booked(Slot(START + n * 2 * HOUR, START + (n + 1) * 2 * HOUR)) for n in range(4))
    firm.letters()
    later = Slot(START + 30 * HOUR, START + 32 * HOUR)
    with firm.sessions.begin() as session:
        rows = {one: session.get_one(Booking, one) for one in (moved, ended, gone, shifted)}
        own = session.get_one(Institution, rows[moved].institution_id)
        sister = a_resource(session, institution=own, name="喷雾干燥机三号", price_minor=20000).id
        other = an_institution(session, name="成都分析测试中心")
        there = a_resource(session, institution=other, name="喷雾干燥机", name_en="Spray dryer 2", price_minor=20000).id
        plan = [
            Proposal(rows[moved], Step.MOVE, resource_id=sister),
            Proposal(rows[ended], Step.CANCEL),
            Proposal(rows[gone], Step.MOVE, resource_id=there),
            Proposal(rows[shifted], Step.SHIFT, slot=later),
        ]
        manager = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id=own.id)}))
        outage = PlannedOutage(Slot(START, START + 8 * HOUR), planned=True, reason="真空泵漏油")
        record_outage(session, actor=manager, resource_id=firm.resource, outage=outage, plan=plan, now=clock.now())
    (mail,) = firm.letters()
    lines = text_of(mail).splitlines()
    assert lines[0] == "设备停机，您的预约安排如下"
    assert lines[2].startswith("理由：停机时间为 ")
    assert "真空泵漏油" not in text_of(mail)
    assert [line for line in lines if line.startswith("结果：")] == [
        "结果：改用这台设备，按原约定的计价规则",
        "结果：由机构取消，不收费",
        "结果：已改由另一家机构提供",
        "结果：改到其他时间，按原约定的计价规则",
    ]
    assert [line for line in lines if line.startswith("设备：")] == [
        "设备：喷雾干燥机三号",
        f"设备：{NAME}",
        "设备：喷雾干燥机",
        f"设备：{NAME}",
    ]
    assert len([line for line in lines if line.startswith(("原时间：", "新时间："))]) == 2
    assert "价格：最多 ¥1,600.00" in lines
    assert lines[-1] == "打开查看：https://pilot.example/zh/bookings"
    entries = [events_of(part.get_payload(decode=True))[0] for part in mail.iter_attachments()]  # type: ignore[arg-type]
    statuses = {entry["UID"].split("@")[0]: entry["STATUS"] for entry in entries}
    assert (statuses[moved], statuses[ended], statuses[gone], statuses[shifted]) == (
        "CONFIRMED",
        "CANCELLED",
        "CANCELLED",
        "CONFIRMED",
    )
    assert len(entries) == 5


def test_a_person_with_one_booking_in_an_outage_and_another_with_two_get_a_letter_each(firm: Firm) -> None:
    mine = [firm.booked(Slot(START + n * 2 * HOUR, START + (n + 1) * 2 * HOUR)) for n in range(2)]
    first, firm.member = firm.member, ""
    with firm.sessions.begin() as session:
        firm.member = a_member(session, Role.MEMBER, organisation=an_organisation(session)).id
    alone = firm.booked(Slot(START + 4 * HOUR, START + 6 * HOUR))
    firm.letters()
    with firm.sessions.begin() as session:
        rows = [session.get_one(Booking, one) for one in (*mine, alone)]
        manager = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id=rows[0].institution_id)}))
        outage = PlannedOutage(Slot(START, START + 8 * HOUR), planned=True, reason="检修")
        plan = [Proposal(row, Step.CANCEL) for row in rows]
        record_outage(session, actor=manager, resource_id=firm.resource, outage=outage, plan=plan, now=clock.now())
        told = session.scalars(select(Message).where(Message.sent_at.is_(None))).all()
        assert {one.person_id: one.kind for one in told} == {first: "booking_replanned", firm.member: "booking_cancelled"}
    assert len(firm.letters()) == 2


def test_a_message_is_sent_once_and_a_letter_that_is_turned_away_keeps_no_other_back(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        other = a_member(session, Role.MEMBER, organisation=an_organisation(session))
        wish = Slot(START + 24 * HOUR, START + 26 * HOUR)
        order = Order(a_resource(session).id, wish)
        checkout.book(session, actor=people.get_actor(session, other.id), order=order, now=clock.now(), hold=HOUR)
        firm.box.turned_away.add(other.email)
    firm.booked()
    assert len(firm.letters()) == 1
    assert firm.letters() == []
    with firm.sessions() as session:
        tried = {row.person_id: (row.sent_at is not None, row.attempts) for row in session.scalars(select(Message))}
    assert tried == {firm.member: (True, 0), other.id: (False, 1)}


def test_a_request_says_that_the_institution_decides_and_enters_no_calendar(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        house = an_institution(session)
        firm.resource = a_resource(session, institution=house, rules={"approval": "request"}).id
    booking_id = firm.booked()
    (mail,) = firm.letters()
    assert "下一步：等待机构审批。" in text_of(mail).splitlines()
    assert calendar_of(mail) is None
    with firm.sessions.begin() as session:
        booking.approve(session, booking_id=booking_id, actor_id=firm.member, now=clock.now())
    (mail,) = firm.letters()
    assert events_of(calendar_of(mail) or b"")[0]["SEQUENCE"] == "2"


def test_a_reset_keeps_its_plain_letter(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        row = Message(
            id="msg_reset",
            cause="reset:1",
            person_id=firm.member,
            kind="password_reset",
            data={"secret": "s3cret"},
            run_at=datetime(2026, 1, 1, tzinfo=UTC),
            attempts=0,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        session.add(row)
    (mail,) = firm.letters()
    assert mail["Subject"] == "重设中试台密码"
    assert "打开查看：https://pilot.example/zh/reset/s3cret" in text_of(mail)


def test_a_manager_reads_who_asks_for_what_and_until_when_to_decide(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        house = an_institution(session)
        manager = a_member(session, Role.MANAGER, institution=house).email
        firm.resource = a_resource(session, institution=house, rules={"approval": "request"}).id
    firm.booked()
    (mail,) = [mail for mail in firm.letters() if mail["To"] == manager]
    local = START + 8 * HOUR
    told = text_of(mail).splitlines()
    assert told[0] == "有预约申请等待审批"
    assert "预约方：蓉创新材料有限公司, 李梅" in told
    assert any(line.startswith(f"审批：请于 {local.month}月{local.day}日") for line in told)
    assert calendar_of(mail) is None


def test_the_daily_letter_has_a_line_and_an_address_for_each_message(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        inbox.choose(session, person_id=firm.member, choices={Topic.BOOKINGS: Delivery.DIGEST}, timezone="Asia/Shanghai")
    booking_id = firm.booked()
    firm.moved(booking_id, Slot(SLOT.start + 3 * HOUR, SLOT.end + 3 * HOUR))
    assert firm.letters() == []
    with firm.sessions.begin() as session:
        inbox.make_digests(session, now=clock.now() + timedelta(days=1))
        session.execute(update(Message).values(run_at=clock.now() - HOUR))
    (mail,) = firm.letters()
    assert mail["Subject"].startswith("待您查看的消息，")
    text = text_of(mail)
    assert f"预约已确认：{NAME} · " in text
    assert f"预约时间已变更：{NAME} · " in text
    assert "09:00–11:00 → " in text
    assert text.count(f"https://pilot.example/zh/bookings/{booking_id}") == 2
    assert "更改邮件设置：https://pilot.example/zh/account/messages" in text
    assert firm.letters() == []


def test_where_encryption_is_offered_nothing_goes_out_in_the_clear(firm: Firm) -> None:
    firm.box.offers_tls = True
    firm.booked()
    assert firm.letters() == []
    assert firm.box.verbs[:2] == ["EHLO", "STAR"]
    assert not {"AUTH", "MAIL", "DATA"} & set(firm.box.verbs)


def test_a_moved_booking_that_waits_for_a_new_yes_is_tentative_and_leaves_the_calendar_when_it_is_refused(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        firm.resource = a_resource(session, rules={"approval": "request"}).id
    booking_id = firm.booked()
    with firm.sessions.begin() as session:
        booking.approve(session, booking_id=booking_id, actor_id=firm.member, now=clock.now())
    firm.letters()
    firm.moved(booking_id, Slot(SLOT.start + 3 * HOUR, SLOT.end + 3 * HOUR))
    (moved,) = firm.letters()
    assert "下一步：等待机构审批。" in text_of(moved).splitlines()
    assert events_of(calendar_of(moved) or b"")[0]["STATUS"] == "TENTATIVE"
    with firm.sessions.begin() as session:
        booking.refuse(session, booking_id=booking_id, actor_id=firm.member, now=clock.now())
    (refused,) = firm.letters()
    content = calendar_of(refused) or b""
    assert b"METHOD:CANCEL\r\n" in content
    assert int(events_of(content)[0]["SEQUENCE"]) > int(events_of(calendar_of(moved) or b"")[0]["SEQUENCE"])


def test_nothing_is_sent_on_a_lease_that_may_end_meanwhile(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    firm.booked()
    monkeypatch.setattr(outbox, "LEASE", SENDING - timedelta(seconds=1))
    assert firm.letters() == []
    assert firm.box.verbs == []


def test_a_qualification_is_told_with_its_level_and_last_day_and_its_end_too(firm: Firm) -> None:
    firm.booked()
    firm.letters()
    with firm.sessions.begin() as session:
        place = session.get_one(Resource, firm.resource)
        kind = qualifications.define(
            session,
            institution_id=place.institution_id,
            kind=Named("激光安全", "Laser safety"),
            levels=[Named("初级", "Basic")],
            actor_id=firm.member,
            now=clock.now(),
        )
        grant = qualifications.grant(
            session,
            qualification_id=kind.id,
            email=people.get_person(session, firm.member).email,
            level=1,
            valid_until=date(2099, 6, 30),
            actor_id=firm.member,
            now=clock.now(),
        ).id
    (mail,) = firm.letters()
    said = [
        "您获得了一项资格",
        "",
        "资格：激光安全",
        "级别：初级",
        "有效期至：2099年6月30日",
        "打开查看：https://pilot.example/zh/account",
    ]
    assert text_of(mail).splitlines() == said
    firm.speaks("en")
    with firm.sessions.begin() as session:
        qualifications.revoke(session, grant_id=grant, actor_id=firm.member, now=clock.now())
    (mail,) = firm.letters()
    assert mail["Subject"] == "A qualification of yours was taken back"
    assert text_of(mail).splitlines()[2:4] == ["Qualification: Laser safety", "Level: Basic"]


def test_who_is_next_reads_since_when_the_equipment_is_in_use(firm: Firm) -> None:
    booking_id = firm.booked()
    firm.letters()
    with firm.sessions.begin() as session:
        times = {"start": SLOT.start.isoformat(), "end": SLOT.end.isoformat(), "since": SLOT.start.isoformat()}
        data = {"booking_id": booking_id, "resource_id": firm.resource, "version": 1, **times}
        outbox.queue(session, person_id=firm.member, kind="booking_delayed", data=data, cause="late", now=clock.now())
    (mail,) = firm.letters()
    lines = text_of(mail).splitlines()
    assert lines[0].startswith("前一位的使用尚未结束")
    assert any(line.startswith("此刻：自 ") and "已超出前一个预约的结束时间" in line for line in lines)


def test_a_confirmation_says_until_when_to_check_in(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        a_rule_version(session, session.get_one(Resource, firm.resource), number=2, check_in_grace_min=20)
    firm.booked()
    (mail,) = firm.letters()
    local = START + 8 * HOUR
    wanted = f"签到：{local.month}月{local.day}日 周{'一二三四五六日'[local.weekday()]} 09:20 前"
    assert wanted in text_of(mail).splitlines()


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("booking_absent", ["您的预约尚无人签到", "此后的使用仍按计量计入。机构可能会释放剩余时间。"]),
        ("customer_absent", ["有预约至今无人到场", "预约方：", "可在下方页面释放剩余时间。实际使用由计量判定。"]),
    ],
)
def test_who_reads_that_nobody_came_reads_what_was_seen_and_what_may_follow(firm: Firm, kind: str, lines: list[str]) -> None:
    booking_id = firm.booked()
    firm.letters()
    with firm.sessions.begin() as session:
        times = {"start": SLOT.start.isoformat(), "end": SLOT.end.isoformat(), "by": SLOT.start.isoformat()}
        data = {"booking_id": booking_id, "resource_id": firm.resource, "version": 1, **times}
        outbox.queue(session, person_id=firm.member, kind=kind, data=data, cause=kind, now=clock.now())
    (mail,) = firm.letters()
    said = text_of(mail)
    assert all(line in said for line in [*lines, "09:00 无人签到，且设备自开始起一直空闲"])
    assert "价格" not in said


def test_an_end_that_somebody_else_set_moves_the_readers_calendar(firm: Firm) -> None:
    with firm.sessions.begin() as session:
        now = clock.now().replace(second=0, microsecond=0)
        place, who = session.get_one(Resource, firm.resource), people.get_person(session, firm.member)
        made = a_booking(session, resource=place, person=who, start=now - HOUR, version=3)
        presence.finish(session, booking_id=made.id, actor_id="per_staff", now=now)
    (mail,) = firm.letters()
    assert text_of(mail).splitlines()[0] == "您的预约已被提前结束"
    assert "新时间：" in text_of(mail)
    (event,) = events_of(calendar_of(mail) or b"")
    assert (event["DTEND"], event["SEQUENCE"]) == (f"{now:%Y%m%dT%H%M%SZ}", "4")


@pytest.mark.parametrize("kind", ["calendar_failing", "calendar_conflicts"])
def test_trouble_with_a_calendar_is_told_with_what_stands_and_what_to_do(firm: Firm, kind: str) -> None:
    with firm.sessions.begin() as session:
        about = {"calendar_id": "cal_1", "resource_id": firm.resource, "name": "组内日历"}
        trouble = {"error": "status", "status": 404, "since": SLOT.start.isoformat()}
        met = {"start": SLOT.start.isoformat(), "end": SLOT.end.isoformat(), "count": 2}
        data = {**about, **(trouble if kind == "calendar_failing" else met)}
        outbox.queue(session, person_id=firm.member, kind=kind, data=data, cause=kind, now=clock.now())
    (mail,) = firm.letters()
    lines = text_of(mail).splitlines()
    assert lines[0] == {"calendar_failing": "外部日历无法读取", "calendar_conflicts": "外部日历与已有预约冲突"}[kind]
    assert "日历：组内日历" in lines
    assert ("（HTTP 404）" in text_of(mail) or "(HTTP 404)" in text_of(mail)) == (kind == "calendar_failing")
    assert ("预约：2" in lines) == (kind == "calendar_conflicts")
    assert lines[-1] == f"打开查看：https://pilot.example/zh/desk/resources/{firm.resource}/external"


def test_one_letter_tells_of_all_that_was_moved_together_and_moves_each_entry(firm: Firm) -> None:
    firm.speaks("en")
    with firm.sessions.begin() as session:
        other = a_resource(session, name="干燥箱", name_en="Oven").id
        orders = [Order(firm.resource, SLOT), Order(other, SLOT.shift(2 * HOUR))]
        made = checkout.book_bundle(session, actor=firm.actor(session), orders=orders, now=clock.now(), hold=HOUR)
        bundle, bookings = str(made[0][0].bundle_id), [row.id for row, _ in made]
    firm.letters()
    with firm.sessions.begin() as session:
        bundling.move_bundle(session, actor=firm.actor(session), bundle_id=bundle, by=24 * HOUR, version=2, now=clock.now())
    (mail,) = firm.letters()
    assert mail["subject"].startswith("What you booked together was moved: Spray dryer")
    text = text_of(mail)
    assert text.count("Old time: ") == text.count("New time: ") == 2
    assert "What: Oven" in text
    assert "Price: at most ¥1,200.00" in text
    assert f"/bookings/{bookings[0]}" in text
    entries = [part.get_payload(decode=True) for part in mail.iter_attachments()]
    (one,), (two,) = (events_of(bytes(entry)) for entry in entries)  # type: ignore[arg-type]
    assert [one["DTSTART"], two["DTSTART"]] == [f"{START + shift * HOUR:%Y%m%dT%H%M%SZ}" for shift in (24, 26)]
    assert {one["SEQUENCE"], two["SEQUENCE"]} == {"2"}
