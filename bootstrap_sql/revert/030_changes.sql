drop function ops.capture_changes(regclass, text);
drop function ops.mark_departed_rows();
drop table ops.captured_tables;
drop table ops.changes;
drop function ops.stamp_change_and_update();
drop function ops.stamp_change();
drop function ops.set_lifecycle(boolean);
drop function ops.is_lifecycle();
drop table ops.lifecycle_transactions;
