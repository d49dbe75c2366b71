{# UTC days of which cost_daily does not count exactly the raw rows that are here: because somebody wrote while or
   after it was built, or because some have left. Tests that compare it with raw rows leave them out. For a CTE. #}
{% macro unsettled_days() -%}
    select (changes.keys ->> 'day')::date as usage_date
    from ops.changes
    inner join ops.captured_tables on changes.table_name = captured_tables.table_name
    inner join ops.refreshes
        on
            refreshes.target in (
                '{{ ref("int_runs__daily_activity").schema }}.int_runs__daily_activity',
                '{{ ref("agent_runs").schema }}.agent_runs',
                '{{ ref("cost_daily").schema }}.cost_daily'
            )
            and not pg_visible_in_snapshot(changes.change_id::text::xid8, refreshes.seen)
    where changes.keys ? 'day'
    union
    select period as usage_date from ops.refreshed_periods where state = 'frozen'
    union
    select day as usage_date from ops.late_rows where day is not null
    {%- for source_name, table_name, happened_at in [
        ("observability", "spans", "started_at"),
        ("raaf", "raaf_tracing_spans", "start_time"),
        ("agentic", "conversation_history", "created_at"),
        ("chat", "chat_messages_v2", "created_at"),
    ] %}
    union
    select (raw_rows.{{ happened_at }} at time zone 'UTC')::date as usage_date
    from {{ source(source_name, table_name) }} as raw_rows
    cross join ops.collections
    where
        raw_rows.change_id >= pg_snapshot_xmin(collections.seen)::text::bigint
        and not pg_visible_in_snapshot(raw_rows.change_id::text::xid8, collections.seen)
    {%- endfor %}
{%- endmacro %}
