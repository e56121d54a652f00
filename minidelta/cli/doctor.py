"""`minidelta doctor`: is everything here that the course needs?"""

import argparse

from minidelta.cli.words import answer

HELP = "check versions, device, threads, checkpoints, data, write access and disk"
EXAMPLES = "example:\n  minidelta doctor --json\n"


def call(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    from minidelta.doctor import examine

    checks = examine()
    well = all(check.ok for check in checks)
    summary = "everything is here" if well else "mend the lines marked NO, and ask again"
    answer(options, {"ok": well, "checks": [vars(check) for check in checks]}, "\n".join([*map(str, checks), summary]))
    return 0 if well else 1
