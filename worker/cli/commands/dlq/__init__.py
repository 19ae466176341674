"""`signup-sync dlq`."""

import click

from worker.cli import interrupts
from worker.cli.commands.dlq.edit import edit
from worker.cli.commands.dlq.files import delete, export, import_
from worker.cli.commands.dlq.look import list_, show
from worker.cli.commands.dlq.replay import replay
from worker.cli.commands.dlq.stats import stats


@click.group
def dlq() -> None:
    """Look at dead letters, mend them, and send them back.

    Needs QUEUE_URL, DLQ_URL and the standard AWS variables. Looking does no harm: what a command receives and does not
    replay or delete is visible again when it ends, or within 15 seconds (more with thousands of messages) if it is
    killed. Several people may work at once; a message is shown to one of them at a time.

    \b
    From the alarm to the end of it:
      signup-sync dlq stats                              how many, why, and since when
      signup-sync dlq list --reason invalid_event        which
      signup-sync dlq show ID                            one of them, and what is wrong with it now
      signup-sync dlq edit ID --set data.handle=ada      mend it and send it back
      signup-sync dlq replay                             send back all that would work today

    \b
    A group of `stats`, the same reason with a detail that begins like this, at once:
      signup-sync dlq edit --reason invalid_event --detail data.display_name --set data.display_name=Unknown
    """
    interrupts.install()


for command in (stats, list_, show, replay, edit, export, import_, delete):
    dlq.add_command(command)
