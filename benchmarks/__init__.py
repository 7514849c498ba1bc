"""Speed, memory and accuracy, runnable by anyone: `python -m benchmarks.NAME`."""
