"""Compiled rendering gives what plain rendering gives."""

import pytest
import torch

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate


@pytest.mark.slow  # compiling takes a minute or more
def test_compiled_rendering_changes_nothing() -> None:
    plain, compiled = (
        generate(ProceduralConfig(compiled=c), batch=2, views=2, height=72, width=96, seed=5)
        for c in (False, True)
    )
    torch.testing.assert_close(compiled.images, plain.images, atol=1e-4, rtol=0)
    torch.testing.assert_close(compiled.points, plain.points)
    assert torch.equal(compiled.valid, plain.valid)
