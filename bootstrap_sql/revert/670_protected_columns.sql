drop function ops.forget_loose_file(text);
drop function ops.replace_file(text, text, bigint, text, jsonb, bigint);
drop function ops.note_loose_files(text, date, text[]);
drop function ops.rewrite_values(regclass, text, regclass, tid[], xid[], text[], bigint);
drop function ops.is_held_since(text, bigint);
drop function ops.protected_values(regclass, text, regclass, tid, bigint, text, int);
drop function ops.protected_places(regclass);
drop function ops.protection_refusals();
drop function ops.note_encryption_key(text, text);
drop function ops.row_identity(regclass);
delete from ops.personal_data
where table_name in ('ops.protected_columns', 'ops.encryption_keys', 'ops.loose_files');
drop table ops.loose_files;
drop table ops.encryption_keys;
drop table ops.protected_columns;
