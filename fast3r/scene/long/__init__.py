"""More views than one pass can take: passes over chunks that overlap, joined into one scene."""

from fast3r.scene.long.run import reconstruct_long

__all__ = ["reconstruct_long"]
