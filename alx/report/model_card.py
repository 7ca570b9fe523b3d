"""What a bill of materials tells of a model in the words of its format's model card: form, losses, and limits.

Knows the plan and the ledger's entry on a selection. The other card, for people, is `card.py`.
"""

from collections.abc import Iterator, Sequence

from alx.errors import count, escape
from alx.objective import Objective
from alx.plan import Plan
from alx.report import card
from alx.report.cyclonedx import Analysis, Approach, Considerations, DataRef, Form, Metric, ModelCard, Parameters
from alx.site.entries import Closed, Selected


def of(chosen: Selected | Closed, plan: Plan, *, personal: int, built_in: bool) -> ModelCard:
    """The model card.

    Args:
        chosen: the selection that the model came out of, or the closing.
        plan: the agreement.
        personal: number of tensors that only the site has that writes it.
        built_in: the plan alone says how inputs are made.
    """
    noise = "" if plan.privacy is None else ", each clipped, and with noise"
    over = "what the task measures" if plan.loss == "own" else f"{plan.select_on} samples of both sides together{noise}"
    total, mean = repr(float(chosen.global_loss)), repr(float(chosen.mean))
    return ModelCard(
        model_parameters=Parameters(
            approach=Approach() if built_in else None,
            task=card.task(plan),
            model_architecture=None if plan.model is None else plan.model.source,
            datasets=[DataRef(ref="data:learner"), DataRef(ref="data:provider")],
            inputs=_inputs(plan) if built_in else None,
            outputs=_outputs(plan) if built_in else None,
        ),
        quantitative_analysis=Analysis(
            performance_metrics=[
                Metric(type=f"global loss ({plan.loss}), sum", value=total, slice=over),
                Metric(type=f"global loss ({plan.loss}), mean of {chosen.samples} samples", value=mean, slice=over),
            ]
        ),
        considerations=Considerations(technical_limitations=list(_limits(plan, personal, built_in=built_in))),
    )


def _inputs(plan: Plan) -> list[Form]:
    if plan.columns is not None:
        return [Form(format=f"float32 [n, {plan.columns.width}]: a row of a table, as the plan says")]
    if plan.images is not None:
        size = "height, width" if plan.images.size is None else f"{plan.images.size[0]}, {plan.images.size[1]}"
        return [Form(format=f"float32 [n, {plan.images.channels}, {size}]: an image, as the plan says")]
    return [Form(format="float32: pixels of 8 bits divided by 255, other numbers as they are")]


def _outputs(plan: Plan) -> list[Form]:
    named = f", in this order: {names(plan.class_names)}" if plan.class_names else ""
    told = {
        "cross_entropy": f"a logit for each class{named}",
        "binary_cross_entropy": f"a logit for each yes-or-no label{named}",
        "mse": "the number itself",
    }
    return [Form(format=told[plan.loss])] if plan.loss in told else []


def names(of_classes: Sequence[str]) -> str:
    """Names in one line, no more than the card for people has."""
    more = f" and {len(of_classes) - card.MAX_LISTED} more" if len(of_classes) > card.MAX_LISTED else ""
    return ", ".join(escape(name, card.MAX_TEXT) for name in of_classes[: card.MAX_LISTED]) + more


def _limits(plan: Plan, personal: int, *, built_in: bool) -> Iterator[str]:
    """What is known to be missing, or to bend what is here."""
    if plan.loss == "own" or not built_in:
        yield "A program of the site's own makes the inputs and measures; it is not among these files."
    elif plan.select_on == "training":
        yield "The losses are over samples that the model was trained on: they do not say how good it is on others."
    else:
        yield "The losses are over samples kept for validation; the model was also chosen by them."
    yield "Scores on samples that a site keeps apart stay in that site, and are not here."
    yield "What the model is for, for whom it is right, its fairness and its robustness were not told to alx, nor measured."
    yield "Where the data come from, what they may be used for, and whose they are was not told to alx."
    if plan.privacy is None:
        yield "The plan has no differential privacy: weights can tell of the samples behind them (docs/threat-model.md)."
    else:
        yield (
            f"By the plan, each site's bundles tell of one sample at most epsilon {plan.privacy.epsilon:g} at delta "
            f"{plan.privacy.delta:g}; docs/privacy.md says what that does not cover."
        )
    if plan.objective != Objective(costs=plan.objective.costs) or plan.training.balanced:
        yield "The plan weighs samples, so answers lean to one side."
    if personal:
        yield (
            f"{count(personal, 'tensor')} in this file {'is' if personal == 1 else 'are'} one site's own, trained "
            "on its data alone and never sent: it is made for data like theirs, and the other site's file differs."
        )
    if plan.model is not None and plan.model.file() is not None:
        yield "The model's own .py file is a program: read it before it runs."
