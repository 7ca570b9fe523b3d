"""Train, export and import are interrupted at the points at which they change a disk: `tests/campaign/crashes.py`.

Here: killed at every twelfth point, and every forty-eighth for the other interrupts. `make campaign` tries all of them.
"""

import pytest

from tests import interrupt
from tests.campaign import crashes

pytestmark = pytest.mark.skipif(bool(interrupt.missing()), reason=interrupt.missing() or "nothing is missing")

COMMANDS = ("train-local", "export", "import-and-select")
OTHERS = [mode for mode in interrupt.MODES if mode != "kill"]
KILLED = ["--only", *COMMANDS, "--modes", "kill", "--every", "12"]
OTHERWISE = ["--only", *COMMANDS, "--modes", *OTHERS, "--every", "48"]
# Who does it wrong, at which command, how and at which share of points it is interrupted, and what is then found.
SABOTAGE = {
    "published_late": ("train-local", "kill", "4", "alx audit ended with 12"),
    "named_first": ("export", "kill", "8", "has no round.sig"),
    "never_synced": ("export", "power cut", "8", "was lost though the command had ended"),
    "untranslated": ("export", "EIO once", "8", "exit code 1"),
}


def tried(*asked: list[str]) -> list[dict]:
    answers = crashes.tried(*asked)
    for found in answers:
        print(found["points"], found["states"], "states judged, exit codes", found["codes"])  # noqa: T201 - how many
    return answers


def test_killed_at_a_point_the_old_state_is_intact_and_the_same_command_goes_on():
    (found,) = tried(KILLED)
    assert found["broken"] == []
    assert all(found["points"][command]["kill"] > 5 for command in COMMANDS)


def test_a_torn_write_a_power_cut_a_full_and_a_failing_disk_leave_it_intact_too():
    (found,) = tried(OTHERWISE)
    assert found["broken"] == []
    assert all(found["points"][command][mode] >= 1 for command in COMMANDS for mode in OTHERS)
    assert {"18", "21"} <= found["codes"].keys() <= {"0", "12", "18", "21"}


@pytest.fixture(scope="module")
def sabotaged():
    """What is found broken, by who does it wrong: each in a fork of one process."""
    asked = [
        ["--sabotage", name, "--only", command, "--modes", mode, "--every", every]
        for name, (command, mode, every, _) in SABOTAGE.items()
    ]
    return {name: found["broken"] for name, found in zip(SABOTAGE, tried(*asked), strict=True)}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_a_wrong_order_a_missing_sync_and_an_untranslated_error_are_found(sabotaged, sabotage):
    *_, words = SABOTAGE[sabotage]
    assert any(words in line for line in sabotaged[sabotage]), sabotaged[sabotage]
