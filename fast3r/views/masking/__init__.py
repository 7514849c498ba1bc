"""What of a photo belongs to the scene: masks given by the user, or found in the photos."""
