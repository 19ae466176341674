"""Mutants of what sends: the trigger Lambda, the publisher's way to SQS, and the worker's."""

from tests.mutants.mutant import Mutant

_HANDLER = "trigger_lambda/handler.py"
_SENDING = "signup_sync/sqs.py"
_SQS = "worker/aws/sqs.py"

MUTANTS = (
    Mutant(
        _HANDLER,
        'if event.get("triggerSource") == "PostConfirmation_ConfirmSignUp":',
        'if str(event.get("triggerSource")).startswith("PostConfirmation_"):',
        "who resets their password signs up again",
    ),
    Mutant(
        _HANDLER,
        'if os.environ.get("ON_ENQUEUE_FAILURE") == "raise":',
        'if os.environ.get("ON_ENQUEUE_FAILURE") != "return":',
        "while SQS is away nobody can sign up",
    ),
    Mutant(
        _HANDLER,
        'not _EMAIL.search(unicodedata.normalize("NFKC", text))), "")',
        'not _EMAIL.fullmatch(unicodedata.normalize("NFKC", text))), "")',
        "an e-mail address in a display name is public",
    ),
    Mutant(
        _HANDLER,
        "_clean_name(_first_public(map(_clean_name, candidates))[:DISPLAY_NAME_MAX_LENGTH])",
        "_first_public(_clean_name(text)[:DISPLAY_NAME_MAX_LENGTH] for text in candidates)",
        "half of an e-mail address that was cut to size is public",
    ),
    Mutant(
        _HANDLER,
        "if attempt == MAX_ATTEMPTS or time.monotonic() + PAUSE > last_start:",
        "if time.monotonic() + PAUSE > last_start:",
        "a call that SQS refuses at once is repeated twenty times for each sign-up",
    ),
    Mutant(
        _HANDLER,
        "READ_TIMEOUT = 1.0  #",
        "READ_TIMEOUT = 3.0  #",
        "while SQS hangs nobody can sign up, as Cognito waits no longer than five seconds",
    ),
    Mutant(
        _HANDLER,
        '"total_max_attempts": 1}',
        '"total_max_attempts": 3}',
        "a call that fails is made nine times, and takes longer than Cognito waits",
    ),
    Mutant(
        _HANDLER,
        '"error": type(error).__name__,',
        '"error": str(error),',
        "the log has what people entered when they signed up",
    ),
    Mutant(
        _HANDLER,
        '_clean(attributes.get("email")) or None',
        '_clean(attributes.get("email"))',
        "users without an e-mail address have an empty one",
    ),
    Mutant(
        _HANDLER,
        'return _UNWANTED.sub("", text).strip() if',
        "return text.strip() if",
        "a name with U+0000 in it becomes a dead letter",
    ),
    Mutant(
        _HANDLER,
        '_clean_name(handle[:HANDLE_MAX_LENGTH]) or f"user-{sub[:8]}"',
        '_clean_name(handle[:HANDLE_MAX_LENGTH]) or f"user-{sub[:2]}"',
        "people without a public name have the same handle, and get a suffix each",
    ),
    Mutant(
        _HANDLER,
        '"01" if parts.get("Sampled") == "1" else "00"',
        '"01" if "Sampled" in parts else "00"',
        "every sign-up is traced, and paid for, whatever the sampling rule says",
    ),
    Mutant(
        _HANDLER,
        '        "id": sub,\n',
        '        "id": event.get("userName", sub),\n',
        "logs and dead letters cannot be matched with Cognito's users",
    ),
    Mutant(
        _SENDING,
        "size + message.size > MESSAGE_BYTES",
        "size > MESSAGE_BYTES",
        "SQS refuses calls with large messages",
    ),
    Mutant(
        _SENDING,
        "return len(self.body.encode()) + sum(",
        "return len(self.body) + sum(",
        "SQS refuses calls whose messages are not in English",
    ),
    Mutant(
        _SENDING,
        "if failure.sender_fault or attempt == ENTRY_ATTEMPTS}",
        "if attempt == ENTRY_ATTEMPTS}",
        "what SQS will never take is sent five times, and the request waits for it",
    ),
    Mutant(
        _SENDING,
        "failures = {left[failure.index]: failure for failure",
        "failures = {failure.index: failure for failure",
        "of a batch that fails in part twice, the wrong events are sent again: some are lost",
    ),
    Mutant(
        _SENDING,
        "read_timeout=READ_TIMEOUT + wait_seconds,",
        "read_timeout=READ_TIMEOUT,",
        "with a long poll of 20 seconds every receive of a quiet queue fails",
    ),
    Mutant(
        _SENDING,
        'operation.removesuffix("_batch").title()',
        "operation.title()",
        "an operator is told to allow sqs:SendMessageBatch, which does not exist",
    ),
    Mutant(
        _SQS,
        "        if errors and not messages:\n",
        "        if errors:\n",
        "when one of several receives fails, what the others brought is lost until its lease is over",
    ),
    Mutant(
        _SQS,
        "handles = enumerate(receipt_handles[start : start + BATCH_ENTRIES], start)",
        "handles = enumerate(receipt_handles[start : start + BATCH_ENTRIES])",
        "of a large batch the wrong messages are taken for deleted, and never are",
    ),
    Mutant(
        _SQS,
        '                left += [int(entry["Id"]) for entry in call["Entries"]]\n',
        "                left += []\n",
        "a call to delete that fails whole is not tried again",
    ),
)
