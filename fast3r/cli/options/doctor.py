"""What `fast3r doctor` can be told."""

from dataclasses import dataclass

from fast3r.cli.options import common


@dataclass(frozen=True)
class Doctor:
    """Tell what this machine has, what is missing, and about how many photos fit.

    Examples:
      fast3r doctor
    """

    talk: common.TalkOptions = common.USUAL_TALK
