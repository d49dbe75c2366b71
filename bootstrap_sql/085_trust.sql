-- Trust as a fold over what was decided, in the order it was decided in: a state per agent and domain, to
-- which each day's decisions are added. The state is all that the next day needs, so that a day never reads
-- the days before it. Evidence is counted in whole millionths (of natural logarithms of likelihood ratios),
-- of which sums are exact: a replay gives the same state on any machine.

set local role agentbooks_owner;

create type ops.trust_policy as (
    name text,
    -- One element per step, from level 0 to 1 up to 3 to 4.
    success_evidence bigint [],
    failure_evidence bigint [],
    promotes_at bigint [],
    restarts_at bigint [],
    demotes_at bigint [],
    min_decisions int [],
    dwell_days int [],
    cooldown_days int,
    idle_days int,
    window_days int,
    window_decisions int,
    max_rejection_rate numeric,
    min_success_rate numeric,
    min_confidence numeric
);

comment on type ops.trust_policy is
'What levels ask for, in the units of the fold: built from the seeds by int_trust_policies__compiled.';

create type ops.trust_change as (
    changed_at timestamptz,
    from_level int,
    to_level int,
    rule text,
    evidence text
);

comment on type ops.trust_change is 'A change of level, and what led to it.';

create type ops.trust_day as (
    day date,
    decisions bigint,
    successes bigint,
    rejections bigint,
    critical_failures bigint,
    confidence_total numeric,
    confidences bigint
);

comment on type ops.trust_day is 'Counts of a day, as the window of policy `story` needs them.';

create type ops.trust_state as (
    level int,
    level_since timestamptz,
    last_at timestamptz,
    promotes_from timestamptz,
    decisions bigint,
    successes bigint,
    level_decisions bigint,
    level_successes bigint,
    attempts int [],
    evidence bigint,
    evidence_needed bigint,
    decline bigint,
    recent ops.trust_day [],
    changes ops.trust_change []
);

comment on type ops.trust_state is
'What is known of an agent in a domain after a day: its level, since when, the last event, from when on it '
'may rise, counts in all and at the level, the number of the attempt at each step, evidence for the next '
'level and how much it needs, evidence of a decline, the days of the window, and the changes of the last '
'day.';

create function ops.trust_attempt(state ops.trust_state, policy ops.trust_policy)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
declare
    step constant int := state.level + 1;
begin
    state.evidence := 0;
    state.evidence_needed := null;
    if step <= 4 then
        state.attempts[step] := state.attempts[step] + 1;
        -- The error is shared out: the attempts' parts 1/2, 1/6, 1/12 … add up to one.
        state.evidence_needed := policy.promotes_at[step]
            + round(1000000 * ln((state.attempts[step] * (state.attempts[step] + 1))::numeric));
    end if;
    return state;
end
$function$;

comment on function ops.trust_attempt(ops.trust_state, ops.trust_policy) is
'Begins to gather evidence for the next level. The bar of the k-th attempt at a step is k (k + 1) times as '
'high, so that over any number of attempts an agent that is no better than the rate to reject is promoted '
'with at most the chance alpha.';

create function ops.trust_move(
    state ops.trust_state,
    policy ops.trust_policy,
    moved_at timestamptz,
    to_level int,
    rule text,
    evidence text
)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
begin
    if to_level <> state.level then
        state.changes := state.changes || row(
            moved_at, state.level, to_level, rule, evidence
        )::ops.trust_change;
        state.level := to_level;
        state.level_since := moved_at;
    end if;
    state.level_decisions := 0;
    state.level_successes := 0;
    state.decline := 0;
    -- Hours, as a day of an interval depends on the session's time zone.
    state.promotes_from := greatest(
        state.level_since + interval '24 hours' * coalesce(policy.dwell_days[to_level + 1], 0),
        case
            when rule in ('decline', 'critical_failure', 'rejections')
                then moved_at + interval '24 hours' * policy.cooldown_days
            else state.promotes_from
        end
    );
    return ops.trust_attempt(state, policy);
end
$function$;

comment on function ops.trust_move(ops.trust_state, ops.trust_policy, timestamptz, int, text, text) is
'Changes the level and begins anew; so it does where a critical failure finds an agent at level 0.';

create function ops.trust_idle(
    state ops.trust_state, policy ops.trust_policy, until timestamptz
)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
begin
    while state.level > 0 and state.last_at + interval '24 hours' * policy.idle_days <= until loop
        state.last_at := state.last_at + interval '24 hours' * policy.idle_days;
        state := ops.trust_move(
            state, policy, state.last_at, state.level - 1, 'inactivity',
            format('no decision for %s days', policy.idle_days)
        );
    end loop;
    return state;
end
$function$;

comment on function ops.trust_idle(ops.trust_state, ops.trust_policy, timestamptz) is
'Lowers the level by one for each span of inactivity that is over by then.';

create function ops.trust_by_evidence(
    state ops.trust_state,
    policy ops.trust_policy,
    outcomes smallint[],
    decided_ats timestamptz[]
)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
declare
    -- Scalars of their own: fields of the state would be looked up once per decision.
    level int := -1;
    evidence bigint;
    evidence_needed bigint;
    evidence_by bigint [];
    restarts_at bigint;
    decline bigint;
    decline_by bigint [];
    demotes_at bigint;
    level_decisions bigint;
    level_successes bigint;
    min_decisions int;
    outcome int;
    moves_to int;
    rule text;
begin
    for i in 1..cardinality(outcomes) loop
        if level = -1 then
            level := state.level;
            evidence := state.evidence;
            evidence_needed := coalesce(state.evidence_needed, 0);
            evidence_by := array[
                coalesce(policy.failure_evidence[level + 1], 0), coalesce(policy.success_evidence[level + 1], 0)
            ];
            restarts_at := policy.restarts_at[level + 1];
            min_decisions := policy.min_decisions[level + 1];
            decline := state.decline;
            decline_by := array[
                coalesce(-policy.failure_evidence[level], 0), coalesce(-policy.success_evidence[level], 0)
            ];
            demotes_at := policy.demotes_at[level];
            level_decisions := state.level_decisions;
            level_successes := state.level_successes;
            moves_to := null;
        end if;

        outcome := outcomes[i];
        if outcome < 0 then
            moves_to := 0;
            rule := 'critical_failure';
        else
            level_decisions := level_decisions + 1;
            level_successes := level_successes + outcome;
            evidence := least(evidence + evidence_by[outcome + 1], evidence_needed);
            decline := greatest(decline + decline_by[outcome + 1], 0);
            if decline >= demotes_at then
                moves_to := level - 1;
                rule := 'decline';
            elsif evidence <= restarts_at then
                moves_to := level;
                rule := 'restart';
            elsif
                level < 4
                and evidence >= evidence_needed
                and level_decisions >= min_decisions
                and decided_ats[i] >= state.promotes_from
            then
                moves_to := level + 1;
                rule := 'evidence';
            end if;
        end if;

        if moves_to is not null or i = cardinality(outcomes) then
            state.evidence := evidence;
            state.decline := decline;
            state.level_decisions := level_decisions;
            state.level_successes := level_successes;
        end if;
        if moves_to is not null then
            if rule = 'restart' then
                state := ops.trust_attempt(state, policy);
            else
                state := ops.trust_move(
                    state, policy, decided_ats[i], moves_to, rule,
                    case rule
                        when 'critical_failure' then 'an action of critical risk failed'
                        else format(
                            '%s of %s decisions at level %s approved; evidence %s of %s',
                            level_successes, level_decisions, level,
                            round(case rule when 'decline' then decline else evidence end / 1000000.0, 2),
                            round(case rule when 'decline' then demotes_at else evidence_needed end / 1000000.0, 2)
                        )
                    end
                );
            end if;
            level := -1;
        end if;
    end loop;
    return state;
end
$function$;

comment on function ops.trust_by_evidence(ops.trust_state, ops.trust_policy, smallint[], timestamptz[]) is
'Policy `sequential`: a sequential probability ratio test with restarts promotes, a cumulative sum demotes, '
'a critical failure (outcome -1) leads to level 0.';

create function ops.trust_by_window(
    state ops.trust_state,
    policy ops.trust_policy,
    counts ops.trust_day,
    decided_at timestamptz
)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
declare
    decisions bigint;
    successes bigint;
    rejections bigint;
    critical_failures bigint;
    confidence numeric;
begin
    state.level_decisions := state.level_decisions + counts.decisions;
    state.level_successes := state.level_successes + counts.successes;
    state.recent := (
        select array_agg(r order by r.day)
        from unnest(state.recent || counts) as r
        where r.day > counts.day - policy.window_days
    );
    select
        sum(r.decisions), sum(r.successes), sum(r.rejections), sum(r.critical_failures),
        sum(r.confidence_total) / nullif(sum(r.confidences), 0)
    into decisions, successes, rejections, critical_failures, confidence
    from unnest(state.recent) as r;

    return case
        when critical_failures > 0 and state.level > 0 then ops.trust_move(
            state, policy, decided_at, 0, 'critical_failure', 'an action of critical risk failed'
        )
        when critical_failures > 0 or decisions < policy.window_decisions then state
        when rejections > policy.max_rejection_rate * decisions and state.level > 0 then ops.trust_move(
            state, policy, decided_at, state.level - 1, 'rejections',
            format('%s of %s decisions of %s days rejected', rejections, decisions, policy.window_days)
        )
        when rejections > policy.max_rejection_rate * decisions then state
        when
            successes > policy.min_success_rate * decisions
            and confidence >= policy.min_confidence
            and state.level < 4
            then ops.trust_move(
                state, policy, decided_at, state.level + 1, 'window',
                format(
                    '%s of %s decisions of %s days approved, mean confidence %s',
                    successes, decisions, policy.window_days, round(confidence, 2)
                )
            )
        else state
    end;
end
$function$;

comment on function ops.trust_by_window(ops.trust_state, ops.trust_policy, ops.trust_day, timestamptz) is
'Policy `story`: rates of the last days, judged at the end of each day with decisions. The first rule that '
'applies counts: critical failure, too few decisions, rejections, success and confidence. Inactivity comes '
'before all of them, in ops.trust_add_day.';

create function ops.trust_add_day(
    state ops.trust_state,
    known ops.trust_state,
    policy ops.trust_policy,
    counts ops.trust_day,
    outcomes smallint[],
    decided_ats timestamptz[]
)
returns ops.trust_state
language plpgsql
immutable
parallel safe
as $function$
begin
    if outcomes is null then
        if known is null then
            raise exception
                'trust: the decisions of % are counted, but not in which order they came, and no checkpoint knows '
                'what they led to; restore the raw rows of that day', counts.day
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        return known;
    end if;
    if state is null then
        state := known;
    end if;
    if state.level is null then
        state := row(
            0, decided_ats[1], decided_ats[1], '-infinity', 0, 0, 0, 0, '{0,0,0,0}', 0, 0, 0, '{}', '{}'
        )::ops.trust_state;
        state := ops.trust_attempt(state, policy);
        state.promotes_from := decided_ats[1] + interval '24 hours' * coalesce(policy.dwell_days[1], 0);
    end if;
    state.changes := '{}';
    state := ops.trust_idle(state, policy, decided_ats[1]);

    if policy.window_days is null then
        state := ops.trust_by_evidence(state, policy, outcomes, decided_ats);
    else
        state := ops.trust_by_window(state, policy, counts, decided_ats[cardinality(decided_ats)]);
    end if;
    state.last_at := decided_ats[cardinality(decided_ats)];
    state.decisions := state.decisions + counts.decisions;
    state.successes := state.successes + counts.successes;
    return state;
end
$function$;

comment on function
ops.trust_add_day(
    ops.trust_state, ops.trust_state, ops.trust_policy, ops.trust_day, smallint[], timestamptz[]
) is
'Adds a day to the state of an agent in a domain; begins with what is known, or with nothing. Outcomes are 1 '
'(approved), 0 (not) and -1 (critical failure), in order; null where the order is gone, and what is known '
'then is the checkpoint after that day.';

create aggregate ops.trust_fold (
    known ops.trust_state,
    policy ops.trust_policy,
    counts ops.trust_day,
    outcomes smallint [],
    decided_ats timestamptz []
)(
    sfunc = ops.trust_add_day,
    stype = ops.trust_state,
    parallel = safe
);

comment on aggregate
ops.trust_fold (ops.trust_state, ops.trust_policy, ops.trust_day, smallint [], timestamptz []) is
'State of an agent in a domain after each day, as a window in the order of days: `known` is the state before '
'the first of them, null for none.';

-- Where a day is frozen, what it led to: it stands although the order of its decisions may go.
create table ops.trust_checkpoints (
    target text not null,
    decisions_daily_key text not null,
    agent_domain_key text not null,
    as_of_date date not null,
    state ops.trust_state not null,
    primary key (target, decisions_daily_key)
);

comment on table ops.trust_checkpoints is
'One row per frozen day, agent and domain: the state of trust after that day. Written by '
'ops.checkpoint_trust.';
comment on column ops.trust_checkpoints.target is 'Table of states, with its schema.';
comment on column ops.trust_checkpoints.decisions_daily_key is 'Its key of the day, agent and domain.';
comment on column ops.trust_checkpoints.agent_domain_key is 'Hash of agent and domain.';
comment on column ops.trust_checkpoints.as_of_date is 'UTC day.';
comment on column ops.trust_checkpoints.state is 'State after that day, by the policy of the time.';

grant select, insert on ops.trust_checkpoints to agentbooks_refresher;
grant select on ops.trust_checkpoints to agentbooks_retention;

create function ops.checkpoint_trust(folded regclass, frozen_date date) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    checkpoints bigint;
begin
    execute format(
        'insert into ops.trust_checkpoints '
        'select %L, f.decisions_daily_key, f.agent_domain_key, f.as_of_date, f.state '
        'from %s as f where f.as_of_date = $1 on conflict do nothing',
        ops.relation_name(folded), folded
    ) using frozen_date;
    get diagnostics checkpoints = row_count;
    return checkpoints;
end
$function$;

comment on function ops.checkpoint_trust(regclass, date) is
'Keeps the states after a day that is being frozen; returns how many were not kept yet. From then on '
'int_decisions__daily may be cut down to its counts there (outcomes and decided_ats null).';

create function ops.trust_checkpoint(folded text, of_key text) returns ops.trust_state
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    known ops.trust_state;
begin
    select (c.state).* into known
    from ops.trust_checkpoints as c
    where c.target = folded and c.decisions_daily_key = of_key;
    return known;
end
$function$;

comment on function ops.trust_checkpoint(text, text) is
'The state that was kept of a day, agent and domain; null for none.';

create function ops.trust_state_of(folded text, of_key text) returns ops.trust_state
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    known ops.trust_state;
begin
    -- By name, as the model that asks is the table itself: not there yet when its columns are looked up.
    if of_key is not null and to_regclass(folded) is not null then
        execute format(
            'select (f.state).* from %s as f where f.decisions_daily_key = $1', to_regclass(folded)
        ) into known using of_key;
    end if;
    return known;
end
$function$;

comment on function ops.trust_state_of(text, text) is
'State after a day of an agent in a domain, from a table of states; null for none.';

revoke all on function ops.trust_state_of(text, text) from public;
grant execute on function ops.trust_state_of(text, text) to agentbooks_refresher;
revoke all on function ops.trust_checkpoint(text, text) from public;
grant execute on function ops.trust_checkpoint(text, text) to agentbooks_refresher;
revoke all on function ops.checkpoint_trust(regclass, date) from public;
grant execute on function ops.checkpoint_trust(regclass, date) to agentbooks_refresher;
