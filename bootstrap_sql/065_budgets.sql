-- Budgets that applications set while they run. Those that change by review stand in the seed `budgets`; for
-- the same scope and period a budget here wins. What the seed's tests refuse, the table refuses itself.

set local role agentbooks_owner;

create function ops.ascends(numbers numeric[]) returns boolean
language sql
immutable
parallel safe
return (
    select coalesce(bool_and(coalesce(n.number > n.number_before, n.place = 1)), false)
    from (
        select
            u.number,
            u.place,
            lag(u.number) over (order by u.place) as number_before
        from unnest(numbers) with ordinality as u (number, place)
    ) as n
);

comment on function ops.ascends(numeric[]) is
'Whether each number is above the one before; false for none.';

create table ops.budgets (
    scope_kind text not null
    check (scope_kind in ('total', 'workflow', 'agent', 'model', 'user')),
    scope_key text not null check (scope_key <> ''),
    period text not null check (period in ('day', 'week', 'month', 'quarter')),
    amount_usd numeric not null check (amount_usd > 0 and amount_usd < 'infinity'),
    thresholds numeric[] not null default '{0.8}'
    check (ops.ascends(thresholds) and 0 < thresholds[1] and 2 >= all(thresholds)),
    valid_from date not null default '-infinity',
    valid_to date not null default 'infinity',
    set_by text not null default current_user,
    set_at timestamptz not null default clock_timestamp(),
    primary key (scope_kind, scope_key, period, valid_from),
    check (valid_from < valid_to),
    constraint budgets_of_the_total check (scope_kind <> 'total' or scope_key = 'total'),
    -- The hash stands for the texts, which a range index has no operators for.
    constraint budgets_do_not_overlap exclude using gist (
        int8range(
            hashtextextended(scope_kind || ' ' || period || ' ' || scope_key, 0),
            hashtextextended(scope_kind || ' ' || period || ' ' || scope_key, 0),
            '[]'
        ) with &&,
        daterange(valid_from, valid_to) with &&
    )
);

comment on table ops.budgets is
'One row per scope, period and time for which its budget is in force. Written by applications.';
comment on column ops.budgets.scope_kind is 'What it limits: total, workflow, agent, model or user.';
comment on column ops.budgets.scope_key is
'Which one, as in cost_by_scope_daily: `total`, the workflow, agent_key, model or user_key.';
comment on column ops.budgets.period is 'What the amount is for: each calendar day, week, month or quarter.';
comment on column ops.budgets.amount_usd is 'USD that a period may cost.';
comment on column ops.budgets.thresholds is
'Shares of the amount from which on there is a warning, ascending, above 0 and up to 2.';
comment on column ops.budgets.valid_from is 'First UTC day on which it is in force.';
comment on column ops.budgets.valid_to is 'UTC day from which it no longer is.';
comment on column ops.budgets.set_by is 'Role that set it.';
comment on column ops.budgets.set_at is 'When.';

grant select, insert, update, delete on ops.budgets to service_role;
grant select on ops.budgets to agentbooks_refresher;
