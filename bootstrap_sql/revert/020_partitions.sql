drop function ops.maintain_partitions(int);
drop function ops.rows_in_default_partitions();
drop function ops.create_month_partitions(regclass, date, date);
drop function ops.month_partition_name(regclass, date);
