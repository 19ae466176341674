"""The runbook's commands, as they stand there."""

import re
from collections.abc import Iterator
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"

_example = re.compile(r"^ +signup-sync dlq (?P<arguments>.+)$", re.MULTILINE)
_comment = re.compile(r" {2,}.*| #.*| \| .*| > .*")


def examples(text: str) -> Iterator[str]:
    """Each command line of a text, without `signup-sync dlq` and without what is said of it."""
    for match in _example.finditer(text):
        yield _comment.sub("", match["arguments"])


def commands_after(words: str) -> list[str]:
    """The command lines of the block that follows the paragraph with these words, as `examples` gives them."""
    paragraphs = RUNBOOK.read_text().split("\n\n")
    [position] = [at for at, paragraph in enumerate(paragraphs) if words in paragraph.replace("\n", " ")]
    return list(examples(paragraphs[position + 1]))
