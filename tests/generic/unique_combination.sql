{# Fails with each combination of the columns that stands in more than one row, and how often. #}
{% test unique_combination(model, columns) %}
    select
        {{ columns | join(",\n        ") }},
        count(*) as occurrences
    from {{ model }}
    group by {{ columns | join(", ") }}
    having count(*) > 1
{% endtest %}
