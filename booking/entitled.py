"""Who may set a publisher's own rule aside."""

PUBLISHER = ("manager", "operator")
"""The roles that a refusal names as `override_by`."""
