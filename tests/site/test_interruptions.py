"""Train, export and import are interrupted at the points at which they change a disk: `tests/campaign/crashes.py`.

Here: killed at every twenty-fourth point, and at every ninety-sixth otherwise. `make campaign` tries all of them.
"""

import pytest

from tests import interrupt
from tests.campaign import crashes

pytestmark = pytest.mark.skipif(bool(interrupt.missing()), reason=interrupt.missing() or "nothing is missing")

COMMANDS = ("train-local", "export", "import-and-select")
OTHERS = [mode for mode in interrupt.MODES if mode != "kill"]
KILLED = ["--only", *COMMANDS, "--modes", "kill", "--every", "24"]
OTHERWISE = ["--only", *COMMANDS, "--modes", *OTHERS, "--every", "96"]
# Who does it wrong, at which command, how and at which share of points it is interrupted, and what is then found.
SABOTAGE = {
    "published_late": ("train-local", "kill", "4", "alx audit ended with 12"),
    "named_first": ("export", "kill", "8", "has no round.sig"),
    "never_synced": ("export", "power cut", "8", "was lost though the command had ended"),
    "untranslated": ("export", "EIO once", "8", "exit code 1"),
}


WRONG = {
    name: ["--sabotage", name, "--only", command, "--modes", mode, "--every", every, "--until", words]
    for name, (command, mode, every, words) in SABOTAGE.items()
}


@pytest.fixture(scope="module")
def found():
    """What each asked for: all in forks of one process, which makes the exchange that is interrupted once."""
    asked = {"killed": KILLED, "otherwise": OTHERWISE, **WRONG}
    answers = dict(zip(asked, crashes.tried(*asked.values()), strict=True))
    for name, each in answers.items():
        print(name, each["points"], each["states"], "states judged, exit codes", each["codes"])  # noqa: T201 - how many
    return answers


def test_killed_at_a_point_the_old_state_is_intact_and_the_same_command_goes_on(found):
    killed = found["killed"]
    assert killed["broken"] == []
    assert all(killed["points"][command]["kill"] >= 3 for command in COMMANDS)


def test_a_torn_write_a_power_cut_a_full_and_a_failing_disk_leave_it_intact_too(found):
    otherwise = found["otherwise"]
    assert otherwise["broken"] == []
    assert all(otherwise["points"][command][mode] >= 1 for command in COMMANDS for mode in OTHERS)
    assert {"18", "21"} <= otherwise["codes"].keys() <= {"0", "12", "18", "21"}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_a_wrong_order_a_missing_sync_and_an_untranslated_error_are_found(found, sabotage):
    *_, words = SABOTAGE[sabotage]
    broken = found[sabotage]["broken"]
    assert any(words in line for line in broken), broken
