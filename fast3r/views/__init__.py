"""Photos, folders and videos become views."""
