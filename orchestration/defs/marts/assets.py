"""Seeds, views and marts of the dbt project as assets, its tests as asset checks."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from psycopg import sql

from orchestration import database
from orchestration.dbt import PROJECT, TARGET

project = DbtProject(project_dir=PROJECT, target_path=TARGET, profiles_dir=PROJECT)
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
    keys = {
        key.to_python_identifier(): key
        for key in context.selected_asset_keys
        if key.path[0] == "marts"
    }
    for event in build.stream():
        if isinstance(event, dg.Output) and event.output_name in keys:
            facts = _facts(*keys[event.output_name].path)
            yield event.with_metadata({**event.metadata, **facts})
        else:
            yield event


def _facts(schema: str, mart: str) -> dict[str, float | int]:
    """Tell how many rows a mart has and, of what the agents cost, how much and what is unknown."""
    names = ["dagster/row_count"]
    figures = "count(*)"
    if mart == "cost_daily":
        names += ["cost_usd", "calls_unpriced"]
        figures += ", coalesce(sum(cost_usd), 0)::float8, coalesce(sum(calls_unpriced), 0)::bigint"
    query = sql.SQL("select {} from {}").format(sql.SQL(figures), sql.Identifier(schema, mart))
    with database.connect(autocommit=True) as connection:
        row = connection.execute(query).fetchone() or ()
    return dict(zip(names, row, strict=True))
