{# From a trace to the days of its spans. #}
{% macro days_of_raaf_spans() -%}
    select (spans.start_time at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("raaf", "raaf_tracing_spans") }} as spans on spans.trace_id = (keys ->> 'trace_id')::varchar
{%- endmacro %}
