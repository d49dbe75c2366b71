"""The simulator writes agent runs that repeat, add up and look like a company at work."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from genai_prices import calc_price
from genai_prices import types as prices

from orchestration import agent_run, simulate, simulated_company
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from pathlib import Path


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `tool_calls`."""

    id: str
    name: str
    requestor: Literal["assistant"]
    arguments: dict[str, str]


class Usage(msgspec.Struct, forbid_unknown_fields=True):
    """The tokens of a call, or of a run recorded only in total."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `messages`."""

    i: int
    role: Literal["system", "user", "assistant", "tool"]
    turn_idx: int
    timestamp: datetime
    content: str | None = None
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None
    requestor: Literal["assistant"] | None = None
    error: bool | None = None
    cost: Decimal | None = None
    usage: Usage | None = None
    finish_reason: Literal["stop", "tool_calls"] | None = None


class Agent(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who ran."""

    name: str
    version: str
    model: str
    provider: str


class Counterpart(msgspec.Struct, forbid_unknown_fields=True):
    """The model that played the user."""

    kind: Literal["user_simulator"]
    name: str
    model: str
    provider: str


class Run(msgspec.Struct, forbid_unknown_fields=True):
    """A whole record, written down here apart from the simulator and the loader."""

    schema: Literal["agent-run/1"]
    run_id: str
    source: str
    agent: Agent
    domain: str
    task_id: str
    task_summary: str
    difficulty: Literal["easy", "medium", "hard"]
    started_at: datetime
    ended_at: datetime
    duration_s: float
    termination_reason: Literal[
        "agent_stop", "user_stop", "max_steps", "too_many_errors", "agent_error", "cancelled"
    ]
    n_messages: int
    messages: list[Message]
    experiment: str | None = None
    trial: int | None = None
    user_id: str | None = None
    counterpart: Counterpart | None = None
    reward: float | None = None
    success: bool | None = None
    error_message: str | None = None
    agent_cost_usd: Decimal | None = None
    counterpart_cost_usd: Decimal | None = None
    cost_parts_usd: dict[str, Decimal] | None = None
    usage_totals: Usage | None = None
    turn_count: int | None = None

    @property
    def in_utc(self) -> datetime:
        """The start; the one source that names no zone writes UTC+2."""
        if self.started_at.tzinfo:
            return self.started_at
        return self.started_at.replace(tzinfo=UTC) - timedelta(hours=2)

    @property
    def tools(self) -> list[str]:
        """The tools in the order of their calls."""
        return [call.name for message in self.messages for call in message.tool_calls]


def lines_of(path: Path) -> list[bytes]:
    """The records of a gzipped file."""
    return gzip.decompress(path.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The default file."""
    path = tmp_path_factory.mktemp("simulate") / "runs.ndjson.gz"
    simulate.write(path)
    return lines_of(path)


@pytest.fixture(scope="module")
def runs(lines: list[bytes]) -> list[Run]:
    """The default file, each record held against the schema."""
    return [msgspec.json.decode(line, type=Run) for line in lines]


def rate(runs: list[Run]) -> float:
    """The share of successes among the judged."""
    judged = [run.success for run in runs if run.success is not None]
    assert len(judged) >= 10, "too few runs to say anything; choose a wider filter"
    return sum(judged) / len(judged)


def of_agent(runs: list[Run], name: str, version: str) -> list[Run]:
    """The runs of one version of an agent."""
    return [run for run in runs if (run.agent.name, run.agent.version) == (name, version)]


def test_the_same_seed_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """An order taken from a set, the time zone or the file's name or time would change the file."""
    simulate.write(tmp_path / "here.ndjson.gz", days=3, runs_per_day=20, seed=7)
    script = "import sys; from orchestration import simulate; simulate.write(sys.argv[1], 3, 20, 7)"
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "there.ndjson.gz"],
        env=os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        check=True,
    )
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.iterdir()}
    assert len(digests) == 1


def test_another_seed_gives_other_runs_under_other_ids() -> None:
    """With the same ids, the loader would take a second file for one that it has loaded."""
    one, two = (list(simulate.simulate(days=2, runs_per_day=20, seed=seed)) for seed in (1, 2))
    assert not {run["run_id"] for run in one} & {run["run_id"] for run in two}
    assert [run["messages"] for run in one] != [run["messages"] for run in two]


def test_one_draw_more_for_the_clock_moves_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one stream for all, each change of the simulator would change every known answer."""

    def facts() -> list[tuple[Any, ...]]:
        return [
            (
                run["run_id"],
                run["termination_reason"],
                run.get("success"),
                run.get("agent_cost_usd"),
            )
            for run in simulate.simulate(days=3, runs_per_day=40)
        ]

    before = facts()
    wait = simulate._Run.wait

    def wait_with_one_draw_more(run: simulate._Run, seconds: float) -> None:
        run.clock.random()
        wait(run, seconds)

    monkeypatch.setattr(simulate._Run, "wait", wait_with_one_draw_more)
    assert facts() == before


def test_run_ids_are_unique(runs: list[Run]) -> None:
    """The loader would drop the second of two runs with one id."""
    assert len({run.run_id for run in runs}) == len(runs)


def test_the_loader_takes_every_record(lines: list[bytes]) -> None:
    """A demo that begins with rejected records would not be believed."""
    for line in lines:
        assert agent_run.rows_of(agent_run.parse(line)).rows["observability.traces"]


@pytest.mark.parametrize(("days", "runs_per_day"), [(1, 1), (3, 7), (30, 10), (400, 1)])
def test_the_number_of_runs_is_exact(days: int, runs_per_day: int) -> None:
    """Rounding day by day would miss the total that a progress bar counts to."""
    assert len(list(simulate.simulate(days, runs_per_day))) == days * runs_per_day


def test_weekends_are_quieter_and_the_load_grows(runs: list[Run]) -> None:
    """On a flat load, a forecast of the week and its growth would have nothing to find."""
    by_day = Counter(run.in_utc.date() for run in runs)
    assert len(by_day) == 28
    weekdays = [count for day, count in by_day.items() if day.weekday() < 5]
    weekends = [count for day, count in by_day.items() if day.weekday() >= 5]
    assert max(weekends) < min(weekdays) / 2
    weeks = Counter((day - date(2026, 6, 1)).days // 7 for day in by_day.elements())
    assert weeks[0] < weeks[1] < weeks[2] < weeks[3]


def test_people_work_in_office_hours_and_evaluations_run_at_night(runs: list[Run]) -> None:
    """Hours read in a wrong zone would move the day's peak into the evening."""
    for run in runs:
        assert (run.trial is None) == (run.user_id is not None)
        if run.trial is not None:
            assert run.in_utc.hour == simulated_company.EVALUATION_HOUR
    asked = [run.in_utc.hour for run in runs if run.user_id]
    assert sum(7 <= hour < 17 for hour in asked) > 0.85 * len(asked)


def test_runs_come_in_the_order_of_their_start(runs: list[Run]) -> None:
    """A consumer that takes the stream as it comes would see trust jump back in time."""
    starts = [run.in_utc for run in runs]
    assert starts == sorted(starts)


def test_times_within_a_run_never_go_back(runs: list[Run]) -> None:
    """A span that ends before it starts is refused by the raw tables."""
    for run in runs:
        times = [run.started_at, *(message.timestamp for message in run.messages), run.ended_at]
        assert times == sorted(times), run.run_id
        assert run.duration_s == (run.ended_at - run.started_at).total_seconds()


def test_one_source_alone_names_no_zone(runs: list[Run]) -> None:
    """Without it, nothing would show that times without a zone are handled."""
    naive = {run.source for run in runs if run.started_at.tzinfo is None}
    zoned = {run.source for run in runs if run.started_at.tzinfo}
    assert (naive, zoned) == ({"sim-onprem"}, {"sim-cloud"})


def test_evaluations_repeat_a_task_so_that_pass_hat_4_can_be_estimated(runs: list[Run]) -> None:
    """Fewer than four trials of a task leave pass^4 without any task."""
    groups = defaultdict(list)
    for run in runs:
        if run.trial is not None:
            groups[run.run_id.rpartition("-")[0]].append(run)
    assert len(groups) > 50
    for trials in groups.values():
        assert sorted(run.trial or 0 for run in trials) == [0, 1, 2, 3]
        assert len({(run.agent, run.task_id) for run in trials}) == 1
        assert all(run.success is not None for run in trials)
    assert {len({run.success for run in trials}) for trials in groups.values()} == {1, 2}


def test_messages_are_numbered_and_counted(runs: list[Run]) -> None:
    """Ids of rows derive from the position; a gap or a wrong count would shift them."""
    for run in runs:
        assert run.n_messages == len(run.messages)
        assert [message.i for message in run.messages] == list(range(len(run.messages)))
        turns = [message.turn_idx for message in run.messages]
        assert turns == sorted(turns)


def test_each_tool_result_answers_a_call_of_the_turn(runs: list[Run]) -> None:
    """A result without its call is a tool span without a start."""
    for run in runs:
        calls = [call.id for message in run.messages for call in message.tool_calls]
        results = [message.tool_call_id for message in run.messages if message.role == "tool"]
        assert results == calls, run.run_id
        assert len(set(calls)) == len(calls)
        for message in run.messages:
            assert (message.error is not None) == (message.role == "tool")
            assert (message.finish_reason == "tool_calls") == bool(message.tool_calls)


def test_failed_tools_are_called_again(runs: list[Run]) -> None:
    """Without retries, errors of tools and failures of runs would be one and the same."""
    failing = [run for run in runs if any(message.error for message in run.messages)]
    assert len(failing) > 100
    assert sum(run.termination_reason == "agent_stop" for run in failing) > 0.8 * len(failing)


def test_prompts_grow_over_the_turns_and_hold_their_cached_part(runs: list[Run]) -> None:
    """Cached tokens beyond the prompt would make a computed cost negative."""
    for run in runs:
        usages = [m.usage for m in run.messages if m.role == "assistant" and m.usage]
        prompts = [usage.prompt_tokens for usage in usages]
        assert prompts == sorted(set(prompts)), run.run_id
        for usage in usages:
            assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
            assert 0 <= (usage.cached_tokens or 0) <= usage.prompt_tokens
    assert any((usage.cached_tokens or 0) > 0 for usage in usages)


def test_the_recorded_cost_of_a_call_is_that_of_genai_prices(runs: list[Run]) -> None:
    """A price typed in by hand would drift from the price book."""
    for run in runs[::20]:
        for message in run.messages:
            if message.cost is not None and message.usage:
                party = run.agent if message.role == "assistant" else run.counterpart
                expected = calc_price(
                    prices.Usage(
                        input_tokens=message.usage.prompt_tokens,
                        cache_read_tokens=message.usage.cached_tokens,
                        output_tokens=message.usage.completion_tokens,
                    ),
                    party.model if party else "",
                    genai_request_timestamp=message.timestamp,
                )
                assert message.cost == expected.total_price


def test_totals_are_there_only_if_every_call_says_its_cost_and_add_up(runs: list[Run]) -> None:
    """A total of a part of the calls would pass for what the run cost."""
    for run in runs:
        if run.usage_totals:
            continue
        calls = [m for m in run.messages if m.role == "assistant" and m.usage]
        costs = [call.cost for call in calls if call.cost is not None]
        parts = run.cost_parts_usd or {}
        if calls and len(costs) == len(calls):
            assert run.agent_cost_usd == sum(costs) + parts.get("search_api", 0)
            if parts:
                assert parts["llm_tokens"] == sum(costs)
                assert parts["total_cost"] == run.agent_cost_usd
        else:
            assert run.agent_cost_usd is None
            assert parts.keys() <= {"search_api"}
        users = [m.cost for m in run.messages if m.role == "user" and m.cost is not None]
        assert run.counterpart_cost_usd == (sum(users) if users else None)
        assert not users or run.counterpart


def test_some_calls_say_no_cost_and_one_model_nobody_prices(runs: list[Run]) -> None:
    """If every call said its cost, computed and unpriced costs would never be seen."""
    said: dict[str, Counter[bool]] = defaultdict(Counter)
    for run in runs:
        for message in run.messages:
            if message.role == "assistant" and message.usage:
                said[run.agent.model][message.cost is not None] += 1
    assert set(said["house-llm-32b"]) == set(said["gemini-2.5-flash"]) == {False}
    assert set(said["claude-haiku-4-5"]) == {True, False}
    with pytest.raises(LookupError):
        calc_price(prices.Usage(input_tokens=1), "house-llm-32b")


def test_runs_recorded_only_in_total_have_no_messages(runs: list[Run]) -> None:
    """Messages beside the totals would be counted twice."""
    totals = [run for run in runs if run.usage_totals]
    assert len(totals) > 20
    for run in totals:
        assert run.messages == []
        assert run.turn_count is not None


def test_every_way_to_end_occurs_and_what_broke_off_never_succeeds(runs: list[Run]) -> None:
    """A success of a run that crashed would count for the agent."""
    assert len({run.termination_reason for run in runs}) == 6
    for run in runs:
        if run.termination_reason == "cancelled":
            assert run.success is None
        elif run.termination_reason not in ("agent_stop", "user_stop"):
            assert not run.success
        assert (run.error_message is not None) == (run.termination_reason == "agent_error")


def test_many_runs_are_not_judged(runs: list[Run]) -> None:
    """If all were judged, a rate over all runs would look right although it is not."""
    assert 0.2 < sum(run.success is None for run in runs) / len(runs) < 0.5


def test_verifying_before_acting_helps_and_acting_first_harms(runs: list[Run]) -> None:
    """If no sequence mattered, the best and the worst pattern would be noise."""
    support = [run for run in runs if run.domain == "customer_support"]
    careful = [run for run in support if "check_refund_policy" in run.tools]
    hasty = [run for run in support if run.tools[:1] == ["issue_refund"]]
    assert rate(careful) > rate(hasty) + 0.15


def test_agents_differ_and_change_on_their_day(runs: list[Run]) -> None:
    """If all agents were alike and steady, trust would have nothing to tell apart."""
    assert rate(of_agent(runs, "patch-scout", "0.3.1")) < 0.5
    assert rate(of_agent(runs, "support-concierge", "3.1.0")) > 0.9
    old, new = (of_agent(runs, "support-triage", version) for version in ("1.4.0", "2.0.0"))
    assert rate(new) > rate(old) + 0.05
    assert old[-1].in_utc > new[0].in_utc  # for some days, both are in service
    clerk = of_agent(runs, "invoice-clerk", "0.9.2")
    before = [run for run in clerk if run.in_utc.date() < date(2026, 6, 18)]
    after = [run for run in clerk if run.in_utc.date() >= date(2026, 6, 18)]
    assert rate(before) > rate(after) + 0.2


def test_every_name_in_the_company_leads_somewhere() -> None:
    """A route with a misspelt tool would fail only on the day when somebody takes it."""
    for domain in simulated_company.DOMAINS:
        for route in domain.routes:
            assert all(domain.tool(name) for name in route.tools.split())
        assert sum(route.share for route in domain.routes) == pytest.approx(1)
        assert any(agent.domain == domain.name for agent in simulated_company.AGENTS)
    assert sum(domain.share for domain in simulated_company.DOMAINS) == pytest.approx(1)


def test_plain_and_gzipped_files_hold_the_same_lines(tmp_path: Path) -> None:
    """A gzipped file under a plain name would be rejected line by line."""
    simulate.write(tmp_path / "a.ndjson", days=2, runs_per_day=10)
    simulate.write(tmp_path / "a.ndjson.gz", days=2, runs_per_day=10)
    assert (tmp_path / "a.ndjson").read_bytes().splitlines() == lines_of(tmp_path / "a.ndjson.gz")


def test_progress_counts_up_to_the_total_and_the_summary_agrees(tmp_path: Path) -> None:
    """A bar that stops short of its end looks like a job that hangs."""
    seen: list[tuple[int, int]] = []
    path = tmp_path / "a.ndjson.gz"
    summary = simulate.write(path, 2, 10, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 20) for done in range(1, 21)]
    messages = sum(msgspec.json.decode(line)["n_messages"] for line in lines_of(path))
    assert summary == simulate.Summary(path, date(2026, 6, 27), date(2026, 6, 28), 20, messages)


def test_a_file_that_was_broken_off_does_not_pass_for_a_whole_one(tmp_path: Path) -> None:
    """Half a file under the final name would be loaded as if it were all."""

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate.write(tmp_path / "a.ndjson.gz", 2, 10, progress=interrupt)
    assert not (tmp_path / "a.ndjson.gz").exists()


def test_a_name_with_another_ending_is_refused(tmp_path: Path) -> None:
    """The loader could not tell how such a file is packed."""
    with pytest.raises(AgentbooksError, match=r"let its name end in \.ndjson or \.ndjson\.gz"):
        simulate.write(tmp_path / "a.json")


@pytest.mark.parametrize(("days", "runs_per_day"), [(0, 60), (28, 0), (-1, 60)])
def test_a_period_without_days_or_runs_is_refused_at_once(days: int, runs_per_day: int) -> None:
    """A generator would complain only when somebody reads it, or divide by zero."""
    with pytest.raises(AgentbooksError, match="give at least 1 of each"):
        simulate.simulate(days, runs_per_day)
