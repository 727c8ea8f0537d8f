"""`python -m waitline_bench` is `waitline-bench`."""

if __name__ == "__main__":
    from waitline_bench.cli import main

    main()
