"""`python -m domainstream` is the command `domainstream`."""

from domainstream.cli import main

if __name__ == "__main__":
    main()
