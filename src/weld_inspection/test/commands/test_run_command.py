import sys

import pytest

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError


@pytest.fixture(autouse=True)
def program(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/train", "--out", "runs"])


def status_of(main):
    with pytest.raises(SystemExit) as end:
        run_command(main)
    return end.value.code


def test_arguments_and_exit_status_pass_through():
    seen = []
    assert status_of(lambda arguments: seen.append(arguments) or 3) == 3
    assert seen == [["--out", "runs"]]


def test_a_mistake_is_one_line(capsys):
    def main(arguments):
        raise InspectionError("runs/first\ncannot be written: give another folder")

    assert status_of(main) == 1
    assert capsys.readouterr().err == (
        "train: error: runs/first cannot be written: give another folder\n"
    )


def test_an_interrupt_is_one_line(capsys):
    def main(arguments):
        raise KeyboardInterrupt

    assert status_of(main) == 130
    assert capsys.readouterr().err == "train: interrupted\n"


def test_a_fault_of_the_program_is_not_hidden():
    def main(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)
