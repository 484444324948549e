# SPDX-License-Identifier: Apache-2.0
"""Wrong options: one sentence that says what to do, and where the right ones are listed."""

from __future__ import annotations

import pytest

from fedmed_desktop import cli

NEW = ("--new-federation", "--model", "m", "--notes-types", "drug", "--out", "o")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed; the whole of it is one line on stderr."""
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    return printed.err.strip()


@pytest.mark.parametrize("flag", sorted(cli.MODES))
def test_that_a_misspelt_option_is_one_sentence_in_every_mode(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, flag, *(("x",) if flag in cli.VALUES else ()), "--hlep")
    assert line == (
        f"fedmed-desktop {flag}: there is no option --hlep here. Did you mean --help? "
        f"All options: fedmed-desktop {flag} --help"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*NEW, "--rouns", "3"), "there is no option --rouns here. Did you mean --rounds?"),
        ((*NEW, "-rounds", "3"), "there is no option -rounds here. Did you mean --rounds?"),
        ((*NEW, "--rouns=3"), "there is no option --rouns here. Did you mean --rounds?"),
        ((*NEW, "--task", "entites"), "--task: there is no 'entites'; choose one of entities, relations, "),
        ((*NEW, "--seed", "two"), "--seed: 'two' is not a number."),
        ((*NEW, "--epochs", "1", "--steps", "2"), "--steps and --epochs do not go together."),
        ((*NEW, "--rounds"), "--rounds needs a value after it."),
        ((*NEW, "--accept-noise=yes"), "--accept-noise takes no value."),
        (("--new-federation", "--out", "o"), "missing: --model."),
        (("--new-federation", "--out", "o", "--modle", "m"), "there is no option --modle here. Did you mean --model?"),
        (
            ("--invite", "Mercy", "General", "--data-dir", "d"),
            "'General' is one word too many; what holds blanks needs",
        ),
        (("Mercy.fedmed",), "fedmed-desktop: an invitation comes after --join."),
        (("--check", "fedmed:aeaf"), "an invitation comes after --invitation."),
        (("--fit", "--model", "m", "--notes", "n"), "one of these is needed: --data-dir --federation."),
        (("--coordinator", "--score-with", "m"), "--score-with needs 2 values after it."),
        (("--coordinator", "--port", "web"), "--port: 'web' must be a whole number, from 0 to 65535."),
    ],
)
def test_that_the_sentence_says_what_to_do(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in said(capsys, *arguments)
