"""The command `agentbooks`.

Commands import what they need when they run, so that `agentbooks --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.errors import AgentbooksError

app = typer.Typer(
    help="Keeps the books on AI agents: cost, patterns, trust and retention, in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
load = typer.Typer(help="Load files into the raw tables.", no_args_is_help=True)
db = typer.Typer(help="The embedded PostgreSQL under .agentbooks/.", no_args_is_help=True)
prices = typer.Typer(help="The price book in seeds/.", no_args_is_help=True)
retention = typer.Typer(help="How long rows are kept, and where.", no_args_is_help=True)
hold = typer.Typer(
    help="Legal holds: rows that neither leave nor are erased.", no_args_is_help=True
)
backfill = typer.Typer(help="Fill columns that came later from older rows.", no_args_is_help=True)
migrate_chat = typer.Typer(
    help="Move chat.chat_messages to chat.chat_messages_v2 while both are in use.",
    no_args_is_help=True,
)
app.add_typer(db, name="db")
app.add_typer(backfill, name="backfill")
app.add_typer(retention, name="retention")
app.add_typer(hold, name="hold")
app.add_typer(prices, name="prices")
app.add_typer(load, name="load")
app.add_typer(migrate_chat, name="migrate-chat")

REJECTED = 3
"""Exit code of a load that kept some records as rejected."""


def main() -> None:
    """Run the command line; a failure ends in one sentence and exit code 1."""
    try:
        app()
    except AgentbooksError as error:
        _fail(str(error))
    except Exception as error:  # a defect, but nobody should have to read a traceback for it
        if os.environ.get("AGENTBOOKS_DEBUG"):
            raise
        if isinstance(error, UnicodeEncodeError) and any(error.object in a for a in sys.argv):
            _fail(f"{error.object!a} is not UTF-8, as a terminal of another encoding writes it.")
        reason = str(error).strip().splitlines()
        _fail(
            f"Unexpected {type(error).__name__}{f' ({reason[0]})' if reason else ''}: run again "
            "with AGENTBOOKS_DEBUG=1 for the traceback, and report it."
        )


def _fail(sentence: str) -> None:
    print(f"agentbooks: {sentence}", file=sys.stderr)
    sys.exit(1)


@db.command("up")
def db_up() -> None:
    """Start the embedded server, or find it running."""
    from orchestration import database, server

    if not database.is_embedded():
        database.connect().close()
        typer.echo(f"{database.URL_VARIABLE} is set: its server answers, none is started.")
        return
    running = server.up()
    typer.echo(f"PostgreSQL runs on port {running.port}, data in {running.data}.")
    for name, value in running.exports.items():
        typer.echo(f"For dbt without agentbooks: export {name}={value}")


@db.command("down")
def db_down() -> None:
    """Stop the embedded server; its data stays."""
    from orchestration import server

    typer.echo("PostgreSQL stopped." if server.down() else "PostgreSQL was not running.")


@db.command("url")
def db_url() -> None:
    """Print the database's connection URL, with its password."""
    from orchestration import database

    typer.echo(database.database_url())


@db.command("env")
def db_env() -> None:
    """Print the exports with which a bare dbt uses the database: `eval "$(agentbooks db env)"`."""
    import shlex

    from orchestration import database

    for name, value in database.dbt_environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@db.command("status")
def db_status() -> None:
    """Say whether the embedded server runs; the exit code is 3 if it does not."""
    from orchestration import server

    running = server.status()
    if running is None:
        typer.echo("PostgreSQL is not running.")
        raise typer.Exit(3)
    typer.echo(f"PostgreSQL runs on port {running.port} as process {running.pid}.")
    typer.echo(f"Data: {running.data}\nLog: {running.log}")
    for name, value in running.exports.items():
        typer.echo(f"For dbt without agentbooks: export {name}={value}")


@app.command()
def bootstrap(
    status: Annotated[
        bool, typer.Option("--status", help="List the changes and their state.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what is expected with what is found.")
    ] = False,
    revert: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Undo every change after VERSION; `all` undoes all."),
    ] = None,
    schema: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYSTEM=SCHEMA",
            help="Where a system's raw tables are; said once, at first; several times.",
        ),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Take over tables that are there: show what it would do."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --adopt: do it.")] = False,
) -> None:
    """Create the raw schemas, or bring them up to date."""
    from orchestration import adopt as adoption
    from orchestration import bootstrap as changes
    from orchestration import catalog, database, schemas

    named = schemas.parse(schema) if schema else None
    with database.connect(autocommit=True) as connection:
        if status:
            for row in changes.status(connection):
                typer.echo(f"{row.version:<40} {row.state:<14} {row.applied_at or ''}".rstrip())
        elif verify:
            failed = [row for row in changes.verify(connection) if row[1]]
            comparisons = catalog.compare(connection)
            for line in catalog.lines(comparisons):
                typer.echo(line)
            for version, reason in failed:
                typer.echo(f"verify/{version}.sql: {reason}")
            if failed or any(row.missing or row.changed for row in comparisons):
                raise AgentbooksError(
                    "bootstrap: the database is not what bootstrap_sql makes; restore what the lines "
                    "above name, or revert to the change before and apply it again."
                )
        elif revert is not None:
            undone = adoption.revert(connection, revert)
            typer.echo(f"{len(undone)} changes reverted.")
        elif adopt:
            adoption.adopt(connection, named or {}, is_confirmed=yes, tell=typer.echo)
        else:
            for version in (done := changes.bootstrap(connection, named=named)):
                typer.echo(f"applied {version}")
            skipped = [row for row in changes.status(connection) if row.state == "skipped"]
            typer.echo(f"{len(done)} changes applied; the raw schemas are up to date.")
            if skipped:
                typer.echo(f"{len(skipped)} left out: this server has no pgvector.")


@load.command("agent-run")
def load_agent_run(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Files of agent-run/1 records, plain or gzip."),
    ],
    undated_as: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Take runs without any start time as started on this day (UTC); else they are rejected.",
        ),
    ] = None,
) -> None:
    """Load agent runs; the exit code is 3 if some records were rejected and kept."""
    from orchestration import database, demo

    with database.connect(autocommit=True) as connection:
        summary = demo.load(connection, paths, undated_as.date() if undated_as else None)
    if summary.rejected:
        raise typer.Exit(REJECTED)


@app.command()
def simulate(
    path: Annotated[Path, typer.Argument(help="File to write; .gz compresses it.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days of traffic.")] = 28,
    runs_per_day: Annotated[int, typer.Option(min=1, help="Runs on an average day.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 1,
) -> None:
    """Write agent runs of a made-up company, to try things out with."""
    from orchestration import demo

    demo.simulate_to(path, days, runs_per_day, seed)


@app.command()
def traffic(
    truth: Annotated[Path, typer.Argument(help="JSON file for the true answers.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days of traffic.")] = 28,
    runs_per_day: Annotated[int, typer.Option(min=1, help="Runs on an average day.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same traffic.")] = 1,
) -> None:
    """Write made-up traffic into all raw schemas, and the true answers to what the marts are asked."""
    from orchestration import database, demo

    with database.connect(autocommit=True) as connection:
        demo.simulate_into(connection, truth, days, runs_per_day, seed)


@app.command("trust-test")
def trust_test(
    path: Annotated[Path, typer.Argument(help="Folder for the table and the plot.")],
    agents: Annotated[int, typer.Option(min=100, help="Simulated agents per case.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.")] = 1,
) -> None:
    """Simulate agents of known success rates, and write how often rules of promotion err."""
    from orchestration import database
    from orchestration import trust_test as test

    with database.connect(autocommit=True) as connection:
        result = test.measure(connection, agents, seed)
    for written in test.write(path, result):
        typer.echo(f"Written: {written}")
    typer.echo(test.markdown(result.figures))


@app.command()
def report() -> None:
    """Print what the marts say: cost by model, trust by agent, best and worst patterns."""
    from orchestration import database, demo
    from orchestration import report as marts_report

    with database.connect(autocommit=True) as connection:
        marts_report.print_report(connection, demo.console)


@app.command("demo")
def run_demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH…]", help="Files of agent runs; none: simulated ones."),
    ] = None,
    undated_as: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="As for `load agent-run`."),
    ] = None,
) -> None:
    """Do everything once: server, raw schemas, load, marts, report."""
    from orchestration import demo

    demo.run(paths or [], undated_as.date() if undated_as else None)


@app.command()
def forecast(
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Forecast these series (date, scope, cost) instead of the marts'."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --csv: the file to write, in place of the output."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days ahead.")] = 90,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Without --csv: the last day that counts; by default the last one surely over.",
        ),
    ] = None,
) -> None:
    """Forecast daily costs with intervals: those of the marts, which are kept, or those of a file."""
    from orchestration import database, forecast_csv, forecast_store

    if csv is None:
        with database.connect(autocommit=True) as connection:
            day = as_of.date() if as_of else None
            typer.echo(forecast_store.forecast_marts(connection, days, day).sentence())
        return
    series = forecast_csv.read(csv)
    if out is None:
        forecast_csv.write(sys.stdout, series, days)
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            forecast_csv.write(file, series, days)
    except OSError as error:
        raise AgentbooksError(
            f"forecast: cannot write {out} ({error.strerror}); choose another --out."
        ) from error


@app.command()
def learn() -> None:
    """Learn patterns, chains of agents and kinds of errors from runs that are new since the last time."""
    from orchestration import database
    from orchestration import learn as learning

    with database.connect(autocommit=True) as connection:
        typer.echo(learning.learn(connection).sentence())


@prices.command("refresh")
def prices_refresh(
    known_from: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
            metavar="MOMENT",
            help="Since when the new prices are known, in UTC; now by default.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why they are new; the package's version by default.")
    ] = "",
) -> None:
    """Add what has changed in the installed package genai-prices to the price seeds."""
    from orchestration import prices as price_book

    moment = known_from and known_from.replace(tzinfo=UTC)
    added, aliases = price_book.refresh(known_from=moment, reason=reason).items()
    typer.echo(f"{added[0]}: {added[1]} rows added")
    typer.echo(f"{aliases[0]}: {aliases[1]} rows")


AS_OF = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="DAY",
        help="The UTC day from which terms count; today by default.",
    ),
]
TABLE = Annotated[
    str | None, typer.Argument(metavar="[TABLE]", help="Only this raw table, with its schema.")
]


@retention.command("plan")
def retention_plan(table: TABLE = None, as_of: AS_OF = None) -> None:
    """Show what is due by seed retention_policies, and what holds it back; nothing is touched."""
    from orchestration import database
    from orchestration import retention as lifecycle

    with database.bootstrapped() as connection:
        for finding in lifecycle.lint(connection):
            typer.echo(finding)
        for line in lifecycle.lines(lifecycle.plan(connection, _moment(as_of), _only(table))):
            typer.echo(line)


@retention.command("lint")
def retention_lint() -> None:
    """Tell which policies cannot work, and why; the exit code is 1 if any."""
    from orchestration import database
    from orchestration import retention as lifecycle

    with database.bootstrapped() as connection:
        findings = lifecycle.lint(connection)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise AgentbooksError(
            f"retention: {len(findings)} findings; mend seeds/retention_policies.csv, or "
            "ops.retention_overrides, and run `dbt seed`."
        )
    typer.echo("The policies can work.")


@retention.command("enforce")
def retention_enforce(table: TABLE = None, as_of: AS_OF = None) -> None:
    """Do what `agentbooks retention plan` shows, table by table."""
    from orchestration import database
    from orchestration import retention as lifecycle

    with database.bootstrapped() as connection:
        outcomes = lifecycle.enforce(
            connection,
            _moment(as_of),
            _only(table),
            lambda outcome: typer.echo(outcome.sentence()) if outcome.is_worth_telling else None,
        )
    if not any(outcome.is_worth_telling for outcome in outcomes):
        typer.echo("Nothing was due.")
    failed = [outcome.table_name for outcome in outcomes if outcome.failure]
    if failed:
        raise AgentbooksError(
            f"retention: {', '.join(failed)} failed, as told above; the others are done."
        )


RAW_TABLE = Annotated[str, typer.Argument(metavar="TABLE", help="Raw table, with its schema.")]
FROM = Annotated[
    datetime,
    typer.Option("--from", formats=["%Y-%m", "%Y-%m-%d"], help="A day of the first month."),
]
TO = Annotated[
    datetime, typer.Option("--to", formats=["%Y-%m", "%Y-%m-%d"], help="A day of the last month.")
]


@app.command()
def restore(table: RAW_TABLE, first: FROM, last: TO) -> None:
    """Bring months of a raw table back from the archive or its files; dbt then counts what waited."""
    from orchestration import cold_archive, database

    with database.bootstrapped() as connection:
        for month in cold_archive.restore(
            connection, cold_archive.Archive.chosen(), table, first.date(), last.date()
        ):
            typer.echo(month)


@app.command("read-archive")
def read_archive(
    table: RAW_TABLE,
    first: FROM,
    last: TO,
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Condition on columns of the table's staging view.")
    ] = "true",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare each file by column with what was archived.")
    ] = False,
) -> None:
    """Write months that have left as CSV, in the columns of staging; nothing is restored."""
    from orchestration import cold_archive, database

    with database.bootstrapped() as connection:
        for line in cold_archive.read_staged(
            connection,
            cold_archive.Archive.chosen(),
            table,
            first.date(),
            last.date(),
            where,
            is_verified=verify,
        ):
            typer.echo(line, nl=False)


@app.command()
def erase(
    subjects: Annotated[
        list[str] | None,
        typer.Option(
            "--subject", metavar="ID", help="A user's id, in whichever system; several times."
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose user; needed where several tenants know the id.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    receipt: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Only print this erasure's receipt again.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="Bring the marts up to date at the end, by dbt.")
    ] = True,
) -> None:
    """Forget persons in raw tables, archives, files and marts; sums stay. Prints the plan and a receipt."""
    from orchestration import cold_archive, database, dbt, erasure

    if (receipt is None) == (not subjects):
        raise AgentbooksError("erase: name a person with --subject, or an erasure with --receipt.")
    with database.bootstrapped() as connection:
        if subjects:
            archive = cold_archive.Archive.chosen()
            receipt = erasure.erase(
                connection, archive, subjects, tenant, is_dry_run=dry_run, tell=typer.echo
            )
        if receipt is None:
            return
        if subjects and not erasure.finish(connection, receipt) and refresh:
            dbt.build(["agent_runs+", "--resource-type", "model"])
            erasure.finish(connection, receipt)
        for line in erasure.receipt(connection, receipt):
            typer.echo(line)


@app.command()
def encrypt(
    table: TABLE = None,
    status: Annotated[
        bool, typer.Option("--status", help="Only count what is in clear, and with which key.")
    ] = False,
    take_as_text: Annotated[
        bool,
        typer.Option(
            "--take-as-text", help="Encrypt what looks encrypted and does not decrypt as it stands."
        ),
    ] = False,
) -> None:
    """Encrypt and redact what ops.protected_columns names, in tables, archives and files."""
    from orchestration import cold_archive, database, demo, protection

    archive = cold_archive.Archive.chosen()
    with database.connect(autocommit=True) as connection, demo.parts_done() as progress:
        if status:
            report = protection.status(connection, archive, table, progress)
        else:
            report = protection.encrypt(
                connection, archive, table, takes_as_text=take_as_text, progress=progress
            )
    for line in report.state_lines() if status else report.done_lines():
        typer.echo(line)
    if report.undecrypted:
        raise AgentbooksError(
            f"encrypt: {report.undecrypted:,} values do not decrypt, as told above, and are as they were."
        )


@app.command()
def decrypt(
    table: RAW_TABLE,
    column: Annotated[str, typer.Argument(metavar="COLUMN", help="Its protected column.")],
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Condition on columns of the table.")
    ] = "true",
) -> None:
    """Write an encrypted column in clear as CSV, with the keys of its rows, for auditors."""
    import csv

    from orchestration import database, protection

    with database.connect() as connection:
        writer = csv.writer(sys.stdout)
        for number, row in enumerate(protection.decrypted(connection, table, column, where)):
            if number == 0:
                writer.writerow(row)
            writer.writerow(row.values())


@hold.command("place")
def hold_place(
    reason: Annotated[str, typer.Option(help="Why, such as the number of a case.")],
    subject: Annotated[str | None, typer.Option(metavar="ID", help="A user's rows.")] = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="A session's rows.")] = None,
    trace: Annotated[str | None, typer.Option(metavar="ID", help="A trace's rows.")] = None,
    table: Annotated[
        str | None, typer.Option(help="Only of this raw table, with its schema.")
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Only from this UTC day on."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Only to this UTC day.")
    ] = None,
) -> None:
    """Keep rows whatever retention and erasure say: those that all options together name."""
    from orchestration import database, erasure

    days = (first and first.date(), last and last.date())
    with database.bootstrapped() as connection:
        number = erasure.place_hold(connection, subject, session, trace, table, days, reason)
        typer.echo(f"Hold {number} is in force.")
        typer.echo(f"It covers {erasure.under_hold(connection, number)}.")


@hold.command("release")
def hold_release(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Its number, as listed.")],
) -> None:
    """End a hold: what it kept may leave and be erased again."""
    from orchestration import database, erasure

    with database.bootstrapped() as connection:
        erasure.release_hold(connection, number)
    typer.echo(f"Hold {number} is released.")


@hold.command("list")
def hold_list() -> None:
    """List the holds in force."""
    from orchestration import database, erasure

    with database.bootstrapped() as connection:
        for line in erasure.holds(connection):
            typer.echo(line)


@app.command()
def partition(
    table: RAW_TABLE,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Its time; by default that by which marts count it."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only tell what would be, and what stands in the way.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Drop the old rows, which are kept until then.")
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Leave it in one piece, or make it so again.")
    ] = False,
) -> None:
    """Make a raw table in one piece partitioned by month, beside its writers; run again, it goes on."""
    from orchestration import database, demo, growth

    if plan + finish + back > 1:
        raise AgentbooksError("partition: choose one of --plan, --finish and --back.")
    with database.connect(autocommit=True) as connection:
        if plan:
            for line in growth.plan(connection, table, by):
                typer.echo(line)
        elif finish:
            growth.finish(connection, table)
            typer.echo(f"{table} is partitioned; its old rows are dropped.")
        elif back:
            growth.undo(connection, table)
            typer.echo(f"{table} is in one piece.")
        else:
            with demo.console.status(f"{table}: begins") as shown:
                growth.partition(connection, table, by, lambda step: shown.update(step.sentence()))
            typer.echo(
                f"{table} is partitioned. Its old rows are kept: --back makes it as it was, --finish "
                "drops them."
            )


@backfill.command("raaf")
def backfill_raaf() -> None:
    """Fill names, prompts, contexts and messages of RAAF's spans from their attributes, beside writers."""
    from orchestration import backfill as backfills
    from orchestration import database, demo

    with (
        database.connect(autocommit=True) as connection,
        demo.console.status("RAAF: 0 spans") as line,
    ):
        summary = backfills.raaf(connection, lambda seen: line.update(f"RAAF: {seen:,} spans"))
    typer.echo(summary.sentence())


@migrate_chat.command("status")
def migrate_chat_status() -> None:
    """Tell the phase, what is mapped, waiting and refused, where reads go, and what is next."""
    from orchestration import chat_migration, database

    with database.connect(autocommit=True) as connection:
        for line in chat_migration.status(connection).lines():
            typer.echo(line)


@migrate_chat.command("start")
def migrate_chat_start() -> None:
    """Begin: from now on what is written to one table is written to the other."""
    from orchestration import chat_migration, database

    with database.connect(autocommit=True) as connection:
        chat_migration.start(connection)
        typer.echo(f"Next: {chat_migration.status(connection).next_step}.")


@migrate_chat.command("backfill")
def migrate_chat_backfill() -> None:
    """Copy what was there before; killed and run again, it goes on."""
    from orchestration import chat_migration, database, demo

    with database.connect(autocommit=True) as connection:
        copied = chat_migration.backfill(connection, demo.console)
        typer.echo(f"{copied:,} messages copied.")
        typer.echo(f"Next: {chat_migration.status(connection).next_step}.")


@migrate_chat.command("validate")
def migrate_chat_validate() -> None:
    """Compare the tables message by message; the exit code is 1 if they are not the same."""
    from orchestration import chat_migration, database

    with database.connect(autocommit=True) as connection:
        found = chat_migration.validate(connection)
    for line in found.lines():
        typer.echo(line)
    if not found.is_same:
        raise AgentbooksError(f"migrate-chat validate: not the same; next {found.next_step}.")


@migrate_chat.command("switch")
def migrate_chat_switch(
    share: Annotated[
        float,
        typer.Argument(
            metavar="SHARE", min=0, max=1, help="Share of the conversations, 0 to 1, such as 0.1."
        ),
    ],
) -> None:
    """Have chat.messages read a share of the conversations from chat_messages_v2."""
    from orchestration import chat_migration, database

    with database.connect(autocommit=True) as connection:
        typer.echo(f"Next: {chat_migration.switch(connection, share).next_step}.")


@migrate_chat.command("finish")
def migrate_chat_finish(
    leave_refused: Annotated[
        bool,
        typer.Option(
            "--leave-refused", help="Leave messages behind that chat_messages_v2 refuses."
        ),
    ] = False,
) -> None:
    """Close chat_messages and copy what came last; its rows leave by retention."""
    from orchestration import chat_migration, database

    with database.connect(autocommit=True) as connection:
        typer.echo(f"Next: {chat_migration.finish(connection, leave_refused).next_step}.")


@migrate_chat.command("rollback")
def migrate_chat_rollback() -> None:
    """Go one phase back; what was written since stays."""
    from orchestration import chat_migration, database, demo

    with database.connect(autocommit=True) as connection:
        found = chat_migration.rollback(connection, demo.console)
    typer.echo(f"Phase: {chat_migration.PHASES[found.phase]}. Next: {found.next_step}.")


def _only(table: str | None) -> list[str] | None:
    return None if table is None else [table]  # an empty name is a slip, and not all tables


def _moment(day: datetime | None) -> datetime:
    return day.replace(tzinfo=UTC) if day else datetime.now(UTC)


if __name__ == "__main__":
    main()
