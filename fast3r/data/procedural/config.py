"""The knobs of procedural scenes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProceduralConfig:
    """What scenes are made of and how they are photographed."""

    indoor_share: float = 0.4
    """Share of rooms with furniture."""

    outdoor_share: float = 0.3
    """Share of streets and rocks under a sky; the rest are objects on a table."""

    studio_share: float = 0.0
    """Share of tables in no room that stand before a plain backdrop, as turntables do."""

    aerial_share: float = 0.0
    """Share of streets and rocks seen from a drone."""

    telephoto_share: float = 0.0
    """Share of scenes in no room that are taken through a long lens from afar."""

    album_share: float = 0.0
    """Share of scenes of which each photo has a lens and distance of its own, as in albums."""

    sideways_share: float = 0.0
    """Share of scenes whose photos all lie on one side."""

    gloss_share: float = 0.15
    """Share of surfaces with highlights, which do not look the same from everywhere."""

    bump_share: float = 0.4
    """Share of surfaces whose texture also bends their normals."""

    shadows: bool = True
    """Whether the main light casts hard shadows, for about a fifth more work."""

    augment: bool = True
    """Whether each photo has its own exposure, white balance, contrast, blur, noise, vignette."""

    supersample: int = 1
    """Colours are the mean over this many rays per pixel along each side; points are not."""

    fov_deg: tuple[float, float] = (35.0, 95.0)
    """Range of the field of view along the longer side; most are near the middle."""

    candidates: int = 8
    """Cameras tried for each view; the first that sees enough of the scene is taken."""

    orbit_gap_deg: float = 45.0
    """Degrees from one view to the next, at most, where an object is taken from all sides."""

    min_overlap: float = 0.35
    """Share of the first view's surface that a camera should see, at difficulty 1; 0.9 at 0."""

    near_m: float = 0.15
    """Surfaces closer than this are not valid, and cameras keep as far from them."""

    far_m: float = 60.0
    """Surfaces beyond this are not valid."""

    rays_per_chunk: int | None = None
    """Rays traced at once; None means what suits the device. Changes memory, not the result."""

    compiled: bool = False
    """Whether to fuse the work per ray by torch.compile; worth it from a few hundred batches."""

    def __post_init__(self) -> None:
        if (
            self.indoor_share < 0
            or self.outdoor_share < 0
            or self.outdoor_share > 1 - self.indoor_share
        ):
            raise ValueError(
                "indoor_share and outdoor_share must be at least 0 and add up to at most 1, got "
                f"{self.indoor_share} and {self.outdoor_share}"
            )
        for name in ("studio", "aerial", "telephoto", "album", "sideways"):
            share = getattr(self, f"{name}_share")
            if not 0 <= share <= 1:
                raise ValueError(f"{name}_share must be within [0, 1], got {share}")
        if not 0 <= self.orbit_gap_deg <= 180:
            raise ValueError(f"orbit_gap_deg must be within [0, 180], got {self.orbit_gap_deg}")
        if self.supersample < 1 or self.candidates < 1:
            raise ValueError(
                "supersample and candidates must be at least 1, got "
                f"{self.supersample} and {self.candidates}"
            )
