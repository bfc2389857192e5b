"""What drills depend on, asked of every backend: the lab's API server, and a real cluster where one is there."""
