"""`python -m waitline` is `waitline`."""

from waitline.cli import main

if __name__ == "__main__":
    main()
