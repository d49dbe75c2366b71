-- One row per provider, model and moment from which its prices were known as a whole list.
{{ config(
    materialized="incremental",
    publishes="provider, model",
    indexes=[
        {"columns": ["prices_editions_key"], "unique": true},
        {"columns": ["provider", "model"]},
    ],
) }}

with prices as (
    select * from {{ ref("int_prices__tiered") }}
),

model_prices as (
    select * from {{ ref("model_prices") }}
),

own_prices as (
    select * from {{ ref("own_prices") }}
),

reasons as (
    select
        provider,
        model,
        coalesce(known_from, '-infinity') as known_from,
        reason
    from model_prices
    where reason is not null
    union
    select
        provider,
        model,
        coalesce(known_from, '-infinity') as known_from,
        reason
    from own_prices
    where reason is not null
),

-- Before its first edition nothing is known of a model: a call finds that, too, in a row.
moments as (
    select
        provider,
        model,
        known_from
    from prices
    union
    select
        provider,
        model,
        timestamptz '-infinity' as known_from
    from prices
),

explained as (
    select
        moments.provider,
        moments.model,
        moments.known_from,
        string_agg(distinct reasons.reason, '; ' order by reasons.reason) as reason
    from moments
    left join reasons
        on
            moments.model = reasons.model
            and moments.known_from = reasons.known_from
            and moments.provider = coalesce(reasons.provider, moments.provider)
    group by moments.provider, moments.model, moments.known_from
)

select
    {{ surrogate_key(["provider", "model", "extract(epoch from known_from)"]) }}
        as prices_editions_key,
    provider,
    model,
    known_from,
    lead(known_from, 1, 'infinity') over (partition by provider, model order by known_from)
        as known_to,
    reason
from explained
