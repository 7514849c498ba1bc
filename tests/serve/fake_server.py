"""A service whose worker is the fake one: `python -m tests.serve.fake_server SETTINGS`."""

import json
import os
import sys
from pathlib import Path

from fast3r.serve import crew, log
from fast3r.serve.server import listen, serve
from fast3r.serve.settings import KEY_VARIABLE, Limits, Settings
from tests.serve.client import FAKE_COMMAND


def main(text: str) -> None:
    crew.WORKER_COMMAND = FAKE_COMMAND
    given = json.loads(text)
    log.configure()
    settings = Settings(
        folder=Path(given["folder"]),
        model=given["model"],
        devices=("cpu",),
        api_key=os.environ.get(KEY_VARIABLE),
        limits=Limits(**{"free_bytes": 0, **given["limits"]}),
    )
    with listen("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        serve(settings, listener)


if __name__ == "__main__":
    main(sys.argv[1])
