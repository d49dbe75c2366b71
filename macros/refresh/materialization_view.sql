{# A view that is replaced in place, so that what others built on it stays, and left alone when nothing of it has
   changed. dbt's own drops it with all that stands on it, each time. #}
{% materialization view, adapter="postgres" %}
    {% set existing = load_cached_relation(this) %}
    {% set view = this.incorporate(type="view") %}
    {% set name = view.schema ~ "." ~ view.identifier %}
    {% set docs = model.columns.values() | map(attribute="description") | join("|") %}
    {% set sql_hash = local_md5(sql ~ "|" ~ model.description ~ "|" ~ docs) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set is_built = existing is not none and existing.is_view and run_query(
        "select count(*) from ops.built_views where view = '" ~ name ~ "' and sql_hash = '" ~ sql_hash
        ~ "' and relation = to_regclass('" ~ name ~ "')"
    ).columns[0].values()[0] == 1 %}
    {% if is_built %}
        {% call statement("main") %} select 'unchanged' {% endcall %}
    {% else %}
        {% if config.get("contract").enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {% endif %}
        {% if existing is not none and not (existing.is_view and has_columns_of(existing, sql)) %}
            {{ drop_relation_if_exists(existing) }}
        {% endif %}
        {% call statement("main") %}
            create or replace view {{ view }} as (
                {{ sql }}
            )
        {% endcall %}
        {% do apply_grants(view, config.get("grants"), should_revoke=False) %}
        {% do persist_docs(view, model) %}
        {% do run_query("select ops.note_view('" ~ name ~ "', '" ~ sql_hash ~ "')") %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [view]}) }}
{% endmaterialization %}
