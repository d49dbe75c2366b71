"""The command `agentbooks`.

Commands import what they need when they run, so that `agentbooks --help` answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from orchestration.errors import AgentbooksError

app = typer.Typer(
    help="Keeps the books on AI agents: cost, patterns, trust and retention, in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The embedded PostgreSQL under .agentbooks/.", no_args_is_help=True)
prices = typer.Typer(help="The price book in seeds/.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(prices, name="prices")


def main() -> None:
    """Run the command line; a failure ends in one sentence and exit code 1."""
    try:
        app()
    except AgentbooksError as error:
        _fail(str(error))
    except Exception as error:  # a defect, but nobody should have to read a traceback for it
        if os.environ.get("AGENTBOOKS_DEBUG"):
            raise
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


@prices.command("refresh")
def prices_refresh() -> None:
    """Write the price seeds from the installed package genai-prices."""
    from orchestration import prices as price_book

    for path, rows in price_book.refresh().items():
        typer.echo(f"{path}: {rows} rows")


if __name__ == "__main__":
    main()
