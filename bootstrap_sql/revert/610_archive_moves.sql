drop function ops.unarchive_month(regclass, date);
drop function ops.archive_month(regclass, date);
drop function ops.move_month(regclass, date, boolean);
drop function ops.unseen_rows();
drop function ops.columns_of(regclass);
drop function ops.take_lifecycle_lock();
