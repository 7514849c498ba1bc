"""A worker that does what its first upload says, with nothing but the standard library.

The upload is a line of words: `ok`, `sleep SECONDS`, `die`, `die-once`, `babble`, `fail KIND`.
Model names do the same: `unfit`, `stillborn`, or anything else for a good one.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def main(model: str) -> None:
    if model == "unfit":
        say(kind="unfit", message="no such model")
        return
    if model == "stillborn":
        sys.exit(3)
    say(kind="ready", device="fake")
    for line in sys.stdin:
        threading.Thread(target=work, args=[json.loads(line)], daemon=True).start()


def work(order: dict) -> None:
    folder, results = Path(order["input_folder"]), Path(order["result_folder"])
    words = (folder / order["uploads"][0]["file"]).read_text(errors="replace").split()
    with (folder.parent / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    say(kind="progress", stage="pointmaps", share=0.4)
    act(words, folder.parent)
    results.mkdir(exist_ok=True)
    (results / "cameras.json").write_text(json.dumps(order["options"]))
    error = None
    if words[:1] == ["fail"]:
        error = {"kind": words[1], "message": "as told", "retryable": False}
    stages = [{"name": "pointmaps", "seconds": 0.3}]
    files = {} if error else {"cameras": "cameras.json"}
    say(kind="done", error=error, stages=stages, results=files)


def act(words: list[str], home: Path) -> None:
    if words[:1] == ["sleep"]:
        time.sleep(float(words[1]))
    elif words == ["die"] or (words == ["die-once"] and not (home / "died").exists()):
        (home / "died").touch()
        os._exit(9)
    elif words == ["babble"]:
        print("what?", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
