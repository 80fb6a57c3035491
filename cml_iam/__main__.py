"""Run the command line with `python -m cml_iam`."""

from cml_iam.cli import main

if __name__ == "__main__":
    main()
