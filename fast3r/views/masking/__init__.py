"""What does not belong to a scene, found in the photos themselves."""
