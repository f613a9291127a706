"""Words for codes of a run: how sure it is, why it began and ended, what is odd about it."""


def _(text: str) -> str:
    """Marks a word for the catalogue; it is translated where it is shown."""
    return text


GRADE = {
    "A": _("A: the energy counter agrees throughout"),
    "B": _("B: the energy counter is missing in part, or does not agree with the power"),
    "C": _("C: no energy counter"),
    "D": _("D: contains time that could not be verified"),
}
BEGIN = {"load_on": _("Load rose above the threshold"), "state_run": _("The machine reported that it runs")}
END = {"off": _("Load stayed below the threshold"), "gap": _("The signal was lost")}
FLAG = {
    "end_uncertain": _("end uncertain"),
    "gap_unverified": _("contains an unverified gap"),
    "gap_energy_confirmed": _("gap proven by the energy counter"),
    "energy_reset": _("energy counter restarted"),
    "energy_jump": _("energy counter jumped"),
    "energy_in_gap": _("energy was used in the gap"),
    "cut_at_seal": _("divided where sealed time begins or ends"),
    "clock_skew": _("the meter's clock is off"),
    "backfill": _("arrived late, from the meter's memory"),
    "late": _("arrived late"),
}
CONFIRMATION = {"meter": _("By its power meter, automatically"), "hand": _("By both sides, by hand")}
SETTLEMENT = {"direct": _("Paid straight to the institution"), "platform_collects": _("The platform collects")}
VERDICT = {
    "fulfilled": _("Use confirmed"),
    "no_show": _("Not used"),
    "provider_failed": _("Equipment failed"),
    "unverifiable": _("Use not provable"),
}
