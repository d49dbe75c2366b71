drop view ops.distribution_violations;
drop table ops.table_layouts;
