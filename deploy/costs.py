"""What the system costs a month, part by part: the table in docs/deploy.md.

    python -m deploy.costs

Prices are in US dollars for us-east-1, on demand, without the free tiers that end after a year.
"""

from collections.abc import Callable

HOURS = 730  # a month

# Noted by hand; compare them with aws.amazon.com/{cognito,lambda,sqs,fargate,rds/postgresql,privatelink,ses,
# cloudwatch,secrets-manager,kms}/pricing.
COGNITO_MAU, COGNITO_FREE = 0.015, 10_000  # Essentials, which is a new pool's tier
SES_MAIL = 0.10 / 1000
LAMBDA_REQUEST, LAMBDA_FREE_REQUESTS = 0.20 / 1e6, 1e6
LAMBDA_GB_SECOND, LAMBDA_FREE_GB_SECONDS = 0.0000133334, 400_000  # arm64
SQS_REQUEST, SQS_FREE = 0.40 / 1e6, 1e6
FARGATE_VCPU_HOUR, FARGATE_GB_HOUR = 0.04048, 0.004445
RDS_T4G_MEDIUM_MULTI_AZ_HOUR = 0.130
RDS_GP3_MULTI_AZ_GB = 0.23
ENDPOINT_HOUR = 0.01
SECRET, KMS_KEY, ALARM = 0.40, 1.00, 0.10
INSIGHTS_METRICS, METRIC = 30, 0.30  # Container Insights' metrics for one service, about

LAMBDA_SECONDS, LAMBDA_GB = 0.05, 0.5  # an invocation that is warm, and the template's memory
IDLE_RECEIVES = HOURS * 3600 / 4  # one thread, RECEIVE_WAIT_SECONDS each
ROW_BYTES = 358  # of `users` with its indexes: docs/scaling.md
ENDPOINTS, ZONES = 7, 2


def storage(sign_ups: int) -> float:
    """GiB after a year of such months; the template begins with 20."""
    return max(20.0, 12 * sign_ups * ROW_BYTES / 2**30)


PARTS: dict[str, Callable[[int], float]] = {
    "Cognito (each who signs up is active that month)": lambda n: max(0, n - COGNITO_FREE) * COGNITO_MAU,
    "SES, one mail each": lambda n: n * SES_MAIL,
    "Lambda": lambda n: (
        max(0, n - LAMBDA_FREE_REQUESTS) * LAMBDA_REQUEST
        + max(0, n * LAMBDA_SECONDS * LAMBDA_GB - LAMBDA_FREE_GB_SECONDS) * LAMBDA_GB_SECOND
    ),
    "SQS, at most send, receive and delete each": lambda n: max(0, 3 * n + IDLE_RECEIVES - SQS_FREE) * SQS_REQUEST,
    "Fargate, one worker (0.5 vCPU, 1 GB)": lambda _: HOURS * (0.5 * FARGATE_VCPU_HOUR + 1 * FARGATE_GB_HOUR),
    "RDS, db.t4g.medium, Multi-AZ": lambda _: HOURS * RDS_T4G_MEDIUM_MULTI_AZ_HOUR,
    "RDS storage, after a year": lambda n: storage(n) * RDS_GP3_MULTI_AZ_GB,
    "VPC endpoints, 7 in 2 zones": lambda _: HOURS * ENDPOINT_HOUR * ENDPOINTS * ZONES,
    "CloudWatch, secrets, key": lambda _: 2 * SECRET + KMS_KEY + 8 * ALARM + INSIGHTS_METRICS * METRIC,
}


def table(columns: tuple[int, ...]) -> str:
    """The costs as a Markdown table, with a column for each number of sign-ups a month."""
    lines = ["| part | " + " | ".join(f"{n:,}" for n in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines += [f"| {part} | " + " | ".join(f"{cost(n):,.2f}" for n in columns) + " |" for part, cost in PARTS.items()]
    totals = [sum(cost(n) for cost in PARTS.values()) for n in columns]
    rest = [
        total - PARTS["Cognito (each who signs up is active that month)"](n)
        for total, n in zip(totals, columns, strict=True)
    ]
    lines.append("| **together** | " + " | ".join(f"**{total:,.2f}**" for total in totals) + " |")
    lines.append(
        "| without Cognito, per 1,000 sign-ups | "
        + " | ".join(f"{1000 * r / n:,.2f}" for r, n in zip(rest, columns, strict=True))
        + " |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table((1_000, 100_000, 10_000_000)))  # noqa: T201
