"""What the system costs a month, part by part: the tables in docs/deploy.md.

    python -m deploy.costs

Prices are in US dollars for us-east-1, on demand, without the free tiers that end after a year. What an environment has
is read from its file; how many alarms there are, from the templates.
"""

from collections.abc import Callable

from deploy.environment import Environment
from deploy.stacks import FOLDER

HOURS = 730  # a month

# Noted by hand; compare them with aws.amazon.com/{cognito,lambda,sqs,fargate,rds/postgresql,privatelink,vpc,ses,
# cloudwatch,secrets-manager,kms}/pricing.
COGNITO_MAU = {"LITE": 0.0055, "ESSENTIALS": 0.015}  # the first 10,000 are free; ESSENTIALS is a new pool's tier
COGNITO_FREE = 10_000
SES_MAIL = 0.10 / 1000
LAMBDA_REQUEST, LAMBDA_FREE_REQUESTS = 0.20 / 1e6, 1e6
LAMBDA_GB_SECOND, LAMBDA_FREE_GB_SECONDS = 0.0000133334, 400_000  # arm64
SQS_REQUEST, SQS_FREE = 0.40 / 1e6, 1e6
FARGATE_VCPU_HOUR, FARGATE_GB_HOUR = 0.04048, 0.004445
RDS_HOUR = {"db.t4g.micro": 0.016, "db.t4g.medium": 0.065}  # a standby costs the same again, its storage too
RDS_GP3_GB = 0.115
ENDPOINT_HOUR, NAT_HOUR, PUBLIC_ADDRESS_HOUR = 0.01, 0.045, 0.005
SECRET, KMS_KEY, ALARM, METRIC, LOG_GB = 0.40, 1.00, 0.10, 0.30, 0.50

LAMBDA_SECONDS, LAMBDA_GB = 0.05, 0.5  # an invocation that is warm, and the template's memory
IDLE_RECEIVES = 2 * HOURS * 3600 / 4  # of two queues, one thread each, RECEIVE_WAIT_SECONDS each
ROW_BYTES = 358  # of `users` with its indexes: docs/scaling.md
ENDPOINTS, ZONES = 7, 2
SCALING_ALARMS = 2  # that target tracking makes, in which each metric is paid for
INSIGHTS_METRICS = 30  # of Container Insights, for one service, about
OWN_METRICS = 1  # EnqueueFailed
IDLE_LOG_GB = 1.0  # of Postgres, its monitoring each minute, what the network has refused, the worker: about
LOG_BYTES = 100  # a sign-up, about: the worker writes lines for what goes wrong, and none for what goes well

Part = Callable[[int], float]


def parts(environment: Environment) -> dict[str, Part]:
    """What a month costs, by part, as a function of its sign-ups."""
    get = environment.parameters.get
    cpu, memory = int(get("WorkerCpu", "512")) / 1024, int(get("WorkerMemory", "1024")) / 1024
    instance = get("InstanceClass", "db.t4g.small")
    copies = 2 if get("MultiAz", "true") == "true" else 1
    tier = get("UserPoolTier", "ESSENTIALS")
    return {
        f"Cognito, {tier} (each who signs up is active that month)": lambda n: (
            max(0, n - COGNITO_FREE) * COGNITO_MAU[tier]
        ),
        "SES, one mail each": lambda n: n * SES_MAIL,
        "Lambda": lambda n: (
            max(0, n - LAMBDA_FREE_REQUESTS) * LAMBDA_REQUEST
            + max(0, n * LAMBDA_SECONDS * LAMBDA_GB - LAMBDA_FREE_GB_SECONDS) * LAMBDA_GB_SECOND
        ),
        "SQS, at most send, receive and delete each": lambda n: max(0, 3 * n + IDLE_RECEIVES - SQS_FREE) * SQS_REQUEST,
        f"Fargate, one worker ({cpu:g} vCPU, {memory:g} GB)": lambda _: (
            HOURS * (cpu * FARGATE_VCPU_HOUR + memory * FARGATE_GB_HOUR)
        ),
        f"RDS, {instance}{', Multi-AZ' if copies == 2 else ''}": lambda _: HOURS * RDS_HOUR[instance] * copies,
        "RDS storage, after a year": lambda n: storage(n) * RDS_GP3_GB * copies,
        **_egress(get("Egress", "endpoints")),
        f"alarms: {alarms()} and {scaling_metrics()} of the scaling": lambda _: (alarms() + scaling_metrics()) * ALARM,
        "Container Insights, and a metric of the log": lambda _: (INSIGHTS_METRICS + OWN_METRICS) * METRIC,
        "logs": lambda n: (IDLE_LOG_GB + n * LOG_BYTES / 1e9) * LOG_GB,
        "two secrets, the alarms' key": lambda _: 2 * SECRET + KMS_KEY,
    }


def storage(sign_ups: int) -> float:
    """GiB after a year of such months; the template begins with 20."""
    return max(20.0, 12 * sign_ups * ROW_BYTES / 2**30)


def alarms() -> int:
    """How many the template has."""
    return (FOLDER / "alarms.yaml").read_text(encoding="utf-8").count("Type: AWS::CloudWatch::Alarm\n")


def scaling_metrics() -> int:
    """How many metrics the alarms of the scaling have together."""
    return SCALING_ALARMS * (FOLDER / "service.yaml").read_text(encoding="utf-8").count("MetricStat:\n")


def table(environment: Environment, columns: tuple[int, ...]) -> str:
    """The costs as a Markdown table, with a column for each number of sign-ups a month."""
    costs = parts(environment)
    cognito = next(iter(costs))
    totals = [sum(cost(n) for cost in costs.values()) for n in columns]
    rest = [1000 * (total - costs[cognito](n)) / n for total, n in zip(totals, columns, strict=True)]
    return "\n".join(
        [
            "| part | " + " | ".join(f"{n:,}" for n in columns) + " |",
            "| --- |" + " ---: |" * len(columns),
            *(f"| {part} | " + " | ".join(f"{cost(n):,.2f}" for n in columns) + " |" for part, cost in costs.items()),
            "| **together** | " + " | ".join(f"**{total:,.2f}**" for total in totals) + " |",
            "| without Cognito, per 1,000 sign-ups | " + " | ".join(f"{each:,.2f}" for each in rest) + " |",
        ]
    )


def tables() -> list[str]:
    """Those of docs/deploy.md."""
    return [
        table(Environment.read("prod"), (1_000, 100_000, 10_000_000)),
        table(Environment.read("dev"), (1_000,)),
    ]


def _egress(way: str) -> dict[str, Part]:
    return {
        "endpoints": {
            f"VPC endpoints, {ENDPOINTS} in {ZONES} zones": lambda _: HOURS * ENDPOINT_HOUR * ENDPOINTS * ZONES,
        },
        "nat": {"NAT gateway, its address": lambda _: HOURS * (NAT_HOUR + PUBLIC_ADDRESS_HOUR)},
        "public": {"public address of the worker": lambda _: HOURS * PUBLIC_ADDRESS_HOUR},
    }[way]


if __name__ == "__main__":
    print("\n\n".join(tables()))  # noqa: T201
