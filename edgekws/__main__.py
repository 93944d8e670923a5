"""`python -m edgekws` is the command `edgekws`."""

from edgekws.cli import main

if __name__ == "__main__":
    main()
