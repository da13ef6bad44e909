"""Schedules, timeouts, concurrency and lifetimes in template.yaml agree with the values that depend on them."""

from __future__ import annotations

import re
from datetime import timedelta

from contract.stages import Stage
from domain import jobs_table, stage_runs
from domain.layout import EXPIRING, INTERMEDIATES_DAYS
from domain.stage_runs import QUIET_SECONDS
from sweep_jobs.sweep import MAX_JOB_AGE
from tests.support.template_tables import (
    CONTRACTS,
    FUNCTIONS,
    ROOT,
    STATES,
    TEMPLATE,
    match,
    of_kind,
    properties,
    schedules,
    seconds,
)


def test_what_runs_on_a_schedule() -> None:
    assert {name: table for name, table in schedules().items() if table} == {
        "DispatchFunction": {"LookRound": "rate(5 minutes)"},
        "WatchRunsFunction": {"Watch": "rate(1 minute)"},
        "SweepJobsFunction": {"Sweep": "rate(10 minutes)"},
    }


def test_a_waiting_task_gets_its_heartbeat_several_times_before_it_is_due() -> None:
    """watch_runs keeps the tasks of the queue alive; many rounds may fail."""
    every = QUIET_SECONDS + seconds(schedules()["WatchRunsFunction"]["Watch"])
    heartbeats = [state["HeartbeatSeconds"] for state in STATES["States"].values() if "HeartbeatSeconds" in state]
    assert len(heartbeats) == len(Stage) + 1  # and the coarse model of a large flight
    assert min(heartbeats) >= 3 * every


def test_an_end_whose_event_was_lost_is_noticed_within_six_minutes() -> None:
    """A run without news for QUIET_SECONDS is checked in the next round."""
    round_and_delay = seconds(schedules()["WatchRunsFunction"]["Watch"]) + 60
    assert QUIET_SECONDS + round_and_delay <= 360


def test_one_round_of_dispatch_ends_before_the_next_begins() -> None:
    every = seconds(schedules()["DispatchFunction"]["LookRound"])
    assert 60 < FUNCTIONS["DispatchFunction"].properties["Timeout"] <= every


def test_the_oldest_job_is_measured_in_every_period_of_its_alarm() -> None:
    """Its alarm treats missing data as a fault."""
    assert properties("OldestJobAlarm")["TreatMissingData"] == "breaching"
    assert properties("OldestJobAlarm")["Period"] > seconds(schedules()["SweepJobsFunction"]["Sweep"])


def test_timeouts() -> None:
    assert TEMPLATE.content["Globals"]["Function"]["Timeout"] == 60
    own = {name: function.properties.get("Timeout") for name, function in FUNCTIONS.items()}
    assert {name: timeout for name, timeout in own.items() if timeout} == {
        "RunStageFunction": 300,
        "SettleStageFunction": 300,
        "DispatchFunction": 240,
        "WatchRunsFunction": 120,
        "ApiFunction": 29,
    }


def test_a_call_in_flight_is_hidden_until_its_function_has_ended() -> None:
    timeout = TEMPLATE.content["Globals"]["Function"]["Timeout"]
    assert "Timeout" not in FUNCTIONS["CallWebhookFunction"].properties
    assert properties("WebhookCalls")["VisibilityTimeout"] >= 2 * timeout


def test_a_webhook_is_tried_as_often_as_the_contract_says() -> None:
    waits = match(r"is repeated after ([^,]+(?:, [^,]+)*? and [^,]+),", CONTRACTS.replace("\n", " "))
    tries = 1 + len(re.split(r", | and ", waits[1]))
    assert properties("WebhookCalls")["RedrivePolicy"]["maxReceiveCount"] == tries


def test_reserved_concurrency() -> None:
    """Of an account's thousand (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), Lambda
    requires a hundred to stay unreserved, and two stacks share the account."""
    reserved = {name: function.properties.get("ReservedConcurrentExecutions") for name, function in FUNCTIONS.items()}
    counts = {name: each["Fn::If"][1] if isinstance(each, dict) else each for name, each in reserved.items() if each}
    assert {name: int(count) for name, count in counts.items()} == {
        "StartJobFunction": 50,
        "RunStageFunction": 50,
        "ReportStageFunction": 100,
        "StopJobFunction": 10,
        "DispatchFunction": 10,
        "WatchRunsFunction": 3,
        "SweepJobsFunction": 1,
        "TrackProgressFunction": 50,
        "NotifyFunction": 10,
        "SuppressFunction": 5,
        "UnsubscribeFunction": 5,
    }
    assert 2 * sum(map(int, counts.values())) <= 1000 - 100


def test_the_burst_is_as_large_as_its_description_says() -> None:
    rate, burst = TEMPLATE.parameters["ApiRequestsPerSecond"], TEMPLATE.parameters["ApiBurst"]
    assert burst["Default"] == 5 * rate["Default"]
    assert "five times ApiRequestsPerSecond" in burst["Description"]
    assert properties("Api")["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ApiRequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "ApiBurst"},
    }


def test_lifecycles_of_objects() -> None:
    """Rule → prefix and days; if a rule's name contains days, they are the same."""
    found = {
        name: {
            rule["Id"]: (
                rule.get("Prefix", ""),
                rule.get("ExpirationInDays"),
                rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            )
            for rule in (lifecycle or {}).get("Rules", [])
            if rule["Status"] == "Enabled"
        }
        for name, lifecycle in of_kind("AWS::S3::Bucket", "LifecycleConfiguration").items()
    }
    assert found == {
        "AccessLogsBucket": {"logs-90-days": ("", 90, 7)},
        "UploadsBucket": {"uploads-60-days": ("", 60, 7), "delete-markers": ("", None, None)},
        "ResultsBucket": {
            "intermediates-60-days": (f"{EXPIRING}/", INTERMEDIATES_DAYS, None),
            "overwritten-14-days": ("", None, 14),
            "delete-markers": ("", None, None),
        },
        "WebBucket": {},
    }
    for rules in found.values():
        for name, (_, expires, noncurrent) in rules.items():
            days = expires or noncurrent
            assert days is None or f"-{days}-days" in name


def test_intermediates_live_as_long_as_the_contract_says() -> None:
    assert f"(these seven expire after {INTERMEDIATES_DAYS} days)" in CONTRACTS
    layout = CONTRACTS.partition("## S3")[2].partition("##")[0]
    assert len(re.findall(r"\bintermediates/<jobId>/", layout)) == 7


def test_what_a_job_reads_outlives_the_longest_job() -> None:
    """A run may wait for a machine for weeks at each stage, and delivery reads the results of all of them."""
    longest = STATES["TimeoutSeconds"] / 86_400
    rules = {
        rule["Id"]: rule["ExpirationInDays"]
        for bucket in ("UploadsBucket", "ResultsBucket")
        for rule in properties(bucket)["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    kept = {"stage runs": stage_runs.KEEP_SECONDS / 86_400, "jobs": jobs_table.KEEP_SECONDS / 86_400, **rules}
    assert {name: days for name, days in kept.items() if days <= longest} == {}


def test_each_wait_fits_into_the_one_around_it() -> None:
    """heartbeat < a task's timeout < the execution's timeout; SageMaker ends a job before its task times out."""
    tasks = [state for state in STATES["States"].values() if "HeartbeatSeconds" in state]
    assert all(state["HeartbeatSeconds"] < state["TimeoutSeconds"] < STATES["TimeoutSeconds"] for state in tasks)
    assert all(stage.spec.max_runtime < min(state["TimeoutSeconds"] for state in tasks) for stage in Stage)
    assert timedelta(seconds=STATES["TimeoutSeconds"]) < MAX_JOB_AGE


def test_unfinished_uploads_are_thrown_away() -> None:
    for bucket in ("UploadsBucket", "ResultsBucket"):
        rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
        aborting = [rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") for rule in rules]
        assert 7 in aborting


def test_items_expire_by_the_attribute_that_is_written() -> None:
    """Powertools writes `expiration` (aws_lambda_powertools' DynamoDBPersistenceLayer), the functions `expiresAt`."""
    found = of_kind("AWS::DynamoDB::Table", "TimeToLiveSpecification")
    assert {name: ttl for name, ttl in found.items() if ttl} == {
        "JobsTable": {"AttributeName": "expiresAt", "Enabled": True},
        "StageRunsTable": {"AttributeName": "expiresAt", "Enabled": True},
        "IdempotencyTable": {"AttributeName": "expiration", "Enabled": True},
        "LimitsTable": {"AttributeName": "expiresAt", "Enabled": True},
    }
    written = {path.name for path in (ROOT / "functions").rglob("*.py") if '"expiresAt"' in path.read_text("utf-8")}
    assert written


def test_logs_and_events_are_kept_for_so_long() -> None:
    assert of_kind("AWS::Logs::LogGroup", "RetentionInDays") == {"FunctionLogs": 30, "ApiLogs": 30}
    assert of_kind("AWS::Events::Archive", "RetentionDays") == {"StatusArchive": 90}
