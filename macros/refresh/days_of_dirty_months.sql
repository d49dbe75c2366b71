{# The CTEs months and days of a model by month: the dirty months that a relation by day has, and its
   days in them. The bounds let the days be found by index: by the month of each day all would be read. #}
{% macro days_of_dirty_months(daily, date_column, month_column) -%}
    months as (
        select
            month_start::date as {{ month_column }},
            (month_start + interval '1 month')::date as next_month
        from (
            select
                min({{ date_column }}) as first_date,
                max({{ date_column }}) as last_date
            from {{ daily }}
        ) as history
        cross join
            generate_series(date_trunc('month', first_date::timestamp), last_date, '1 month') as month_start
        where {{ in_dirty_days("month_start::date") }}
    ),

    days as (
        select daily.*, months.{{ month_column }}
        from {{ daily }} as daily
        inner join months on date_trunc('month', daily.{{ date_column }}::timestamp)::date = months.{{ month_column }}
        where
            daily.{{ date_column }} >= (select min({{ month_column }}) from months)
            and daily.{{ date_column }} < (select max(next_month) from months)
    )
{%- endmacro %}
