drop table ops.budgets;
drop function ops.ascends(numeric[]);
