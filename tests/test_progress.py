"""Progress: lines of logs are read back, events become a state, the state a few lines."""

from dataclasses import replace

import pytest

from aepsl.console import Progress, count_of, duration, epoch_of, progress_in
from aepsl.workflow.progress import (
    Job,
    Run,
    TimeLeft,
    ending,
    failure,
    lines,
    news,
    state_of,
    time_left,
)
from aepsl.workflow.runs import as_event, problem_in, progress_of, recorded, run_folder

DATE = "2026-11-28 09:07:53 "

TRAINING = """\
2026-11-28 09:59:50 classifier, step 1, epoch 1 of 5: 1 of 2, 9 s left
2026-11-28 09:59:54 classifier, step 1, epoch 1 of 5: 2 of 2, 0 s left
2026-11-28 09:59:54 classifier, step 1, epoch 1 of 5: loss 0.224, recall 0.75, learning rate 0.02
2026-11-28 10:00:00 classifier, step 1, epoch 2 of 5: 1 of 2, 9 s left
"""
TWO_COUNTS = """\
2026-11-28 09:59:50 index: 5 of 10, 9 s left
2026-11-28 09:59:52 index: 10 of 10, 0 s left
2026-11-28 09:59:54 masks: 1 of 10, 9 s left
2026-11-28 09:59:57 masks: 4 of 10, 9 s left
"""


@pytest.mark.parametrize(
    ("text", "progress", "fraction"),
    [
        (TRAINING, Progress(1, 2, 2, 5, "loss 0.224", left=0.7 / 0.2 * 10), 0.3),
        ("".join(TRAINING.splitlines(keepends=True)[:3]),
         Progress(2, 2, 1, 5, "loss 0.224", left=0.8 / 0.1 * 4), 0.2),
        ("cut: 9 of 9, 0 s left\n" + DATE + "CAM, step 2: 3 of 10, 1 min 2 s left\n",
         Progress(3, 10), 0.3),
        (TWO_COUNTS, Progress(4, 10, left=6.0), 0.4),
        (DATE + "classifier resumes in epoch 3 after step 1\n", None, None),
        (DATE + "labels.csv: 3 of 4 images have no label\n", None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_the_end_of_a_log_tells_the_progress(text, progress, fraction):
    found = progress_in(text)
    if progress is None:
        assert found is None
        return
    assert replace(found, left=None) == replace(progress, left=None)
    assert found.left == pytest.approx(progress.left)
    assert found.fraction == pytest.approx(fraction)


def test_what_is_written_is_what_is_read():
    title = epoch_of("segmentation (main)", epoch=3, epochs=7)
    line = count_of(title, done=4, total=9, left=7300)
    assert line == "segmentation (main), epoch 3 of 7: 4 of 9, 2 h 1 min left"
    assert progress_in(DATE + line) == Progress(4, 9, 3, 7)
    assert progress_in(DATE + count_of("labels", done=4, total=9, left=7)) == Progress(4, 9)


def test_durations():
    assert [duration(s) for s in (0, 59.4, 59.6, 3599, 7320)] == [
        "0 s", "59 s", "1 min 0 s", "59 min 59 s", "2 h 2 min",
    ]  # fmt: skip


# Events to state


def started(number, rule, time, log="", **wildcards):
    return {
        "event": "job_info",
        "jobid": number,
        "rule_name": rule,
        "wildcards": wildcards,
        "log": [f"results/x/logs/{log or number}.log"],
        "time": time,
    }


def finished(number, time):
    return {"event": "job_finished", "job_id": number, "time": time}


def failed(number, time, problem=""):
    return {"event": "job_error", "jobid": number, "time": time, "problem": problem}


BEGINNING = [
    {
        "event": "workflow_started",
        "time": 100.0,
        "host": "node7",
        "command": "aepsl run x.yaml",
        "log": "/x/.snakemake/log/1.log",
    },
    {
        "event": "run_info",
        "time": 100.0,
        "stats": {"train_classifier": 2, "predict": 3, "all": 1, "total": 6},
    },
]


def test_events_become_a_state():
    run = state_of(
        [
            *BEGINNING,
            started(4, "train_classifier", 100.0, name="main", step="1"),
            started(5, "predict", 110.0, name="main", shard="0"),
            finished(5, 120.0),
            {"event": "progress", "done": 1, "total": 6, "time": 120.0},
            failed(4, 130.0, "the loss is nan"),
            started(0, "all", 130.0),
        ]
    )
    assert (run.total, run.host, run.log) == (5, "node7", "/x/.snakemake/log/1.log")
    assert run.done == [Job("predict", "main", "results/x/logs/5.log", 110.0, 120.0)]
    assert [job.name for job in run.failed] == ["train classifier (main, step 1)"]
    assert run.running == {}
    assert run.outcome == "failed"
    run.add(started(4, "train_classifier", 140.0, name="main", step="1"))  # a retry
    assert run.failed == []
    assert list(run.running) == [4]
    assert run.outcome == "done"


def test_a_run_ends_as_its_events_say():
    nothing = state_of(BEGINNING[:1])
    assert list(ending(nothing, now=100.0)) == [
        "Nothing to be done: all results are up to date (aepsl status shows them)."
    ]
    run = state_of([*BEGINNING, started(4, "predict", 100.0, name="main"), finished(4, 101.0)])
    run.add({"event": "stopped"})
    assert list(ending(run, now=165.0)) == [
        "Stopped after 1 min 5 s: 1 of 5 jobs done; finished work is kept.",
        "Resume: aepsl run x.yaml",
    ]
    refused = state_of([{"event": "error", "problem": "aepsl: no such key", "time": 1.0}])
    assert refused.outcome == "failed"
    assert list(ending(refused, now=2.0)) == []


def test_jobs_that_a_checkpoint_adds_are_counted():
    run = state_of(BEGINNING)
    for number in range(4):
        run.add(started(number, "train_classifier", 100.0, name="main", step=str(number + 1)))
    assert run.total == 4 + 3


# Time left


def test_a_rule_takes_as_long_as_its_finished_jobs():
    run = state_of(
        [
            *BEGINNING,
            started(1, "train_classifier", 100.0, step="1"),
            finished(1, 140.0),
            started(2, "predict", 140.0),
            finished(2, 150.0),
            started(3, "predict", 150.0),
        ]
    )
    # 40 s of a training, 10 s of a prediction, 6 s of the running one; one job at a time so far.
    assert time_left(run, {}, now=154.0) == TimeLeft(40.0 + 10.0 + 6.0, at_least=False)


def test_before_a_job_has_ended_the_pace_of_a_running_one_tells():
    run = state_of([*BEGINNING, started(1, "train_classifier", 100.0, step="1")])
    progress = {1: Progress(left=30.0)}
    # 30 s of the running training, 40 s of the next; of the predictions nothing is known.
    left = time_left(run, progress, now=110.0)
    assert left == TimeLeft(30.0 + 40.0, at_least=True)
    assert str(left) == "at least 1 min 10 s left"
    assert time_left(run, {1: Progress(1, 9)}, now=110.0) is None


def test_jobs_side_by_side_share_the_work_but_one_is_not_divided():
    run = state_of(
        [
            BEGINNING[0],
            {"event": "run_info", "stats": {"predict": 6, "total": 6}},
            *(started(n, "predict", 100.0, shard=str(n)) for n in range(2)),
            *(finished(n, 120.0) for n in range(2)),
            *(started(n, "predict", 120.0, shard=str(n)) for n in range(2, 4)),
        ]
    )
    # Two jobs at a time: 2 x 20 s of waiting ones and 2 x 10 s of running ones, halved.
    assert time_left(run, {}, now=130.0) == TimeLeft(30.0, at_least=False)
    run.planned["predict"] = 4
    progress = {2: Progress(left=90.0), 3: Progress(left=1.0)}
    assert time_left(run, progress, now=130.0) == TimeLeft(90.0, at_least=False)


# State to lines


def test_a_run_is_a_headline_and_a_line_for_each_running_job():
    run = state_of(
        [
            *BEGINNING,
            started(1, "train_classifier", 100.0, name="main", step="1"),
            started(2, "predict", 101.0, name="main", shard="0"),
            started(3, "predict", 103.0, name="main", shard="1"),
            started(4, "predict", 103.0, name="other", shard="0"),
        ]
    )
    progress = {1: progress_in(TRAINING), 2: Progress(3, 10), 3: Progress(4, 10), 4: Progress()}
    assert lines(run, progress, now=109.0) == [
        "0 of 5 jobs done, 4 running; 9 s; at least 35 s left",
        "  train classifier (main, step 1): epoch 2 of 5, loss 0.224, 30 %, 9 s",
        "  predict (main), 2 jobs: 7 of 20 images, 8 s",
        "  predict (other): 6 s",
    ]
    del progress[4]
    assert ", 3 running, 1 about to start; " in lines(run, progress, now=109.0)[0]
    assert len(lines(run, progress, now=109.0)) == 1 + 2
    for number in range(5, 12):
        run.add(started(number, "score", 103.0, name=f"v{number}"))
        progress[number] = Progress()
    shown = lines(run, progress, now=109.0)
    assert len(shown) == 1 + 6
    assert shown[-1] == "  and 4 more"
    run.add({"event": "stopped"})
    assert lines(run, progress, now=109.0)[0].startswith("stopping; 0 of ")


def test_news_of_an_event():
    run = state_of([*BEGINNING, started(1, "predict", 100.0, "predict/main-0", name="main")])
    for event, text in [
        (finished(1, 112.0), "predict (main): done in 12 s (1 of 5)"),
        (
            failed(1, 112.0, "a.png: is broken\n    Hint: replace it"),
            "predict (main) failed:\n  a.png: is broken\n      Hint: replace it\n"
            "  Log: results/x/logs/predict/main-0.log",
        ),
        ({"event": "progress", "done": 1, "total": 2, "time": 1.0}, None),
        ({"event": "error", "problem": "aepsl: no such key", "time": 1.0}, "aepsl: no such key"),
        ({"event": "error", "problem": "", "time": 1.0}, None),
    ]:
        run.add(event)
        assert news(run, event) == text
    run.add({"event": "stopped"})
    assert news(run, failed(1, 112.0)) is None  # it was interrupted


def test_a_job_without_a_message_was_killed():
    for where in ("stopped", "segmentation: stopped in epoch 1 after step 2"):
        stopped = f"{where} by SIGINT; run the same command to resume"
        assert failure(Job("predict", "main", "a.log", 0.0, 1.0, stopped)) == (
            f"predict (main):\n  {stopped}\n  Log: a.log"
        )
    assert failure(Job("predict", "", "", 0.0, 1.0, "")) == (
        "predict failed:\n  it left no message; it may have been killed"
    )


# Records of Snakemake


def record(message, level=20, **fields):
    return {"message": message, "msg": message, "levelno": level, "created": 7.0, "name": "x"} | (
        fields
    )


PLANNING = """\
WorkflowError in file "/x/Snakefile", line 27:
Invalid configuration:
config: mining.dleta: unknown key
    Hint: did you mean delta?
  File "/x/Snakefile", line 27, in <module>"""


@pytest.mark.parametrize(
    ("message", "exception", "problem"),
    [
        (
            PLANNING,
            "WorkflowError",
            "aepsl: Invalid configuration:\nconfig: mining.dleta: unknown key\n"
            "    Hint: did you mean delta?",
        ),
        (
            'RuleException:\nCalledProcessError in file "/x/a.smk", line 3:\nCommand ...',
            "RuleException",
            "",
        ),
        ("WorkflowError:\nAt least one job did not complete successfully.", "WorkflowError", ""),
        (
            'MissingInputException in rule all in file "/x/Snakefile", line 3:\nMissing input: a',
            "MissingInputException",
            "MissingInputException: Missing input: a\n  Log: s.log",
        ),
        (
            'KeyError: Traceback (most recent call last):\n\n  File "a.py", line 3, in f\n'
            "    return x[0]\n\nKeyError: 0",
            "KeyError",
            "KeyError: 0\n  Log: s.log",
        ),
    ],
)
def test_errors_of_snakemake_are_their_message(message, exception, problem):
    event = as_event(
        record(message, 40, event="error", exception=exception), command="", log="s.log"
    )
    assert event == {"event": "error", "exception": exception, "time": 7.0, "problem": problem}


def test_other_records_of_snakemake():
    def event(*arguments, **fields):
        return as_event(record(*arguments, **fields), command="aepsl run", log="s.log")

    assert event("Terminating processes on user request, this...")["event"] == "stopped"
    assert event("Select jobs to execute...") == {"time": 7.0}
    assert event("Exiting because a job execution failed. Look", 40)["problem"] == ""
    assert event("Failed to set up", 40)["problem"] == "Snakemake: Failed to set up\n  Log: s.log"
    logs = ["none.log", "none.sha256", "logs/slurm/815.log"]
    killed = event("Error in rule x", 40, event="job_error", log=logs, rule_msg="SLURM-job failed")
    assert killed["problem"] == "SLURM-job failed\nlogs/slurm/815.log"
    began = event("Workflow has started!", event="workflow_started", host="node7")
    assert began == {
        "event": "workflow_started",
        "host": "node7",
        "time": 7.0,
        "command": "aepsl run",
        "log": "s.log",
    }


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (f"{DATE}index: 2 of 9, 1 s left\n{DATE}a.png: broken\n    Hint: x\n",
         "a.png: broken\n    Hint: x"),
        (TRAINING, ""),  # its last words are progress: it was killed
        ("", ""),
        (f"{DATE}internal error: please report\nTraceback (most):\n  File x\nKeyError: 'a'\n",
         "internal error: please report\nKeyError: 'a'"),
        (DATE + "\n".join(map(str, range(20))),
         "\n".join(map(str, range(8))) + "\n... 12 more lines in the log"),
    ],
)  # fmt: skip
def test_the_last_message_of_a_log_is_why_its_job_failed(log, problem):
    assert problem_in(log) == problem


def test_what_is_recorded_is_read_while_it_is_written(tmp_path):
    assert recorded(tmp_path) is None
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "events.jsonl"
    path.write_text('{"event": "run_info", "stats": {"predict": 2, "total": 2}}\n{"event": "job_in')
    assert recorded(tmp_path) == Run(planned={"predict": 2})


def test_a_job_without_a_log_has_not_started(tmp_path):
    run = Run()
    for number in range(3):
        log = str(tmp_path / f"{number}.log")
        run.jobs[number] = Job("predict", "main", log, 0.0)
    (tmp_path / "0.log").write_text(DATE + "GPU 1\n")
    (tmp_path / "1.log").write_text(DATE + "predict: 3 of 9, 4 s left\n")
    assert progress_of(run) == {0: Progress(), 1: Progress(3, 9)}


def test_the_folder_of_a_run_is_told_by_a_job_s_log(tmp_path):
    assert run_folder(tmp_path / "results/x/logs/score/main.log") == tmp_path / "results/x"
    assert run_folder(tmp_path / "score.log") is None
