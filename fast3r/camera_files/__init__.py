"""Camera files of this and other programs, read into plain types."""
