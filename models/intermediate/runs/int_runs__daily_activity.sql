-- One row per run, UTC hour of calls or day, payer, model, cost basis, difference and price band.
{%- set bands = [
    "cost_basis", "difference", "price_known_from", "input_tokens_from", "input_tokens_to", "time_from_utc",
    "time_to_utc",
] %}
{%- set sums = [
    "input_tokens", "fresh_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "unsplit_tokens", "reported_cost_usd",
] %}
{%- set costs = [
    "input_cost_usd", "cached_input_cost_usd", "cache_write_cost_usd", "output_cost_usd", "reasoning_cost_usd",
    "request_cost_usd", "computed_cost_usd", "cost_usd",
] %}
{%- set of_calls = ["activity_hour", "payer", "model_recorded", "provider", "model"] + bands + ["llm_calls"]
    + sums + costs + ["calls_reported", "calls_computed", "calls_unpriced"] %}
{{ config(
    materialized="incremental",
    period="activity_date",
    publishes="source_system, run_id, activity_date as day",
    indexes=[
        {"columns": ["activity_date", "daily_activity_key"], "unique": true},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by_calls(this) }}
{{ dirtied_by([ref("int_prices__combined")], days_of_prices(ref("int_models__matched"))) }}
{{ dirtied_by([ref("int_prices__editions")], "select null::date where false") }}

with calls as (
    select * from {{ ref("int_llm_calls__priced") }}
    where {{ in_dirty("called_at") }}
),

tool_calls as (
    select * from {{ ref("int_tool_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

messages as (
    select * from {{ ref("int_messages__unioned") }}
    where {{ in_dirty("sent_at") }}
),

activities as (
    select
        source_system,
        run_id,
        (called_at at time zone 'UTC')::date as activity_date,
        date_trunc('hour', called_at, 'UTC') as activity_hour,
        payer,
        model_recorded,
        provider,
        model,
        {%- for column in bands %}
        {{ column }},
        {%- endfor %}
        count(*) as llm_calls,
        {%- for column in sums %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        -- Digits that depend on the price of what was not used would make equal costs differ.
        {%- for column in costs %}
        trim_scale(sum({{ column }})) as {{ column }},
        {%- endfor %}
        count(*) filter (where cost_basis = 'reported') as calls_reported,
        count(*) filter (where cost_basis = 'computed') as calls_computed,
        count(*) filter (where cost_basis = 'unavailable') as calls_unpriced,
        null::bigint as tool_calls,
        null::bigint as tool_errors,
        null::bigint as messages
    from calls
    group by
        source_system,
        run_id,
        activity_date,
        activity_hour,
        payer,
        model_recorded,
        provider,
        model,
        {{ bands | join(",\n        ") }}
    union all
    select
        source_system,
        run_id,
        (called_at at time zone 'UTC')::date as activity_date,
        {%- for column in of_calls %}
        null as {{ column }},
        {%- endfor %}
        count(*) filter (where not is_call_missing) as tool_calls,
        count(*) filter (where is_error) as tool_errors,
        null as messages
    from tool_calls
    group by source_system, run_id, activity_date
    union all
    select
        source_system,
        run_id,
        (sent_at at time zone 'UTC')::date as activity_date,
        {%- for column in of_calls %}
        null as {{ column }},
        {%- endfor %}
        null as tool_calls,
        null as tool_errors,
        count(*) as messages
    from messages
    group by source_system, run_id, activity_date
)

select
    {{ surrogate_key([
        "source_system",
        "run_id",
        "activity_date - date '2000-01-01'",
        "extract(epoch from activity_hour)",
        "payer",
        "model_recorded",
        "cost_basis",
        "difference",
        "extract(epoch from price_known_from)",
        "input_tokens_from",
        "time_from_utc",
        "tool_calls is not null",
        "messages is not null",
    ]) }} as daily_activity_key,
    *
from activities
