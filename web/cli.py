"""The command line: `pilotbench COMMAND --help`."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from devices.archive.files import archive_in
from devices.evidence.exporting import export as export_evidence
from devices.evidence.verifying import verify as verify_evidence
from devices.profile import read_profile
from devices.replay import replay as replay_recording
from evaluation import actions as evaluation
from evaluation.packs.computing import evaluate_pack
from evaluation.packs.verifying import verify as verify_pack
from evaluation.schemes import DEFAULT
from marketplace import clock
from marketplace.db import open_engine, open_readers, open_sessions
from marketplace.people import actions as people
from marketplace.people import queries as known
from marketplace.permissions import Grant
from marketplace.refusals import Refusal
from marketplace.roles import Role
from marketplace.settings import Settings
from web import brokering, checks, running, server
from web import demo as demonstration
from web.backups import making as backups
from web.backups import restoring
from web.console import log_to_stderr, sentence, show
from web.evidence import evidence_text, read_day
from web.migrate import migrate as to_newest
from web.refusals import words
from web.transfer import running as transfers
from web.transfer.files import Format
from web.transfer.kinds import ICS, Kind
from web.transfer.secrets import secrets_file
from web.transfer.taking import Outcome, Verdict

ABOUT = "Book, measure, bill and evaluate shared equipment (中试台)."
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=ABOUT)
tokens = typer.Typer(no_args_is_help=True, help="API tokens.")
app.add_typer(tokens, name="token")
KINDS = f"{', '.join(Kind)} or {ICS}"
AsJson = Annotated[bool, typer.Option("--json", help="answer with JSON")]


def main() -> None:
    """Run a command; an expected refusal is one sentence on standard error and exit code 1."""
    log_to_stderr()
    try:
        app()
    except Refusal as refusal:
        typer.echo(sentence(refusal), err=True)
        raise SystemExit(1) from refusal
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        typer.echo(words("database_away", {"reason": reason}, str), err=True)
        raise SystemExit(1) from error


@app.command()
def demo(
    port: Annotated[int, typer.Option(envvar="PORT", help="where the pages are served")] = 8000,
    data_dir: Annotated[Path, typer.Option(envvar="DATA_DIR", help="where everything is kept")] = Path("var/demo"),
    token_file: Annotated[Path | None, typer.Option(help="where the operator's API token is written")] = None,
    empty: Annotated[bool, typer.Option("--empty", help="no data, only one operator")] = False,
) -> None:
    """The whole product on one machine: SQLite, a private broker, simulated equipment, a month of history."""
    demonstration.run(port=port, data_dir=data_dir, token_file=token_file, empty=empty)


@app.command()
def serve(
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="server processes; more than one needs PostgreSQL")] = 0,
) -> None:
    """Serve pages and API from the database of the settings; run `pilotbench work` beside it."""
    settings = Settings()
    server.check_port(host, port)
    server.serve(host, port, workers or settings.workers)


@app.command()
def work() -> None:
    """Run the timers, the ingest and the payments; as many of these as you like."""
    running.work(Settings())


@app.command()
def broker(host: Annotated[str, typer.Option(help="the address it listens at; 0.0.0.0 for all")] = "127.0.0.1") -> None:
    """Keep a private Mosquitto running, with who may connect from the database (PILOTBENCH_MQTT_DIR, PILOTBENCH_MQTT_URL)."""
    brokering.run(Settings(), host)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema and check its guard against double booking."""
    with _engine(Settings()) as engine:
        to_newest(engine)
    typer.echo("The database is at the newest schema; overlapping claims are refused.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Every setting with its value (secrets masked) and what it is for."""
    settings = Settings()
    rows = [
        {"name": f"PILOTBENCH_{name.upper()}", "value": str(getattr(settings, name)), "about": field.description}
        for name, field in Settings.model_fields.items()
    ]
    show(
        rows, as_json=as_json, text=lambda found: "\n".join(f"{row['name']}={row['value']}\n    {row['about']}" for row in found)
    )


@tokens.command("create")
def create_token(
    email: Annotated[str, typer.Option(help="whose token")],
    operator: Annotated[
        bool, typer.Option("--operator", help="make this person the platform's operator, if there is none yet")
    ] = False,
) -> None:
    """A new API token; printed once, kept only as a hash."""
    with _engine(Settings()) as engine, open_sessions(engine)() as session:
        now = clock.now()
        person = known.find_person_by_email(session, email.strip().lower())
        if person is None and operator:
            grants = [Grant(Role.OPERATOR)]
            person = people.create_person(session, email=email, name=email, grants=grants, actor_id=None, now=now)
        if person is None:
            typer.echo(f"Nobody has the address {email}. Nothing was created.", err=True)
            raise typer.Exit(1)
        token = people.create_token(session, person_id=person.id, label="command line", now=now)
        session.commit()
    typer.echo(token)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="a recording, one JSON object a line")],
    profile: Annotated[Path, typer.Option(help="the profile, TOML")],
    until: Annotated[str | None, typer.Option(help="ignore what was received later, RFC 3339")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold a recording of messages into sessions, without a database."""
    read = read_profile(_toml(profile))
    moment = _moment(until) if until else None
    with _opened(recording).open("rb") as lines:
        found = replay_recording(lines, read, moment)
    for line in found.rejected:
        typer.echo(line, err=True)
    show(found.as_json(), as_json=as_json, text=_sessions)


def _opened(path: Path) -> Path:
    if not path.is_file():
        typer.echo(f"There is no file {path}. Nothing was read.", err=True)
        raise typer.Exit(2)
    return path


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_opened(path).read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        typer.echo(f"{path} is not TOML: {error}. Nothing was read.", err=True)
        raise typer.Exit(2) from error


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - refused below
    if found.tzinfo is None:
        typer.echo(f"--until {text} is not a time with an offset such as 2026-03-10T01:00:00Z.", err=True)
        raise typer.Exit(2)
    return found


def _sessions(found: dict[str, Any]) -> str:
    lines = [
        f"{one['start']}  {one['end'] or '…'}  confirmed {one['confirmed_s']} s, unverified {one['unverified_s']} s, "
        f"{one['energy_wh']} Wh, {one['end_reason'] or one['state']} {' '.join(one['flags'])}".rstrip()
        for one in found["sessions"]
    ]
    return "\n".join([*lines, f"notes: {', '.join(found['notes']) or 'none'}"])


@app.command()
def evaluate(
    pack_dir: Annotated[Path, typer.Option("--pack", help="a pack of facts")],
    scheme: Annotated[str | None, typer.Option(help="instead of the pack's own")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute metrics and scores from a pack's facts alone."""
    show(
        evaluate_pack(pack_dir, scheme),
        as_json=as_json,
        text=lambda found: json.dumps(found["scores"], ensure_ascii=False, indent=2),
    )


@app.command()
def pack(
    period: Annotated[str, typer.Option(help="2026, 2026-03, ...")],
    out: Annotated[Path, typer.Option(file_okay=False, help="a folder that does not exist yet")],
    scheme: str = DEFAULT,
) -> None:
    """Write a period's facts and figures as a pack that anyone can recompute."""
    with _engine(Settings()) as engine, open_sessions(engine)() as session:
        evaluation.write_pack(session, period=period, directory=out, now=clock.now(), scheme=scheme)
    typer.echo(f"Written to {out}. Recompute it with: pilotbench verify {out}")


@app.command()
def verify(directory: Path) -> None:
    """Recompute a pack and print every difference; exit 1 if there is one."""
    differences = verify_pack(directory)
    typer.echo("\n".join(differences) or "No difference.")
    raise typer.Exit(1 if differences else 0)


@app.command()
def evidence(
    resource: Annotated[str, typer.Argument(help="whose devices, by its id")],
    out: Annotated[Path, typer.Option(file_okay=False, help="a folder that does not exist yet")],
    first: Annotated[str, typer.Option("--from", help="the first day, UTC, such as 2026-03-10")],
    last: Annotated[str, typer.Option("--to", help="the last day")],
) -> None:
    """Write what a resource's devices said, with proofs and sessions, for `verify-evidence`."""
    settings = Settings()
    archive, begin, end = archive_in(settings.data_dir), read_day("from", first), read_day("to", last)
    with _engine(settings) as engine, open_sessions(engine)() as session:
        done = export_evidence(session, out, archive=archive, resource_id=resource, first=begin, last=end)
    typer.echo(f"{done.messages} messages, {done.sessions} sessions and {done.seals} seals written to {out}.")
    typer.echo(f"Check them with: pilotbench verify-evidence {out}")


@app.command("verify-evidence")
def check_evidence(
    directory: Path,
    key: Annotated[list[str] | None, typer.Option(help="a public key that may have signed; published under /evidence")] = None,
    as_json: AsJson = False,
) -> None:
    """Raw messages, proofs and sessions agree: seals, signatures, roots, and what the messages fold to. Exit 1 if not."""
    found = verify_evidence(directory, keys=key or ())
    show(asdict(found), as_json=as_json, text=evidence_text)
    raise typer.Exit(1 if found.problems else 0)


@app.command()
def audit(as_json: AsJson = False) -> None:
    """Re-derive every invariant from what is stored and from what the provider has; exit 1 if one is broken."""
    settings = Settings()
    books = checks.whole_books(running.provider_of(settings), now=clock.now())
    with _engine(settings) as engine, open_sessions(engine)() as session:
        found = running.audit(session, since=clock.now(), archive=archive_in(settings.data_dir))
        found += checks.compared(session, books, now=clock.now())
    show(found, as_json=as_json, text=lambda rows: "\n".join(rows) or "Every invariant holds.")
    raise typer.Exit(1 if found else 0)


@app.command("import")
def import_file(
    kind: Annotated[str, typer.Argument(help=KINDS)],
    file: Annotated[Path, typer.Argument(help="CSV, JSON or JSON lines, one object a row; an .ics file for ics")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="tell the verdicts, keep nothing")] = False,
    all_or_nothing: Annotated[bool, typer.Option("--all-or-nothing", help="keep nothing if one row is refused")] = False,
    form: Annotated[Format | None, typer.Option("--format", help="instead of the file's ending")] = None,
    on_word_of: Annotated[str, typer.Option("--as", help="an operator's e-mail; the first operator without it")] = "",
    resource: Annotated[str, typer.Option(help="for ics: whose busy time it is, by id or key")] = "",
    name: Annotated[str, typer.Option(help="for ics: what the calendar is called")] = "",
    secrets: Annotated[Path | None, typer.Option(help="for devices: a new file for their keys and secrets")] = None,
    as_json: AsJson = False,
) -> None:
    """Take rows in as pages and the API would, a verdict each; what was taken in before is known. Exit 1 if one is refused.

    Columns are named as in the API, `key` is the row's own name: an equal row under it makes nothing twice, and other files name
    the thing by it. Bookings are made for the `person` (e-mail) and `organisation_id` of their row; those `together` all or none.
    """
    settings = Settings()
    rows = transfers.tasks(kind, file, form, resource=resource, name=name)
    with _engine(settings) as engine:
        sessions = open_sessions(engine)
        with sessions() as session:
            operator = transfers.operator(session, on_word_of)
        at = (settings.mqtt_host, settings.mqtt_port)
        with secrets_file(kind, secrets, keeps=not dry_run, at=at) as told_once:
            work = transfers.Work(operator, timedelta(minutes=settings.hold_minutes), told_once)
            whole = dry_run or all_or_nothing
            verdicts = _together(sessions, work, rows, keep=not dry_run) if whole else _one_by_one(sessions, work, rows)
            counts = transfers.report(verdicts, kind, as_json=as_json, dry_run=dry_run, whole=all_or_nothing)
    raise typer.Exit(1 if counts[Outcome.REFUSED] else 0)


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


def _one_by_one(sessions: sessionmaker[Session], work: transfers.Work, rows: Iterable[transfers.Task]) -> Iterator[Verdict]:
    """A transaction a row; a booking that is refused leaves its note, as it does on pages."""
    for row in rows:
        with sessions() as session:
            verdicts = work.take(session, row, now=clock.now())
            if not any(verdict.refusal for verdict in verdicts):
                work.seal()
                session.commit()
            else:
                session.rollback()
                work.note(session, verdicts, now=clock.now())
                session.commit()
        yield from verdicts


def _together(
    sessions: sessionmaker[Session], work: transfers.Work, rows: Iterable[transfers.Task], *, keep: bool
) -> Iterator[Verdict]:
    """One transaction, kept where nothing is refused; each row sees those before it."""
    refused = False
    with sessions() as session:
        for row in rows:
            verdicts = work.take(session, row, now=clock.now())
            refused = refused or any(verdict.refusal for verdict in verdicts)
            session.expunge_all()
            yield from verdicts
        if keep and not refused:
            work.seal()
            session.commit()
        else:
            session.rollback()


@app.command("export")
def export_rows(
    kind: Annotated[str, typer.Argument(help=KINDS)],
    form: Annotated[Format, typer.Option("--format", help="csv, json or jsonl")] = Format.CSV,
    out: Annotated[Path | None, typer.Option(help="a file instead of standard output; its ending is the format")] = None,
    resource: Annotated[str, typer.Option(help="for ics: of which resource, by id or key")] = "",
    as_json: AsJson = False,
) -> None:
    """Give rows out as `import` takes them in. Passwords, tokens and secret addresses are in none of them."""
    settings = Settings()
    chosen = transfers.form_of_export(form, out, as_json=as_json)
    with _engine(settings) as engine, open_readers(engine)() as session:
        pieces = transfers.export(session, kind, chosen, resource=resource, base_url=settings.base_url, now=clock.now())
        transfers.put(pieces, out)


@app.command()
def backup(folder: Annotated[Path, typer.Argument(file_okay=False, help="empty, or not there yet")]) -> None:
    """Copy database and archive into a folder while they are in use: of one moment, whole, with a digest of every file."""
    settings = Settings()
    with _engine(settings) as engine:
        found = backups.make(engine, folder, archive=archive_in(settings.data_dir), now=clock.now())
    typer.echo(
        f"{sum(found.rows.values())} rows of {len(found.rows)} tables are in {folder}. Restore with: pilotbench restore {folder}"
    )


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="what `pilotbench backup` wrote")],
    verify_only: Annotated[bool, typer.Option("--verify", help="only see whether the backup is whole")] = False,
) -> None:
    """Make the empty database of the settings, and its archive, what a backup holds; exit 1 if an invariant is broken then."""
    if verify_only:
        typer.echo(f"The backup of {restoring.check(folder).made_at} is whole.")
        return
    settings = Settings()
    archive = archive_in(settings.data_dir)
    with _engine(settings) as engine:
        found = restoring.restore(engine, folder, archive=archive)
        with open_sessions(engine)() as session:
            broken = running.audit(session, archive=archive)
    typer.echo("\n".join(broken) or f"The database is as it was at {found.made_at}; every invariant holds.")
    raise typer.Exit(1 if broken else 0)


@app.command("fake-stripe")
def fake_stripe(port: Annotated[int, typer.Option(help="on loopback")] = 12111) -> None:
    """The stand-in for Stripe as a server on loopback."""
    server.check_port("127.0.0.1", port)
    server.serve_stand_in(port)
