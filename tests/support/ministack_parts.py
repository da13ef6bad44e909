"""Probes of a MiniStack's Lambda, S3, EventBridge and CloudFormation where they differ from AWS."""

from __future__ import annotations

import json
import time
from typing import Any

from botocore.exceptions import ClientError

from tests.support.ministack_bench import MAX_BYTES, Bench

PARTS_ON_AWS: dict[str, Any] = {
    "long_event": "ValidationException",
    "refused_events": 8,
    "folders_of_one_bundle": 1,
    "api_of_a_stack": ["GET /mine JWT", "GET /open NONE"],
    "archive_of_a_stack": "CREATE_COMPLETE",
    "version_of_an_event": True,
    "range_of_a_version": "bc",
}


class PartsProbes(Bench):
    """One method per probe, named after the probe."""

    def long_event(self) -> str:
        entry = {"Source": "probe", "DetailType": "probe", "Detail": json.dumps({"x": "y" * MAX_BYTES})}
        return self.refusal(self.address.client("events").put_events, Entries=[entry])

    def refused_events(self) -> int:
        """Events for a function with a concurrency of one: how many it has handled at the end."""
        events, arn = self.address.client("events"), "arn:aws:lambda:eu-west-1:123456789012:function:slow"
        events.put_rule(Name="slow", EventPattern='{"source": ["slow"]}')
        events.put_targets(Rule="slow", Targets=[{"Id": "slow", "Arn": arn}])
        for number in range(8):
            events.put_events(Entries=[{"Source": "slow", "DetailType": "x", "Detail": json.dumps({"number": number})}])
        deadline = time.monotonic() + self.patience
        while (taken := self.s3.list_objects_v2(Bucket="tokens", Prefix="slow/")["KeyCount"]) < 8:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return int(taken)

    def folders_of_one_bundle(self) -> int:
        """Two functions with the same code."""
        functions = self.address.client("lambda")
        answers = [functions.invoke(FunctionName=name)["Payload"].read() for name in ("where", "where_too")]
        return len(set(answers))

    def api_of_a_stack(self) -> list[str]:
        """The routes of an HTTP API that a stack describes by OpenAPI, each with its kind of authorization."""
        arn = self.address.client("lambda").get_function(FunctionName="where")["Configuration"]["FunctionArn"]
        integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": arn, "payloadFormatVersion": "2.0"}
        authorizer = {
            "type": "jwt",
            "identitySource": "$request.header.Authorization",
            "jwtConfiguration": {"issuer": "https://issuer.example.com", "audience": ["us"]},
        }
        body = {
            "openapi": "3.0.1",
            "info": {"title": "probe", "version": "1"},
            "paths": {
                "/open": {"get": {"x-amazon-apigateway-integration": integration}},
                "/mine": {"get": {"x-amazon-apigateway-integration": integration, "security": [{"token": []}]}},
            },
            "components": {
                "securitySchemes": {"token": {"type": "oauth2", "x-amazon-apigateway-authorizer": authorizer}}
            },
        }
        resources = {"Probed": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}}
        cloudformation, gateway = self.address.client("cloudformation"), self.address.client("apigatewayv2")
        cloudformation.create_stack(StackName="probe", TemplateBody=json.dumps({"Resources": resources}))
        cloudformation.get_waiter("stack_create_complete").wait(StackName="probe", WaiterConfig={"Delay": 1})
        (api,) = gateway.get_apis()["Items"]
        routes = gateway.get_routes(ApiId=api["ApiId"])["Items"]
        return sorted(f"{route['RouteKey']} {route['AuthorizationType']}" for route in routes)

    def archive_of_a_stack(self) -> str:
        """The outcome of creating a stack that contains an archive of its bus."""
        bus: dict[str, Any] = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "archived"}}
        source = {"SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}, "EventPattern": {"source": ["x"]}, "RetentionDays": 3}
        resources = {"Bus": bus, "Kept": {"Type": "AWS::Events::Archive", "Properties": source}}
        cloudformation = self.address.client("cloudformation")
        try:
            cloudformation.create_stack(StackName="archive", TemplateBody=json.dumps({"Resources": resources}))
        except ClientError as error:
            return str(error.response["Error"]["Message"])
        while (stack := cloudformation.describe_stacks(StackName="archive")["Stacks"][0])["StackStatus"].endswith(
            "_IN_PROGRESS"
        ):
            time.sleep(0.1)
        return str(stack["StackStatus"])

    def version_of_an_event(self) -> bool:
        """Whether S3's event to EventBridge contains the same version as S3's answer."""
        sqs, events = self.address.client("sqs"), self.address.client("events")
        queue = sqs.create_queue(QueueName="s3-events")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="s3", EventPattern='{"source": ["aws.s3"]}')
        events.put_targets(Rule="s3", Targets=[{"Id": "queue", "Arn": arn}])
        self.s3.create_bucket(Bucket="versions", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        self.s3.put_bucket_notification_configuration(
            Bucket="versions", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        version = self.s3.put_object(Bucket="versions", Key="a", Body=b"abcdef")["VersionId"]
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
        return bool(json.loads(message["Body"])["detail"]["object"].get("version-id") == version)

    def range_of_a_version(self) -> str:
        self.s3.create_bucket(Bucket="ranges", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket="ranges", VersioningConfiguration={"Status": "Enabled"})
        version = self.s3.put_object(Bucket="ranges", Key="a", Body=b"abcdef")["VersionId"]
        part = self.s3.get_object(Bucket="ranges", Key="a", VersionId=version, Range="bytes=1-2")
        return str(part["Body"].read(), "utf-8")
