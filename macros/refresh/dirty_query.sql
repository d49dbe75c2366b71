{# The query over `changes` that returns a model's dirty days or keys: what dirtied_by says of some inputs, and
   of all others the changed rows' own day, or the key they publish. #}
{% macro dirty_query(sql, inputs, grain) %}
    {% set told = modules.re.findall("/\\* dirtied by (.*?) : (.*?) \\*/", sql, modules.re.S) %}
    {% set parts = [] %}
    {% set mapped = [] %}
    {% for names, query in told %}
        {% do mapped.extend(names.split()) %}
        {% set quoted = "'" ~ names.split() | join("', '") ~ "'" %}
        {% do parts.append(
            modules.re.sub("\\bfrom changes\\b", "from (select * from changes where table_name in (" ~ quoted
            ~ ")) as changes", query)
        ) %}
    {% endfor %}
    {% set own = inputs | reject("in", mapped) | list %}
    {% if own %}
        {% set own_dirty = "case when keys ? 'day' then (keys ->> 'day')::date else 'infinity' end"
            if grain == "period" else "coalesce(keys ->> 'key', 'infinity')" %}
        {% do parts.append(
            "select " ~ own_dirty ~ " from changes where table_name in ('" ~ own | join("', '") ~ "')"
        ) %}
    {% endif %}
    {{ return(parts | join(" union ")) }}
{% endmacro %}
