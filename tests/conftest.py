"""What holds for all tests."""

import signal

# A shell that starts a command in the background lets it ignore Ctrl-C, and so would all processes
# that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
