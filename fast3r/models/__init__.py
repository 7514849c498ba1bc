"""The network as plain PyTorch, and its weights."""
