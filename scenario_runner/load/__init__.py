"""The load worker: a process of its own that sends requests on schedule and reports them over a pipe."""
