-- Raises where the table or the view is missing.

select table_name, layout, distribution_column, colocated_with
from ops.table_layouts
where false;

select table_name, object_name, problem
from ops.distribution_violations
where false;
