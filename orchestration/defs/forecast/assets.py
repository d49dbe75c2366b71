"""The kept forecasts as an asset between the marts of costs and those of forecasts."""

import dagster as dg

from orchestration import database, forecast_store

KEY = dg.AssetKey(["ops", "forecasts"])


@dg.asset(
    key=KEY,
    deps=[dg.AssetKey(["marts", "cost_by_scope_daily"])],
    group_name="forecast",
    kinds={"python", "postgres"},
)
def forecasts() -> dg.MaterializeResult[None]:
    """Costs 1 to 90 days ahead, for every scope that matters; a day's forecast is made once."""
    with database.connect(autocommit=True) as connection:
        kept = forecast_store.forecast_marts(connection)
    return dg.MaterializeResult(
        metadata={
            "as_of": str(kept.as_of),
            "scopes_forecast": kept.scopes,
            "rows_added": kept.rows,
        }
    )
