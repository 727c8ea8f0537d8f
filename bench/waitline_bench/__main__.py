"""`python -m waitline_bench` is `waitline-bench`."""

from waitline_bench.cli import main

if __name__ == "__main__":
    main()
