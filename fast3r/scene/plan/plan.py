"""A plan: how a run is arranged, and what it will take."""

from dataclasses import dataclass

from fast3r.scene.plan.need import Need, Setting


@dataclass(frozen=True)
class Plan:
    """How a run is arranged so that it fits."""

    views: int
    """Number of views."""

    size: int
    """Long side in pixels at which the network sees them."""

    setting: Setting
    """How each pass is done."""

    need: Need
    """What that takes at the peak."""

    host_room: int | None
    """Bytes of host memory that may be taken, on the same count as `need.host`; None if unknown."""

    device_room: int | None
    """Bytes of device memory that may be taken, on the same count as `need.device`."""

    disk_room: int | None = None
    """Bytes that temporary files may take."""

    chunk_views: int | None = None
    """Views of each pass, where the views go through the network in overlapping chunks."""

    overlap: int = 0
    """Views that neighbouring chunks share."""

    seconds: dict[str, float] | None = None
    """By stage; None where the rates of the machine have not been measured."""

    told: tuple[str, ...] = ()
    """What was given up to make it fit, in words."""

    @property
    def arrangement(self) -> tuple[int, Setting, int | None]:
        """What tells the plans of one run apart."""
        return self.size, self.setting, self.chunk_views

    @property
    def fits(self) -> bool:
        """Whether there is room, as far as that is known."""
        pairs = (
            (self.need.host, self.host_room),
            (self.need.device, self.device_room),
            (self.need.files, self.disk_room),
        )
        return all(need is None or room is None or need <= room for need, room in pairs)

    def leaner(self, other: "Plan") -> bool:
        """Return whether this one takes clearly less than another in a stage, and more in none."""
        pairs = list(zip(self.need.stages, other.need.stages, strict=True))
        return all(a <= b for a, b in pairs) and any(a < 0.95 * b for a, b in pairs)
