"""What importing costs, in a fresh process each."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "PIL", "tyro", "rich", "safetensors", "huggingface_hub", "jaxtyping")
FOREIGN = ("matplotlib", "scipy", "cv2", "lightning", "viser", "av", "pycolmap", "laspy", "gradio")


def loaded_after(statement: str, modules: tuple[str, ...]) -> str:
    """Return which of the modules a fresh process has loaded after a statement."""
    ask = f"{statement}\nimport sys\nprint('LOADED', *[m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("LOADED")[2].strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import fast3r", (*HEAVY, *FOREIGN)) == ""


def test_asking_what_the_package_has_loads_nothing_heavy() -> None:
    assert loaded_after("import fast3r; dir(fast3r); fast3r.__version__", HEAVY) == ""


@pytest.mark.parametrize("arguments", [["--help"], ["reconstruct", "--help"], ["--version"]])
def test_help_loads_neither_torch_nor_numpy(arguments: list[str]) -> None:
    statement = (
        f"from fast3r.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass"
    )
    assert loaded_after(statement, ("torch", "numpy", "PIL", "safetensors", *FOREIGN)) == ""


@pytest.mark.parametrize(
    "module",
    ["fast3r.models.fast3r", "fast3r.scene.run", "fast3r.export.formats", "fast3r.views.load"],
)
def test_a_room_loads_no_library_of_another(module: str) -> None:
    assert loaded_after(f"import {module}", FOREIGN) == ""


def test_every_name_of_the_door_can_be_had() -> None:
    import fast3r

    assert all(getattr(fast3r, name) is not None for name in fast3r.__all__)


def test_an_unknown_name_of_the_door_is_an_attribute_error() -> None:
    import fast3r

    with pytest.raises(AttributeError, match="module 'fast3r' has no attribute 'nothing'"):
        fast3r.nothing  # noqa: B018
