"""`python -m training.starter corpus --out DIR`: writes the starter files and prints a report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from training.starter.corpus import write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.starter", description="The generated starter world.")
    commands = parser.add_subparsers(dest="command", required=True)
    corpus = commands.add_parser("corpus", help="write the starter files")
    corpus.add_argument("--out", type=Path, required=True, help="folder to write into; made if it is missing")
    print(json.dumps(write(parser.parse_args().out), indent=2))


if __name__ == "__main__":
    main()
