"""`python -m waitline` is `waitline`."""

import gc

if __name__ == "__main__":
    # Not above: the workers of a service import this module too, and need no command.
    from waitline.cli import main

    main()
else:
    # One of these workers: it imports many modules, and then `garbage_collection` takes over.
    gc.disable()
