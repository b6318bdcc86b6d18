"""``python -m virtlab``."""

from __future__ import annotations

from virtlab.cli import main

if __name__ == "__main__":
    main()
