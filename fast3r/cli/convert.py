"""`fast3r convert`: weights in one format in, weights in another out."""

from fast3r.cli.options.convert import Convert
from fast3r.cli.output import check_writable
from fast3r.models.checkpoints import convert


def run(options: Convert) -> int:
    """Rewrite the weights, and print where they are.

    Raises:
        ValueError: The weights are unknown, or of a kind that the format has no words for.
        OSError: Something cannot be read or written.
    """
    target = options.target
    check_writable(target.parent if target.suffix == ".safetensors" else target)
    convert(options.source, target, format=options.format)
    print(target)
    return 0
