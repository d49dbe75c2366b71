"""Looks for words in every table of a database and every file of a folder, whatever they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
from pyarrow import compute, parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

TABLES = """
select oid::regclass::text
from pg_class
where relkind in ('r', 'm') and relpersistence <> 't'
    and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')
order by 1
"""
# Documents, lists and rows put them before and around what they quote, each in its own way.
QUOTING = ("\\", '"')


def residue(
    connection: psycopg.Connection[Any], words: Iterable[str], url: str | None = None
) -> list[str]:
    """Name each table, and each file under the URL, that has one of the words, as text or as bytes."""
    words = sorted({_unquoted(form).lower() for word in words for form in (word, json.dumps(word))})
    assert all(words), "an empty word is everywhere"
    found = []
    for (table,) in connection.execute(TABLES).fetchall():
        row = connection.execute(
            f"select count(*) from {table} as t where exists (select from unnest(%s::text[]) as w"  # type: ignore[arg-type]
            " where strpos(lower(translate(t::text, %s, '')), w) > 0"
            " or strpos(t::text, encode(convert_to(w, 'UTF8'), 'hex')) > 0)",
            (words, "".join(QUOTING)),
        ).fetchone()
        if row and row[0]:
            found.append(f"{table}: {row[0]} rows")
    if url is not None:
        found += [f"{name}: {word}" for name, word in in_files(url, words)]
    return found


def _unquoted(text: str) -> str:
    for sign in QUOTING:
        text = text.replace(sign, "")
    return text


def in_files(url: str, words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Tell each file under a URL with one of the words in its name, its columns or what it says of itself."""
    files, folder = fsspec.core.url_to_fs(url)
    for name in files.find(folder):
        with files.open(name, "rb") as opened, parquet.ParquetFile(opened) as file:
            content = [pa.array([name, str(file.metadata.metadata)])]
            content += [
                compute.replace_substring_regex(column.cast(pa.string()), r'[\\"]', "")
                for batch in file.iter_batches()
                for column in batch.columns
            ]
        for word in words:
            if any(
                compute.any(compute.match_substring(column, word, ignore_case=True)).as_py()
                for column in content
            ):
                yield name, word
