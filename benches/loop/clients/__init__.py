"""What the far side does, one kind per file: each gives something that can be driven for a while."""
