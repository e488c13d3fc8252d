"""What is timed, against what, and how: ``tnnlab bench operators | training | generation``.

Nothing is timed before its result has been compared with float64. Times are medians over repeated
calls on inputs that change from call to call; records are JSON with provenance, as the book reads.
"""
