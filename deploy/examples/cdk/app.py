"""signup-sync as CDK stacks, made of the templates as they are: docs/terraform-and-cdk.md.

Each template is a stack, and an output of one is the parameter of the same name of those behind it. What differs
between environments is in the context, in cdk.json; every parameter of every template may be set in `parameters`.
"""

import re
from pathlib import Path

from aws_cdk import App, Environment, Fn, Stack
from aws_cdk.aws_s3_assets import Asset
from aws_cdk.cloudformation_include import CfnInclude

REPOSITORY = Path(__file__).resolve().parents[3]
TEMPLATES = REPOSITORY / "deploy" / "stacks"

# Without artifacts: CDK has a bucket of its own, and the image is one that you have built and pushed.
ORDER = ("network", "queues", "database", "sign-up", "tasks", "service", "rotation", "deletions", "alarms")


def section(template: str, name: str) -> dict[str, str]:
    """The entries of a section of a template, such as its parameters, each with its text."""
    found = re.search(rf"^{name}:\n((?:  .*\n|\n)*)", template, re.MULTILINE)
    return dict(re.findall(r"^  (\w+):\n((?:    .*\n)*)", found[1], re.MULTILINE)) if found else {}


def given(parameters: dict[str, str], values: dict[str, str]) -> dict[str, object]:
    """The values of those parameters that have one; lists are text with commas everywhere else."""
    known = {key: values[key] for key in parameters if key in values}
    return {key: Fn.split(",", value) if "List" in parameters[key] else value for key, value in known.items()}


def main() -> None:
    app = App()
    name, region = app.node.get_context("environment"), app.node.get_context("region")
    values = {"Environment": name, **app.node.get_context("parameters")}
    before: Stack | None = None
    for template in ORDER:
        stack = Stack(app, f"signup-sync-{name}-{template}", env=Environment(region=region))
        if template == "sign-up":
            trigger = Asset(
                stack, "Trigger", path=str(REPOSITORY), exclude=["*", "!trigger_lambda", "!trigger_lambda/*.py"]
            )
            values |= {"ArtifactsBucket": trigger.s3_bucket_name, "LambdaKey": trigger.s3_object_key}
        text = (TEMPLATES / f"{template}.yaml").read_text()
        parameters = given(section(text, "Parameters"), values)
        include = CfnInclude(
            stack, "Template", template_file=str(TEMPLATES / f"{template}.yaml"), parameters=parameters
        )
        for key, output in section(text, "Outputs").items():
            if "Condition:" not in output:
                values[key] = stack.export_value(include.get_output(key).value, name=f"{stack.stack_name}-{key}")
        if before:
            stack.add_dependency(before)
        before = stack
    app.synth()


main()
