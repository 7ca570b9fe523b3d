"""Every file of tests/attacks, through the command line: the class, the code and the words that its head states."""

import pytest

from alx.cli.main import run
from tests import attacks, faults
from tests.forge import refused_import, well_told

# What only the receiving site can see: its history, its peer, its plan and whose officers it names, its model.
FOR_THE_SITE = (9, 10, 12, 13, 36, 40, 42, 45, 48)
BEFORE_ANYTHING = (9, 10, 45)


@pytest.mark.parametrize("attack", attacks.every(), ids=lambda a: a.name)
def test_it_is_refused(stage, capsys, attack):
    world = stage(attack.stage[0])
    key = world.folder(attack.stage[1]) / "public.pem"
    path = attack.path(world)
    assert attack.error.exit_code == attack.exit
    refused_import(capsys, world, attack.receiver, path, attack.error, *attack.words, hint=attack.hint)
    if attack.fault in BEFORE_ANYTHING:
        assert not list((world.folder(attack.receiver) / "staging").glob("*"))  # before anything large is copied
    capsys.readouterr()
    code = run(["audit", str(path), "--key", str(key)])
    told = capsys.readouterr().err
    if code != 0:
        well_told(told)
    assert code == attack.exit or attack.fault in FOR_THE_SITE, told


def test_every_row_of_the_table_is_shown_by_an_attack_or_by_a_test_that_exists():
    own = faults.by_row()
    assert sorted(faults.FAULTS)[:25] == list(range(1, 26))
    assert set(own) <= set(faults.FAULTS)
    for row, fault in faults.FAULTS.items():
        assert own.get(row) or fault.tests, row
        for file, name in fault.shown:
            assert name in faults.functions(file), f"row {row}: {file} has no {name}"


def test_the_threat_model_has_the_tables_every_row():
    page = (faults.HERE.parent / "docs" / "threat-model.md").read_text()
    assert faults.table() in page
