"""`python -m training.algorithms.hub --folder FOLDER --repository OWNER/NAME --json FILE`: a model folder to the hub.

The token is HF_TOKEN's, the hub HF_ENDPOINT's. FILE gets {"url", "commit"} or {"error"}. Done twice it changes nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from training.algorithms.errors import DONE, USER_CAN_FIX, InputError

KINDS = ("*.safetensors", "*.json", "*.md", "*.txt", "*.model", "*.jinja")  # what save_pretrained writes


def push(folder: Path, repository: str, *, public: bool = False) -> dict[str, str]:
    """The commit and its address. A new repository is private unless `public`; InputError where one that is there is
    public, but what goes there is not to be.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        if not public and not api.model_info(repository).private:
            raise InputError(f"{repository} is there already, and everybody can read it. Choose another name.")
        message = f"Upload {folder.parent.name if folder.name == 'model' else folder.name}"
        made = api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=list(KINDS), commit_message=message
        )
    except InputError:
        raise
    except HfHubHTTPError as error:
        raise InputError(f"The hub refuses it ({_told(error)}). Look at the token's rights and the name.") from error
    except HFValidationError as error:
        raise InputError(f"{repository} is no name on the hub ({error}).") from error
    except Exception as error:  # of whichever transport the client brings along
        raise InputError(f"The hub can't be reached, or not understood ({type(error).__name__}). Try later.") from error
    return {"url": f"{api.endpoint}/{repository}", "commit": made.oid}


def _told(error: HfHubHTTPError) -> str:
    """The status and the hub's own words, which hold no token."""
    words = error.server_message or ""
    return f"{error.response.status_code} {words}".strip()[:300]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Push a model folder to the Hugging Face hub.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repository", required=True, help="OWNER/NAME; made where it is not there")
    parser.add_argument("--public", action="store_true", help="everybody may read it")
    parser.add_argument("--json", type=Path, required=True, help="where to write what came of it")
    given = parser.parse_args(arguments)
    told: dict[str, Any]
    try:
        told, code = dict(push(given.folder, given.repository, public=given.public)), DONE
    except InputError as error:
        told, code = {"error": str(error)}, USER_CAN_FIX
    given.json.write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
