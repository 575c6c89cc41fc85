"""How fast is it, beside what?  `python -m benchmarks` measures against a floor, peers and a plain handler."""
