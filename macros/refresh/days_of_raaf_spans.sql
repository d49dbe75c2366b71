{# From a span to the days of all spans of its trace, and its own, on which there may be none now. #}
{% macro days_of_raaf_spans() -%}
    select (spans.start_time at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("raaf", "raaf_tracing_spans") }} as spans on spans.trace_id = (keys ->> 'trace_id')::varchar
    union all
    {{ departed_days("raaf", "raaf_tracing_spans", "keys ->> 'trace_id'") }}
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
