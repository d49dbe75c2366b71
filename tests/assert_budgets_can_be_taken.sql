-- A budget that limits nothing, or twice, and is believed to be kept.
with budgets as (
    select
        *,
        string_to_array(coalesce(thresholds, '0.8'), ' ') as shares,
        case when valid_from >= valid_to then null else daterange(valid_from, valid_to) end as valid,
        row_number() over () as place,
        format(
            'the budget of %s %s for a %s of %s USD, valid from %s, ',
            coalesce(scope_kind, '?'),
            coalesce(scope_key, '?'),
            coalesce(period, '?'),
            coalesce(amount_usd::text, '?'),
            coalesce(valid_from::text, 'ever')
        ) as the_budget
    from {{ ref("budgets") }}
),

faults as (
    select
        the_budget,
        case
            when scope_kind is null or scope_key is null
                then 'has no scope: fill in scope_kind and scope_key'
            when scope_kind not in ('total', 'workflow', 'agent', 'model', 'user')
                then 'is of an unknown kind: write total, workflow, agent, model or user'
            when scope_kind = 'total' and scope_key <> 'total'
                then 'limits the total: write total as its scope_key too'
            when period is null or period not in ('day', 'week', 'month', 'quarter')
                then 'is for an unknown period: write day, week, month or quarter'
            when amount_usd is null or not (amount_usd > 0 and amount_usd < 'infinity')
                then 'has no amount above 0'
            when valid is null then format('ends on %s, before it begins', valid_to)
            when thresholds !~ '^[0-9]+([.][0-9]+)?( [0-9]+([.][0-9]+)?)*$'
                then
                    format('has thresholds (%s) that are no numbers: ', thresholds)
                    || 'write shares with spaces between, such as 0.5 0.8'
            when
                not ops.ascends(shares::numeric[])
                or 0 >= any(shares::numeric[])
                or 2 < any(shares::numeric[])
                then
                    format('has thresholds (%s) that do not ascend within 0 and 2: ', thresholds)
                    || 'write shares of the amount, such as 0.5 0.8'
            when exists (
                    select
                    from budgets as others
                    where
                        others.place <> budgets.place
                        and others.scope_kind = budgets.scope_kind
                        and others.scope_key = budgets.scope_key
                        and others.period = budgets.period
                        and others.valid && budgets.valid
                )
                then 'overlaps another of the same scope and period: end one where the other begins'
        end as reason
    from budgets
)

select the_budget || reason || '.' as fault
from faults
where reason is not null
