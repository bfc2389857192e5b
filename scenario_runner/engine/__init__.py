"""The life of a run: claim, promises, steps, undo, verdict, report; it knows steps only as core.step.Step."""
