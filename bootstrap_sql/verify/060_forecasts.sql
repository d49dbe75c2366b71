-- Raises where the table or its key is missing.

select as_of_date, scope_kind, scope_key, forecast_date, method, yhat_usd, low_80_usd, high_95_usd, change_id
from ops.forecasts
where false;

select 1 / count(*) from pg_index
where indrelid = 'ops.forecasts'::regclass and indisprimary;
