"""``python -m hybridonn``: the same as the command ``hybridonn``."""

from hybridonn.cli import main

if __name__ == "__main__":
    main()
