import logging
import socket
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from fast3r.models.hub import fetch

REASONS = {
    "LocalEntryNotFoundError": "not in the cache, and there is no connection or HF_HUB_OFFLINE",
    "GatedRepoError": "access must be asked for on its page, then run 'hf auth login'",
    "RepositoryNotFoundError": "there is no such public repository",
    "EntryNotFoundError": "the repository has no such file",
    "OfflineModeIsEnabled": "the words of the hub",
    "HTTPError": "the words of the hub",
    "HFValidationError": "the words of the hub",
}


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [])

    def answer(error: type[Exception]) -> None:
        def refuse(*_: str, **__: bool) -> str:
            # Some of these cannot be made without a whole response of the server.
            refusal = error.__new__(error)
            refusal.args = ("the words of the hub\nand more of them",)
            raise refusal

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)

    return answer


@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_of_the_hub_names_repository_file_cache_and_way_out(hub, name) -> None:
    hub(getattr(errors, name))
    with pytest.raises(ValueError, match=r"cannot get config.json of owner/name") as refusal:
        fetch("owner/name", "config.json")
    message = str(refusal.value)
    assert constants.HF_HUB_CACHE in message
    assert "HF_HOME" in message
    assert "https://huggingface.co/owner/name by other means and give the folder" in message
    assert "load_model('small')" in message


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_a_refusal_of_the_hub_gives_its_reason(hub, name, reason) -> None:
    hub(getattr(errors, name))
    with pytest.raises(ValueError, match=reason):
        fetch("owner/name", "config.json")


def test_a_full_disk_is_reported(hub) -> None:
    hub(OSError)
    with pytest.raises(ValueError, match=r"cannot get config.json of owner/name: "):
        fetch("owner/name", "config.json")


def test_offline_mode_is_told_at_once(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=f"HF_HUB_OFFLINE is set. Looked in the cache {tmp_path}"):
        fetch("owner/name", "config.json")


def test_a_file_in_the_cache_is_found_without_a_connection(monkeypatch, tmp_path) -> None:
    repository = tmp_path / "models--owner--name"
    revision = repository / "snapshots" / ("0" * 40)
    revision.mkdir(parents=True)
    (revision / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert Path(fetch("owner/name", "config.json")) == revision / "config.json"


def test_without_a_name_server_only_the_cache_is_asked(monkeypatch, tmp_path) -> None:
    asked = []

    def fail(host: str, port: None) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr("fast3r.models.hub.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="it is not in the cache, and there is no connection"):
        fetch("owner/name", "config.json")
    assert asked == ["huggingface.co"] * 2


def test_retries_of_the_hub_are_not_told(hub, monkeypatch, caplog, tmp_path) -> None:
    def retry(*_: str, local_files_only: bool) -> str:
        assert not local_files_only
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", retry)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    assert fetch("owner/name", "config.json") == tmp_path
    assert not caplog.records
