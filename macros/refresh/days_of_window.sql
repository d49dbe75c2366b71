{# The days that a table has and its window no longer holds, and those that the window holds and the table lacks:
   for dirtied_by, as the newest day has moved. #}
{% macro days_of_window(windowed, daily, window_days) -%}
    select days.usage_date
    from (
        select usage_date from {{ windowed }}
        union
        select usage_date from {{ daily }}
        where usage_date > (select max(usage_date) - {{ window_days }} from {{ daily }})
    ) as days
    where
        exists (select from changes)
        and (days.usage_date > (select max(usage_date) - {{ window_days }} from {{ daily }}))
        is distinct from exists (
            select from {{ windowed }} as held where held.usage_date = days.usage_date
        )
{%- endmacro %}
