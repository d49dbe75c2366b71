"""Which database the commands and dbt use, and how they connect to it."""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from orchestration import schemas, server
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.rows import TupleRow

Result = TypeVar("Result")

URL_VARIABLE = "AGENTBOOKS_DATABASE_URL"
TARGET_VARIABLE = "DBT_TARGET"  # what profiles.yml chooses its target by

TRIES = 1_000  # minutes, as each waits for a lock for a while
# What another session may have done in the meantime, and what comes to nothing on a second try.
PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)

# libpq tells why a connection failed in words only: the first sign that fits chooses the advice.
REMEDIES = (
    ("password authentication failed", "mend the user or the password in {source}"),
    ("no password supplied", "put the password into {source}, or into ~/.pgpass"),
    ("no pg_hba.conf entry", "let the server's pg_hba.conf admit this user from this machine"),
    ("SSL", "set sslmode in {source} to what the server speaks"),
    ("too many clients", "close some of its connections and try again"),
    ("starting up", "wait a moment and try again"),
    ("does not exist", "create that there, or mend its name in {source}"),
    ("resolve host", "mend the host in {source}"),
    ("", "start it there, or mend host and port in {source}"),
)


def is_embedded() -> bool:
    """Whether the embedded server is used, because no other is named."""
    return not os.environ.get(URL_VARIABLE)


def database_url() -> str:
    """Return the connection URL of the chosen database.

    Raises:
        AgentbooksError: None is chosen and the embedded server does not run.
    """
    return os.environ.get(URL_VARIABLE) or server.dsn()


def connect(
    url: str | None = None, *, application_name: str = "agentbooks", **options: Any
) -> psycopg.Connection[TupleRow]:
    """Connect to the chosen database.

    Args:
        url: Another database's URL.
        application_name: What `pg_stat_activity` shows.
        options: For `psycopg.connect`, such as `autocommit`.

    Raises:
        AgentbooksError: The server cannot be reached, or refuses.
    """
    source = "the URL" if url else URL_VARIABLE
    url = url or database_url()
    parameters = _parameters(url, source)
    try:
        connection = psycopg.connect(
            url,
            application_name=application_name,
            **{"connect_timeout": parameters.get("connect_timeout", 10)} | options,
        )
        if renamed := schemas.read(connection):
            connection.cursor_factory = schemas.cursor_factory(renamed)
        if not connection.autocommit:
            connection.rollback()
        return connection
    except psycopg.Error as error:
        # Of several addresses the last one's failure stands at the end, after "... failed: ".
        reason = str(error).rpartition(" failed: ")[2].strip().partition("\n")[0]
        if url == os.environ.get(URL_VARIABLE) or source != URL_VARIABLE:
            remedy = next(advice for sign, advice in REMEDIES if sign in reason)
        else:
            remedy = "run `agentbooks db up`"
        raise AgentbooksError(
            f"Cannot connect to {_address(parameters)} ({reason.removeprefix('FATAL:').strip()}): "
            f"{remedy.format(source=source)}."
        ) from error


@contextmanager
def bootstrapped() -> Iterator[psycopg.Connection[TupleRow]]:
    """Connect to the chosen database in autocommit mode, if it has been bootstrapped.

    Raises:
        AgentbooksError: It has not, or as `connect`; or what is done with it ends as the server does, or
            as that cannot go on.
    """
    try:
        with connect(autocommit=True) as connection:
            if connection.execute("select to_regnamespace('ops')").fetchone() == (None,):
                raise AgentbooksError(
                    "The database has no schema ops; run `agentbooks bootstrap` first."
                )
            yield connection
    except psycopg.OperationalError as error:
        raise AgentbooksError(
            f"The database could not go on ({first_line(error)}): look after it, and run this again."
        ) from error


def first_line(error: psycopg.Error) -> str:
    """Return what an error of the database says in short, or that of a lost connection."""
    return error.diag.message_primary or str(error).splitlines()[0]


def another(connection: psycopg.Connection) -> psycopg.Connection:
    """Connect once more, as a session is connected; each statement commits by itself."""
    return psycopg.connect(
        connection.info.dsn,
        password=connection.info.password,
        autocommit=True,
        cursor_factory=connection.cursor_factory,
    )


@contextmanager
def alone(connection: psycopg.Connection, lock: str, *, is_shared: bool = False) -> Iterator[None]:
    """Wait for whoever else holds the lock of this name, and hold it; who is cut off holds it no more.

    Args:
        connection: Of the session that holds it.
        lock: Its name.
        is_shared: Hold it beside others who share it.
    """
    shared = "_shared" if is_shared else ""
    connection.execute(
        f"select pg_advisory_lock{shared}(hashtextextended(%s, 0))".encode(), (lock,)
    )
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            connection.execute(
                f"select pg_advisory_unlock{shared}(hashtextextended(%s, 0))".encode(), (lock,)
            )


def patiently(step: Callable[[], Result], pause: float = 0.1) -> Result:
    """Do a step again as long as others are in its way, but not for ever.

    Args:
        step: Does all or nothing, in a transaction of its own.
        pause: Seconds between two tries, about: what is random keeps two from meeting again.
    """
    for _ in range(TRIES - 1):
        try:
            return step()
        except (*PASSING, AgentbooksError) as error:
            cause = error.__cause__ if isinstance(error, AgentbooksError) else error
            if not isinstance(cause, PASSING):
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
    return step()


def dbt_environment() -> dict[str, str]:
    """Return the variables with which dbt, run from `profiles.yml`, uses the chosen database.

    Raises:
        AgentbooksError: The URL is malformed, or the embedded server does not run.
    """
    parameters = _parameters(database_url(), URL_VARIABLE)
    if is_embedded():
        return {TARGET_VARIABLE: "local", server.PORT_VARIABLE: str(parameters["port"])}
    # libpq names a variable for each of its options; dbt's driver reads those that dbt does not.
    return {TARGET_VARIABLE: "prod"} | {
        option.envvar.decode(): str(parameters[option.keyword.decode()])
        for option in pq.Conninfo.get_defaults()
        if option.envvar and option.keyword.decode() in parameters
    }


def _parameters(url: str, source: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # libpq's own words may repeat the URL, and with it the password.
        raise AgentbooksError(
            f"{source} is no connection URL: write it as "
            "postgresql://user:password@host:port/database."
        ) from error


def _address(parameters: dict[str, Any]) -> str:
    host = parameters.get("host") or "the local socket"
    port = parameters.get("port") or "5432"
    user = parameters.get("user") or "the system's user"
    return f"database {parameters.get('dbname') or user} on {host}:{port} as {user}"
