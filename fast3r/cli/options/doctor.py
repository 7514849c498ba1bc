"""What `fast3r doctor` can be told."""

from dataclasses import dataclass, field

from tyro.conf import OmitArgPrefixes

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class Doctor:
    """Tell what this machine has, what is missing, and about how many photos fit.

    Examples:
      fast3r doctor
    """

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
