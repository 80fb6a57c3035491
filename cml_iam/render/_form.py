"""The forms of a policy, by the names that the command line shows without loading the rest."""

from typing import Final, Literal, get_args

Form = Literal["json", "terraform", "cloudformation", "commands", "markdown"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
