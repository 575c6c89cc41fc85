"""Does a stranger's plug-in keep its contract?  One suite for each kind, to subclass in the tests of its package."""
