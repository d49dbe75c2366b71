-- Parents that no foreign key watches: a lost one cuts a tree in two. Writers break the convention now
-- and then (a shell hook names a hook as parent), so this warns.
{{ config(severity="warn") }}

with execution_traces as (
    select * from {{ ref("stg_traceability__execution_traces") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
)

select
    'traceability' as source_system,
    children.trace_id::text as child,
    children.parent_id::text as missing_parent
from execution_traces as children
left join execution_traces as parents on children.parent_id = parents.correlation_id
where children.parent_id is not null and parents.correlation_id is null
union all
select
    'raaf' as source_system,
    children.span_id as child,
    children.parent_id as missing_parent
from raaf_spans as children
left join raaf_spans as parents
    on children.trace_id = parents.trace_id and children.parent_id = parents.span_id
where children.parent_id is not null and parents.span_id is null
