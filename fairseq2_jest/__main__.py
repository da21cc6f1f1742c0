from __future__ import annotations

from fairseq2_jest.cli.main import main

if __name__ == "__main__":
    main()
