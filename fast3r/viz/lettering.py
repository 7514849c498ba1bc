"""Words on pictures."""

from PIL import Image, ImageDraw, ImageFont

from fast3r.viz.coloring import Legend

BACKGROUND = (246, 246, 244)
TEXT_COLOR = (60, 60, 60)
_BAR_HEIGHT_PX = 10
_GAP_PX = 8


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow."""
    return ImageFont.load_default(size_px)


def plain(text: str) -> str:
    """Return the text with a question mark for each sign that the font does not have."""
    return text.encode("latin-1", "replace").decode("latin-1")


def write_over(picture: Image.Image, place: tuple[int, int], text: str) -> None:
    """Write onto a picture, from `place` (left, top) on, so that it can be read on any ground."""
    pen = ImageDraw.Draw(picture)
    pen.text(place, plain(text), fill="white", font=font(12), stroke_width=2, stroke_fill="black")


def add_legend(picture: Image.Image, legend: Legend | None) -> Image.Image:
    """Return the picture with the meaning of its colours in the lower left corner."""
    if legend is None:
        return picture
    picture = picture.copy()
    width = min(160, picture.width // 3)
    middle, left = picture.height - 2 * _GAP_PX - _BAR_HEIGHT_PX // 2, 2 * _GAP_PX
    bar = Image.fromarray(legend.colors[None].numpy())
    bar = bar.resize((width, _BAR_HEIGHT_PX), Image.Resampling.NEAREST)
    left = _write_beside(picture, (left, middle), legend.low)
    picture.paste(bar, (left, middle - _BAR_HEIGHT_PX // 2))
    _write_beside(picture, (left + width + _GAP_PX, middle), legend.high)
    return picture


def _write_beside(picture: Image.Image, place: tuple[int, int], text: str) -> int:
    """Write from `place` (left, middle) on, and return where the next may begin."""
    pen, letters = ImageDraw.Draw(picture), font(13)
    pen.text(
        place,
        text,
        fill=TEXT_COLOR,
        font=letters,
        anchor="lm",
        stroke_width=2,
        stroke_fill=BACKGROUND,
    )
    return place[0] + int(pen.textlength(text, font=letters)) + _GAP_PX
