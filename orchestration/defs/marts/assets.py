"""Seeds, views and marts of the dbt project as assets, its tests as asset checks."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from psycopg import sql

from orchestration import database
from orchestration.dbt import PROJECT

project = DbtProject(project_dir=PROJECT, profiles_dir=PROJECT)
# Under `dagster dev` the manifest follows the models; elsewhere it is what `dbt parse` left.
project.prepare_if_dev()
dbt_cli = DbtCliResource(
    project_dir=project,
    profiles_dir=str(PROJECT),
    dbt_executable=str(Path(sys.executable).with_name("dbt")),
)


class LayerTranslator(DagsterDbtTranslator):
    """Groups assets by layer, as the folders do: staging, intermediate, marts, seeds."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Give a node's layer, from DagsterDbtTranslator."""
        if dbt_resource_props["resource_type"] == "model":
            return str(dbt_resource_props["fqn"][1])
        return "seeds" if dbt_resource_props["resource_type"] == "seed" else "raw"


@dbt_assets(
    manifest=project.manifest_path, project=project, dagster_dbt_translator=LayerTranslator()
)
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    """Build what is selected, and test it."""
    os.environ |= database.dbt_environment()
    build = dbt.cli(["build"], context=context)
    marts = {
        key.to_python_identifier(): key
        for key in context.selected_asset_keys
        if key.path[0] == "marts"
    }
    for event in build.stream():
        if isinstance(event, dg.Output) and event.output_name in marts:
            facts = _facts(*marts[event.output_name].path)
            yield event.with_metadata({**event.metadata, **facts})
        else:
            yield event


def _facts(schema: str, mart: str) -> dict[str, float | int]:
    """Tell how many rows a mart has and, of what the agents cost, how much and what is unknown."""
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, mart))
    with database.connect(autocommit=True) as connection:
        facts: dict[str, float | int] = {"dagster/row_count": _only(connection.execute(query))}
        if mart == "cost_daily":
            facts["cost_usd"] = float(
                _only(connection.execute("select coalesce(sum(cost_usd), 0) from marts.cost_daily"))
            )
            facts["calls_unpriced"] = int(
                _only(
                    connection.execute(
                        "select coalesce(sum(calls_unpriced), 0) from marts.cost_daily"
                    )
                )
            )
    return facts


def _only(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
