"""The roles a person may have."""

from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    EVALUATOR = "evaluator"
    MANAGER = "manager"
    TECHNICIAN = "technician"
    FINANCE = "finance"
    MEMBER = "member"


PLATFORM_ROLES = frozenset({Role.OPERATOR, Role.EVALUATOR})
INSTITUTION_ROLES = frozenset({Role.MANAGER, Role.TECHNICIAN, Role.FINANCE})
ORGANISATION_ROLES = frozenset({Role.MEMBER})
