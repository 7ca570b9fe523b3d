"""The table of faults: what must be survived, and what shows that it is. `make docs` writes it into the threat model.

The files of tests/attacks say their row themselves; what else shows a row is named here.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests import attacks
from tests.attacks import Attack

HERE = Path(__file__).parent
BEGIN, END = "<!-- faults: written by `make docs` -->\n", "<!-- end of faults -->\n"


@dataclass(frozen=True)
class Fault:
    """One row: the fault, what happens, and the tests that show it beside the files of its attacks."""

    what: str
    happens: str
    tests: tuple[str, ...] = ()

    @property
    def shown(self) -> Iterator[tuple[str, str]]:
        """File and function of each test."""
        for test in self.tests:
            file, _, name = test.partition("::")
            yield f"{file}.py", name


FILES, TURNS, LIES, OUTSIDE = "test_refused_files::", "test_refused_turns::", "test_refusals::", "test_outside::"
CLOSING, PERSONAL, PRIVACY, SPREAD = "test_closing::", "test_personal::", "test_privacy::", "test_spread::"
COUNTS, OFFICERS, FORKS, RECEIPTS = "test_minimum_counts::", "test_officers::", "test_forks::", "test_receipts::"
KILLED, REPAIR, ROTATION, AGE = "test_interruptions::", "test_repair::", "test_rotation::", "test_encryption::"
FAULTS = {
    1: Fault(
        "a bit flips anywhere",
        "refused; every bad file is named, the good ones stay staged",
        (
            "test_every_byte::test_every_harm_of_the_sample_is_refused_and_changes_nothing",
            f"{FILES}test_every_bad_file_is_named_and_the_good_ones_are_not_copied_again",
        ),
    ),
    2: Fault(
        "a file is cut, grown, missing or extra",
        "refused by name; what operating systems leave behind gets a hint",
        (f"{FILES}test_a_bundle_is_good_again_once_the_junk_is_deleted",),
    ),
    3: Fault("no `round.sig`", "refused as incomplete, distinct from tampering"),
    4: Fault(
        "an unknown key, another peer's, or a trusted key's hint with another's signature",
        "refused: not the pinned peer's",
        (
            f"{TURNS}test_a_bundle_of_another_pair_is_refused",
            f"{LIES}test_an_audit_takes_no_key_from_around_the_bundle",
            "test_rotation::test_a_rotation_that_is_forged_or_broken_pins_nothing",
            "test_rotation::test_an_old_rotation_replayed_is_refused",
            "test_rotation::test_what_the_old_key_signs_afterwards_is_refused_and_what_it_signed_before_is_known",
        ),
    ),
    5: Fault(
        "a valid signature over something that is no alx round",
        "refused as malformed",
        ("test_signature::test_what_the_peers_key_signed_with_the_public_tool_is_a_valid_signature_and_no_alx_bundle",),
    ),
    6: Fault("two signatures, another payload or predicate, another form of the envelope", "refused as malformed"),
    7: Fault(
        "JSON with duplicate keys, NaN, 100,000 levels, 5,000 digits, a byte order mark, bad UTF-8",
        "refused as malformed, never a traceback",
        (f"{LIES}test_the_identity_of_a_hostile_peer_is_refused_without_a_traceback",),
    ),
    8: Fault(
        "the same bundle again",
        "already imported: exit 0, nothing changes",
        (f"{TURNS}test_the_same_bundle_again_changes_nothing",),
    ),
    9: Fault(
        "an older sequence, the same with other content, a gap, 2^63",
        "refused; says which round came, which was expected",
        (f"{TURNS}test_a_later_round_is_a_gap_and_both_rounds_are_named",),
    ),
    10: Fault(
        "a reply to an older export, a bundle for somebody else, another plan",
        "refused: stale, peer or plan",
        (f"{LIES}test_a_bundle_of_the_site_itself_is_not_imported",),
    ),
    11: Fault("files of two rounds mixed", "refused; the files are named"),
    12: Fault(
        "another architecture, a tensor renamed, missing or extra, another dtype, in the manifest or only in the file",
        "refused as another model; the tensors are named",
    ),
    13: Fault(
        "NaN or infinity, a negative loss where the objective has none, one larger than [privacy] lets it be, no samples",
        "refused; snapshot and tensor are named",
    ),
    14: Fault(
        "bombs: zstd, huge windows, lying sizes, a second frame, safetensors headers, JSON, snapshots beyond memory",
        "refused, with bounded memory",
        (
            "test_memory::test_every_bomb_is_refused_within_half_a_gigabyte",
            "test_memory::test_an_audit_has_no_model_to_refuse_a_huge_one_by_and_refuses_what_does_not_fit",
        ),
    ),
    15: Fault(
        "names: `../x`, `/x`, `C:\\x`, a line end, NUL, right-to-left marks, case collisions, 255 characters",
        "refused, escaped when printed",
    ),
    16: Fault(
        "a symbolic or hard link, a pipe, a device, a socket",
        "refused; never followed, never waited for",
        (
            f"{OUTSIDE}test_an_import_waits_for_no_pipe",
            f"{OUTSIDE}test_a_device_is_not_opened",
            f"{OUTSIDE}test_a_key_or_a_peers_file_from_a_disk_hangs_nothing",
            f"{FILES}test_an_export_writes_through_nothing_that_was_left_on_the_disk",
            f"{FILES}test_an_export_follows_no_link_to_a_folder",
            f"{OFFICERS}test_an_approval_is_written_through_no_link",
        ),
    ),
    17: Fault(
        "the disk changes between check and use",
        "impossible: each file is opened once, and parsed after it was compared",
        (
            "test_order::test_each_file_is_opened_once_and_nothing_is_parsed_before_it_was_compared",
            "test_order::test_bytes_that_were_not_signed_reach_no_parser",
            f"{FILES}test_a_disk_that_changes_between_look_and_use_gains_nothing",
        ),
    ),
    18: Fault("a sparse file of 10 TB, a million files", "refused, nothing is read"),
    19: Fault(
        "disk full, read-only, pulled out; power cut or kill -9 at any step",
        "exit 18 or 21; the old state is intact, the same command goes on",
        (
            f"{OUTSIDE}test_a_disk_without_room_is_refused_before_anything_is_written",
            f"{OUTSIDE}test_a_disk_that_another_program_fills_meanwhile_stops_the_export",
            f"{OUTSIDE}test_a_read_only_disk_can_be_imported_from_and_not_exported_to",
            f"{OUTSIDE}test_a_site_on_a_full_disk_keeps_its_old_state",
            f"{OUTSIDE}test_a_site_on_a_read_only_disk_changes_nothing_and_can_be_audited",
            f"{FILES}test_a_disk_that_fills_up_midway_stops_the_command_and_the_same_command_goes_on",
            f"{FILES}test_a_file_that_the_disk_does_not_give_is_one_bad_file",
            f"{KILLED}test_killed_at_a_point_the_old_state_is_intact_and_the_same_command_goes_on",
            f"{KILLED}test_a_torn_write_a_power_cut_a_full_and_a_failing_disk_leave_it_intact_too",
            f"{KILLED}test_a_wrong_order_a_missing_sync_and_an_untranslated_error_are_found",
            f"{SPREAD}test_disks_without_room_are_refused_before_anything_is_written",
            f"{SPREAD}test_killed_at_a_point_the_same_command_goes_on_with_the_same_shares",
        ),
    ),
    20: Fault(
        "a fake or failing stick",
        "exit 12: what is read back differs, the export is not recorded",
        (
            f"{FILES}test_a_fake_stick_is_found_out_and_the_export_is_not_recorded",
            f"{FILES}test_what_somebody_else_copied_is_synced_before_it_is_read_back",
            f"{RECEIPTS}test_a_receipt_that_the_disk_does_not_give_back_stops_the_export",
        ),
    ),
    21: Fault(
        "two commands at once on one site",
        "the second: exit 19",
        (f"{TURNS}test_the_second_of_two_commands_on_one_site_is_told_to_wait",),
    ),
    22: Fault(
        "the ledger lost, edited, or restored from an old backup",
        "exit 16: refused or detected; an explicit, recorded reset only",
        (
            f"{TURNS}test_a_ledger_is_not_trusted_after_it_was",
            f"{TURNS}test_the_ledger_itself_refuses_changes",
            f"{TURNS}test_a_round_before_the_first_one_expected_is_a_rollback",
            f"{TURNS}test_a_site_restored_from_an_old_backup_notices",
            "test_recovery::test_a_lost_ledger_is_refused_then_rebuilt_and_the_exchange_ends_as_it_would_have",
            "test_recovery::test_bundles_that_do_not_prove_the_history_rebuild_nothing",
            "test_recovery::test_an_old_backup_catches_up_from_the_disks_without_a_fork",
        ),
    ),
    23: Fault(
        "a reply whose t = 0 was not sent, or whose claimed loss rose",
        "exit 0: flagged in the output and the ledger",
        (
            f"{TURNS}test_a_reply_that_did_not_start_where_it_says_is_flagged",
            f"{TURNS}test_a_reply_that_started_beyond_what_was_sent_is_flagged",
            f"{TURNS}test_a_claimed_global_loss_that_rose_is_flagged",
        ),
    ),
    24: Fault("the clock is wrong", "nothing depends on it", ("test_clock::test_no_date_changes_anything",)),
    25: Fault(
        "well-formed but poisoned weights",
        "exit 0: out of the format's reach; scored on own data like any other",
        (f"{LIES}test_poisoned_but_finite_weights_are_scored_like_any_other",),
    ),
    26: Fault(
        "every copy of a bundle is damaged, each elsewhere",
        "the good files of all copies are merged",
        (
            f"{REPAIR}test_good_files_of_two_copies_are_merged",
            f"{REPAIR}test_a_file_is_bad_only_where_no_copy_has_it_good",
            f"{REPAIR}test_every_pair_of_patterns_that_covers_all_files_is_accepted",
        ),
    ),
    27: Fault(
        "a copy put beside the good one to harm it",
        "taken file by file, each compared with what was signed",
        (
            f"{REPAIR}test_a_second_copy_is_an_attack_until_verified",
            f"{REPAIR}test_copies_of_another_bundle_are_refused_by_name",
            f"{REPAIR}test_where_no_signature_verifies_nothing_is_lent",
            f"{SPREAD}test_a_foreign_second_disk_is_refused_and_the_first_is_kept",
            f"{SPREAD}test_a_false_share_json_is_refused_and_takes_nothing_in",
        ),
    ),
    28: Fault(
        "a forged, changed or old request for missing files",
        "refused; nothing leaves the site",
        (
            f"{REPAIR}test_a_hostile_request_is_refused_with",
            f"{REPAIR}test_every_byte_of_a_request_counts",
            f"{REPAIR}test_an_old_request_is_refused_and_one_for_an_answered_turn_too",
            f"{REPAIR}test_a_request_is_no_link_pipe_or_folder",
        ),
    ),
    29: Fault(
        "a forged, changed or replayed rotation of a key",
        "refused; the old key stays pinned",
        (
            f"{ROTATION}test_a_rotation_that_is_forged_or_broken_pins_nothing",
            f"{ROTATION}test_an_old_rotation_replayed_is_refused",
            f"{ROTATION}test_what_the_old_key_signs_afterwards_is_refused_and_what_it_signed_before_is_known",
        ),
    ),
    30: Fault(
        "the private key lies open, or is stolen with the folder",
        "exit 11: not used while others can read it",
        (
            f"{TURNS}test_a_private_key_that_others_can_read_signs_nothing",
            "test_keys::test_a_key_with_a_passphrase_is_encrypted_and_signs_only_with_it",
        ),
    ),
    31: Fault(
        "the security log is lost or changed; the ledger is older than it",
        "exit 16: refused or detected (an older log put back alone is not: it loses the refusals since)",
        (
            "test_events::test_a_log_that_is_lost_or_changed_is_refused",
            "test_events::test_a_ledger_older_than_the_log_is_refused_by_every_command",
        ),
    ),
    32: Fault(
        "an encrypted disk is lost, harmed, or meant for somebody else",
        "shows names and sizes; leaves no plaintext behind",
        (
            f"{AGE}test_a_lost_disk_shows_names_sizes_and_key_hints_and_nothing_else",
            f"{AGE}test_a_changed_ciphertext_is_seen_before_anything_is_decrypted",
            f"{AGE}test_a_bundle_encrypted_to_somebody_else_is_refused_and_leaves_no_plaintext",
        ),
    ),
    33: Fault(
        "a backup is damaged, unfinished or hostile",
        "refused; the bad files are named, nothing is overwritten",
        (
            "test_backup::test_every_changed_truncated_or_missing_file_of_a_backup_is_named",
            "test_backup::test_a_backup_without_its_list_was_not_finished",
            "test_backup::test_a_pipe_in_a_backup_is_not_waited_for",
            "test_backup::test_a_restore_killed_anywhere_leaves_no_site_or_a_whole_one",
        ),
    ),
    34: Fault(
        "a data set hidden between the fields: blanks, ignored paths, decimals, an order, empty blocks",
        "refused: statement, manifest and safetensors headers have one form, and a frame has no more blocks than it needs",
        (
            "test_signature::test_alx_refuses_every_bundle_that_model_signing_refuses_and_what_else_it_refuses_has_a_reason",
            "test_codec::test_a_frame_has_no_more_blocks_and_bytes_than_its_content_needs",
        ),
    ),
    35: Fault(
        "a bundle that is only called encrypted, in part or whole, or is encrypted to others as well",
        "refused: without any key an audit finds two recipients in each file, or refuses",
        (
            f"{AGE}test_without_a_key_an_audit_sees_that_a_file_is_not_encrypted_to_two_recipients_and_an_import_too",
            f"{AGE}test_plaintext_that_is_only_named_as_encrypted_is_refused_by_an_audit_without_a_key",
            f"{AGE}test_a_plain_file_among_encrypted_ones_is_refused",
            f"{AGE}test_a_third_recipient_hidden_as_another_kind_of_stanza_is_refused",
        ),
    ),
    36: Fault(
        "a blend that is not what its recipe says",
        "refused, chosen or not: every blend is made out of states that lie here, and compared to the bit; of version 1 the "
        "one that is chosen",
        (
            "test_recipes::test_every_blend_of_an_exchange_is_what_its_recipe_says",
            "test_recipes::test_a_bundle_of_version_1_is_taken_and_gone_on_from",
        ),
    ),
    37: Fault(
        "a claimed loss that is too good to be true",
        "exit 0: flagged in the output and the ledger; it cannot be proved",
        (
            f"{TURNS}test_a_claim_too_good_to_be_true_is_chosen_and_shown",
            f"{TURNS}test_an_own_loss_and_a_score_that_got_worse_since_the_last_selection_are_shown",
        ),
    ),
    38: Fault(
        "text that steers a terminal, or is markup on a report's page, in any field, key or name from outside",
        "escaped and cut short where it is printed",
        (
            "test_terminal::test_a_hostile_identity_file_prints_nothing_but_text_before_anybody_trusts_it",
            "test_terminal::test_a_hostile_bundle_prints_nothing_but_text",
            "test_terminal::test_hostile_requests_rotations_parity_and_backups_print_nothing_but_text",
            "test_terminal::test_one_module_prints",
            "test_page::test_markup_in_every_field_is_text_on_the_page",
            "test_page::test_a_bundle_that_is_made_to_break_the_page_does_not",
        ),
    ),
    39: Fault(
        "the two sites add up losses of different objectives, or of inputs stored otherwise",
        "refused at pairing (PeerError 15)",
        (
            "test_objective::test_a_weight_that_each_site_takes_from_its_own_labels_is_refused_at_pairing",
            "test_objective::test_a_task_that_leaves_the_plans_class_weights_out_is_refused_at_pairing",
            "test_objective::test_pixels_on_one_side_and_numbers_on_the_other_are_refused_at_pairing",
        ),
    ),
    40: Fault(
        "a closing that comes too early, twice but different, from the wrong side, out of another exchange, or that names "
        "another model",
        "refused; a loss in it that rose is flagged, exit 0",
        (
            f"{CLOSING}test_a_closing_before_its_time_is_refused_and_taken_later",
            "test_every_byte::test_every_harm_of_a_sample_of_a_closings_is_refused_too",
            f"{CLOSING}test_a_loss_that_rose_is_flagged_and_both_have_the_model_all_the_same",
        ),
    ),
    41: Fault(
        "a site's personal parts are lost, damaged or another snapshot's; `kill -9` while they are kept; a peer says that "
        "it began at a candidate which was never offered",
        "exit 12 or 13: refused, nothing changes; after a kill the same command goes on to the same parts",
        (
            f"{PERSONAL}test_parts_that_are_gone_or_damaged_are_refused_in_words_and_nothing_changes",
            f"{PERSONAL}test_a_start_that_was_never_offered_is_refused_before_anything_changes",
            f"{PERSONAL}test_killed_anywhere_the_old_parts_are_there_and_the_same_command_makes_the_same",
            f"{PERSONAL}test_nothing_personal_is_in_a_bundle_and_a_blend_is_made_of_what_is_shared",
        ),
    ),
    42: Fault(
        "a spent privacy budget is to be had again: `kill -9`, another noise, a restore, a reset, an old copy; or the "
        "peer's bundle overspends, has other noise than the plan makes, or has spent no more than before",
        "exit 23: refused before anything is trained or chosen; 16 or 15 by the peer, or flagged, exit 0",
        (
            f"{PRIVACY}test_a_turn_that_was_killed_goes_on_with_the_very_noise_and_takes_its_share_once",
            f"{PRIVACY}test_a_turn_begun_anew_with_other_noise_takes_another_share_and_the_last_is_refused",
            f"{PRIVACY}test_a_restore_gives_nothing_back_and_status_says_how_it_ends",
            f"{PRIVACY}test_a_reset_gives_nothing_back_with_the_log_or_without",
            f"{PRIVACY}test_a_restore_beyond_the_budget_chooses_nothing_again_and_status_says_so",
            f"{PRIVACY}test_a_turn_that_goes_on_with_its_key_put_back_counts_the_restores_since_and_none_beyond_the_budget",
            f"{PRIVACY}test_each_restore_and_a_reset_draw_other_noise_also_on_a_cpu_where_sums_may_differ",
            f"{PRIVACY}test_an_old_copy_put_back_by_hand_is_found_by_the_peer_as_a_fork",
            f"{PRIVACY}test_a_bundle_that_overspends_or_has_other_noise_or_says_nothing_of_it_is_refused",
            f"{PRIVACY}test_a_sender_whose_budget_did_not_go_on_is_a_look",
        ),
    ),
    43: Fault(
        "a site's own tar of pictures, from somewhere else: names that climb, links, devices, sparse files, control"
        " characters, a member beyond the end, a name twice, a damaged header",
        "exit 2: refused by name; nothing is unpacked, and no link is followed",
        (
            "test_loading::test_a_hostile_tar_is_refused_by_name_and_nothing_is_unpacked",
            "test_loading::test_a_member_larger_than_the_tar_a_name_twice_and_a_damaged_or_compressed_tar_are_refused",
        ),
    ),
    44: Fault(
        "a loss over so few samples that it is nearly a person's, of this site's or the peer's",
        "exit 2 (own) or 15 (the peer's): refused before it is signed, and at pairing",
        (
            f"{COUNTS}test_check_says_that_samples_are_too_few_before_anybody_trains",
            f"{COUNTS}test_a_site_of_fewer_samples_than_the_plan_says_does_not_introduce_itself",
            f"{COUNTS}test_of_few_validation_samples_no_loss_is_signed_and_of_few_to_train_on_no_model_is_sent",
            f"{COUNTS}test_a_peer_of_fewer_samples_than_the_plan_says_is_not_paired_with",
            f"{COUNTS}test_a_site_may_become_stricter_than_the_plan_at_any_time_and_then_signs_nothing",
        ),
    ),
    45: Fault(
        "a bundle that fewer officers approved than the plan says; one officer twice; an approval of another bundle, by a "
        "key that is not in the plan, changed, or a link",
        "not exported, and refused by the receiver before anything in the bundle is opened",
        (
            f"{OFFICERS}test_a_bundle_leaves_with_two_of_three_approvals_and_is_taken_in",
            f"{OFFICERS}test_whose_approvals_were_seen_is_on_record_on_both_sides_and_in_the_report",
            f"{OFFICERS}test_inside_the_site_the_key_of_nobody_in_the_plan_signs_nothing",
        ),
    ),
    46: Fault(
        "a sender seals a turn twice, and shows one bundle here and another elsewhere; or signs a bundle that follows one "
        "which nobody was shown",
        "exit 16: found as soon as two who have both compare them (`alx audit A B`, or the words of two labels)",
        (
            f"{FORKS}test_a_turn_that_was_sealed_twice_is_named_with_both_digests_and_both_sets_of_words",
            f"{FORKS}test_a_bundle_that_others_do_not_follow_is_found_though_the_one_they_follow_is_not_here",
            f"{FORKS}test_two_successors_of_one_bundle_are_found_though_the_key_was_replaced_in_between",
            f"{FORKS}test_another_first_bundle_is_found_though_a_key_was_replaced_where_digests_join_it",
            f"{FORKS}test_one_history_is_said_where_digests_join_all_bundles_and_nowhere_else",
            f"{FORKS}test_two_closings_are_a_fork_too_and_a_bundle_that_is_not_good_is_named",
            f"{FORKS}test_of_encrypted_bundles_the_signed_names_alone_are_compared",
            f"{FORKS}test_a_share_says_what_it_follows_as_all_of_the_bundle_does",
            f"{FORKS}test_a_signed_name_that_no_bundle_has_is_refused_where_nothing_else_says_which_turn_it_is",
        ),
    ),
    47: Fault(
        "a receipt that is forged, changed, of another exchange, of a bundle that never left or that was answered already, "
        "too large, or a link",
        "exit 11, 13, 14, 15, 16 or 20: refused, nothing changes; beside a good bundle it is flagged, and that is taken in",
        (
            f"{RECEIPTS}test_a_receipt_that_is_not_the_peers_of_the_bundle_handed_over_last_is_refused",
            f"{RECEIPTS}test_an_old_receipt_and_one_of_a_bundle_that_never_left_are_refused",
            f"{RECEIPTS}test_a_bad_receipt_beside_a_good_bundle_is_a_look_and_no_refusal",
        ),
    ),
    48: Fault(
        "moments that no samples have, of another count or layer, too large, where the plan has none, or left out where it "
        "has; a layer that is said to be solved for where none can be",
        "refused before anything is solved with them",
        ("test_head::test_sums_of_no_samples_are_refused", "test_head::test_a_class_of_few_samples_tells_no_moments"),
    ),
}


def by_row() -> dict[int, list[Attack]]:
    """The attacks of each row."""
    return {row: list(found) for row, found in groupby(attacks.every(), lambda a: a.fault)}


def files_of(own: list[Attack]) -> dict[str, Attack]:
    """One attack for each file: a document that is put in several places is told once."""
    return {a.name.partition("-")[0]: a for a in own}


def functions(file: str) -> set[str]:
    """The functions of a test module, in whichever room it is."""
    (path,) = HERE.glob(f"*/{file}")
    return {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}


def table() -> str:
    """The table of the threat model."""
    found = by_row()
    lines = ["| # | fault | what happens | shown by |", "|---|---|---|---|"]
    for row, fault in sorted(FAULTS.items()):
        own = found.get(row, [])
        codes = sorted({(a.exit, a.error.__name__) for a in own})
        refusals = f" ({', '.join(f'{name} {code}' for code, name in codes)})" if codes else ""
        count = len(files_of(own))
        shown = [f"[{count} attack{'s' * (count > 1)}](attacks.md#row-{row})"] if own else []
        shown += [f"`{name}`" for _, name in fault.shown]
        lines.append(f"| {row} | {fault.what} | {fault.happens}{refusals} | {', '.join(shown)} |")
    return "\n".join(lines) + "\n"


def listing() -> str:
    """Every attack, by row: the page docs/attacks.md."""
    head = (
        "# Attacks\n\nHostile bundles and disks, each made by a short script out of a good one, each imported and audited"
        " through the command\nline by `tests/story/test_attacks.py`: refused with this class and exit code, in one line,"
        " with the ledger and the inbox unchanged\nto the byte. Bad JSON stands in the signature file, the signed statement"
        " and the signed manifest\nin turn. The rows are those of [the threat model](threat-model.md).\n"
    )
    parts = [head]
    for row, own in by_row().items():
        parts.append(f"\n## Row {row}\n\n{FAULTS[row].what[:1].upper()}{FAULTS[row].what[1:]}.\n\n")
        parts.append("| attack | class | exit | file |\n|---|---|---|---|\n")
        parts += [
            f"| {a.title.rstrip('.')} | {a.error.__name__} | {a.exit} | [{file}.py](../tests/attacks/{file}.py) |\n"
            for file, a in files_of(own).items()
        ]
    return "".join(parts)


def filled(page: str) -> str:
    """The threat model with the table as it is now."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]
