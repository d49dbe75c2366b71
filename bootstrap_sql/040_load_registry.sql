-- What was loaded, and what could not be. The registry outlives retention: a file that is loaded
-- again after its rows were archived must not count twice. A rejected record is kept, so that
-- nothing a source sent is lost.

set local role agentbooks_owner;

create table ops.loaded_runs (
    run_id text not null primary key,
    content_sha256 bytea not null check (octet_length(content_sha256) = 32),
    source_file text not null,
    source_line bigint not null check (source_line > 0),
    loaded_at timestamptz not null default now()
);

comment on table ops.loaded_runs is
'One row per agent run that a loader took, by the source''s own id. Never pruned.';
comment on column ops.loaded_runs.run_id is 'The run''s id in its source, unique over all sources.';
comment on column ops.loaded_runs.content_sha256 is
'Hash of the record as read: the same run with other content is rejected, not taken twice.';
comment on column ops.loaded_runs.source_file is 'File it came from.';
comment on column ops.loaded_runs.source_line is 'Line in that file, from 1.';
comment on column ops.loaded_runs.loaded_at is 'When its rows were committed.';

create table ops.rejected_records (
    record_sha256 bytea not null check (octet_length(record_sha256) = 32),
    source_file text not null,
    source_line bigint not null check (source_line > 0),
    reason text not null check (reason <> ''),
    record_head bytea not null check (octet_length(record_head) <= 65536),
    record_bytes bigint not null check (record_bytes >= 0),
    rejected_at timestamptz not null default now(),
    primary key (record_sha256, source_file, source_line)
);

comment on table ops.rejected_records is
'One row per record that a loader could not take. Correct the source, load it again, then delete.';
comment on column ops.rejected_records.record_sha256 is 'Hash of the whole record, however long.';
comment on column ops.rejected_records.source_file is 'File it came from.';
comment on column ops.rejected_records.source_line is 'Line in that file, from 1.';
comment on column ops.rejected_records.reason is 'What is wrong with it, in one sentence.';
comment on column ops.rejected_records.record_head is 'The record''s first 64 kB as bytes.';
comment on column ops.rejected_records.record_bytes is 'Length of the whole record in bytes.';
comment on column ops.rejected_records.rejected_at is 'When it was last rejected.';

grant select, insert on ops.loaded_runs to agentbooks_loader;
grant select, insert, update, delete on ops.rejected_records to agentbooks_loader;
grant select on ops.loaded_runs, ops.rejected_records to agentbooks_refresher, agentbooks_retention;
