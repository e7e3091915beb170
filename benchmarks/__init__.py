"""Side-by-side runs against peers: `python -m benchmarks` measures and prints the tables."""
