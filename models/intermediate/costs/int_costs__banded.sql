-- One row per row of cost_daily, cost basis and price band: tokens that any edition of the prices can price.
{%- set dimensions = [
    "usage_date", "source_system", "tenant_key", "workflow", "domain", "agent_key", "user_key",
    "provider", "model", "model_recorded", "payer", "cost_basis", "price_known_from",
    "input_tokens_from", "input_tokens_to", "time_from_utc", "time_to_utc",
] %}
{%- set sums = [
    "fresh_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "computed_cost_usd", "cost_usd",
] %}
{{ config(
    materialized="incremental",
    period="usage_date",
    publishes="day_model_key as key",
    indexes=[
        {"columns": ["costs_banded_key"], "unique": true},
        {"columns": ["usage_date"]},
        {"columns": ["day_model_key"]},
        {"columns": ["provider", "model"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}

with attributed_costs as (
    select * from {{ ref("int_costs__attributed") }}
    where {{ in_dirty_days("usage_date") }}
),

banded as (
    select
        {{ dimensions | join(",\n        ") }},
        {%- for column in sums %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        sum(llm_calls)::bigint as llm_calls
    from attributed_costs
    group by
        {{ dimensions | join(",\n        ") }}
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
        "user_key",
        "model_recorded",
        "payer",
        "cost_basis",
        "extract(epoch from price_known_from)",
        "input_tokens_from",
        "time_from_utc",
    ]) }} as costs_banded_key,
    {{ surrogate_key(["usage_date - date '2000-01-01'", "provider", "model"]) }} as day_model_key,
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "domain",
        "agent_key",
        "user_key",
        "model_recorded",
        "payer",
    ]) }} as cost_daily_key,
    {{ dimensions | join(",\n    ") }},
    llm_calls,
    {{ sums | join(",\n    ") }}
from banded
