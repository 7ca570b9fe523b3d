"""Numbers on samples kept apart: those of scikit-learn, or by hand; beside the best answer that needs no model."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as m

from alx.errors import ConfigError
from alx.objective import Objective
from alx.tasks import predictions
from alx.tasks.metrics import Judge, calibration_error, confusion, probabilities, refuse_many

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 2, 200)
LOGITS = np.stack([np.zeros(200), RNG.normal(size=200) + LABELS], 1)
P = 1 / (1 + np.exp(-LOGITS[:, 1]))


def judged(judge, outputs, targets):
    return judge(torch.as_tensor(outputs), torch.as_tensor(targets))


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_two_classes_are_judged_as_scikit_learn_judges_them(threshold):
    found = judged(Judge("cross_entropy", threshold=threshold), LOGITS, LABELS).values
    answer = (threshold < P).astype(int)
    by_hand = {
        "accuracy": m.accuracy_score(LABELS, (P > 0.5).astype(int)),  # what is compared is no matter of the threshold
        "AUC": m.roc_auc_score(LABELS, P),
        "average precision": m.average_precision_score(LABELS, P),
        "balanced accuracy": m.balanced_accuracy_score(LABELS, answer),
        "sensitivity": m.recall_score(LABELS, answer),
        "specificity": m.recall_score(1 - LABELS, 1 - answer),
        "F1": m.f1_score(LABELS, answer),
        "Brier": m.brier_score_loss(LABELS, P),
    }
    if threshold != 0.5:
        by_hand["accuracy at 0.3"] = m.accuracy_score(LABELS, answer)
    assert found == pytest.approx(by_hand | {"calibration error": found["calibration error"]})
    assert next(iter(found)) == "accuracy"


def test_the_positive_class_may_be_the_first():
    first, second = (judged(Judge("cross_entropy", positive=k), LOGITS, LABELS).values for k in (0, 1))
    assert first["sensitivity"] == pytest.approx(second["specificity"])
    assert first["AUC"] == pytest.approx(second["AUC"])
    assert first["average precision"] != pytest.approx(second["average precision"])


def test_several_classes_are_one_against_the_rest_each():
    truth = RNG.integers(0, 3, 150)
    logits = RNG.normal(size=(150, 3)) + 2 * np.eye(3)[truth]
    p = probabilities(logits, "cross_entropy")
    found = judged(Judge("cross_entropy", ["a", "b", "c"]), logits, truth).values
    assert next(iter(found)) == "accuracy"
    assert found["AUC"] == pytest.approx(m.roc_auc_score(truth, p, multi_class="ovr"))
    assert found["F1"] == pytest.approx(m.f1_score(truth, p.argmax(1), average="macro"))
    assert found["balanced accuracy"] == pytest.approx(m.balanced_accuracy_score(truth, p.argmax(1)))
    assert found["Brier"] == pytest.approx(((p - np.eye(3)[truth]) ** 2).sum(1).mean())
    assert found["sensitivity of class b"] == pytest.approx(m.recall_score(truth == 1, p.argmax(1) == 1))
    assert found["specificity of class c"] == pytest.approx(m.recall_score(truth != 2, p.argmax(1) != 2))
    assert confusion(p.argmax(1), truth, 3) == m.confusion_matrix(truth, p.argmax(1)).tolist()


def test_labels_are_yes_or_no_questions_and_their_mean():
    truth = RNG.integers(0, 2, (80, 2))
    logits = RNG.normal(size=(80, 2)) + truth
    found = judged(Judge("binary_cross_entropy"), logits, truth.astype(np.float32)).values
    assert found["share of labels found"] == pytest.approx(((logits > 0) == truth).mean())
    grouped = judged(Judge("binary_cross_entropy", groups={"all": ["x"] * 80}), logits, truth).groups["all"]["x"]
    assert grouped["share of labels found"] == found["share of labels found"]
    assert found["AUC"] == pytest.approx(m.roc_auc_score(truth, logits))
    assert found["AUC of label 1"] == pytest.approx(m.roc_auc_score(truth[:, 1], logits[:, 1]))
    one = judged(Judge("binary_cross_entropy"), LOGITS[:, 1:], LABELS).values
    two = judged(Judge("cross_entropy"), LOGITS, LABELS).values
    assert {k: one[k] for k in ("AUC", "Brier", "sensitivity", "F1")} == pytest.approx(
        {k: two[k] for k in ("AUC", "Brier", "sensitivity", "F1")}
    )


def test_numbers_are_judged_by_their_distance():
    y = RNG.normal(size=50)
    z = y + RNG.normal(size=50)
    found = judged(Judge("mse"), z[:, None], y)
    assert found.values == pytest.approx(
        {
            "minus the squared error": -m.mean_squared_error(y, z),
            "RMSE": m.root_mean_squared_error(y, z),
            "MAE": m.mean_absolute_error(y, z),
            "R2": m.r2_score(y, z),
        }
    )
    assert found.majority["R2"] == pytest.approx(0.0)
    assert found.majority["RMSE"] == pytest.approx(y.std())
    assert found.majority["MAE"] == pytest.approx(m.mean_absolute_error(y, np.full(50, np.median(y))))


def test_the_majority_answer_stands_beside_every_score():
    truth = np.array([0] * 849 + [1] * 151)  # Framingham's share
    found = judged(Judge("cross_entropy"), RNG.normal(size=(1000, 2)), truth)
    assert found.majority["accuracy"] == 0.849
    assert found.majority["balanced accuracy"] == 0.5
    assert found.majority["AUC"] == 0.5
    assert found.majority["sensitivity"] == 0.0
    assert found.majority["Brier"] == pytest.approx(0.849 * 0.151)  # of the share; "0" for sure would have 0.151
    assert found.majority["calibration error"] == pytest.approx(0.0, abs=1e-12)
    low = judged(Judge("cross_entropy", threshold=0.1), RNG.normal(size=(1000, 2)), truth)
    assert low.majority["sensitivity"] == 0.0  # the threshold is one for a model
    labels = judged(Judge("binary_cross_entropy"), RNG.normal(size=(1000, 1)), truth)
    assert labels.majority["share of labels found"] == 0.849


def test_a_constant_is_ranked_as_scikit_learn_ranks_it():
    truth = RNG.integers(0, 3, 90)
    found = judged(Judge("cross_entropy"), RNG.normal(size=(90, 3)), truth).majority
    constant = np.full((90, 3), 1 / 3)
    assert found["AUC"] == m.roc_auc_score(truth, constant, multi_class="ovr")
    assert found["average precision"] == pytest.approx(m.average_precision_score(np.eye(3)[truth], constant))


def test_what_means_nothing_is_none_and_no_number():
    found = judged(Judge("cross_entropy"), LOGITS[:5], np.zeros(5, dtype=np.int64)).values
    assert {name for name, value in found.items() if value is None} == {
        "AUC",
        "average precision",
        "balanced accuracy",
        "sensitivity",
        "F1",
    }
    assert judged(Judge("cross_entropy"), np.full((5, 2), math.nan), LABELS[:5]).score is None
    assert judged(Judge("mse"), np.array([1.0]), np.array([2.0])).values["R2"] is None


def test_groups_are_judged_alone():
    sex = ["f", "m"] * 100
    found = judged(Judge("cross_entropy", groups={"sex": sex}), LOGITS, LABELS).groups["sex"]
    assert list(found) == ["f", "m"]
    assert found["f"]["samples"] == 100
    zeros = float((LABELS[::2] == 0).mean())
    assert found["f"]["no model"] == (zeros if LABELS.mean() <= 0.5 else 1 - zeros)
    assert found["m"]["AUC"] == pytest.approx(m.roc_auc_score(LABELS[1::2], P[1::2]))


def test_a_group_of_one_class_has_no_auc_and_still_its_accuracy():
    hospital = ["a" if label else "b" for label in LABELS]
    found = judged(Judge("cross_entropy", groups={"hospital": hospital}), LOGITS, LABELS).groups["hospital"]
    assert found["a"]["AUC"] is None
    assert found["a"]["specificity"] is None
    assert found["a"]["accuracy"] == found["a"]["sensitivity"] == m.recall_score(LABELS, LOGITS[:, 1] > 0)


@pytest.mark.parametrize("digits", [0, 1])
def test_equals_are_ranked_as_scikit_learn_ranks_them(digits):
    truth = RNG.integers(0, 3, 90)
    logits = np.log(np.round(RNG.random((90, 3)) + np.eye(3)[truth], digits) + 1)
    p = probabilities(logits, "cross_entropy")
    found = judged(Judge("cross_entropy"), logits, truth).values
    assert len(np.unique(p[:, 0])) < 90
    assert found["AUC"] == pytest.approx(m.roc_auc_score(truth, p, multi_class="ovr"))
    assert found["average precision"] == pytest.approx(m.average_precision_score(np.eye(3)[truth], p))
    assert found["F1"] == pytest.approx(m.f1_score(truth, p.argmax(1), average="macro"))


def test_ties_count_half_in_the_auc():
    found = judged(Judge("cross_entropy"), np.zeros((4, 2)), np.array([0, 1, 0, 1])).values
    assert found["AUC"] == 0.5
    assert found["accuracy"] == 0.5  # of equals the first is the answer
    assert found["sensitivity"] == 0.0


@pytest.mark.parametrize("positive", [0, 1])
def test_a_tie_is_answered_by_one_class_everywhere(positive):
    found = judged(Judge("cross_entropy", positive=positive), np.zeros((5, 2)), np.array([0, 0, 0, 1, 1]))
    assert found.values["accuracy"] == 0.6
    assert found.confusion == {"0": [3, 0], "1": [2, 0]}
    assert found.values["sensitivity"] == 1 - positive


DEAR = {"a": {"b": 1.0, "c": 1.0}, "b": {"a": 1.0, "c": 1.0}, "c": {"a": 50.0, "b": 50.0}}


def test_costs_change_what_is_answered_and_not_how_sure_a_model_is():
    truth = RNG.integers(0, 3, 300)
    logits = RNG.normal(size=(300, 3)) + np.eye(3)[truth]
    plain, dear = (
        judged(Judge("cross_entropy", list(DEAR), objective=Objective(costs=each)), logits, truth) for each in ({}, DEAR)
    )
    for name in ("accuracy", "AUC", "average precision", "Brier", "calibration error"):
        assert dear.values[name] == pytest.approx(plain.values[name], abs=1e-12), name
    assert dear.majority["calibration error"] == pytest.approx(0.0, abs=1e-12)
    assert dear.majority["Brier"] == pytest.approx(plain.majority["Brier"])
    assert dear.values["accuracy of the cheapest"] == np.trace(list(dear.confusion.values())) / 300
    assert dear.values["accuracy of the cheapest"] < dear.values["accuracy"]
    assert dear.majority["accuracy of the cheapest"] == (truth == 2).mean()


@pytest.mark.parametrize(
    "weighed", [{"class_weights": {"a": 1.0, "b": 9.0, "c": 2.0}}, {"class_counts": {"a": 90, "b": 9, "c": 1}}]
)
@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c"]])
def test_where_the_plan_has_costs_the_probabilities_that_are_written_are_those_that_are_judged(classes, weighed):
    tables = {name: {k: v for k, v in table.items() if k in classes} for name, table in weighed.items()}
    dear = {k: {j: c for j, c in row.items() if j in classes} for k, row in DEAR.items() if k in classes}
    judge = Judge("cross_entropy", classes, objective=Objective(costs=dear, **tables))
    truth = RNG.integers(0, len(classes), 300)
    logits = torch.from_numpy(RNG.normal(size=(300, len(classes))) + np.eye(len(classes))[truth])
    found, written = judged(judge, logits, truth), predictions.of(logits, judge)
    p = np.array([written[f"probability {name}"] for name in classes]).T
    if len(classes) == 2:
        assert found.values["Brier"] == pytest.approx(m.brier_score_loss(truth, p[:, 1]))
        assert found.values["calibration error"] == pytest.approx(calibration_error(truth, p[:, 1]))
    else:
        assert found.values["Brier"] == pytest.approx(((p - np.eye(3)[truth]) ** 2).sum(1).mean())
        assert found.values["calibration error"] == pytest.approx(calibration_error(p.argmax(1) == truth, p.max(1)))
    right = np.array(classes)[truth] == np.array(written["answer"])
    assert found.values["accuracy of the cheapest"] == right.mean()


def test_the_confusion_matrix_has_the_truth_in_its_rows():
    found = judged(Judge("cross_entropy", ["no", "yes"], threshold=0.3), LOGITS, LABELS).confusion
    assert found == dict(zip(["no", "yes"], m.confusion_matrix(LABELS, P > 0.3).tolist(), strict=True))
    assert judged(Judge("cross_entropy"), np.full((5, 2), math.nan), LABELS[:5]).confusion == {}


def test_many_classes_are_not_taken_apart_one_by_one():
    truth = np.arange(300)
    found = judged(Judge("cross_entropy"), 9 * np.eye(300), truth)
    assert found.values["balanced accuracy"] == 1.0
    assert found.values["AUC"] is None
    assert len(found.values) == 7
    assert not found.confusion
    pixels = judged(Judge("binary_cross_entropy"), np.ones((3, 300)), np.ones((3, 300)))
    assert list(pixels.values) == ["share of labels found", "Brier"]


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "said"),
    [
        ("cross_entropy", (4, 3), [0, 1, -100, 2], "sample 2 of held_out (counted from 0) has the label -100"),
        ("cross_entropy", (4, 3), [0, 1, 3, 2], "has the label 3, expected 0 to 2"),
        ("cross_entropy", (4, 3), [0.0, 1.0, 2.0, 2.0], "has labels that are numbers with a fraction (floats)"),
        ("cross_entropy", (4, 3), [[0], [1], [2], [2]], "the model gives [3] for a sample, and the labels of"),
        ("cross_entropy", (4, 3, 2), [[0, 1], [1, 1], [2, 2], [2, 0]], "outputs [4, 3, 2] and targets [4, 2] cannot be"),
        ("cross_entropy", (4,), [0, 1, 1, 0], "the model gives [] for a sample"),
        ("cross_entropy", (3, 3), [0, 1, 1, 0], "outputs [3, 3] and targets [4] cannot be judged"),
        ("cross_entropy", (), [0], "outputs [] and targets [1] cannot be judged"),
        ("mse", (1,), 0.5, "outputs [1] and targets [] cannot be judged"),
        ("cross_entropy", (0, 3), [], "outputs [0, 3] and targets [0] cannot be judged"),
        ("binary_cross_entropy", (4, 1), [0.2, 1, 1, 0], "expected 0 or 1"),
        ("binary_cross_entropy", (4, 2), [0, 1, 1, 0], "expects as many numbers of both"),
        ("mse", (4, 2), [0.0, 1.0, 1.0, 0.0], "expects as many numbers of both"),
        ("own", (4, 2), [0, 1, 1, 0], "a Judge of 'own', expected one of cross_entropy, binary_cross_entropy, mse"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(loss, outputs, targets, said):
    with pytest.raises(ConfigError) as caught:
        Judge(loss)(torch.ones(outputs), torch.tensor(targets))
    assert said in caught.value.message


def test_a_column_needs_a_value_for_each_sample():
    with pytest.raises(ConfigError, match="groups has 3 values of 'sex' for 200 samples"):
        judged(Judge("cross_entropy", groups={"sex": ["f", "m", "f"]}), LOGITS, LABELS)


def test_a_column_of_ids_tells_no_groups_apart():
    refuse_many("sex", ["f", "m"])
    with pytest.raises(ConfigError, match="column 'id' has 51 values, expected at most 50"):
        refuse_many("id", [str(i) for i in range(51)])
    with pytest.raises(ConfigError, match="column 'note' has a value of 81 letters, expected at most 80: 'xxx"):
        refuse_many("note", ["x" * 81])


def test_the_calibration_error_is_the_mean_gap_over_bins():
    # bins of 0.1: (0.95, right, wrong) and (0.55, right): |1 - 1.9| + |1 - 0.55| over three samples
    found = calibration_error(np.array([1, 0, 1]), np.array([0.95, 0.95, 0.55]))
    assert found == pytest.approx((0.9 + 0.45) / 3)
    assert calibration_error(np.array([1]), np.array([1.0])) == 0.0


def test_probabilities_of_large_logits_are_finite():
    assert probabilities(np.array([[1e4, -1e4]]), "cross_entropy").tolist() == [[1.0, 0.0]]
    assert probabilities(np.array([[-1e4]]), "binary_cross_entropy").tolist() == [[0.0]]


@pytest.mark.parametrize("count", [2, 3])
def test_costs_move_no_ranking(count):
    """With smoothing, the probabilities that answers are taken from are cut off at 0 and 1, which makes ties."""
    torch.manual_seed(0)
    truth = torch.randint(count, (400,))
    outputs = 3 * torch.nn.functional.one_hot(truth, count) + 4 * torch.randn(400, count)
    names = [str(k) for k in range(count)]
    costs = {a: {b: 1.0 + int(a) for b in names if b != a} for a in names}
    found = [
        Judge("cross_entropy", names, objective=Objective(label_smoothing=0.2, costs=each))(outputs, truth).values
        for each in ({}, costs)
    ]
    for name in ("AUC", "average precision"):
        assert found[0][name] == found[1][name]
    assert found[0]["Brier"] != found[1]["Brier"]
