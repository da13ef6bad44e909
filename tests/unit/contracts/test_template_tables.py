"""What template.yaml and its companions write more than once, or in step with something elsewhere, held equal."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contract.codes import OPERATORS, ErrorCode
from contract.stages import Stage
from domain import jobs_table, stage_runs
from domain.stage_runs import QUIET_SECONDS
from sweep_jobs.sweep import MAX_JOB_AGE
from tests.support.asl import PIPELINE
from tests.support.sam_template import Function, Template

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "template.yaml").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "events" / "schemas" / "status-event.schema.json").read_text(encoding="utf-8"))
STATES: dict[str, Any] = json.loads(PIPELINE.read_text(encoding="utf-8"))
TEMPLATE = Template.load()
FUNCTIONS = {function.name: function for function in TEMPLATE.functions}
DEAD_LETTERS = {name for name in TEMPLATE.of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")}
JOB_EVENTS = {name for name in SCHEMA["properties"]["detail-type"]["enum"] if name.startswith("Job ")}

each_queue = pytest.mark.parametrize("queue", sorted(DEAD_LETTERS))
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = TEMPLATE.resources[name]["Properties"]
    return found


def of_kind(kind: str, *path: str) -> dict[str, Any]:
    """Resource of this type → a value below its properties; None where it has none."""
    values = {}
    for name, resource in TEMPLATE.of_type(kind).items():
        value: Any = resource["Properties"]
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        values[name] = value
    return values


def schedules() -> dict[str, dict[str, str]]:
    return {
        function.name: {
            name: event["Properties"]["Schedule"]
            for name, event in function.properties.get("Events", {}).items()
            if event["Type"] == "Schedule"
        }
        for function in TEMPLATE.functions
    }


def match(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern} in {text}"
    return found


def seconds(rate: str) -> int:
    count, unit = match(r"^rate\((\d+) (minute|hour)s?\)$", rate).groups()
    return int(count) * {"minute": 60, "hour": 3600}[unit]


def rule(function: str, event: str) -> dict[str, Any]:
    pattern: dict[str, Any] = FUNCTIONS[function].properties["Events"][event]["Properties"]["Pattern"]
    return pattern


# ── Dead letters ──


def test_every_function_with_dead_letters_has_a_queue_named_after_it() -> None:
    named = {
        function.properties["DeadLetterQueue"]["TargetArn"]["Fn::GetAtt"]
        for function in TEMPLATE.functions
        if "DeadLetterQueue" in function.properties
    }
    assert named == {f"{queue}.Arn" for queue in DEAD_LETTERS}


@each_function
def test_dead_letters_of_a_function_and_of_its_rules_lie_in_its_own_queue(function: Function) -> None:
    own = {"Fn::GetAtt": f"{function.name.removesuffix('Function')}DeadLetters.Arn"}
    events = function.properties.get("Events", {}).values()
    targets = [event["Properties"]["DeadLetterConfig"]["Arn"] for event in events if event["Type"] == "EventBridgeRule"]
    targets += [event["Properties"]["DeadLetterConfig"]["Arn"] for event in events if event["Type"] == "Schedule"]
    if "DeadLetterQueue" in function.properties:
        targets.append(function.properties["DeadLetterQueue"]["TargetArn"])
    assert all(target == own for target in targets)


def test_eventbridge_may_send_to_every_queue_of_dead_letters() -> None:
    policy = properties("DeadLettersPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert {queue["Ref"] for queue in policy["Queues"]} == DEAD_LETTERS
    assert {resource["Fn::GetAtt"] for resource in statement["Resource"]} == {f"{queue}.Arn" for queue in DEAD_LETTERS}
    assert (statement["Principal"], statement["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    rules = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": {"Fn::Sub": rules}}}


def test_the_network_has_an_endpoint_for_each_service_that_containers_call_and_no_other() -> None:
    """SageMaker moves inputs and outputs over S3 through it; images and logs go over SageMaker's own network."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "containers").rglob("*.py")]
    called = {service for source in sources for service in re.findall(r'boto3\.client\("(\w+)"', source)}
    endpoints = [each["Properties"] for each in TEMPLATE.of_type("AWS::EC2::VPCEndpoint").values()]
    prefix = "com.amazonaws.${AWS::Region}."
    kinds = {each["ServiceName"]["Fn::Sub"].removeprefix(prefix): each["VpcEndpointType"] for each in endpoints}
    assert kinds == {"s3": "Gateway", **dict.fromkeys(called, "Interface")}
    assert called == {"events"}


@each_queue
def test_the_first_dead_letter_rings(queue: str) -> None:
    alarm = properties(f"{queue}Alarm")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": f"{queue}.QueueName"}}]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0, 1)


def test_every_alarm_reaches_somebody() -> None:
    actions = of_kind("AWS::CloudWatch::Alarm", "AlarmActions")
    assert actions
    assert [name for name, action in actions.items() if action != [{"Ref": "Alarms"}]] == []


def test_the_runbook_has_a_section_on_every_alarm_that_is_not_about_dead_letters() -> None:
    sections = set(re.findall(r"^### (\w+)$", RUNBOOK, re.M))
    on_call = RUNBOOK.partition("## On call")[2].partition("\n## ")[0]
    alarms = {name for name in of_kind("AWS::CloudWatch::Alarm") if not name.endswith("DeadLettersAlarm")}
    assert {name for name in alarms if name not in sections and f"`{name}`" not in on_call} == set()
    for name in alarms:
        described = match(r"see (\w+) in docs/runbook\.md", properties(name)["AlarmDescription"])[1]
        assert described in sections


def functions_watched(metric: str) -> set[str]:
    """The functions that an alarm on a metric of Lambda's looks at."""
    alarms = [properties(name) for name in of_kind("AWS::CloudWatch::Alarm")]
    found = [alarm for alarm in alarms if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)]
    return {alarm["Dimensions"][0]["Value"]["Ref"] for alarm in found}


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_functions_without_dead_letters_have_alarms_of_their_own(metric: str) -> None:
    """Those that the state machine calls; API Gateway counts its own faults, and SQS keeps calls of webhooks."""
    assert functions_watched(metric) == {"RunStageFunction", "SettleStageFunction", "DeliverFunction"}
    assert properties("ApiFaultsAlarm")["MetricName"] == "5xx"


def test_the_age_of_events_is_watched_wherever_events_may_wait() -> None:
    assert functions_watched("AsyncEventAge") == {
        f"{queue.removesuffix('DeadLetters')}Function" for queue in DEAD_LETTERS
    }
    for name in of_kind("AWS::CloudWatch::Alarm"):
        if name.endswith("EventAgeAlarm"):
            assert properties(name)["Threshold"] == 10 * 60 * 1000


def test_a_run_that_waits_too_long_for_a_machine_rings() -> None:
    """Each run that waits is looked at, and so measured, in every period of the alarm."""
    alarm = properties("LongestWaitAlarm")
    assert (alarm["MetricName"], alarm["Statistic"]) == ("LongestWaitHours", "Maximum")
    assert alarm["Threshold"] == {"Ref": "LongestWaitHours"}
    assert alarm["Period"] >= QUIET_SECONDS + seconds(schedules()["WatchRunsFunction"]["Watch"])


def test_photos_that_cannot_become_a_scene_wake_nobody() -> None:
    assert properties("FailedJobsAlarm")["MetricName"] == "JobsFailedByUs"
    assert {ErrorCode.INTERNAL, ErrorCode.STALLED, ErrorCode.RESULT_DAMAGED} <= OPERATORS
    assert {ErrorCode.NO_QUOTA, ErrorCode.GPU_UNAVAILABLE, ErrorCode.PLATFORM_FAULT} <= OPERATORS
    assert not OPERATORS & {ErrorCode.NO_OVERLAP, ErrorCode.NOT_A_ZIP, ErrorCode.STOPPED, ErrorCode.BUDGET_SPENT}


def test_the_dashboard_shows_every_queue_where_letters_stay() -> None:
    drawn = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert set(re.findall(r"\$\{(\w+)\.QueueName\}", drawn)) == DEAD_LETTERS | {"WebhookCallsGivenUp"}
    json.loads(re.sub(r"\$\{[\w:.]+\}", "x", drawn))


@each_queue
def test_the_runbook_names_every_queue_and_says_why_its_letters_may_come_twice(queue: str) -> None:
    assert f"`{queue}`" in RUNBOOK
    rows = " ".join(re.findall(r"^\| (\w+(?:, \w+)*) \|", RUNBOOK, re.M))
    assert re.search(rf"\b{queue.removesuffix('DeadLetters')}\b", rows)


@each_queue
def test_dead_letters_are_kept_as_long_as_the_runbook_says(queue: str) -> None:
    assert properties(queue)["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert "fourteen days" in re.sub(r"\s+", " ", RUNBOOK.partition("## Redrive")[2].partition("1. Look")[0])


# ── Events ──


def test_mail_and_webhook_hear_of_every_event_of_a_job() -> None:
    assert set(rule("NotifyFunction", "StartOrOutcome")["detail-type"]) == JOB_EVENTS
    assert set(properties("WebhookRule")["EventPattern"]["detail-type"]) == JOB_EVENTS


def test_progress_takes_every_status_event() -> None:
    assert rule("TrackProgressFunction", "Status") == {"source": ["spaceport.pipeline"]}


def test_every_end_of_an_execution_that_announces_nothing_is_cleaned_up_after() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html: the other two states
    are running and succeeded."""
    ended = rule("StopJobFunction", "ExecutionEnded")
    assert set(ended["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED"}
    assert ended["detail"]["stateMachineArn"] == [{"Ref": "Pipeline"}]


def test_both_kinds_of_sagemaker_job_are_followed() -> None:
    kinds = {"SageMaker Processing Job State Change", "SageMaker Training Job State Change"}
    assert set(rule("ReportStageFunction", "JobChanged")["detail-type"]) == kinds
    ended = rule("DispatchFunction", "JobEnded")
    assert set(ended["detail-type"]) == kinds
    terminal = ["Completed", "Failed", "Stopped"]
    assert ended["detail"]["$or"] == [{"ProcessingJobStatus": terminal}, {"TrainingJobStatus": terminal}]


# ── Schedules, timeouts, concurrency ──


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
    assert len(heartbeats) == len(Stage)
    assert min(heartbeats) >= 3 * every


def test_an_end_whose_event_was_lost_is_noticed_within_six_minutes() -> None:
    """A run is looked at once it was not heard of for QUIET_SECONDS, in the next round."""
    round_and_delay = seconds(schedules()["WatchRunsFunction"]["Watch"]) + 60
    assert QUIET_SECONDS + round_and_delay <= 360


def test_one_round_of_dispatch_ends_before_the_next_begins() -> None:
    every = seconds(schedules()["DispatchFunction"]["LookRound"])
    assert 60 < FUNCTIONS["DispatchFunction"].properties["Timeout"] <= every


def test_the_oldest_job_is_measured_in_every_period_of_its_alarm() -> None:
    """Its alarm takes a missing figure for a fault."""
    assert properties("OldestJobAlarm")["TreatMissingData"] == "breaching"
    assert properties("OldestJobAlarm")["Period"] > seconds(schedules()["SweepJobsFunction"]["Sweep"])


def test_timeouts() -> None:
    assert TEMPLATE.content["Globals"]["Function"]["Timeout"] == 60
    own = {name: function.properties.get("Timeout") for name, function in FUNCTIONS.items()}
    assert {name: timeout for name, timeout in own.items() if timeout} == {
        "RunStageFunction": 300,
        "DispatchFunction": 240,
        "WatchRunsFunction": 120,
        "ApiFunction": 29,
    }


def test_a_call_in_flight_is_hidden_until_its_function_has_ended() -> None:
    timeout = TEMPLATE.content["Globals"]["Function"]["Timeout"]
    assert "Timeout" not in FUNCTIONS["CallWebhookFunction"].properties
    assert properties("WebhookCalls")["VisibilityTimeout"] >= 2 * timeout


def test_a_webhook_is_tried_as_often_as_the_contract_says() -> None:
    waits = match(r"is tried again after ([^,]+(?:, [^,]+)*? and [^,]+),", CONTRACTS.replace("\n", " "))
    tries = 1 + len(re.split(r", | and ", waits[1]))
    assert properties("WebhookCalls")["RedrivePolicy"]["maxReceiveCount"] == tries


def test_reserved_concurrency() -> None:
    """Of an account's thousand (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html) Lambda wants a
    hundred unreserved, and two stacks live side by side."""
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


# ── How long things are kept ──


def test_lifecycles_of_objects() -> None:
    """Rule → prefix and days; the name of a rule with days says the same number."""
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
            "intermediates-60-days": ("intermediates/", 60, None),
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
    assert "(these five expire after 60 days)" in CONTRACTS
    layout = CONTRACTS.partition("## S3")[2].partition("##")[0]
    assert len(re.findall(r"\bintermediates/<jobId>/", layout)) == 5


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
    """heartbeat < a task's timeout < the execution's; SageMaker ends a job before its task does."""
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


# ── Names ──


def test_every_arn_names_the_partition_that_the_stack_is_in() -> None:
    """But one: the separator of Fn::Join takes no function."""
    fixed = re.findall(r".*\barn:aws\b.*", TEXT)
    assert len(fixed) == 2
    assert all("Names: !Join" in line for line in fixed)


def test_every_repository_is_the_image_of_a_stage() -> None:
    repositories = {
        value["Fn::Sub"].partition("/")[2] for value in of_kind("AWS::ECR::Repository", "RepositoryName").values()
    }
    images = {
        match(r"spaceport-\$\{Stage\}/(\w+):\$\{ImageTag\}", value["Fn::Sub"])[1]
        for name, value in TEMPLATE.global_variables.items()
        if name.endswith("_IMAGE")
    }
    folders = {path.parent.name for path in (ROOT / "containers").glob("*/Dockerfile")}
    assert repositories == images == folders
