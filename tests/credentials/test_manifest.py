"""The Kubernetes Secret as text."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.credentials import AccessKey, Manifest
from cml_iam.credentials._formats import ManifestFile
from cml_iam.secret import Secret

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))


def test_it_is_the_secret_that_kubernetes_takes() -> None:
    yaml = pytest.importorskip("yaml")
    made = yaml.safe_load(Manifest("aws", "prod").text(KEY))

    assert made["metadata"] == {
        "name": "aws",
        "namespace": "prod",
        "labels": {"app.kubernetes.io/managed-by": "cml-iam"},
    }
    data = {name: b64decode(value).decode() for name, value in made["data"].items()}
    assert data == {"AWS_ACCESS_KEY_ID": KEY.id, "AWS_SECRET_ACCESS_KEY": KEY.secret.reveal()}
    assert (made["kind"], made["apiVersion"], made["type"]) == ("Secret", "v1", "Opaque")


def test_without_a_namespace_it_names_none() -> None:
    assert "namespace" not in Manifest().text(KEY)


@pytest.mark.parametrize("name", ["A", "a b", "a\nb", 'a"', "-a", "a" * 64, "ä"])
def test_a_name_that_is_none_in_kubernetes_is_refused(name: str) -> None:
    with pytest.raises(errors.InputError, match="Kubernetes"):
        Manifest(name)
    with pytest.raises(errors.InputError, match="Kubernetes"):
        Manifest("a", name)


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\n",
        Manifest("aws", "prod").text(KEY) + "# mine\n",
        Manifest("aws", "test").text(KEY),
    ],
)
def test_a_file_that_is_not_ours_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text)

    with pytest.raises(errors.RefusedError, match="not a manifest that"):
        ManifestFile(tmp_path / "s.yaml", manifest=Manifest("aws", "prod")).look()


def test_the_refusal_names_the_secret_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(Manifest("aws", "test").text(KEY))

    with pytest.raises(errors.RefusedError) as caught:
        ManifestFile(tmp_path / "s.yaml").look()
    assert str(caught.value.remedy).endswith("s.yaml#test/aws")
