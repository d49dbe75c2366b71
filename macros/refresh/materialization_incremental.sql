{# A table that is brought up to date by its dirty periods (config `period`: its column with the UTC day) or keys
   (config `key`), or as a whole where any input has changed: see ops.refresh. It stays the same table, also in a
   full refresh, so that what others built on it stays. In place of dbt's own incremental tables. #}
{% materialization incremental, adapter="postgres" %}
    {% set period, key = config.get("period"), config.get("key") %}
    {% if period and key %}
        {{ exceptions.raise_compiler_error("a model is refreshed by its period or by its key, not by both") }}
    {% endif %}
    {% set grain = "period" if period else "key" if key else "all" %}
    {% set published = config.get("publishes")
        or (period ~ " as day" if period else key ~ " as key" if key else "'all' as key") %}
    {% set inputs = refresh_inputs(model.depends_on.nodes) %}
    {% set dirty_sql = dirty_query(sql, inputs, grain) %}
    {% set model_sql = modules.re.sub("/\\* dirtied by .*? \\*/", "", sql, flags=modules.re.S) | trim %}
    {% set existing = load_cached_relation(this) %}
    {% set table = this.incorporate(type="table") %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {# Before any other lock: what moves rows holds this one while it waits for those. #}
    {% do run_query("select pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0))") %}

    {% if existing is not none and not existing.is_table %}
        {{ drop_relation_if_exists(existing) }}
        {% set existing = none %}
    {% endif %}
    {% set is_new = existing is none %}
    {% if is_new %}
        {% do run_query(refreshed_table_ddl(table, model_sql)) %}
        {% do create_indexes(table) %}
        {% if period %}
            {% do run_query("alter table " ~ table ~ " alter column " ~ period ~ " set statistics 10") %}
        {% endif %}
    {% else %}
        {% set is_new = reshape_table(table, model_sql) %}
    {% endif %}

    {% call statement("main", fetch_result=True) %}
        select refreshed_what, rows_deleted, rows_inserted
        from ops.refresh(
            '{{ table.schema }}.{{ table.identifier }}',
            $model_sql${{ model_sql }}$model_sql$,
            '{{ grain }}',
            {{ "'" ~ (period or key) ~ "'" if period or key else "null" }},
            ops.in_raw_schemas($dirty_sql${{ dirty_sql }}$dirty_sql$),
            ops.in_raw_schemas(array['{{ inputs | join("', '") }}']::text)::text[],
            $published${{ published }}$published$,
            {{ should_full_refresh() }}
        )
    {% endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% if is_new %}
        {% do apply_grants(table, config.get("grants"), should_revoke=False) %}
        {% do persist_docs(table, model) %}
    {% endif %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [table]}) }}
{% endmaterialization %}
