"""An HTTP service around `reconstruct`: jobs in, results out.

The server (`app`, `board`, `crew`) never decodes a photo and never runs the network: that is done
by one worker process per device (`worker`), which may crash, hang or run out of memory without
taking the server along.
"""
