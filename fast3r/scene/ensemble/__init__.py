"""Several passes of the network over the same views, fused, with what they disagree by."""
