"""The worker: loads the model once, then works on one job after another.

    python -m fast3r.serve.worker MODEL DEVICE PRECISION

Orders come on stdin and answers go to stdout, one JSON object a line (`wire`). When stdin ends the
server is gone, and the worker leaves at once, whatever it is doing. To stop a job, kill it.
"""

import os
import queue
import sys
import threading
from typing import TextIO

from fast3r.models.checkpoints import load_model
from fast3r.scene.machine import hardware_name
from fast3r.scene.stages import Watcher
from fast3r.serve import log
from fast3r.serve.messages import Message
from fast3r.serve.wire import Order, Progress, Ready, Unfit
from fast3r.serve.work import Desk, share_done, work


class _Speaker(Watcher):
    """Tells the server how a job goes, on what was stdout."""

    def __init__(self) -> None:
        """Take stdout, so that whatever else is printed cannot come between the answers."""
        self._stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._refined, self._share = False, 0.0

    def say(self, message: Message) -> None:
        """Send a message."""
        self._stream.write(message.model_dump_json() + "\n")
        self._stream.flush()

    def begin(self, order: Order) -> None:
        """Learn what the progress that follows is of."""
        self._refined, self._share = order.options.refine, 0.0

    def started(self, stage: str) -> None:
        """Tell that a stage begins."""
        self.advanced(stage, 0, 1)

    def advanced(self, stage: str, done: int, steps: int) -> None:
        """Tell how far a stage is."""
        # Refinement may go through some stages once more.
        self._share = max(self._share, share_done(stage, done, steps, refined=self._refined))
        self.say(Progress(stage=stage, share=self._share))


def main(model_name: str, device: str, precision: str) -> None:
    """Load the model and work until the server is gone."""
    log.configure()
    speaker = _Speaker()
    orders = _listen()
    try:
        model = load_model(model_name, device=device)
    except (ValueError, OSError, ImportError) as error:
        speaker.say(Unfit(message=str(error)))
        return
    desk = Desk.furnished(model, model_name, precision)
    speaker.say(Ready(device=f"{model.device} ({hardware_name(model.device)})"))
    while True:
        order = orders.get()
        speaker.begin(order)
        speaker.say(work(order, desk, speaker))


def _listen() -> "queue.SimpleQueue[Order]":
    """Return where the orders arrive that a thread reads from stdin."""
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            orders.put(Order.model_validate_json(line))
        os._exit(0)

    threading.Thread(target=read, name="orders", daemon=True).start()
    return orders


if __name__ == "__main__":
    main(*sys.argv[1:])
