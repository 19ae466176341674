from pathlib import Path

import pytest

from worker.settings import DatabaseSettings, EventsQueueSettings, InvalidSettings, QueuesSettings, WorkerSettings

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://worker:hunter2@db.example.com:5432/app",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/events",
    "DLQ_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/events-dlq",
}


def refusal(**environment: str) -> str:
    """The one line that says why the worker does not start."""
    with pytest.raises(InvalidSettings) as caught:
        WorkerSettings.from_environment({**ENVIRONMENT, **environment})
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def test_three_settings_are_enough() -> None:
    settings = WorkerSettings.from_environment(ENVIRONMENT)

    assert (settings.database_url, settings.database_schema) == (ENVIRONMENT["DATABASE_URL"], "public")
    assert (settings.queue_url, settings.dlq_url) == (ENVIRONMENT["QUEUE_URL"], ENVIRONMENT["DLQ_URL"])


def test_the_defaults_are_those_that_are_documented() -> None:
    settings = WorkerSettings.from_environment(ENVIRONMENT)

    assert (settings.max_attempts, settings.visibility_timeout_seconds) == (None, None)  # the queue's own
    assert (settings.receive_wait_seconds, settings.threads, settings.writers) == (4, 32, 2)
    assert (settings.batch_size, settings.max_in_flight) == (100, 1000)
    assert (settings.statement_timeout_ms, settings.lock_timeout_ms) == (10_000, 5000)
    assert (settings.log_level, settings.log_format) == ("info", "auto")


@pytest.mark.parametrize("name", ["app", "Sign-ups", "_", "a" * 63, "pgx"])
def test_tables_may_be_in_another_schema(name: str) -> None:
    assert WorkerSettings.from_environment({**ENVIRONMENT, "DATABASE_SCHEMA": name}).database_schema == name


@pytest.mark.parametrize(
    "name", ["pg_app", "information_schema", "a" * 64, "1a", "a b", 'a"b', "a%b", "a,b", "a\n", "\u00e4"]
)
def test_a_schema_has_a_name_that_needs_no_care(name: str) -> None:
    assert refusal(DATABASE_SCHEMA=name).startswith("DATABASE_SCHEMA should be a schema's name")


def test_each_command_reads_no_more_than_it_needs() -> None:
    assert DatabaseSettings.from_environment({"DATABASE_URL": "dbname=app"}).database_url == "dbname=app"
    queue_url = ENVIRONMENT["QUEUE_URL"]
    assert EventsQueueSettings.from_environment({"QUEUE_URL": queue_url}).queue_url == queue_url
    with pytest.raises(InvalidSettings, match=r"^DLQ_URL is not set$"):
        QueuesSettings.from_environment({"QUEUE_URL": queue_url})


def test_what_is_not_about_us_is_ignored() -> None:
    settings = WorkerSettings.from_environment({**ENVIRONMENT, "BATCHSIZE": "x", "batch_size": "7", "PATH": "/bin"})

    assert settings == WorkerSettings.from_environment(ENVIRONMENT)


def test_numbers_are_read() -> None:
    settings = WorkerSettings.from_environment({**ENVIRONMENT, "BATCH_SIZE": "7", "MAX_ATTEMPTS": "3"})

    assert (settings.batch_size, settings.max_attempts) == (7, 3)


def test_a_setting_that_is_empty_has_its_default() -> None:
    assert WorkerSettings.from_environment({**ENVIRONMENT, "BATCH_SIZE": "", "LOG_LEVEL": ""}).batch_size == 100
    assert refusal(QUEUE_URL="") == "QUEUE_URL is not set"


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        WorkerSettings.from_environment({})

    assert sorted(str(caught.value).split("; ")) == [
        "DATABASE_URL is not set",
        "DLQ_URL is not set",
        "QUEUE_URL is not set",
    ]


@pytest.mark.parametrize("name", ["QUEUE_URL", "DLQ_URL"])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("events", "should be a queue's URL, which begins with https://"),
        ("arn:aws:sqs:us-east-1:123456789012:events", "should be a queue's URL, which begins with https://"),
        (ENVIRONMENT["QUEUE_URL"] + ".fifo", "is a FIFO queue; signup-sync works with standard queues"),
    ],
)
def test_what_is_not_the_url_of_a_standard_queue_is_refused(name: str, url: str, complaint: str) -> None:
    assert refusal(**{name: url}) == f"{name} {complaint}"


@pytest.mark.parametrize("url", ["hunter2", "postgresql://worker:hunter2@host:port/db?x", "mysql://hunter2@host/app"])
def test_what_libpq_cannot_read_is_refused_without_being_repeated(url: str) -> None:
    line = refusal(DATABASE_URL=url)

    assert line == "DATABASE_URL should be a URL such as postgresql://user@host:5432/database"


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("MAX_ATTEMPTS", 1, 1000),
        ("VISIBILITY_TIMEOUT_SECONDS", 1, 43_200),
        ("RECEIVE_WAIT_SECONDS", 1, 20),
        ("THREADS", 1, 64),
        ("WRITERS", 1, 32),
        ("BATCH_SIZE", 1, 1000),
        ("MAX_IN_FLIGHT", 10, 100_000),
    ],
)
def test_a_number_has_its_limits(name: str, least: int, most: int) -> None:
    for number in (least, most):
        settings = WorkerSettings.from_environment({**ENVIRONMENT, name: str(number)})
        assert getattr(settings, name.lower()) == number

    assert refusal(**{name: str(least - 1)}).startswith(f"{name} should be greater than or equal to {least}")
    assert refusal(**{name: str(most + 1)}).startswith(f"{name} should be less than or equal to {most}")


@pytest.mark.parametrize("text", ["ten", "1.5", "1e3", "0x10", "none"])
def test_what_is_not_a_whole_number_is_refused(text: str) -> None:
    assert refusal(BATCH_SIZE=text).startswith("BATCH_SIZE should be a valid integer")


def test_a_word_that_is_none_of_those_allowed_is_refused_with_those_that_are() -> None:
    assert refusal(LOG_LEVEL="loud") == "LOG_LEVEL should be 'debug', 'info', 'warning' or 'error'"
    assert refusal(LOG_FORMAT="xml") == "LOG_FORMAT should be 'auto', 'json' or 'console'"


@pytest.mark.parametrize("text", ["a b", "https://worker.example.com", "worker.example.com:9090", "*", "."])
def test_what_is_not_the_name_of_a_host_is_refused(text: str) -> None:
    line = "ADMIN_HOSTS should be names of hosts with commas in between, without ports"
    assert refusal(ADMIN_HOSTS=text) == line


def test_names_of_hosts_are_compared_in_lower_case() -> None:
    settings = WorkerSettings.from_environment({**ENVIRONMENT, "ADMIN_HOSTS": "Worker.Example.com, b.example.com,"})

    assert settings.admin_hosts == ("worker.example.com", "b.example.com")


def test_no_value_is_repeated() -> None:
    line = refusal(DATABASE_URL="hunter2", QUEUE_URL="hunter2", BATCH_SIZE="hunter2", LOG_LEVEL="hunter2")

    assert [name in line for name in ("DATABASE_URL", "QUEUE_URL", "BATCH_SIZE", "LOG_LEVEL")] == [True] * 4
    assert "hunter2" not in line


def test_no_other_module_of_the_worker_reads_the_environment() -> None:
    folder = Path(__file__).parents[2] / "worker"
    readers = [
        path.name
        for path in sorted(folder.rglob("*.py"))
        if "os.environ" in (text := path.read_text()) or "getenv" in text
    ]

    assert readers == ["environment.py", "settings.py"]
