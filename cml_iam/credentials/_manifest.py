"""A Kubernetes Secret as a manifest: text for `kubectl apply --server-side -f`, or a file.

Every value is printed as JSON, which is also YAML, so that no value can become structure.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from cml_iam.credentials._file_store import FileStore, known_key
from cml_iam.errors import InputError, RefusedError
from cml_iam.shipped import shipped_templates

if TYPE_CHECKING:
    from jinja2 import Template

    from cml_iam.credentials._keys import AccessKey

SECRET_NAME: Final = "cml-iam-credentials"  # noqa: S105 - the name of an object
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label, https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""
_DATA: Final = re.compile(
    r"^  (AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY): \"([A-Za-z0-9+/=]*)\"$", re.M
)
_META: Final = re.compile(r"^  (name|namespace): \"([a-z0-9-]+)\"$", re.M)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The Secret's *name* and *namespace*; without a namespace kubectl's current one applies."""

    name: str = SECRET_NAME
    namespace: str | None = None

    def __post_init__(self) -> None:
        for each in filter(None, (self.name, self.namespace)):
            if not _NAME.fullmatch(each):
                raise InputError(
                    f"not a Kubernetes name: `{each}`",
                    remedy="write lower-case letters, digits and `-`",
                )

    def text(self, key: AccessKey) -> str:
        """Return the manifest with *key*; its base64 hides nothing."""
        return _template().render(
            name=self.name,
            namespace=self.namespace,
            key_id=b64encode(key.id.encode()).decode(),
            secret=b64encode(key.secret.reveal().encode()).decode(),
        )


@dataclass(frozen=True, slots=True)
class ManifestFile(FileStore):
    """The manifest in the file at *path*; the cluster does not know it until it is applied."""

    manifest: Manifest = Manifest()

    def afterwards(self) -> tuple[str, ...]:
        """Return how to apply it to the cluster; pods read it when they start."""
        return (
            f"`{self.path}` is not in the cluster yet: `kubectl apply --server-side "
            f"--field-manager=cml-iam -f {self.path}`, then restart the pods that read it",
        )

    def _read(self, text: str) -> AccessKey | None:
        values = dict(_DATA.findall(text))
        return known_key(
            _decoded(values.get("AWS_ACCESS_KEY_ID", "")),
            _decoded(values.get("AWS_SECRET_ACCESS_KEY", "")),
        )

    def _write(self, text: str, key: AccessKey) -> str:  # noqa: ARG002 - the whole file is ours
        return self.manifest.text(key)

    def _check(self, text: str) -> None:
        """Refuse a file that we did not write for this Secret, since all of it is replaced."""
        held = self._read(text)
        if not text or (held is not None and self.manifest.text(held) == text):
            return
        named = dict(_META.findall(text))
        other = "/".join(filter(None, (named.get("namespace"), named.get("name"))))
        raise RefusedError(
            f"`{self.path}` is not the manifest of this Secret as cml-iam writes it",
            remedy=f"name another file, or that Secret: k8s:{self.path}#{other or 'NAME'}",
        )


@cache
def _template() -> Template:
    return shipped_templates("templates", json.dumps).get_template("secret.yaml.j2")


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return ""
