"""The live viewer: a scene in a browser, with everything that helps to judge it."""
