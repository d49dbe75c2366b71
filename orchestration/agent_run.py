"""One record of the schema `agent-run/1`, checked and turned into raw rows.

A run becomes one trace with its spans (schema `observability`), one session with its messages and,
if it was judged, one decision (`agentic`), and one use of its tool sequence as a pattern
(`traceability`). Every id follows from the run's id and a position, so the same record always gives
the same rows. All fields of the record are kept, those the schema does not know included.
"""

from __future__ import annotations

import hashlib
import re
import reprlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = "agent-run/1"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
DECODER = msgspec.json.Decoder(float_hook=Decimal)  # amounts keep every digit the source wrote
ENCODER = msgspec.json.Encoder(decimal_format="number")
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped backslash before u0000 is no NUL

MOST_TOKENS = 10**15
MOST_MESSAGES = 16**5  # ids hold a message's position in five hex digits,
MOST_CALLS = 16**4  # and a call's position in its message in four
LONGEST_EXECUTION_MS = 2**31 - 1

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=10**12)]
Name = Annotated[str, msgspec.Meta(min_length=1)]
ShortText = Annotated[str, msgspec.Meta(max_length=255)]
Trial = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Row = tuple[Any, ...]

SPEAKERS = {"system": "system", "user": "user", "assistant": "agent", "tool": "tool"}
USAGE_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cached_input_tokens",
}
# How a run ended, by the word its source used. Any other word says nothing about it.
COMPLETED_WORDS = {"user_stop", "agent_stop", "submitted", "completed", "success", "stop", "done"}
FAILED_WORDS = ("error", "fail", "max_", "limit", "timeout", "crash")
CANCELLED_WORDS = ("cancel", "abort", "interrupt")

COLUMNS = {
    "agentic.agents": ("agent_id", "name", "persona_type", "capabilities", "config", "created_at"),
    "observability.traces": (
        "trace_id", "workflow_id", "execution_id", "query", "started_at", "completed_at",
        "total_duration_ms", "status", "error", "total_cost", "total_tokens", "metadata", "user_id",
    ),
    "observability.spans": (
        "trace_id", "span_id", "parent_span_id", "span_type", "name", "status", "started_at",
        "completed_at", "duration_ms", "inputs", "tokens", "cost", "model", "provider", "metadata",
        "user_id",
    ),
    "agentic.agent_sessions": (
        "session_id", "agent_id", "context", "started_at", "ended_at", "session_state", "metadata",
    ),
    "agentic.conversation_history": (
        "session_id", "message_id", "role", "content", "message_type", "parent_message_id",
        "created_at", "tokens_used", "model_used", "metadata",
    ),
    "agentic.agent_decisions": (
        "session_id", "decision_id", "decision_type", "input_context", "decision_rationale",
        "action_taken", "user_feedback", "created_at", "execution_time_ms", "metadata",
    ),
    "traceability.success_patterns": (
        "id", "pattern_hash", "tool_sequence", "keywords", "domain", "tags", "created_at",
    ),
    "traceability.pattern_usage_log": (
        "id", "pattern_id", "used_at", "was_applied", "outcome", "success", "actual_duration_ms",
        "metadata",
    ),
}  # fmt: skip
"""Columns the loader writes, by table, in the order in which foreign keys let them be written.

A run's person is no profile of the workflow engine, so user_id is null; left out, its default would
be asked for each row.
"""


_CREDENTIAL = (
    r"(?:api[_-]?key|secret|password|passwd|authorization|credentials?|private[_-]?key"
    r"|access[_-]?token)"
)
SECRET = re.compile(rf"(?:^|[_-]){_CREDENTIAL}(?:[_-]|$)", re.IGNORECASE)
"""Names of fields whose values are credentials: sources record whole client settings."""
SECRET_TEXT = re.compile(
    rf'("(?:[^"\\]*[_-])?{_CREDENTIAL}(?:[_-][^"\\]*)?"\s*:\s*)"(?:[^"\\]|\\.)*"?'.encode(),
    re.IGNORECASE,
)
MAYBE_CREDENTIAL = re.compile(_CREDENTIAL.encode(), re.IGNORECASE)
REDACTED = "[REDACTED]"


class Rejected(ValueError):  # noqa: N818 - it is an outcome, not a failure of the program
    """The record cannot be taken; the text is the reason, for the person who sent it."""


class ToolCall(msgspec.Struct):
    """A tool call as the model asked for it."""

    id: str | None = None
    name: str | None = None
    requestor: str | None = None
    arguments: Any = None
    arguments_text: str | None = None


class Usage(msgspec.Struct):
    """Tokens of one LLM call; prompt tokens include cached ones."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class Message(msgspec.Struct):
    """One message; with `usage` it is also an LLM call, with `tool_calls` it asks for tools."""

    role: Literal["system", "user", "assistant", "tool"]
    timestamp: str | None = None
    content: Any = None
    tool_calls: Annotated[list[ToolCall], msgspec.Meta(max_length=MOST_CALLS)] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    error: bool | None = None
    cost: Amount | None = None
    usage: Usage | None = None


class Party(msgspec.Struct):
    """The agent, or its counterpart: a simulated user."""

    name: str | None = None
    version: str | None = None
    model: str | None = None
    provider: str | None = None


class Agent(msgspec.Struct):
    """The agent, which must have a name."""

    name: Name
    version: str | None = None
    model: str | None = None
    provider: str | None = None


class Verdict(msgspec.Struct):
    """The agent's own decision within a run, where the source records one."""

    rationale: str | None = None


class AgentRun(msgspec.Struct):
    """The fields of a record that the mapping reads; unknown ones are kept from the raw record."""

    run_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    agent: Agent
    counterpart: Party | None = None
    experiment: ShortText | None = None
    domain: ShortText | None = None
    task_id: str | int | None = None
    task_summary: str | None = None
    trial: Trial | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    termination_reason: str | None = None
    error_message: str | None = None
    reward: float | None = None
    success: bool | None = None
    agent_cost_usd: Amount | None = None
    counterpart_cost_usd: Amount | None = None
    cost_parts_usd: dict[str, Amount] | None = None
    usage_totals: Usage | None = None
    decision: Verdict | None = None
    messages: Annotated[list[Message], msgspec.Meta(max_length=MOST_MESSAGES)] | None = None


@dataclass
class ParsedRun:
    """A record that passed the checks, with what it was read from."""

    run: AgentRun
    raw: dict[str, Any]
    sha256: bytes


@dataclass
class RunRows:
    """The rows of one run by table, what was assumed about its times, and what was taken out of them."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in COLUMNS})
    naive_times: bool = False
    undated: bool = False
    redacted: int = 0


def parse(line: bytes) -> ParsedRun:
    """Decode one line and check its fields.

    Raises:
        Rejected: The line is no JSON object of schema `agent-run/1`, or a field is not what the
            schema says.
    """
    try:
        raw = DECODER.decode(line)
        if MAYBE_CREDENTIAL.search(line):
            raw = _without_secrets(raw)
    except RecursionError:
        raise Rejected("is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"is not JSON: {error}") from None
    except InvalidOperation:
        raise Rejected("has a number that is out of any range") from None
    if not isinstance(raw, dict):
        raise Rejected("is not a JSON object")
    if raw.get("schema") != SCHEMA:
        given = reprlib.repr(raw["schema"]) if "schema" in raw else "missing"
        raise Rejected(f"field schema is {given}; this loader takes {SCHEMA!r}")
    if b"\\u0000" in line and NUL.search(line):
        raise Rejected("has a NUL character in a text, which PostgreSQL cannot store")
    try:
        run = msgspec.convert(raw, AgentRun)
    except msgspec.ValidationError as error:
        raise Rejected(_field_error(str(error))) from None
    return ParsedRun(run, raw, hashlib.sha256(line).digest())


def rows_of(parsed: ParsedRun, undated_as: date | None = None) -> RunRows:
    """Turn a checked record into raw rows.

    Args:
        parsed: The record.
        undated_as: The day that a run without any start time is taken to have started on, at
            midnight UTC; without it such a run is rejected.

    Raises:
        Rejected: A time is unreadable, out of 2000-2099 or missing, or the run ends before it
            starts.
    """
    try:
        return _Mapping(parsed, undated_as).rows()
    except RecursionError:
        raise Rejected("is nested too deeply") from None


class _Mapping:
    """The rows of one run; a class only because its steps share the run's ids and times."""

    def __init__(self, parsed: ParsedRun, undated_as: date | None) -> None:
        self.run = parsed.run
        self.raw = parsed.raw
        self.messages = parsed.run.messages or []
        self.result = RunRows()
        self.digest = hashlib.sha256(self.run.run_id.encode()).hexdigest()[:22]
        self.trace_id = self.id_of("trace")
        self.session_id = self.id_of("session")
        self.times = [
            self.time(message.timestamp, f"messages[{position}].timestamp")
            for position, message in enumerate(self.messages)
        ]
        self.started_at = self.start(undated_as)
        self.ended_at = self.end()
        self.status, self.error_type = self.ending()

    def rows(self) -> RunRows:
        """Build the rows of all tables."""
        self.add_trace()
        self.add_session()
        self.add_messages()
        self.add_decision()
        self.add_pattern_use()
        return self.result

    def add(self, table: str, *values: Any) -> None:
        self.result.rows[table].append(values)

    def id_of(self, kind: str, position: int = 0, part: int = 0) -> str:
        """Give a uuid that follows from the run's id, what the row is, and where it stands."""
        kinds = (
            "trace", "session", "message", "llm", "tool", "decision", "pattern_use", "result",
        )  # fmt: skip
        return _uuid(f"{self.digest}{kinds.index(kind):x}{position:05x}{part:04x}")

    # Times

    def time(self, text: str | None, name: str) -> datetime | None:
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            given = reprlib.repr(text)
            raise Rejected(f"field {name} is {given}, which is not an ISO 8601 time") from None
        if moment.tzinfo is None:
            self.result.naive_times = True
            moment = moment.replace(tzinfo=UTC)
        if not EARLIEST <= moment < LATEST:
            raise Rejected(f"field {name} is {text!r}, which is not between 2000 and 2100")
        return moment.astimezone(UTC)

    def start(self, undated_as: date | None) -> datetime:
        started_at = self.time(self.run.started_at, "started_at")
        if started_at is None:
            started_at = next((moment for moment in self.times if moment is not None), None)
        if started_at is None:
            if undated_as is None:
                raise Rejected("has no start time; load it with --undated-as DATE to take it")
            self.result.undated = True
            started_at = datetime(undated_as.year, undated_as.month, undated_as.day, tzinfo=UTC)
        return started_at

    def end(self) -> datetime | None:
        ended_at = self.time(self.run.ended_at, "ended_at")
        if ended_at is not None and ended_at < self.started_at:
            raise Rejected("ends before it starts")
        if self.run.duration_s is not None:
            try:
                measured_end = self.started_at + timedelta(seconds=self.run.duration_s)
            except OverflowError:
                raise Rejected("field duration_s is longer than a century") from None
            if measured_end >= LATEST:
                raise Rejected("field duration_s ends after the year 2099")
            ended_at = ended_at or measured_end
        return ended_at

    # What the run was

    def ending(self) -> tuple[str, str | None]:
        """Give how the run ended and, if badly, in what kind of error."""
        word = (self.run.termination_reason or "").lower()
        if any(part in word for part in CANCELLED_WORDS):
            return "cancelled", word
        if any(part in word for part in FAILED_WORDS):
            return "failed", word
        if word in COMPLETED_WORDS:
            return "completed", None
        if self.run.error_message:
            return "failed", "error"
        is_over = word or self.run.success is not None or self.ended_at is not None
        return "completed" if is_over else "running", None

    def fees(self) -> Decimal | None:
        """Charges that are no LLM call, such as a paid search."""
        parts = self.raw.get("cost_parts_usd") or {}
        fees = [parts[name] for name in parts if name not in ("llm_tokens", "total_cost")]
        return sum(fees, Decimal()) if fees else None

    def notes(self) -> dict[str, Any]:
        """What the loader assumed or derived, kept apart from what the source says."""
        notes: dict[str, Any] = {}
        if self.result.naive_times:
            notes["times_read_as_utc"] = True
        if self.result.undated:
            notes["undated_as"] = self.started_at.date().isoformat()
        if (fees := self.fees()) is not None:
            notes["fees_usd"] = fees
        if self.error_type is not None:
            notes["error_type"] = self.error_type
        return notes

    # Rows

    def add_trace(self) -> None:
        run = self.run
        metadata = _kept(self.raw, ("messages",), {"loader": self.notes()})
        if run.success is not None and "rationale" in (self.raw.get("decision") or {}):
            # It stands in the decision, where it may be encrypted.
            metadata["decision"] = _kept(self.raw["decision"], ("rationale",), {})
        costs = (self.raw.get("agent_cost_usd"), self.raw.get("counterpart_cost_usd"))
        recorded = [cost for cost in costs if cost is not None]
        self.add(
            "observability.traces",
            self.trace_id,
            run.experiment or run.domain or "unknown",
            run.run_id,
            run.task_summary,
            self.started_at,
            self.ended_at,
            None if run.duration_s is None else self.raw["duration_s"] * 1000,
            self.status,
            run.error_message,
            sum(recorded) if recorded else None,
            _json(_tokens(self.raw.get("usage_totals") or {})),
            _json(metadata),
            None,
        )

    def add_session(self) -> None:
        agent = self.run.agent
        identity = _json([agent.name, agent.version, agent.model])
        agent_id = _uuid(hashlib.sha256(identity.encode()).hexdigest())
        self.add(
            "agentic.agents",
            agent_id,
            agent.name,
            "assistant",
            "{}",
            _json(self.raw["agent"]),
            self.started_at,
        )
        moments = [moment for moment in (self.ended_at, *self.times) if moment is not None]
        self.add(
            "agentic.agent_sessions",
            self.session_id,
            agent_id,
            _json(
                {
                    key: self.raw[key]
                    for key in ("domain", "subdomain", "task_id", "trial", "experiment")
                    if self.raw.get(key) is not None
                }
            ),
            self.started_at,
            max(*moments, self.started_at) if self.ended_at is not None else None,
            "completed" if self.status != "running" else "active",
            self.origin(),
        )

    def add_messages(self) -> None:
        """Add messages and the spans that follow from them.

        An LLM span ends at its message's time and starts at the previous message's; a tool span
        lasts from the call to the result with its id. Ids may repeat within a run: results answer
        calls of the same id in order.
        """
        waiting: dict[str | None, list[tuple[int, int]]] = {}
        answers: dict[tuple[int, int], int] = {}
        for position, message in enumerate(self.messages):
            for part, call in enumerate(message.tool_calls or []):
                waiting.setdefault(call.id, []).append((position, part))
            if message.role == "tool":
                calls = waiting.get(message.tool_call_id)
                if calls:
                    answers[calls.pop(0)] = position
                else:
                    self.add_unasked_result(position)
        callers = {result: caller for caller, result in answers.items()}

        previous = self.started_at
        for position, (message, moment) in enumerate(zip(self.messages, self.times, strict=True)):
            at = moment or previous
            self.add_message(position, message, at, callers.get(position))
            if message.usage is not None:
                self.add_llm_span(position, message, min(previous, at), at)
            for part in range(len(message.tool_calls or [])):
                self.add_tool_span(position, part, at, answers.get((position, part)))
            previous = at

    def add_message(
        self, position: int, message: Message, at: datetime, caller: tuple[int, int] | None
    ) -> None:
        raw = self.raw["messages"][position]
        elsewhere = ["content", "role", "timestamp", "usage"]
        if message.usage is not None:
            elsewhere.append("cost")
        notes = {"has_no_time": True} if message.timestamp is None else {}
        metadata = _kept(raw, elsewhere, {"run_id": self.run.run_id, "loader": notes})
        if message.tool_calls:
            # Their arguments stand in the tools' spans.
            metadata["tool_calls"] = [
                {key: call[key] for key in call if key not in ("arguments", "arguments_text")}
                for call in raw["tool_calls"]
            ]
        usage = message.usage
        self.add(
            "agentic.conversation_history",
            self.session_id,
            self.id_of("message", position),
            SPEAKERS[message.role],
            message.content if isinstance(message.content, str) else _text(message.content),
            "error" if message.error else "command" if message.tool_calls else "text",
            self.id_of("message", caller[0]) if caller else None,
            at,
            _total_tokens(usage) if usage else None,
            self.party(message).model if usage else None,
            _json(metadata),
        )

    def add_llm_span(
        self, position: int, message: Message, began: datetime, ended: datetime
    ) -> None:
        raw = self.raw["messages"][position]
        party = self.party(message)
        kept = ("turn_idx", "finish_reason", "response_model", "generation_time_s")
        metadata = {key: raw[key] for key in kept if key in raw}
        metadata |= {"i": position, "payer": _payer(message.role)}
        if beside := _beside_tokens(raw["usage"]):
            metadata["usage"] = beside
        self.add_span(
            self.id_of("llm", position),
            "llm",
            party.model,
            "completed",
            (began, ended),
            metadata,
            tokens=_tokens(raw["usage"]),
            cost=raw.get("cost"),
            party=party,
        )

    def add_tool_span(self, position: int, part: int, at: datetime, answer: int | None) -> None:
        message = self.messages[position]
        call = (message.tool_calls or [])[part]
        ended = self.times[answer] if answer is not None else None
        if ended is not None and ended < at:
            ended = None
        inputs = call.arguments if isinstance(call.arguments, dict) else {}
        if call.arguments_text is not None:
            inputs = {"text": call.arguments_text}
        elif call.arguments is not None and not inputs:
            inputs = {"value": call.arguments}
        status = "cancelled"
        if answer is not None:
            status = "failed" if self.messages[answer].error else "completed"
        self.add_span(
            self.id_of("tool", position, part),
            "agent_tool_call",
            call.name,
            status,
            (at, ended),
            {"i": position, "part": part, "call_id": call.id, "payer": _payer(message.role)},
            caller=self.id_of("llm", position) if message.usage is not None else None,
            inputs=inputs,
        )

    def add_unasked_result(self, position: int) -> None:
        """Add a result whose call was not recorded: its error counts, a call it is not."""
        message = self.messages[position]
        ended = self.times[position]
        self.add_span(
            self.id_of("result", position),
            "agent_tool_call",
            message.name,
            "failed" if message.error else "completed",
            (ended or self.started_at, ended),
            {"i": position, "call_id": message.tool_call_id, "call_is_missing": True},
            is_measured=False,
        )

    def add_span(
        self,
        span_id: str,
        span_type: str,
        name: str | None,
        status: str,
        period: tuple[datetime, datetime | None],
        metadata: dict[str, Any],
        *,
        caller: str | None = None,
        inputs: dict[str, Any] | None = None,
        tokens: dict[str, int] | None = None,
        cost: Decimal | None = None,
        party: Agent | Party | None = None,
        is_measured: bool = True,
    ) -> None:
        began, ended = period
        self.add(
            "observability.spans",
            self.trace_id,
            span_id,
            caller,
            span_type,
            (name or "unknown")[:255],
            status,
            began,
            ended,
            (ended - began) / timedelta(milliseconds=1) if is_measured and ended else None,
            _json(inputs or {}),
            _json(tokens or {}),
            cost,
            party.model if party else None,
            party.provider if party else None,
            _json({"run_id": self.run.run_id} | metadata),
            None,
        )

    def add_decision(self) -> None:
        run = self.run
        if run.success is None:
            return
        task = {key: self.raw[key] for key in ("domain", "task_id", "trial") if key in self.raw}
        self.add(
            "agentic.agent_decisions",
            self.session_id,
            self.id_of("decision"),
            "task",
            _json({"run_id": run.run_id, **task}),
            run.decision.rationale if run.decision else None,
            _json({"termination_reason": run.termination_reason, "reward": self.raw.get("reward")}),
            "approved" if run.success else "rejected",
            self.started_at,
            self.execution_time_ms(),
            self.origin(),
        )

    def add_pattern_use(self) -> None:
        tools = self.tool_sequence()
        if not tools:
            return
        run = self.run
        domain = run.domain or "unknown"
        pattern_hash = hashlib.sha256(_json([domain, *tools]).encode()).hexdigest()
        pattern_id = _uuid(pattern_hash)
        self.add(
            "traceability.success_patterns",
            pattern_id,
            pattern_hash[:16],
            tools,
            sorted(set(tools)),
            domain,
            ["tool_sequence"],
            self.started_at,
        )
        outcome = None if run.success is None else "success" if run.success else "failure"
        self.add(
            "traceability.pattern_usage_log",
            self.id_of("pattern_use"),
            pattern_id,
            self.started_at,
            True,
            outcome,
            run.success,
            self.execution_time_ms(),
            self.origin(),
        )

    def tool_sequence(self) -> list[str]:
        """Give the agent's tools in the order of their calls, a repeated one once."""
        tools: list[str] = []
        for message in self.messages:
            if message.role != "assistant":
                continue
            for call in message.tool_calls or []:
                name = call.name or "unknown"
                if not tools or tools[-1] != name:
                    tools.append(name)
        return tools

    def origin(self) -> str:
        """Give what marks a row as a part of this run; no other writer sets `loader`."""
        return _json({"run_id": self.run.run_id, "loader": {}})

    def execution_time_ms(self) -> int | None:
        seconds = self.run.duration_s
        if seconds is None and self.ended_at is not None:
            seconds = (self.ended_at - self.started_at).total_seconds()
        return None if seconds is None else min(round(seconds * 1000), LONGEST_EXECUTION_MS)

    def party(self, message: Message) -> Agent | Party:
        if message.role == "user":
            return self.run.counterpart or Party()
        return self.run.agent


def without_secrets_in(text: bytes) -> bytes:
    """Blank the credentials in JSON that need not be whole."""
    if not MAYBE_CREDENTIAL.search(text):
        return text
    return SECRET_TEXT.sub(rb'\1"[REDACTED]"', text)


def _without_secrets(value: Any) -> Any:
    """Give a value with every credential in it replaced, so that none reaches the database."""
    if isinstance(value, dict):
        return {
            key: REDACTED if SECRET.search(key) and inner else _without_secrets(inner)
            for key, inner in value.items()
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _payer(role: str) -> str:
    return "counterpart" if role == "user" else "agent"


def _tokens(usage: dict[str, Any]) -> dict[str, int]:
    """Give a usage's counts under the raw schema's names."""
    counts = {
        key: value
        for key, value in usage.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    }
    renamed = {name: counts.pop(key) for key, name in USAGE_NAMES.items() if key in counts}
    return counts | renamed


def _kept(raw: dict[str, Any], elsewhere: Sequence[str], ours: dict[str, Any]) -> dict[str, Any]:
    """Give a source's fields with ours; where it uses a name of ours, under `source_fields`."""
    fields = {key: value for key, value in raw.items() if key not in elsewhere}
    taken = {key: fields.pop(key) for key in ours if key in fields}
    return fields | ours | ({"source_fields": taken} if taken else {})


def _beside_tokens(usage: dict[str, Any]) -> dict[str, Any]:
    """Give what a usage holds beside counts, such as details or a service tier."""
    counts = _tokens(usage)
    return {
        key: value
        for key, value in usage.items()
        if value is not None and counts.get(USAGE_NAMES.get(key, key)) != value
    }


def _total_tokens(usage: Usage) -> int | None:
    if usage.total_tokens is not None:
        return usage.total_tokens
    parts = [n for n in (usage.prompt_tokens, usage.completion_tokens) if n is not None]
    return sum(parts) if parts else None


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def _json(value: Any) -> str:
    return ENCODER.encode(value).decode()


def _text(content: Any) -> str:
    return "" if content is None else _json(content)


def _field_error(message: str) -> str:
    """Turn msgspec's `Expected … - at `$.field`` into one that begins with the field."""
    problem, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    problem = problem[0].lower() + problem[1:]
    return f"field {place}: {problem}" if place else problem
