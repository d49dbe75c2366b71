drop function ops.create_month_partitions(regclass, date, date);
drop function ops.month_partition_name(regclass, date);
