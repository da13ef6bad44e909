# ruff: noqa: E501
"""The list of injected bugs. `tests`: the unit tests that must find the bug; without any, the campaign must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """Replaces `old`, which occurs once in `path`, by `new`."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    def injected(self, text: str) -> str:
        """Raises ValueError unless the pattern occurs once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {text.count(self.old)} times in {self.path}")
        return text.replace(self.old, self.new)


F, U = "functions", "tests/unit/functions"
TABLES, TIMES = "tests/unit/contracts/test_template_tables.py", "tests/unit/contracts/test_template_times.py"
STARTING, RUNS, JOBS = f"{F}/domain/starting.py", f"{F}/domain/stage_runs.py", f"{F}/domain/jobs_table.py"
CAPACITY, REPORTING, RUN = f"{F}/domain/capacity.py", f"{F}/domain/reporting.py", f"{F}/run_stage/run.py"
RERUN, SWEEP, WATCH = f"{F}/domain/rerun.py", f"{F}/sweep_jobs/sweep.py", f"{F}/watch_runs/watch.py"
EXECUTIONS, STOP, NOTIFY = f"{F}/domain/executions.py", f"{F}/domain/stopping.py", f"{F}/notify/notify.py"
BLOCKS, WEIGH = f"{F}/domain/blocks.py", f"{F}/settle_stage/weigh.py"
REPORT, SETTLE, OUTCOME = f"{F}/report_stage/report.py", f"{F}/settle_stage/settle.py", f"{F}/domain/outcome.py"


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"{U}/test_{name}.py" for name in names)


BUGS = (
    # ── found by the campaign ──
    Bug("nothing is started", f"{F}/domain/unstarted.py", "begun = executions.begin(self.job, self.document)", "pass"),
    Bug("a quiet run is not polled", WATCH, "outcome = self._reporter.report(run)\n        if", "return Looked(Look.RUNNING)\n        if"),
    Bug("quiet runs are looked at every hour", RUNS, "QUIET_SECONDS = 120", "QUIET_SECONDS = 3600"),
    Bug("a waiting task gets no heartbeat", WATCH, "        if self._reporter.beat(waiting.run):\n            return Look.ALIVE\n", "        self._runs.note_news(waiting.run)\n"),
    Bug("a run is watched no more after a look", WATCH, "            self._runs.note_news(run)\n            return Looked(Look.RUNNING)", "            self._runs.answered(run, waiting.task_token)\n            return Looked(Look.RUNNING)"),
    Bug("both final events are mailed", NOTIFY, "or (ended is not None and item.status != ended)", ""),
    Bug("an aborted job is not cleaned up after", STOP, "self._bus.put(final_event_of(ended))", "pass"),
    Bug("a settled stage leaves its machine running", SETTLE, "            self._compute.stop(run)\n", "            pass\n", _unit("settle_stage")),
    Bug("the queue is served by nobody", CAPACITY, "                created = self._create(waiting)", "                raise CannotStart(JobError.of(ErrorCode.CAPACITY))"),
    Bug("a served run stays in the queue", CAPACITY, "        if self._runs.leave_queue(waiting.run):\n", "        if True:\n"),
    Bug("a success is answered without a result", REPORTING, 'self._answer("send_task_success", taskToken=waiting.task_token, output=state_output(output))', "pass"),
    Bug("a failure is not answered", REPORTING, "        elif outcome.error is not None:\n", "        elif False:\n"),
    Bug("a stopped run counts as running", OUTCOME, 'if status in ("InProgress", "Stopping"):', 'if status in ("InProgress", "Stopping", "Stopped"):'),
    Bug("progress may go back", JOBS, "(attribute_not_exists(#{guard}) OR #{guard} < :{guard})", "(attribute_exists(jobId) OR attribute_not_exists(jobId))"),
    # ── found by the unit tests ──
    Bug("all blocks are one run", RUN, "latest = latest_of(known, request.stage, request.block)", "latest = latest_of(known, request.stage)", _unit("large_flights")),
    Bug("each block may spend what all may", BLOCKS, "limit=share * left", "limit=left", _unit("large_flights")),
    Bug("nothing is kept for the join", BLOCKS, " - min(reserved, RESERVED_SHARE * budget)", "", _unit("large_flights")),
    Bug("a flight of few blocks is joined", WEIGH, "ENOUGH = 0.9", "ENOUGH = 0.5", _unit("weigh_blocks")),
    Bug("lost blocks cost nothing", WEIGH, "end.output.cost if end.output else end.cost", "end.output.cost if end.output else {}", _unit("weigh_blocks")),
    Bug("a block is settled by the whole's run", SETTLE, "request.stage, request.block)", "request.stage)", _unit("weigh_blocks")),
    Bug("the fastest block speaks for the flight", f"{F}/domain/block_progress.py", "progress = 0.0 if first else round(so_far.stage_progress, 4)", "progress = detail.progress", _unit("block_progress")),
    Bug("one block of a stopped flight is stopped", STOP, "for run in running:", "for run in running[:1]:", _unit("large_flights")),
    Bug("a rerun trains finished blocks again", RUN, "if run.block is not None and self._take_over(request, attempt):", "if False:", _unit("large_flights")),
    Bug("a block of other options is taken over", f"{F}/run_stage/finished.py", " or not same_work(request, described)", "", _unit("large_flights")),
    Bug("an upload that is gone leaves its item open", STARTING, "            self._close(job_id)\n", "            pass\n", _unit("start_crashes")),
    Bug("late progress counts from its arrival", REPORT, "self._reporter.beat(run, at)", "self._reporter.beat(run)", _unit("watch_runs")),
    Bug("what is left to do is not recorded", STARTING, "self._jobs.record(job, facts, unstarted.as_text())", "self._jobs.record(job, facts)", _unit("sweep_jobs")),
    Bug("what is done stays to be done", f"{F}/domain/unstarted.py", "        jobs.started(job_id)\n", "", _unit("start_job")),
    Bug("an unreadable upload is retried for ever", f"{F}/domain/uploads.py", '_REFUSED_HEAD = ("400", "403")', "_REFUSED_HEAD = ()", _unit("start_rejected")),
    Bug("any version will do", f"{F}/domain/uploads.py", "        head = _head(s3, uploaded, uploaded.version_id)\n    return head if head is not None and head[\"ETag\"].strip('\"') == uploaded.etag.strip('\"') else None", "        pass\n    return head", _unit("start_job", "rerun")),
    Bug("a foreign execution counts as begun", EXECUTIONS, '            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":\n                raise\n            return False', "            return True", _unit("rerun", "start_job")),
    Bug("ends of any age are swept", EXECUTIONS, 'if after <= found["stopDate"] < before:', 'if after <= found["stopDate"]:', _unit("sweep_jobs")),
    Bug("another token may be overwritten by a new run", RUNS, '            ConditionExpression="attribute_not_exists(jobId) OR taskToken = :token",\n            ExpressionAttributeValues={":token": task_token},\n', "", _unit("stage_runs_table")),
    Bug("a dead token may replace a new one", RUNS, '            ConditionExpression="taskToken = :old",\n            ExpressionAttributeValues={\n                ":new": task_token,\n                ":old": waiting.task_token,\n', '            ExpressionAttributeValues={\n                ":new": task_token,\n', _unit("stage_runs_table")),
    Bug("a dead token may queue the run", RUNS, 'UpdateExpression="SET queuedFor = :stage, createRequest = :body, queuedAt = if_not_exists(queuedAt, :at)",\n            ConditionExpression="taskToken = :token",', 'UpdateExpression="SET queuedFor = :stage, createRequest = :body, queuedAt = if_not_exists(queuedAt, :at)",\n            ConditionExpression="taskToken = :token OR attribute_exists(jobId)",', _unit("stage_runs_table")),
    Bug("a run is billed twice", RUNS, "attribute_exists(jobId) AND attribute_not_exists(dollars)", "attribute_exists(jobId)", _unit("report_stage")),
    Bug("the first page is the whole queue", RUNS, '            if "LastEvaluatedKey" not in page:\n                return', "            return", _unit("dispatch")),
    Bug("an old answer ends the watch", RUNS, 'UpdateExpression="REMOVE watchedFor, nextLook",\n            ConditionExpression="taskToken = :token",', 'UpdateExpression="REMOVE watchedFor, nextLook",\n            ConditionExpression="taskToken = :token OR attribute_exists(jobId)",', _unit("watch_runs")),
    Bug("every progress event writes the next look", RUNS, "QUIET_SECONDS - MIN_POSTPONED_SECONDS", "QUIET_SECONDS + MIN_POSTPONED_SECONDS", _unit("watch_runs")),
    Bug("one run's fault ends the round", WATCH, "        except AWS_FAULTS:\n            logger", "        except ZeroDivisionError:\n            logger", _unit("watch_runs")),
    Bug("a silent end is not paid for", WATCH, "            self._count(run, outcome)\n", "", _unit("watch_runs")),
    Bug("an orphan that went quiet is not stopped", WATCH, "            self._compute.stop(run)\n        self._runs.answered", "            pass\n        self._runs.answered", _unit("watch_runs")),
    Bug("one run's fault ends the pass", CAPACITY, "            except AWS_FAULTS:\n", "            except ZeroDivisionError:\n", _unit("dispatch")),
    Bug("a pass never gives up", CAPACITY, "if faults == MAX_FAULTS:", "if faults < 0:", _unit("dispatch")),
    Bug("a full instance type ends the pass for all", CAPACITY, "                spent.add(quota)\n", "                break\n", _unit("dispatch", "run_stage")),
    Bug("a claim excludes nobody", RUNS, "attribute_exists(queuedFor) AND (attribute_not_exists(claimedUntil) OR claimedUntil < :now)", "attribute_exists(queuedFor)", _unit("dispatch_claims")),
    Bug("a refused run stays claimed", CAPACITY, "            self._runs.release(waiting.run, claim)\n", "", _unit("dispatch_claims")),
    Bug("a claim that is over was never there", RUNS, 'claimed="claimedUntil" in item', 'claimed=item.get("claimedUntil", _OVER) != _OVER', _unit("watch_runs")),
    Bug("who comes late frees another's claim", RUNS, "            ConditionExpression=\"claimedUntil = :claim\",\n            ExpressionAttributeValues={\":claim\": claim, \":over\": _OVER},\n", "            ExpressionAttributeValues={\":over\": _OVER},\n", _unit("stage_runs_table")),
    Bug("newcomers overtake", RUN, "others_wait = self._queue.others_wait(run, quota_of(job_request))", "others_wait = False", _unit("dispatch")),
    Bug("memory that ran out is not halved", RUN, "next_retry_state(latest.retry_state, run.attempt, failure)", "next_retry_state(latest.retry_state, run.attempt, None)", _unit("run_stage")),
    Bug("earlier attempts cost nothing", REPORTING, "range(1, run.attempt)", "range(2, run.attempt)", _unit("report_stage")),
    Bug("a run at work is billed", "functions/domain/spending.py", "        if not outcome.ended:\n            return 0.0\n", "", _unit("report_stage")),
    Bug("what a run did not need stays reserved", "functions/domain/spending.py", "            self._spending.settle(billed.reservation, cost)", "            pass", _unit("spending")),
    Bug("the day has no limit", "functions/domain/spending.py", "        if reservation is None:\n            metrics", "        if False:\n            metrics", _unit("spending")),
    Bug("owners do not take turns", "functions/domain/fairness.py", "        self._raise(own, int(now))\n", "", _unit("dispatch")),
    Bug("a description behind its event is believed", REPORT, "            raise DescribedTooEarly(news.run.job_name)\n", "            pass\n", _unit("report_stage")),
    Bug("another stack's job is stopped", f"{F}/report_stage/orphans.py", "        if self._runs.find(run) is None:\n            return False\n", "", _unit("second_witnesses")),
    Bug("an orphan whose execution is unknown runs on", f"{F}/report_stage/orphans.py", "execution is not None and execution.running", "execution is None or execution.running", _unit("second_witnesses")),
    Bug("one job's fault ends the sweep", SWEEP, "            except AWS_FAULTS:\n", "            except ZeroDivisionError:\n", _unit("sweep_jobs")),
    Bug("a sweep's fault is forgotten", SWEEP, "            raise Unswept(swept, faults)\n", "            pass\n", _unit("sweep_jobs")),
    Bug("a started final event is taken for sent", STOP, "(final_event is FinalEvent.STARTED and last_chance)", "False", _unit("sweep_jobs", "stop_job")),
    Bug("a rerun's item keeps what an earlier request wrote", JOBS, 'ConditionExpression="attribute_not_exists(#status)",', 'ConditionExpression="attribute_not_exists(#status) AND attribute_not_exists(jobId)",', _unit("rerun")),
    Bug("the rerun that runs is not written last", RERUN, "        self._jobs.record_rerun(job, facts, start_with)\n        self._jobs.started(", "        self._jobs.started(", _unit("rerun")),
    Bug("the mail of a start follows the end", NOTIFY, "(ended is None and item.status in JOB_STATUS.values())", "False", _unit("notify")),
    Bug("a mail is not noted in the item", NOTIFY, "        self._note(event)\n", "", _unit("notify")),
    Bug("an API start that crashed is taken for done", f"{F}/api/service.py", "            if item.status not in (None, REJECTED):\n", "            if True:\n", _unit("api")),
    # ── the template and the state machine ──
    Bug("the watch comes every ten minutes", "template.yaml", "Schedule: rate(1 minute)", "Schedule: rate(10 minutes)", (TIMES,)),
    Bug("intermediates are thrown away after a day", "template.yaml", "Prefix: intermediates/, ExpirationInDays: 60", "Prefix: intermediates/, ExpirationInDays: 1", (TIMES,)),
    Bug("nobody cleans up after an aborted job", "template.yaml", "status: [FAILED, TIMED_OUT, ABORTED]", "status: [FAILED, TIMED_OUT]", (TABLES,)),
)  # fmt: skip
