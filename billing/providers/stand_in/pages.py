"""The stand-in's own pages, where a payer pays, leaves, or proves that it is them. Chinese or English."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from billing.providers.stand_in.shop import Thing
from marketplace.money import Money

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem;color:#1d2433;background:#fff}"
    "h1{font-size:1.25rem}.label{background:#8a1c1c;color:#fff;padding:.5rem .75rem}"
    ".sum{font-size:1.75rem;font-variant-numeric:tabular-nums}.no{color:#8a1c1c}"
    "button{display:block;width:100%;font:inherit;padding:.6rem;margin:.5rem 0;cursor:pointer}"
)

WORDS = {
    "en": {
        "label": "Stand-in for Stripe: this is no real page to pay on, and no money moves.",
        "pay": "Pay",
        "keep": "Save a card",
        "leave": "Cancel and go back",
        "expired": "This page has expired. Nothing was paid.",
        "complete": "This has been paid.",
        "declined": "The bank declined. Choose another way to pay.",
        "prove": "Your bank asks: is it you?",
        "yes": "Yes, it is me",
        "no": "No",
        "pm_card_visa": "Card that pays",
        "pm_card_chargeDeclined": "Card that is declined",
        "pm_card_authenticationRequired": "Card whose bank asks each time",
        "alipay": "Alipay",
        "wechat_pay": "WeChat Pay",
        "alipay_refundFail": "Alipay, whose refunds fail later",
    },
    "zh": {
        "label": "Stripe 替身：这不是真实的付款页面，不会发生任何资金往来。",
        "pay": "付款",
        "keep": "绑定银行卡",
        "leave": "取消并返回",
        "expired": "此页面已过期，未发生付款。",
        "complete": "款项已支付。",
        "declined": "银行拒绝了这笔付款，请换一种方式。",
        "prove": "发卡行需要确认：是您本人在操作吗？",
        "yes": "是本人",
        "no": "不是",
        "pm_card_visa": "可正常付款的银行卡",
        "pm_card_chargeDeclined": "会被拒付的银行卡",
        "pm_card_authenticationRequired": "每次都需验证身份的银行卡",
        "alipay": "支付宝",
        "wechat_pay": "微信支付",
        "alipay_refundFail": "支付宝（退款稍后失败）",
    },
}

OFFERED = {
    "card": ("pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeDeclined"),
    "alipay": ("alipay", "alipay_refundFail"),
    "wechat_pay": ("wechat_pay",),
}
"""The test methods a page shows for each type that its session takes."""


@dataclass(frozen=True, slots=True)
class Button:
    """What is sent when it is pressed."""

    value: str
    text: str


def language_of(locale: str | None, accepted: str) -> str:
    """The session's own language, else the browser's.

    >>> language_of("zh", "en"), language_of("auto", "zh-CN,en"), language_of(None, "")
    ('zh', 'zh', 'en')
    """
    wanted = locale if locale and locale != "auto" else accepted
    return "zh" if wanted.lower().startswith("zh") else "en"


def payment(session: Thing, language: str, *, declined: str | None = None) -> str:
    """The page of a session: what is to be paid, and how; or that it is over. `declined` is the bank's word."""
    words = WORDS[language]
    if session["status"] != "open":
        return _page(language, words["complete" if session["status"] == "complete" else "expired"], "", ())
    title = words["pay" if session["mode"] == "payment" else "keep"]
    names = [name for kind in session["payment_method_types"] for name in OFFERED.get(kind, ())]
    buttons = [Button(name, words[name]) for name in names]
    if session["cancel_url"]:
        buttons.append(Button("cancel", words["leave"]))
    body = f"<p>{escape(session['stand_in']['name'])}</p>"
    if session["mode"] == "payment":
        total = Money(session["amount_total"], session["currency"].upper())
        body += f'<p class="sum">{total.decimal:,} {total.currency}</p>'
    if declined:
        body += f'<p class="no" role="alert">{escape(words["declined"])} ({escape(declined)})</p>'
    return _page(language, title, body, buttons)


def challenge(language: str) -> str:
    """The page of the payer's bank."""
    words = WORDS[language]
    return _page(language, words["prove"], "", (Button("yes", words["yes"]), Button("no", words["no"])))


def _page(language: str, title: str, body: str, buttons: Sequence[Button]) -> str:
    pressed = "".join(f'<button name="choice" value="{escape(one.value)}">{escape(one.text)}</button>' for one in buttons)
    form = f'<form method="post">{pressed}</form>' if buttons else ""
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f'<body><p class="label">{escape(WORDS[language]["label"])}</p>'
        f"<main><h1>{escape(title)}</h1>{body}{form}</main></body></html>"
    )
