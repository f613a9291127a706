"""Templates to text: one Jinja environment a language, strict about names, escaping everything."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from web import charts, labels
from web.dist import asset
from web.i18n import Formats, translations
from web.views.frame import Form, Frame, Lang

TEMPLATES = Path(__file__).parent / "templates"


def render(frame: Frame, template: str, view: object) -> str:
    """A page, or a part of one from a template whose name starts with an underscore."""
    return environment(frame.lang).get_template(template).render(frame=frame, view=view, base=f"/{frame.lang.value}")


@lru_cache
def environment(lang: Lang) -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    found.policies["ext.i18n.trimmed"] = True
    spoken = translations(lang)
    found.install_gettext_translations(spoken, newstyle=True)  # type: ignore[attr-defined]
    found.globals.update(
        f=Formats(lang),
        asset=asset,
        icon=icon,
        charts=charts,
        word=partial(labels.word, spoken.gettext),
        value_of=value_of,
        error_of=error_of,
    )
    found.filters["json_data"] = json_data
    return found


def icon(name: str, kind: str = "") -> Markup:
    """An icon of the sprite; always beside words, so it is hidden from assistive technology."""
    classes = escape(f"icon {kind}".strip())
    source = escape(f"{asset('icons.svg')}#{name}")
    return Markup('<svg class="{}" aria-hidden="true" focusable="false"><use href="{}"></use></svg>').format(classes, source)


def json_data(value: Any) -> Markup:
    """For <script type="application/json">: nothing in it can end the element."""
    return Markup(orjson.dumps(value).decode().replace("<", "\\u003c").replace("&", "\\u0026"))


def value_of(form: Form, name: str, default: str = "") -> str:
    return form.values.get(name, default)


def error_of(form: Form, name: str) -> str | None:
    return next((error.message for error in form.errors if error.field == name), None)
