{# From prices of a model to the keys of its days. #}
{% macro keys_of_prices(banded_costs) -%}
    select banded_costs.day_model_key
    from changes
    inner join {{ banded_costs }} as banded_costs
        on
            banded_costs.provider = keys ->> 'provider'
            and banded_costs.model = keys ->> 'model'
{%- endmacro %}
