"""Refreshing without dbt: the statements that dbt's materializations have run, run again.

dbt takes seconds to start, a statement milliseconds. After one build its folder `target/run` holds what
each incremental model executes, in the order of the graph.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from orchestration.dbt import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Rows = dict[str, Counter[tuple[Any, ...]]]

NUMERIC = psycopg.adapters.types["numeric"].oid


@dataclass
class Refresher:
    """A database that dbt has built, and the statements that bring its tables up to date."""

    url: str
    statements: dict[str, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    readings: dict[str, sql.Composable] = field(default_factory=dict)

    @classmethod
    def build(cls, url: str, build_marts: Callable[..., None]) -> Refresher:
        """Build the project without its tests, and take its statements, for any database like this."""
        build_marts(url, ["*", "--resource-type", "seed", "--resource-type", "model"])
        manifest = json.loads((TARGET / "manifest.json").read_text())
        nodes = {
            unique_id: node
            for unique_id, node in manifest["nodes"].items()
            if node["resource_type"] == "model"
        }
        refresher = cls(url)
        own_name = f'"{url.rpartition("/")[2]}".'
        waiting = dict(nodes)
        while waiting:
            for unique_id, node in list(waiting.items()):
                if any(parent in waiting for parent in manifest["parent_map"][unique_id]):
                    continue
                del waiting[unique_id]
                if node["config"]["materialized"] == "incremental":
                    path = Path(node["package_name"], node["original_file_path"])
                    name = f"{node['schema']}.{node['alias']}"
                    for told, folder in (
                        (refresher.statements, "run"),
                        (refresher.queries, "compiled"),
                    ):
                        text = (TARGET / folder / path).read_text().strip()
                        told[name] = text.replace(own_name, "")
        return refresher

    def collect(self, connection: psycopg.Connection) -> None:
        """Do what a run does before its first model."""
        connection.execute(
            "select ops.start_run(array_agg(oid::regclass)) from pg_class"
            " where relnamespace = 'seeds'::regnamespace and relkind = 'r'"
        )

    def refresh(
        self,
        connection: psycopg.Connection,
        only: Iterable[str] | None = None,
        *,
        is_full: bool = False,
    ) -> dict[str, str]:
        """Refresh all tables, or some, in the order of the graph; tell what each did."""
        self.collect(connection)
        chosen = set(self.statements if only is None else only)
        done = {}
        for name, statement in self.statements.items():
            if name in chosen:
                done[name] = self.run(connection, name, statement, is_full=is_full)
        return done

    def run(
        self, connection: psycopg.Connection, name: str, statement: str, *, is_full: bool = False
    ) -> str:
        """Run one model's statement in a transaction of its own."""
        if is_full:
            statement, replaced = re.subn(r"\bFalse(\s*\)\s*)$", r"True\1", statement)
            assert replaced == 1, f"no last argument is_full in the statement of {name}"
        with connection.transaction():
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def rows(self, connection: psycopg.Connection, only: Iterable[str] | None = None) -> Rows:
        """Read all refreshed tables, or some: how often each row is there, where 0.50 is 0.5."""
        return {
            name: Counter(
                connection.execute(
                    sql.SQL("select {} from {}").format(
                        self._reading(connection, name), sql.Identifier(*name.split("."))
                    )
                ).fetchall()
            )
            for name in (self.statements if only is None else only)
        }

    def _reading(self, connection: psycopg.Connection, name: str) -> sql.Composable:
        if name not in self.readings:
            table = sql.Identifier(*name.split("."))
            columns = connection.execute(
                sql.SQL("select * from {} where false").format(table)
            ).description
            assert columns is not None
            self.readings[name] = sql.SQL("row({})::text").format(
                sql.SQL(", ").join(
                    sql.SQL("trim_scale({})" if column.type_code == NUMERIC else "{}").format(
                        sql.Identifier(column.name)
                    )
                    for column in columns
                )
            )
        return self.readings[name]

    def errors(
        self, connection: psycopg.Connection, only: Iterable[str] | None = None
    ) -> list[str]:
        """Compare all tables, or some, with what their models' queries say of what they read, as it is.

        Along the graph, table by table, that is a comparison with a rebuild. The queries stay planned.
        """
        connection.prepared_max = None
        found = []
        for name in self.queries if only is None else only:
            reading = self._reading(connection, name)
            rows = connection.execute(
                sql.SQL(
                    "select string_agg(place, ', '), row from ("
                    "select 'missing' as place, {} as row from ({}) as model"
                    " union all select 'left over', {} from {}) as compared"
                    " group by row having count(*) filter (where place = 'missing') <> count(*) / 2.0"
                ).format(
                    reading, sql.SQL(self.queries[name]), reading, sql.Identifier(*name.split("."))
                ),
                prepare=True,
            ).fetchall()
            found += [f"{name}: {places} {row}" for places, row in rows]
        return found

    def differences(self, connection: psycopg.Connection) -> list[str]:
        """Compare the tables as they are with a rebuild from nothing, table by table."""
        refreshed = self.rows(connection)
        self.refresh(connection, is_full=True)
        rebuilt = self.rows(connection)
        return [
            f"{name}: {sign} {row[0]}"
            for name in self.statements
            for sign, rows in (
                ("left over", refreshed[name] - rebuilt[name]),
                ("missing", rebuilt[name] - refreshed[name]),
            )
            for row in rows
        ]
