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
    select * from {{ ref("int_prices__combined") }}
),

priced as (
    select
        calls.*,
        models.provider,
        models.model,
        prices.input_price,
        coalesce(prices.cached_input_price, prices.input_price) as cached_input_price,
        coalesce(prices.cache_write_price, prices.input_price) as cache_write_price,
        prices.output_price,
        coalesce(prices.request_price, 0) as request_price
    from calls
    left join models
        on calls.model_recorded = models.model_recorded and calls.called_on = models.usage_date
    left join prices
        on
            models.provider = prices.provider
            and models.model = prices.model
            and calls.called_on >= prices.valid_from
            and calls.called_on < prices.valid_to
            and calls.called_at_time >= prices.time_from_utc
            and calls.called_at_time < prices.time_to_utc
            and coalesce(calls.input_tokens, 0) >= prices.input_tokens_from
            and coalesce(calls.input_tokens, 0) < prices.input_tokens_to
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
