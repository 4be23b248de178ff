"""The command ``hybridonn``, and ``python -m hybridonn``."""


def main() -> None:
    """Run a command; Ctrl-C ends it with a sentence even while it is being imported."""
    try:
        from hybridonn.cli.app import main as run
        from hybridonn.core.memory import keep_freed_memory
    except KeyboardInterrupt:
        from hybridonn.cli.stopping import stop

        stop()
    keep_freed_memory()
    run()


if __name__ == "__main__":
    main()
