{# From a day's costs to all days since the one with costs before, or the first forecast: those that turn from
   unknown to without cost, or back, as the newest day comes or goes. #}
{% macro days_since_costs_before(costs, forecasts) -%}
    select known.usage_date + generate_series(0, (keys ->> 'day')::date - known.usage_date)
    from changes
    inner join lateral (
        select
            coalesce(
                max(costs.usage_date),
                least((keys ->> 'day')::date, (select min(as_of_date) from {{ forecasts }}))
            ) as usage_date
        from {{ costs }} as costs
        where costs.usage_date < (keys ->> 'day')::date
    ) as known on true
{%- endmacro %}
