"""Seeds, views and marts of the dbt project as assets, its tests as asset checks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from orchestration import database
from orchestration.dbt import PROJECT

project = DbtProject(project_dir=PROJECT, profiles_dir=PROJECT)
# Under `dagster dev` the manifest follows the models; elsewhere it is what `dbt parse` left.
project.prepare_if_dev()
dbt_cli = DbtCliResource(project_dir=project, profiles_dir=str(PROJECT))


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
    build = dbt.cli(["build", "--target", database.dbt_target()], context=context)
    yield from build.stream().fetch_row_counts()
