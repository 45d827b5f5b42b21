"""How much people agree when they rank: `agreement.of_project(project)`, `agreement.grade(ranks, reference)`, …"""

from labeling.services.agreement.grading import TIE_RULES, Grade, TieRule, grade, grade_all
from labeling.services.agreement.overall import Agreement, of_project, pairwise

__all__ = [
    "TIE_RULES",
    "Agreement",
    "Grade",
    "TieRule",
    "grade",
    "grade_all",
    "of_project",
    "pairwise",
]
