"""`python -m waitline` is `waitline`."""

if __name__ == "__main__":
    # Not above: the workers of a service import this module too, and need no command.
    from waitline.cli import main

    main()
