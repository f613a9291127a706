"""Chinese names of the figures, with their formula in words in both languages; the order is that of the columns."""

EVIDENCE = "证据（导出命令）"
"""Heading of what writes the messages that a unit's figures rest on, with their proofs."""

HEADINGS: dict[str, tuple[str, str]] = {
    "units": ("报告单元数", "计入评价的设备（中试线）数"),
    "n_w": ("折算台数 N_w", "Σ 在役天数 / 周期天数"),
    "open_h": ("开放机时", "容量 × |开放时间 ∩ 在役时间|"),
    "pd_h": ("计划停机机时", "容量 × |计划停机 ∩ 开放时间|；事后补录计为非计划"),
    "ud_h": ("非计划停机机时", "容量 × |非计划停机 ∩ 开放时间|"),
    "avail_h": ("可用机时", "开放机时 − 计划停机 − 非计划停机"),
    "availability": ("可用率", "可用机时 / 开放机时"),
    "eff_h": ("有效工作机时", "有效时间并集 |E|"),
    "eff_graded_h": ("计分有效机时", "A + B + C，C 不超过 A + B 的 10 %"),
    "quota_h": ("额定机时", "年额定机时 × 在役天数 / 周期天数"),
    "util_quota": ("机时利用率（未封顶）", "Σ 有效机时 / Σ 额定机时"),
    "util_quota_capped": ("机时利用率（封顶）", "Σ min(计分有效机时, 额定机时) / Σ 额定机时"),
    "util_capacity": ("开放时段使用率", "可用开放时间内的有效机时 / 可用机时"),
    "offhours_h": ("开放时间外机时", "|E − 开放时间|"),
    "coverage": ("遥测覆盖率", "1 − |未知 ∩ 开放时间| / |开放时间|"),
    "confirmed_share": ("遥测确认比例", "A / (A + B + C + D)"),
    "ext_h": ("对外服务机时", "外单位、非关联方、计入用途的预约内有效机时"),
    "ext_h_per_unit": ("台均对外机时", "对外服务机时 / N_w"),
    "int_h": ("内部共享机时", "内部共享预约内有效机时"),
    "self_h": ("自用机时", "自用预约内有效机时"),
    "teach_h": ("教学机时", "教学预约内有效机时"),
    "unbooked_h": ("无预约使用机时", "不属于任何预约的有效机时"),
    "share_ratio": ("共享率", "对外服务机时 / 有效工作机时"),
    "booked_h": ("预约机时", "Σ 预约时长 × 数量"),
    "idle_booked_h": ("预约空置机时", "已履约与爽约预约内的闲置时间"),
    "idle_rate": ("预约空置率", "空置机时 / （预约机时 − 未知 − 停机）"),
    "no_show_rate": ("爽约率", "爽约 / （履约 + 爽约）"),
    "late_cancel_rate": ("临期取消率", "临期取消 / 已确认预约"),
    "turnaway_rate": ("拒绝率", "因容量拒绝与逾期未答 / 有效需求"),
    "sla_rate": ("按时响应率", "规定工作日内答复 / 应答复"),
    "response_h": ("响应时间中位数（工作小时）", "开放时间内由提交到答复"),
    "lead_time": ("等待时间中位数（天）", "由提交到开始，已履约预约"),
    "ext_users": ("外部用户人数", "至少一次履约服务的自然人"),
    "ext_orgs": ("外部单位数", "按统一社会信用代码去重，不含关联方"),
    "ext_smes": ("服务中小企业数", "服务之日为中小企业的外部单位"),
    "ext_smes_per_unit": ("台均服务中小企业数", "中小企业数 / N_w"),
    "ext_revenue": ("对外服务收入（分）", "Σ 已结算服务费 − 退款，按服务结束日"),
    "satisfaction": ("用户评价", "(n·均值 + 10 × 4.0) / (n + 10)"),
    "ratings": ("评价数", "每次履约一份"),
    "open_rate": ("开放率", "对外可预约单元数 / 应开放单元数"),
    "staff_fte_per_unit": ("台均技术人员（全时当量）", "技术人员全时当量 / 单元数"),
}

FORMULAS_EN = {
    "units": "resources (instruments, pilot lines) that the evaluation counts",
    "n_w": "Σ days in service / days of the period",
    "open_h": "capacity × |open time ∩ in service|",
    "pd_h": "capacity × |planned downtime ∩ open time|; entered afterwards it counts as unplanned",
    "ud_h": "capacity × |unplanned downtime ∩ open time|",
    "avail_h": "open − planned downtime − unplanned downtime",
    "availability": "available hours / open hours",
    "eff_h": "union of effective times |E|",
    "eff_graded_h": "A + B + C, with C at most 10 % of A + B",
    "quota_h": "quota hours a year × days in service / days of the period",
    "util_quota": "Σ effective hours / Σ quota hours",
    "util_quota_capped": "Σ min(graded effective hours, quota hours) / Σ quota hours",
    "util_capacity": "effective hours within available open time / available hours",
    "offhours_h": "|E − open time|",
    "coverage": "1 − |unknown ∩ open time| / |open time|",
    "confirmed_share": "A / (A + B + C + D)",
    "ext_h": "effective hours in bookings by others, unrelated, with a purpose that counts",
    "ext_h_per_unit": "external hours / N_w",
    "int_h": "effective hours in internal shared bookings",
    "self_h": "effective hours in the keeper's own bookings",
    "teach_h": "effective hours in teaching bookings",
    "unbooked_h": "effective hours in no booking",
    "share_ratio": "external hours / effective hours",
    "booked_h": "Σ booked time × quantity",
    "idle_booked_h": "idle time in fulfilled and missed bookings",
    "idle_rate": "idle booked hours / (booked hours − unknown − downtime)",
    "no_show_rate": "missed / (fulfilled + missed)",
    "late_cancel_rate": "cancelled late / confirmed bookings",
    "turnaway_rate": "refused for want of capacity and unanswered / valid demand",
    "sla_rate": "answered within the set working days / to be answered",
    "response_h": "within open time, from request to answer",
    "lead_time": "from request to start, fulfilled bookings",
    "ext_users": "persons with at least one fulfilled service",
    "ext_orgs": "distinct by unified social credit code, related parties left out",
    "ext_smes": "external organisations that were SMEs on the day of service",
    "ext_smes_per_unit": "SMEs / N_w",
    "ext_revenue": "Σ settled service fees − refunds, by the day the service ended",
    "satisfaction": "(n·mean + 10 × 4.0) / (n + 10)",
    "ratings": "one for each fulfilled use",
    "open_rate": "units others can book / units that should be open",
    "staff_fte_per_unit": "technical staff in full-time equivalents / units",
}

STATUS = {
    "fulfilled": "已履约",
    "no_show": "爽约",
    "provider_failed": "设备方原因",
    "unverifiable": "无法核实",
    "cancelled": "已取消",
    "conflict": "冲突",
}


def heading(code: str) -> str:
    """The Chinese name, the code itself where there is none."""
    return HEADINGS.get(code, (code, ""))[0]


def formula(code: str, *, english: bool) -> str:
    """How the figure is made, in words; empty where nothing has to be said."""
    return FORMULAS_EN.get(code, "") if english else HEADINGS.get(code, ("", ""))[1]
