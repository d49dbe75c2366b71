-- One row per price of a component, with the period, time of day and size of call it holds for.
with model_prices as (
    select * from {{ ref("model_prices") }}
)

select
    provider,
    model,
    component,
    coalesce(valid_from, '-infinity') as valid_from,
    coalesce(valid_to, 'infinity') as valid_to,
    coalesce(time_from_utc, '00:00') as time_from_utc,
    coalesce(time_to_utc, '24:00') as time_to_utc,
    -- A tier's price is that of the whole call once its input tokens exceed the tier's bound.
    case when tier_above_input_tokens > 0 then tier_above_input_tokens + 1 else 0 end
        as input_tokens_from,
    coalesce(
        lead(tier_above_input_tokens) over (
            partition by provider, model, component, valid_from, time_from_utc
            order by tier_above_input_tokens
        ) + 1,
        9223372036854775807
    ) as input_tokens_to,
    usd_per_million
from model_prices
