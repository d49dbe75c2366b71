drop function ops.refresh(regclass, text, text, text, text, text[], text, boolean);
drop function ops.restore_frozen_periods(regclass);
drop function ops.thaw_period(regclass, date);
drop function ops.freeze_period(regclass, date);
drop function ops.seal_period(regclass, date);
drop function ops.seal_periods(regclass, date[]);
drop function ops.rows_checksum(text);
drop function ops.sealed_table(text);
drop function ops.of_periods(text, date[]);
drop function ops.in_periods(text, date[], boolean);
drop function ops.archive_name(regclass);
drop function ops.relation_name(regclass);
drop function ops.unseen_changes(text, text[]);
drop function ops.note_view(text, text);
drop function ops.note_content(regclass);
drop function ops.start_run(regclass[]);
drop function ops.collect_changes();
drop function ops.unseen_transactions(pg_snapshot, text);
drop function ops.server_identity();
drop table ops.built_views;
drop table ops.seals;
drop table ops.refreshed_periods;
drop table ops.refreshes;
drop table ops.content_hashes;
drop table ops.collections;

-- The tables in it belong to whoever sealed them.
drop schema sealed;
