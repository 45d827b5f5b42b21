"""How much people agree when they rank: `agreement.of_project(project)`, `agreement.grade(ranks, reference)`, …"""

from labeling.services.agreement.grading import TIE_RULES, Grade, TieRule, grade, grade_all
from labeling.services.agreement.overall import Agreement, of_project, pairwise
from labeling.services.agreement.report import Report, WorstTask, report
from labeling.services.agreement.resampling import Figure
from labeling.services.agreement.scope import Coverage, Scope

__all__ = [
    "TIE_RULES",
    "Agreement",
    "Coverage",
    "Figure",
    "Grade",
    "Report",
    "Scope",
    "TieRule",
    "WorstTask",
    "grade",
    "grade_all",
    "of_project",
    "pairwise",
    "report",
]
