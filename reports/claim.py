"""The CLAIM 2024 checklist of a part's chosen model, in markdown: what the store knows, and what the authors must say.

Numbers and order of the items: Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging (CLAIM):
2024 Update, Radiology: Artificial Intelligence 6(4):e240300, doi:10.1148/ryai.240300, as on rsna.github.io/claim.
The topics here are in our own, shorter words. Nothing is answered that the store, or the program that wrote it, does
not know.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reports import claim_answers as answers
from reports.chosen_model import Chosen
from reports.claim_answers import Known
from reports.model_card import plain

ANSWERED, IN_PART, OPEN = "answered by the store", "in part", "open: for the authors"


@dataclass(frozen=True)
class Item:
    """An item of the checklist; `answer` gives what is known, None where nothing is or can be."""

    number: int
    topic: str
    answer: Callable[[Chosen], Known | None] | None = None


SECTIONS: dict[str, tuple[Item, ...]] = {
    "Title and abstract": (
        Item(1, "Title that names AI and its kind", answers.kind_of_ai),
        Item(2, "Summary of design, methods, results, conclusions"),
    ),
    "Introduction": (
        Item(3, "Background, intended use and role", answers.intended_use),
        Item(4, "Aims, objectives, hypotheses"),
    ),
    "Methods: study design": (
        Item(5, "Prospective or retrospective"),
        Item(6, "Goal of the study", answers.what_was_done),
    ),
    "Methods: data": (
        Item(7, "Sources of data", answers.data_source),
        Item(8, "Inclusion and exclusion", answers.exclusions),
        Item(9, "Pre-processing", answers.preprocessing),
        Item(10, "Selection of subsets", answers.subsets),
        Item(11, "De-identification"),
        Item(12, "Missing data", answers.missing_data),
        Item(13, "Image acquisition"),
    ),
    "Methods: reference standard": (
        Item(14, "How it is defined", answers.reference_standard),
        Item(15, "Why it was chosen"),
        Item(16, "Who annotated"),
        Item(17, "Annotation of the test set"),
        Item(18, "Agreement within and between annotators"),
    ),
    "Methods: partitions and testing data": (
        Item(19, "Assignment to partitions", answers.partitions),
        Item(20, "Level at which partitions are disjoint", answers.disjoint),
        Item(21, "Intended sample size"),
    ),
    "Methods: model": (
        Item(22, "Description of the model", answers.model),
        Item(23, "Software", answers.software),
        Item(24, "First values of the parameters", answers.initial_parameters),
    ),
    "Methods: training": (
        Item(25, "Training", answers.training),
        Item(26, "Choice of the final model", answers.choice),
        Item(27, "Ensembles", answers.ensembles),
    ),
    "Methods: evaluation": (
        Item(28, "Metrics", answers.metrics),
        Item(29, "Uncertainty and significance", answers.uncertainty),
        Item(30, "Robustness or sensitivity", answers.robustness),
        Item(31, "Explainability or interpretability"),
        Item(32, "Evaluation on internal data", answers.internal),
        Item(33, "Test on external data"),
        Item(34, "Registration as a clinical trial"),
    ),
    "Results: data": (
        Item(35, "Numbers included and excluded", answers.numbers),
        Item(36, "Characteristics of the cases in each partition", answers.characteristics),
    ),
    "Results: model performance": (
        Item(37, "Performance with its uncertainty", answers.performance),
        Item(38, "Diagnostic performance with its precision", answers.diagnostic),
        Item(39, "Analysis of failures", answers.failures),
    ),
    "Discussion": (
        Item(40, "Limitations", answers.limitations),
        Item(41, "Implications for practice"),
    ),
    "Other information": (
        Item(42, "Protocol or technical details", answers.protocol),
        Item(43, "Availability of software, model and data", answers.availability),
        Item(44, "Funding and the role of funders"),
    ),
}


def claim_text(chosen: Chosen, card: str) -> str:
    """The checklist.

    Args:
        card: file name of the model card beside it.
    """
    known = {item.number: item.answer and item.answer(chosen) for own in SECTIONS.values() for item in own}
    states = [_state(each) for each in known.values()]
    told = ", ".join(f"{states.count(state)} {state}" for state in (ANSWERED, IN_PART, OPEN))
    head = [
        f"# CLAIM 2024 checklist: {plain(chosen.part)}",
        f"Of model {plain(chosen.row['model_name'])} of search {plain(chosen.row['search'])}, whose "
        f"[model card]({card}) lies beside. **Research use, not a medical device.**",
        "Items and numbers are those of the Checklist for Artificial Intelligence in Medical Imaging, 2024 update "
        "(Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300, doi:10.1148/ryai.240300); their topics "
        "are shortened here. What each item asks stands there; a journal wants that form, with pages.",
        f"Of {len(known)} items: {told}. A ticked box is answered; the others wait for the authors.",
    ]
    lists = [
        "\n".join([f"## {section}\n", *(_line(item, known[item.number]) for item in own)])
        for section, own in SECTIONS.items()
    ]
    return "\n\n".join([*head, *lists]) + "\n"


def _state(known: Known | None) -> str:
    if known is None:
        return OPEN
    return IN_PART if known.missing else ANSWERED


def _line(item: Item, known: Known | None) -> str:
    named = f"- [{'x' if _state(known) == ANSWERED else ' '}] **{item.number}. {item.topic}** ({_state(known)})"
    if known is None:
        return named
    missing = f" *Still to say: {known.missing}.*" if known.missing else ""
    return f"{named}: {known.text}{missing}"
