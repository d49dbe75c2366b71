-- Every forecast that was ever made, to be weighed later against what the days cost in the end. A
-- forecast that could be written over, or left out where it was bad, would prove nothing.

set local role agentbooks_owner;

create table ops.forecasts (
    as_of_date date not null,
    scope_kind text not null check (scope_kind in ('total', 'workflow', 'agent', 'model', 'user')),
    scope_key text not null,
    forecast_date date not null,
    method text not null check (method <> ''),
    history_days int not null check (history_days > 0),
    naive_error_usd numeric check (naive_error_usd >= 0),
    yhat_usd numeric not null,
    low_80_usd numeric,
    high_80_usd numeric,
    low_95_usd numeric,
    high_95_usd numeric,
    total_yhat_usd numeric not null,
    total_low_80_usd numeric,
    total_high_80_usd numeric,
    total_low_95_usd numeric,
    total_high_95_usd numeric,
    made_at timestamptz not null default clock_timestamp(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (as_of_date, scope_kind, scope_key, forecast_date),
    constraint forecasts_ahead check (forecast_date > as_of_date),
    constraint forecasts_in_order check (
        0 <= low_95_usd and low_95_usd <= low_80_usd and low_80_usd <= yhat_usd
        and yhat_usd <= high_80_usd and high_80_usd <= high_95_usd
    ),
    constraint forecasts_totals_in_order check (
        0 <= total_low_95_usd and total_low_95_usd <= total_low_80_usd
        and total_low_80_usd <= total_yhat_usd and total_yhat_usd <= total_high_80_usd
        and total_high_80_usd <= total_high_95_usd
    ),
    check (yhat_usd >= 0)
);

-- New rows are found by it, and lie together.
create index idx_forecasts_change_id on ops.forecasts
using brin (change_id) with (autosummarize = on);

comment on table ops.forecasts is
'One row per day ahead, scope and day of the forecast. Rows are added and never altered: made once '
'more for the same day, a forecast adds nothing.';
comment on column ops.forecasts.as_of_date is 'Last UTC day whose cost the forecast knew.';
comment on column ops.forecasts.scope_kind is 'What was forecast: total, or the dimension of cost_daily.';
comment on column ops.forecasts.scope_key is 'Value of that dimension; `total` for the total.';
comment on column ops.forecasts.forecast_date is 'UTC day that was forecast.';
comment on column ops.forecasts.method is 'What made it, chosen by backtests for this scope.';
comment on column ops.forecasts.history_days is 'Days from the scope''s first cost to as_of_date.';
comment on column ops.forecasts.naive_error_usd is
'Mean absolute error of "as a week before" over that history: what errors are scaled by. Null below '
'eight days.';
comment on column ops.forecasts.yhat_usd is 'Expected cost of the day.';
comment on column ops.forecasts.low_80_usd is
'Of 80 in 100 days the cost is between this and high_80_usd. Null: too short a history to tell.';
comment on column ops.forecasts.high_80_usd is 'Upper end of the same.';
comment on column ops.forecasts.low_95_usd is 'Lower end of the interval for 95 in 100.';
comment on column ops.forecasts.high_95_usd is 'Upper end of the same.';
comment on column ops.forecasts.total_yhat_usd is
'Expected cost of all days from the one after as_of_date to forecast_date.';
comment on column ops.forecasts.total_low_80_usd is
'Lower end of the interval of that sum, which is narrower than the sum of the days'' intervals.';
comment on column ops.forecasts.total_high_80_usd is 'Upper end of the same.';
comment on column ops.forecasts.total_low_95_usd is 'Lower end of its interval for 95 in 100.';
comment on column ops.forecasts.total_high_95_usd is 'Upper end of the same.';
comment on column ops.forecasts.made_at is 'When.';
comment on column ops.forecasts.change_id is 'Transaction that wrote the row.';

grant select, insert on ops.forecasts to agentbooks_refresher;

-- Nobody may change a row, but should its owner have to, the scores must follow.
create trigger forecasts_updated before update on ops.forecasts
for each row execute function ops.stamp_change();
