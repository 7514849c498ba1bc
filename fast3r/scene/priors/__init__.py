"""What users know of their photos, and what it does to a scene."""
