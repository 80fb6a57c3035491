"""The shared credentials file: one profile's key is set, everything else stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam import errors
from cml_iam.aws.port import Aws
from cml_iam.credentials import AccessKey, open_store, store_locked
from cml_iam.credentials import _formats as ini
from cml_iam.credentials._formats import ProfileFile
from cml_iam.secret import Secret

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
OTHER = "# mine\n[default]\naws_access_key_id = A\n\n; last\n[z]\nregion=x\n"
PAIR = f"aws_access_key_id = {KEY.id}\naws_secret_access_key = {KEY.secret.reveal()}\n"


def set_in(text: str, profile: str = "cml") -> str:
    return ini.with_pair(text, profile, KEY.id, KEY.secret.reveal())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"[cml]\n{PAIR}"),
        (OTHER, f"{OTHER}\n[cml]\n{PAIR}"),
        (
            "[cml]\naws_access_key_id=old\nregion = x\naws_secret_access_key : old\n[z]\n",
            f"[cml]\naws_access_key_id={KEY.id}\nregion = x\n"
            f"aws_secret_access_key : {KEY.secret.reveal()}\n[z]\n",
        ),
        ("[cml]\n# only\n[z]\na=1\n", f"[cml]\n{PAIR}# only\n[z]\na=1\n"),
        ("[cml]", f"[cml]\n{PAIR}"),
        ("[z]\na=1", f"[z]\na=1\n\n[cml]\n{PAIR}"),
        (
            "[cml]\r\nAWS_ACCESS_KEY_ID = x\r\n",
            f"[cml]\r\naws_secret_access_key = {KEY.secret.reveal()}\r\n"
            f"AWS_ACCESS_KEY_ID = {KEY.id}\r\n",
        ),
    ],
)
def test_the_pair_is_set_and_the_rest_stays(before: str, after: str) -> None:
    assert set_in(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "no section = 1\n",
        "[cml]\na=1\n[cml]\nb=2\n",
        "[cml]\naws_access_key_id = a\naws_access_key_id = b\n",
        "[cml]\nwords\n",
        "[cml]\naws_secret_access_key = a\n  continued\n",
    ],
)
def test_what_botocore_cannot_read_or_we_cannot_keep_is_refused_and_not_repeated(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "credentials"
    path.write_text(text)
    store = ProfileFile(path, profile="cml")

    with pytest.raises(errors.InputError, match="cannot read") as caught:
        store.reserve()
    assert "words" not in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize("line", ["aws_session_token = t", "role_arn = r"])
def test_a_profile_that_would_not_use_the_key_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "c").write_text(f"[cml]\n{line}\n")

    with pytest.raises(errors.RefusedError, match=line.partition(" ")[0]):
        ProfileFile(tmp_path / "c", profile="cml").look()
    assert ProfileFile(tmp_path / "c", profile="x").look().key is None


NAMES = st.sampled_from(["default", "cml", "a b", "région"])
LINES = st.one_of(
    st.sampled_from(["", "# c", "; c", "s3 =", "  addressing_style = path", "region=eu-west-1"]),
    st.builds(
        "{} = {}".format, st.sampled_from([ini.ID, ini.SECRET, "x"]), st.text("aZ9/+=", max_size=9)
    ),
    st.builds("[{}]".format, NAMES),
)


@given(st.lists(LINES, max_size=14).map("\n".join), NAMES)
def test_it_reads_back_as_botocore_does_or_is_refused(text: str, profile: str) -> None:
    try:
        before = ini.sections(text)
        after = ini.sections(set_in(text, profile))
    except ValueError:
        return

    assert after.pop(profile) == {
        **before.pop(profile, {}),
        ini.ID: KEY.id,
        ini.SECRET: KEY.secret.reveal(),
    }
    assert after == before


def test_botocore_signs_with_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.session import Session

    path = tmp_path / "credentials"
    path.write_text(OTHER)
    store = ProfileFile(path, profile="with space")
    store.reserve()
    store.stage(KEY)
    store.promote(KEY)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))

    found = Session(profile="with space").get_credentials()

    assert (found.access_key, found.secret_key) == (KEY.id, KEY.secret.reveal())


@pytest.mark.parametrize(
    ("profile", "section", "option"),
    [
        ("cml", "profile cml", "role_arn"),
        ("default", "default", "role_arn"),
        ("cml", "profile cml", "sso_session"),
        ("cml", "profile cml", "aws_session_token"),
    ],
)
def test_a_config_file_that_makes_the_profile_something_else_is_refused(
    tmp_path: Path, profile: str, section: str, option: str
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[{section}]\nregion = us-east-1\n{option} = x\n[profile other]\n")
    store = ProfileFile(tmp_path / "credentials", profile=profile, config=config)
    (tmp_path / "credentials").write_text("")

    with pytest.raises(errors.RefusedError, match=option) as caught:
        store.look()
    assert str(config) in caught.value.message
    other = ProfileFile(tmp_path / "credentials", profile="other", config=config)
    assert other.look().key is None


def test_without_a_credentials_file_the_config_file_counts_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nrole_arn = x\n")

    with pytest.raises(errors.RefusedError, match="role_arn"):
        ProfileFile(tmp_path / "credentials", config=tmp_path / "config").look()


def test_the_folder_of_the_shared_files_is_made_private_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    store = open_store("profile:cml", _no_aws)
    assert store.look().key is None
    assert not (tmp_path / ".aws").exists()

    with store_locked(store):
        store.reserve()
        store.promote(KEY)
        store.discard()

    assert (tmp_path / ".aws").stat().st_mode & 0o777 == 0o700
    assert store.look().key == KEY


def test_a_shared_file_that_is_none_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")

    with pytest.raises(errors.InputError, match="/dev/null") as caught:
        open_store("profile:cml", _no_aws)
    assert "AWS_SHARED_CREDENTIALS_FILE" in str(caught.value.remedy)


def _no_aws() -> Aws:
    raise AssertionError("a file needs no AWS")
