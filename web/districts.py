"""Districts as institutions write them, in English; one that is not here is shown as written."""


def _(text: str) -> str:
    """Marks a name for the catalogue; it is translated where it is shown."""
    return text


DISTRICT = {
    "成都高新区": _("Chengdu Hi-tech Zone"),
    "高新区": _("Hi-tech Zone"),
    "天府新区": _("Tianfu New Area"),
    "东部新区": _("Eastern New Area"),
    "锦江区": _("Jinjiang District"),
    "青羊区": _("Qingyang District"),
    "金牛区": _("Jinniu District"),
    "武侯区": _("Wuhou District"),
    "成华区": _("Chenghua District"),
    "龙泉驿区": _("Longquanyi District"),
    "青白江区": _("Qingbaijiang District"),
    "新都区": _("Xindu District"),
    "温江区": _("Wenjiang District"),
    "双流区": _("Shuangliu District"),
    "郫都区": _("Pidu District"),
    "新津区": _("Xinjin District"),
    "简阳市": _("Jianyang City"),
    "都江堰市": _("Dujiangyan City"),
    "彭州市": _("Pengzhou City"),
    "邛崃市": _("Qionglai City"),
    "崇州市": _("Chongzhou City"),
    "金堂县": _("Jintang County"),
    "大邑县": _("Dayi County"),
    "蒲江县": _("Pujiang County"),
}
