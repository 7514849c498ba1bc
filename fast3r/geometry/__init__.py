"""Pure functions on tensors: cameras, transforms, robust fitting, focal and pose recovery."""
