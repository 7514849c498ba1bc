"""Files of a repository on the Hugging Face hub, and what to do when they cannot be had."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from fast3r.models.weight_files import first_line


def fetch(repository: str, file: str) -> Path:
    """Return a file of a hub repository, from the local cache where it is there.

    Raises:
        ValueError: There is no connection, no such repository or file, or no access to it.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, HTTPError

    # HTTPError is that of the hub's own network library, whichever its version uses.
    try:
        with _without_warnings():
            return Path(hf_hub_download(repository, file, local_files_only=_cut_off()))
    except (OSError, HTTPError, EntryNotFoundError, HFValidationError) as error:
        raise ValueError(
            f"cannot get {file} of {repository}: {_reason(error)}. "
            f"Looked in the cache {constants.HF_HUB_CACHE} (HF_HOME moves it) and on the hub. "
            f"Either fetch config.json and model.safetensors from https://huggingface.co/"
            f"{repository} by other means and give the folder they are in, or use the bundled "
            "model: load_model('small')"
        ) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep the hub from telling of every retry: what matters is how it ends."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _cut_off() -> bool:
    """Return whether the hub's name cannot be looked up, for which the hub retries 23 seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or getproxies():  # A proxy looks names up by itself.
        return False
    host = urlsplit(constants.ENDPOINT).hostname
    for pause_s in (0.5, 0.0):  # Name servers fail now and then.
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            time.sleep(pause_s)
        else:
            return False
    return True


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError):
        return "it is not in the cache, and there is no connection or HF_HUB_OFFLINE is set"
    if isinstance(error, GatedRepoError):
        return "access must be asked for on its page, then run 'hf auth login'"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such public repository; for a private one run 'hf auth login'"
    if isinstance(error, EntryNotFoundError):
        return "the repository has no such file"
    return first_line(error)
