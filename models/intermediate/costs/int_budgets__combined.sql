-- One row per scope_kind, scope_key, period and valid_from of a budget, the seed's and the applications'.
with seeded as (
    select * from {{ ref("budgets") }}
),

set_by_applications as (
    select * from {{ source("ops", "budgets") }}
)

select
    scope_kind,
    scope_key,
    period,
    amount_usd,
    thresholds,
    valid_from,
    valid_to,
    'ops.budgets' as set_in
from set_by_applications
union all
select
    seeded.scope_kind,
    seeded.scope_key,
    seeded.period,
    seeded.amount_usd,
    string_to_array(coalesce(seeded.thresholds, '0.8'), ' ')::numeric[] as thresholds,
    coalesce(seeded.valid_from, '-infinity') as valid_from,
    coalesce(seeded.valid_to, 'infinity') as valid_to,
    'seed' as set_in
from seeded
where
    not exists (
        select
        from set_by_applications
        where
            set_by_applications.scope_kind = seeded.scope_kind
            and set_by_applications.scope_key = seeded.scope_key
            and set_by_applications.period = seeded.period
    )
