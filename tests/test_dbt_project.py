"""The dbt project's structure, and how it fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from conftest import ROOT
from dbt import jsonschemas
from jsonschema import Draft7Validator

from orchestration.dbt import TARGET

if TYPE_CHECKING:
    from conftest import TestServer

LAYERS = ("staging", "intermediate", "marts")


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The project as dbt reads it."""
    dbt("parse")
    return json.loads((TARGET / "manifest.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Its models."""
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def dbt(*arguments: str, check: bool = True, **environment: str) -> str:
    """Run dbt as a user does, with no wrapper."""
    result = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert (result.returncode == 0) is check, result.stdout
    return result.stdout


def server_environment(url: str) -> dict[str, str]:
    """Variables that lead dbt's target prod to a database."""
    host_and_port, database = url.removeprefix("postgresql://postgres@").split("/")
    host, port = host_and_port.split(":")
    return {"PGHOST": host, "PGPORT": port, "PGUSER": "postgres", "PGDATABASE": database}


def test_every_model_and_column_is_described(models: list[dict[str, Any]]) -> None:
    """Catches columns that nobody can use without asking."""
    for model in models:
        assert model["description"], f"describe {model['name']}"
        for name, column in model["columns"].items():
            assert column["description"], f"describe {model['name']}.{name}"


def test_every_model_has_a_tested_key(
    manifest: dict[str, Any], models: list[dict[str, Any]]
) -> None:
    """Catches models that may double rows unseen."""
    unique = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and (node.get("test_metadata") or {}).get("name") in ("unique", "unique_combination")
    }
    exempt = {"int_prices__tiered"}  # its key is a range: assert_one_price_holds tests it
    for model in models:
        assert model["unique_id"] in unique or model["name"] in exempt, (
            f"test the key of {model['name']}"
        )


def test_models_read_only_the_layers_below(
    manifest: dict[str, Any], models: list[dict[str, Any]]
) -> None:
    """Catches marts that read raw tables, and staging models that read each other."""
    for model in models:
        layer = model["fqn"][1]
        for parent in model["depends_on"]["nodes"]:
            kind = parent.split(".")[0]
            if kind == "source":
                source = manifest["sources"][parent]["source_name"]
                assert layer == "staging" or source == "ops", f"{model['name']} reads {parent}"
            elif kind == "model":
                below = manifest["nodes"][parent]["fqn"][1]
                allowed = LAYERS[: LAYERS.index(layer) + (layer != "staging")]
                # The one mart from which everybody learns a run's agent, domain and verdict.
                assert below in allowed or parent.endswith(".agent_runs"), (
                    f"{model['name']} reads {parent}"
                )


def test_what_reads_rows_that_may_leave_is_kept_by_day(
    manifest: dict[str, Any], models: list[dict[str, Any]]
) -> None:
    """Catches a mart whose numbers go with its raw rows, as no day of it can be frozen."""
    raw_sql = "".join(path.read_text() for path in sorted((ROOT / "bootstrap_sql").glob("*.sql")))
    leaving = set(
        re.findall(
            r"create table (\w+\.\w+) \((?:(?!\n\);).)*?\n\) partition by range", raw_sql, re.S
        )
    )
    assert len(leaving) == 9, leaving
    clocks = raw_sql.partition("insert into ops.month_clocks")[2].partition(";")[0]
    leaving |= set(re.findall(r"\('(\w+\.\w+)'", clocks))
    assert len(leaving) == 26, leaving

    def raw_inputs(unique_ids: list[str]) -> set[str]:
        found = set()
        for unique_id in unique_ids:
            if unique_id in manifest["sources"]:
                source = manifest["sources"][unique_id]
                found.add(f"{source['source_name']}.{source['name']}")
            elif manifest["nodes"][unique_id]["config"]["materialized"] == "view":
                found |= raw_inputs(manifest["nodes"][unique_id]["depends_on"]["nodes"])
        return found

    readers = 0
    for model in models:
        if model["config"]["materialized"] == "view" and model["fqn"][1] != "marts":
            continue
        if raw_inputs(model["depends_on"]["nodes"]) & leaving:
            assert model["config"].get("period"), f"refresh {model['name']} by a period"
            readers += 1
    assert readers > 10


def test_names_tell_the_layer(models: list[dict[str, Any]]) -> None:
    """Catches a model in the wrong folder, or outside the naming rule."""
    for model in models:
        prefix = {"staging": "stg_", "intermediate": "int_", "marts": ""}[model["fqn"][1]]
        assert model["name"].startswith(prefix)
        assert model["fqn"][1] == "marts" or "__" in model["name"]


def test_every_mart_has_an_enforced_contract(models: list[dict[str, Any]]) -> None:
    """Catches a change of the product's API that nobody decided on."""
    marts = [model for model in models if model["fqn"][1] == "marts"]
    assert marts
    for model in marts:
        assert model["contract"]["enforced"], model["name"]
        # The columns of an export are another's; its own have a prefix.
        key = "x_ChargeId" if model["name"] == "focus_costs" else f"{model['name']}_key"
        assert key in model["columns"], f"{model['name']} has no {key}"


def test_the_first_line_of_a_model_states_its_grain(models: list[dict[str, Any]]) -> None:
    """Catches models whose rows nobody can tell the meaning of."""
    for model in models:
        first = model["raw_code"].splitlines()[0]
        assert first.startswith("-- One row per"), f"{model['name']} begins with {first!r}"
        assert model["description"].startswith("One row per"), model["name"]


def test_columns_stand_in_the_sqls_order_with_none_missing(
    server18: TestServer, build_marts: Any
) -> None:
    """Catches columns that are built but not described, in views that no contract watches."""
    url = server18.database()
    build_marts(url, ["resource_type:seed", "resource_type:model"])
    manifest = json.loads((TARGET / "manifest.json").read_text())
    with psycopg.connect(url) as connection:
        for node in manifest["nodes"].values():
            if node["resource_type"] != "model":
                continue
            found = connection.execute(
                "select column_name from information_schema.columns"
                " where table_schema = %s and table_name = %s order by ordinal_position",
                (node["schema"], node["name"]),
            ).fetchall()
            assert [name for (name,) in found] == list(node["columns"]), node["name"]


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("models/**/*.yml"),
                                                            *ROOT.glob("seeds/*.yml")])
)  # fmt: skip
def test_property_files_have_only_keys_that_dbt_knows(path: str) -> None:
    """Catches a misspelt key, which dbt ignores without a word on PostgreSQL."""
    schemas = Path(jsonschemas.__file__).parent / "resources" / "latest.json"
    validator = Draft7Validator(json.loads(schemas.read_text()))
    errors = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in validator.iter_errors(yaml.safe_load((ROOT / path).read_text()))
    ]
    assert not errors, "\n".join(errors)


def test_a_database_without_raw_tables_gets_one_sentence(server18: TestServer) -> None:
    """Catches forty failing models where one missing command is the cause."""
    output = dbt(
        "run", "--target", "prod", check=False, **server_environment(server18.empty_database())
    )
    assert "has no raw tables" in output
    assert "run `agentbooks bootstrap` first" in output
    assert "Traceback" not in output


def test_a_database_without_seeds_gets_one_sentence(server18: TestServer) -> None:
    """Catches models that fail one by one on a missing price book."""
    output = dbt("run", "--target", "prod", check=False, **server_environment(server18.database()))
    assert "holds no seeds; run `dbt seed` or `dbt build` first" in output
    assert "Traceback" not in output


def test_other_targets_get_prefixed_schemas(server18: TestServer) -> None:
    """Catches developers who overwrite each other's, or production's, marts."""
    url = server18.database()
    dbt(
        *("build", "--target", "dev", "--resource-type", "model", "--resource-type", "seed"),
        *("--select", "trust_levels", "stg_agentic__agents"),
        **server_environment(url),
        DBT_SCHEMA_PREFIX="ada",
    )
    with psycopg.connect(url) as connection:
        schemas = connection.execute(
            "select nspname from pg_namespace where nspname ~ '(staging|seeds)$' order by 1"
        ).fetchall()
    assert schemas == [("ada_seeds",), ("ada_staging",)]


def test_a_seed_that_has_gained_a_column_takes_no_view_along(server18: TestServer) -> None:
    """A seed of a newer version that fails, or is dropped with what people have built on it."""
    url = server18.database()
    seeding = ("seed", "--target", "prod", "--select", "retention_policies")
    dbt(*seeding, **server_environment(url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table seeds.retention_policies drop column payload_for")
        connection.execute("create view own as select table_name from seeds.retention_policies")
        dbt(*seeding, **server_environment(url))
        filled = connection.execute(
            "select count(payload_for) > 0, (select count(*) from own) = count(*)"
            " from seeds.retention_policies"
        ).fetchone()
    assert filled == (True, True)
