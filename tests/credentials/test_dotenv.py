"""The text of a `.env` file: the pair is set, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.credentials._env_file import HEADER, ID, SECRET, variables, with_pair

KEY = "AKIAIOSFODNN7EXAMPLE"
VALUE = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PAIR = f"{ID}={KEY}\n{SECRET}={VALUE}\n"
BLOCK = "\n".join(HEADER) + "\n" + PAIR

CASES = {
    "an empty file gets the block": ("", BLOCK),
    "the block goes to the end": ("A=1\n", "A=1\n\n" + BLOCK),
    "a last line without an end gets one": ("A=1", "A=1\n\n" + BLOCK),
    "lines stay where they are": (
        f"A=1\n{SECRET}=old\n# between\n{ID}=old\nB=2\n",
        f"A=1\n{SECRET}={VALUE}\n# between\n{ID}={KEY}\nB=2\n",
    ),
    "export stays": (f"export {ID}=old\nexport {SECRET}=old\n", None),
    "quotes go": (f"{ID}=\"old\"\n{SECRET}='old'\n", PAIR),
    "comments behind a value stay": (
        f'{ID}=old # of Bob\n{SECRET}="old"  # too\n',
        f"{ID}={KEY} # of Bob\n{SECRET}={VALUE}  # too\n",
    ),
    "a comment in the place of a value stays": (
        f"{ID}= # put it here\n{SECRET}=#here\n",
        f"{ID}={KEY} # put it here\n{SECRET}={VALUE} #here\n",
    ),
    "empty values are filled": (f"{ID}=\n{SECRET}=\n", PAIR),
    "the missing one comes beside the other": (f"A=1\n{ID}=old\nB=2\n", f"A=1\n{PAIR}B=2\n"),
    "the missing one comes beside an unended other": (f"{ID}=old", PAIR),
    "every repetition is set": (f"{ID}=a\n{SECRET}=b\n{ID}=c\n", f"{PAIR}{ID}={KEY}\n"),
    "a commented pair is a comment": (f"# {ID}=old\n", f"# {ID}=old\n\n" + BLOCK),
    "a longer name is another": (f"{ID}_OLD=x\nMY_{ID}=y\n", None),
    "CRLF stays": (f"A=1\r\n{ID}=old\r\n{SECRET}=old\r\n", None),
    "CRLF is added": ("A=1\r\n", None),
    "text in a quoted value over lines is no variable": (
        f'A="x\n{ID}=inside\ny"\n',
        f'A="x\n{ID}=inside\ny"\n\n' + BLOCK,
    ),
    "a byte order mark stays": (f"\ufeff{ID}=old\n{SECRET}=old\n", "\ufeff" + PAIR),
    "space around the name stays": (f"  {ID} = old\n{SECRET}=old\n", None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_pair_is_set(name: str) -> None:
    text, wanted = CASES[name]

    made = with_pair(text, KEY, VALUE)

    assert wanted is None or made == wanted
    assert variables(made)[ID] == KEY
    assert variables(made)[SECRET] == VALUE
    assert with_pair(made, KEY, VALUE) == made


def test_crlf_is_kept_and_used() -> None:
    for text in ("A=1\r\n", f"A=1\r\n{ID}=old\r\n", f"{ID}=old\r\n{SECRET}=old\r\nB=2\r\n"):
        assert "\n" not in with_pair(text, KEY, VALUE).replace("\r\n", "")


lines = st.lists(
    st.one_of(
        st.sampled_from([f"{ID}=old", f"export {SECRET}='old'", f'{SECRET}="o"  # c', f"{ID}="]),
        st.text(alphabet="AB=_ #\"'\\\t$x1é\udc80", max_size=12),
        st.text(max_size=8).filter(lambda text: not set(text) & set("\r\n")),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(lines, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_whatever_the_file_both_are_set_and_other_variables_stay(
    parts: list[str], newline: str, ended: bool
) -> None:
    text = newline.join(parts) + (newline if ended else "")

    made = with_pair(text, KEY, VALUE)

    assert variables(made) == {**variables(text), ID: KEY, SECRET: VALUE}
    assert with_pair(made, KEY, VALUE) == made
    kept = [line for line in text.split(newline) if line and ID not in line and SECRET not in line]
    assert all(line in made for line in kept)
