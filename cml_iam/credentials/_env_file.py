"""The `.env` file as a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _dotenv
from cml_iam.credentials._file_store import FileStore, known_key
from cml_iam.credentials._mounts import mounted_elsewhere
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from cml_iam.credentials._keys import AccessKey

COMPOSE_FILES: Final = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
)
"""https://docs.docker.com/compose/intro/compose-application-model/#the-compose-file"""


@dataclass(frozen=True, slots=True)
class EnvFile(FileStore):
    """A file of environment variables, such as Docker Compose reads."""

    def afterwards(self) -> tuple[str, ...]:
        """Return that services are to be created anew, and which hold the old file mounted.

        `docker compose restart` does not read the file again:
        https://docs.docker.com/reference/cli/docker/compose/restart/
        """
        held = mounted_elsewhere(self.path)
        words = [
            f"`{self.path}` is mounted as a single file and the old one is still seen there: "
            f"process {', '.join(held)}; create the container again, and mount the folder instead"
        ]
        compose = [name for name in COMPOSE_FILES if (self.path.parent / name).is_file()]
        if not compose:
            return tuple(words if held else ())
        command = "docker compose up -d --force-recreate"
        again = f"services of `{compose[0]}` keep the old key until `{command}` (not `restart`)"
        return (*(words if held else ()), again)

    def _read(self, text: str) -> AccessKey | None:
        values = _dotenv.variables(text)
        return known_key(values.get(_dotenv.ID, ""), values.get(_dotenv.SECRET, ""))

    def _write(self, text: str, key: AccessKey) -> str:
        return _dotenv.with_pair(text, key.id, key.secret.reveal())

    def _check(self, text: str) -> None:
        names = _dotenv.variables(text)
        present = [name for name in _dotenv.TOKENS if name in names]
        if present:
            raise RefusedError(
                f"`{self.path}` sets {present[0]}, with which no long-term key works",
                remedy="remove that line: it belongs to a temporary credential",
            )

    def _doubts(self, text: str) -> tuple[str, ...]:
        values = _dotenv.variables(text)
        return tuple(
            f"`{self.path}` sets {name} too: an SDK that does not find that profile uses no key"
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
            if values.get(name)
        )
