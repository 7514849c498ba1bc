"""What there is to do: the views of a run, short of their pixels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fast3r.models.images import kept_patches
from fast3r.views.lazy import LazyView
from fast3r.views.resize import plan_resize
from fast3r.views.view import View


@dataclass(frozen=True)
class Workload:
    """The views of a run as the network sees them; tuples run parallel."""

    sizes: tuple[tuple[int, int], ...]
    """Rows and columns of each view at network size."""

    tokens: tuple[int, ...]
    """Patches of each view that take part: all that its mask leaves."""

    patch: int
    """Side of a patch in pixels."""

    masked: bool = False
    """Whether any view has a mask."""

    @classmethod
    def uniform(cls, views: int, size: tuple[int, int], patch: int) -> "Workload":
        """Return views of one size, rows and columns, without masks."""
        tokens = (size[0] // patch) * (size[1] // patch)
        return cls((size,) * views, (tokens,) * views, patch)

    @classmethod
    def of(cls, views: Sequence[View], *, patch: int) -> "Workload":
        """Return what the network has to do with views of its size.

        Of views that are decoded when looked at, all patches count: masks would need their pixels.
        """
        sizes, tokens, masked = [], [], False
        for view in views:
            mask = None if isinstance(view, LazyView) else view.mask
            patches = (view.height // patch) * (view.width // patch)
            sizes.append((view.height, view.width))
            tokens.append(
                patches if mask is None else max(1, int(kept_patches(mask[None], patch).sum()))
            )
            masked = masked or mask is not None
        return cls(tuple(sizes), tuple(tokens), patch, masked)

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def total_tokens(self) -> int:
        """Tokens that take part in the fusion."""
        return sum(self.tokens)

    @cached_property
    def patches(self) -> int:
        """Patches of all views, those that masks hide included: encoder and heads see them."""
        return self.pixels // self.patch**2

    @cached_property
    def pixels(self) -> int:
        """Pixels of all views."""
        return sum(height * width for height, width in self.sizes)

    @property
    def largest(self) -> tuple[int, int]:
        """Rows and columns of the view of most pixels."""
        return max(self.sizes, key=lambda size: size[0] * size[1])

    @cached_property
    def by_size(self) -> Counter[tuple[int, int]]:
        """Number of views of each size."""
        return Counter(self.sizes)

    def most_pixels(self, views: int) -> int:
        """Return the pixels of the largest chunk of at most so many views of one size."""
        return max(
            height * width * min(views, count) for (height, width), count in self.by_size.items()
        )

    def some(self, views: int) -> "Workload":
        """Return so many of the views, evenly chosen; some more than once if there are fewer."""
        take = [i * len(self) // views for i in range(views)]
        sizes = tuple(self.sizes[i] for i in take)
        return Workload(sizes, tuple(self.tokens[i] for i in take), self.patch, self.masked)

    def resized(self, size: int) -> "Workload":
        """Return the same views with long sides of at most `size` pixels."""
        fitted = {old: _fitted_size(*old, size=size, patch=self.patch) for old in self.by_size}
        sizes = [fitted[old] for old in self.sizes]
        tokens = [
            max(1, round(count * (new[0] * new[1]) / (old[0] * old[1])))
            for count, new, old in zip(self.tokens, sizes, self.sizes, strict=True)
        ]
        return Workload(tuple(sizes), tuple(tokens), self.patch, self.masked)


def _fitted_size(height: int, width: int, *, size: int, patch: int) -> tuple[int, int]:
    """Return the rows and columns that `fit_view` gives a view."""
    if max(height, width) <= size and not height % patch and not width % patch:
        return height, width
    plan = plan_resize(height, width, size=size, patch=patch)
    return plan.height, plan.width
