-- What learning has counted so far, month by month: a month that is learned again replaces its own
-- counts, so that totals outlive raw rows and nothing counts twice. And what became of patterns that
-- were deleted: those that fail go first, and without them the rest would look the better for it.

set local role agentbooks_owner;

create table ops.learned_months (
    month date not null primary key check (extract(day from month) = 1),
    runs_seen text not null,
    learned_at timestamptz not null default clock_timestamp()
);

comment on table ops.learned_months is 'One row per month whose runs `agentbooks learn` has read.';
comment on column ops.learned_months.month is 'Its first UTC day.';
comment on column ops.learned_months.runs_seen is
'Hash of when each of its days was last refreshed: another one means that runs came or changed.';
comment on column ops.learned_months.learned_at is 'When.';

grant select, insert, update on ops.learned_months to agentbooks_loader;

create table ops.learned_counts (
    learned_id uuid not null,
    month date not null references ops.learned_months (month),
    kind text not null check (kind in ('pattern', 'chain', 'error')),
    occurrences bigint not null check (occurrences > 0),
    successes bigint not null check (successes >= 0),
    failures bigint not null check (failures >= 0),
    timed bigint not null check (timed >= 0),
    duration_ms numeric not null check (duration_ms >= 0),
    first_at timestamptz not null,
    last_at timestamptz not null,
    agents text[] not null,
    example_trace_ids uuid[] not null,
    primary key (learned_id, month)
);

-- A month's counts, which are replaced together.
create index idx_learned_counts_month on ops.learned_counts (month);

comment on table ops.learned_counts is
'One row per month and learned pattern, chain of agents or kind of error: what their counters add up.';
comment on column ops.learned_counts.learned_id is 'Id of the pattern, the chain or the kind of error.';
comment on column ops.learned_counts.month is 'First UTC day of the month.';
comment on column ops.learned_counts.kind is 'pattern, chain or error.';
comment on column ops.learned_counts.occurrences is 'Runs that had it, or times the error happened.';
comment on column ops.learned_counts.successes is 'Those runs that succeeded.';
comment on column ops.learned_counts.failures is 'Those that failed.';
comment on column ops.learned_counts.timed is 'Those of known duration.';
comment on column ops.learned_counts.duration_ms is 'How long those took in all.';
comment on column ops.learned_counts.first_at is 'First time in the month.';
comment on column ops.learned_counts.last_at is 'Last time in the month.';
comment on column ops.learned_counts.agents is 'Agents that had it, each once.';
comment on column ops.learned_counts.example_trace_ids is 'Up to ten executions that show it.';

grant select, insert, delete on ops.learned_counts to agentbooks_loader;

create table ops.pruned_patterns (
    pattern_id uuid not null primary key,
    tenant_id text not null,
    pattern text not null,
    domain text,
    is_learned boolean not null,
    uses bigint not null check (uses >= 0),
    judged_uses bigint not null check (judged_uses between 0 and uses),
    successes bigint not null check (successes between 0 and judged_uses),
    reason text not null,
    pruned_at timestamptz not null default now(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

comment on table ops.pruned_patterns is
'One row per pattern that was deleted, its tombstone. Learning does not take it up again while it stands.';
comment on column ops.pruned_patterns.pattern_id is 'The pattern it was.';
comment on column ops.pruned_patterns.tenant_id is 'Its tenant.';
comment on column ops.pruned_patterns.pattern is 'Its sequence as a person reads it.';
comment on column ops.pruned_patterns.domain is 'Its field of work; null if not known.';
comment on column ops.pruned_patterns.is_learned is 'Whether `agentbooks learn` had found it.';
comment on column ops.pruned_patterns.uses is
'Its uses until then: by its counters, or logged, where these are more.';
comment on column ops.pruned_patterns.judged_uses is 'Those with a known outcome.';
comment on column ops.pruned_patterns.successes is 'Those that succeeded.';
comment on column ops.pruned_patterns.reason is
'Why, by the setting agentbooks.prune_reason of whoever deleted it; `deleted` without one.';
comment on column ops.pruned_patterns.pruned_at is 'When.';
comment on column ops.pruned_patterns.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

grant select on ops.pruned_patterns to agentbooks_loader, agentbooks_refresher, agentbooks_retention;

create trigger pruned_patterns_updated before update on ops.pruned_patterns
for each row execute function ops.stamp_change();
