-- One row per LLM call, with the cost its source reported and the one the price book gives.
with calls as (
    select
        *,
        (called_at at time zone 'UTC')::date as called_on,
        (called_at at time zone 'UTC')::time as called_at_time
    from {{ ref("int_llm_calls__unioned") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

prices as (
    select * from {{ ref("int_prices__tiered") }}
),

priced as (
    select
        calls.*,
        models.provider,
        models.model,
        input_prices.usd_per_million as input_price,
        coalesce(cached_input_prices.usd_per_million, input_prices.usd_per_million)
            as cached_input_price,
        coalesce(cache_write_prices.usd_per_million, input_prices.usd_per_million)
            as cache_write_price,
        output_prices.usd_per_million as output_price,
        coalesce(request_prices.usd_per_million, 0) as request_price
    from calls
    left join models
        on calls.model_recorded = models.model_recorded and calls.called_on = models.usage_date
    {{ price_join("input") }}
    {{ price_join("cached_input") }}
    {{ price_join("cache_write") }}
    {{ price_join("output") }}
    {{ price_join("request") }}
),

computed as (
    select
        *,
        -- Without both counts and their prices the cost is unknown, not zero.
        case
            when input_price is not null and output_price is not null
                then (
                    greatest(
                        input_tokens
                        - coalesce(cached_input_tokens, 0)
                        - coalesce(cache_write_tokens, 0),
                        0
                    ) * input_price
                    + coalesce(cached_input_tokens, 0) * cached_input_price
                    + coalesce(cache_write_tokens, 0) * cache_write_price
                    + output_tokens * output_price
                    + request_price
                ) * 0.000001
        end as computed_cost_usd
    from priced
)

select
    llm_call_id,
    source_system,
    run_id,
    called_at,
    payer,
    model_recorded,
    provider,
    model,
    duration_ms,
    input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    output_tokens,
    unsplit_tokens,
    reported_cost_usd,
    computed_cost_usd,
    coalesce(reported_cost_usd, computed_cost_usd) as cost_usd
from computed
