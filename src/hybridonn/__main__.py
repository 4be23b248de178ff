"""The command ``hybridonn``, and ``python -m hybridonn``."""


def main() -> None:
    """Run a command; Ctrl-C ends it with a sentence even while it is being imported."""
    try:
        from hybridonn.cli.app import main as run
    except KeyboardInterrupt:
        from hybridonn.cli.stopping import stop

        stop()
    run()


if __name__ == "__main__":
    main()
