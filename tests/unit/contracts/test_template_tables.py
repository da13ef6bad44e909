"""What template.yaml and its companions state more than once, or together with another file, is equal."""

from __future__ import annotations

import json
import re

import pytest

from contract.codes import OPERATORS, ErrorCode
from domain.stage_runs import QUIET_SECONDS
from tests.support.sam_template import Function
from tests.support.template_tables import (
    FUNCTIONS,
    ROOT,
    TEMPLATE,
    match,
    of_kind,
    properties,
    rule,
    schedules,
    seconds,
)

TEXT = (ROOT / "template.yaml").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "events" / "schemas" / "status-event.schema.json").read_text(encoding="utf-8"))
DEAD_LETTERS = {name for name in TEMPLATE.of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")}
JOB_EVENTS = {name for name in SCHEMA["properties"]["detail-type"]["enum"] if name.startswith("Job ")}

each_queue = pytest.mark.parametrize("queue", sorted(DEAD_LETTERS))
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


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
    """SageMaker transfers inputs and outputs over S3 through it; images and logs use SageMaker's own network."""
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
    """The functions that an alarm on a Lambda metric watches."""
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
    """Each waiting run is checked, and so measured, in every period of the alarm."""
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
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html: the other two
    statuses are running and succeeded."""
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


# ── Names ──


def test_every_arn_names_the_partition_that_the_stack_is_in() -> None:
    """With one exception: the separator of Fn::Join must not be a function."""
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
