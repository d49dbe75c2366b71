{# Fails with each row whose reference leads nowhere, or to a row that differs in a column that both
   must share, such as the tenant: a row of one run would count in another, or one tenant's be shown to
   another. The parent's values stand beside the child's; they are null where there is no parent. Of a trace or
   session of which rows have left the database, a parent may be among those. #}
{% test relationships_within(model, column_name, to, field, same) %}
    {%- set shared = namespace(child=[], parent=[]) -%}
    {%- for column in same -%}
        {%- do shared.child.append("children." ~ column) -%}
        {%- do shared.parent.append("parents." ~ column) -%}
    {%- endfor %}
    select
        children.{{ column_name }}
        {%- for column in same %},
        children.{{ column }},
        parents.{{ column }} as parent_{{ column }}
        {%- endfor %}
    from {{ model }} as children
    left join {{ to }} as parents on children.{{ column_name }} = parents.{{ field }}
    where
        children.{{ column_name }} is not null
        and row({{ shared.child | join(", ") }}) is distinct from row({{ shared.parent | join(", ") }})
        and (
            parents.{{ field }} is not null
            or not exists (
                select from ops.departed_keys as departed
                where departed.key in (
                    {%- for column in same %}children.{{ column }}::text{{ ", " if not loop.last }}{% endfor -%}
                )
            )
        )
{% endtest %}
