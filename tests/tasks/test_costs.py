"""The answer of least expected cost, against every answer tried by hand; weights and costs do not count twice."""

import pytest
import torch

from alx.objective import Objective
from alx.tasks import costs

CREDIT = {"good": {"bad": 1.0}, "bad": {"good": 5.0}}
NAMES = ["good", "bad"]


def test_a_bad_customer_is_suspected_from_one_in_six_on():
    """Elkan, IJCAI 2001: of two classes the threshold is c10 / (c10 + c01)."""
    p = torch.tensor([0.1, 1 / 6 - 1e-3, 1 / 6 + 1e-3, 0.9])
    logits = torch.stack([(1 - p).log(), p.log()], 1)
    assert costs.answers(logits, Objective(costs=CREDIT), NAMES).tolist() == [0, 0, 1, 1]
    assert costs.answers(logits, Objective(), NAMES).tolist() == [0, 0, 0, 1]


def test_of_several_classes_the_answer_is_the_cheapest_of_all():
    table = [[0.0, 1.0, 4.0], [2.0, 0.0, 3.0], [9.0, 2.5, 0.0]]
    objective = Objective(costs={str(i): {str(j): c for j, c in enumerate(row) if j != i} for i, row in enumerate(table)})
    logits = 2 * torch.randn(50, 3)
    expected = []
    for row in logits.double().softmax(1).tolist():
        by_answer = [sum(row[k] * table[k][j] for k in range(3)) for j in range(3)]
        expected.append(by_answer.index(min(by_answer)))
    found = costs.answers(logits, objective)
    assert found.tolist() == expected
    assert found.tolist() != logits.argmax(1).tolist()
    maps = logits.reshape(2, 25, 3).movedim(2, 1)
    assert costs.answers(maps, objective).reshape(-1).tolist() == expected


def test_what_answers_came_to_cost_is_counted_by_hand():
    answered, true = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    assert costs.paid(answered, true, Objective(costs=CREDIT), NAMES).tolist() == [0.0, 1.0, 5.0, 0.0]
    assert costs.paid(answered, true, Objective(), NAMES).tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "objective",
    [
        Objective(class_weights={"0": 1.0, "1": 5.0, "2": 0.5}),
        Objective(label_smoothing=0.2),
        Objective(class_weights={"0": 1.0, "1": 5.0, "2": 0.5}, label_smoothing=0.2),
        Objective(class_counts={"0": 700, "1": 200, "2": 100}),
    ],
)
def test_the_outputs_that_lose_least_give_back_the_shares_of_the_samples(objective):
    """One input, classes in shares 0.7, 0.2 and 0.1: the loss that torch sums is minimised, and the shares are found."""
    shares = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    weights = objective.weights([])
    loss = torch.nn.CrossEntropyLoss(
        weight=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        reduction="none",
        label_smoothing=objective.label_smoothing,
    )
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=200, tolerance_change=0, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        total = (shares * loss(logits.expand(3, 3), torch.arange(3))).sum()
        total.backward()
        return total

    search.step(closure)
    assert costs.probabilities(logits.detach()[None], objective)[0].tolist() == pytest.approx(shares.tolist(), abs=1e-5)


def test_logits_that_are_no_numbers_give_no_probabilities():
    assert costs.probabilities(torch.tensor([[float("nan"), 1.0]]), Objective()).isnan().all()
