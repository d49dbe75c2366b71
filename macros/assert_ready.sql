{# Stops a run on a database that lacks what the models stand on, with a sentence that says what to run. #}
{% macro assert_ready() %}
    {% if execute and flags.WHICH in ("run", "build", "test", "snapshot") %}
        {% set missing %}
            select string_agg(relation, ', ')
            from unnest(array[
                'observability.spans', 'agentic.agent_decisions', 'traceability.pattern_usage_log'
            ]) as relation
            where to_regclass('history.' || replace(relation, '.', '__')) is null
        {% endset %}
        {% set missing_raw = run_query(missing).columns[0].values()[0] %}
        {% if missing_raw %}
            {{ exceptions.raise_compiler_error(
                "database " ~ target.dbname ~ " has no raw tables (" ~ missing_raw
                ~ " missing); run `agentbooks bootstrap` first."
            ) }}
        {% endif %}
        {% if flags.WHICH != "build" %}
            {% set seeds = generate_schema_name("seeds", none) %}
            {% set missing_seeds = run_query(
                "select to_regclass('" ~ seeds ~ ".model_prices') is null"
            ).columns[0].values()[0] %}
            {% if missing_seeds %}
                {{ exceptions.raise_compiler_error(
                    "schema " ~ seeds ~ " holds no seeds; run `dbt seed` or `dbt build` first."
                ) }}
            {% endif %}
        {% endif %}
        {% if run_query("select row_security_active(ops.in_raw_schemas('observability.spans'))").columns[0].values()[0] %}
            {{ exceptions.raise_compiler_error(
                "role " ~ target.user ~ " sees only the rows its policies show; run dbt as a role with"
                ~ " BYPASSRLS that is a member of agentbooks_refresher."
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}
