"""What do the public pages say, and in which language does this reader want it?"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup, escape

Texts: TypeAlias = Mapping[str, Mapping[str, str]]
DEFAULT = "en"
_BLANK = re.compile(r"\{(\w+)\}")
_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})

BUILT_IN: Texts = {
    "en": {
        "unsubscribe": "Unsubscribe",
        "ask": "Unsubscribe?",
        "promise": "We will send no more of these messages to {recipient}.",
        "promise_topic": "We will send no more messages about {topic} to {recipient}.",
        "everything": "Unsubscribe from everything",
        "unchanged": "Nothing has changed yet. If you came here by mistake, just close this page.",
        "done": "You are unsubscribed",
        "under_way": "A message that was already on its way may still arrive.",
        "invalid": "This link is not valid",
        "nowhere": "This link leads nowhere",
        "cut_short": "It may have been cut short on its way. Please use the link in the newest message, exactly as it "
        "stands.",
        "again": "Please try again",
        "nothing_done": "This did not work just now, and nothing has changed. Please try again in a few minutes.",
    },
    "de": {
        "unsubscribe": "Abbestellen",
        "ask": "Abbestellen?",
        "promise": "Wir senden keine solchen Nachrichten mehr an {recipient}.",
        "promise_topic": "Wir senden keine Nachrichten zum Thema {topic} mehr an {recipient}.",
        "everything": "Alles abbestellen",
        "unchanged": "Noch ist nichts geändert. Wenn Sie versehentlich hier sind, schließen Sie einfach diese Seite.",
        "done": "Sie sind abgemeldet",
        "under_way": "Eine Nachricht, die schon unterwegs war, kann noch ankommen.",
        "invalid": "Dieser Link ist ungültig",
        "nowhere": "Dieser Link führt nirgendwohin",
        "cut_short": "Vielleicht wurde er unterwegs abgeschnitten. Bitte nehmen Sie den Link aus der neuesten "
        "Nachricht, genau wie er dort steht.",
        "again": "Bitte versuchen Sie es noch einmal",
        "nothing_done": "Das hat gerade nicht geklappt, und nichts ist geändert. Bitte versuchen Sie es in einigen "
        "Minuten noch einmal.",
    },
    "fr": {
        "unsubscribe": "Se désabonner",
        "ask": "Se désabonner ?",
        "promise": "Nous n’enverrons plus de messages de ce type à {recipient}.",
        "promise_topic": "Nous n’enverrons plus de messages au sujet de {topic} à {recipient}.",
        "everything": "Se désabonner de tout",
        "unchanged": "Rien n’a encore changé. Si vous êtes ici par erreur, fermez simplement cette page.",
        "done": "Vous êtes désabonné",
        "under_way": "Un message déjà en route peut encore arriver.",
        "invalid": "Ce lien n’est pas valide",
        "nowhere": "Ce lien ne mène nulle part",
        "cut_short": "Il a peut-être été coupé en chemin. Utilisez le lien du message le plus récent, tel quel.",
        "again": "Veuillez réessayer",
        "nothing_done": "Cela n’a pas fonctionné, et rien n’a changé. Veuillez réessayer dans quelques minutes.",
    },
    "es": {
        "unsubscribe": "Darse de baja",
        "ask": "¿Darse de baja?",
        "promise": "No enviaremos más mensajes de este tipo a {recipient}.",
        "promise_topic": "No enviaremos más mensajes sobre {topic} a {recipient}.",
        "everything": "Darse de baja de todo",
        "unchanged": "Todavía no ha cambiado nada. Si ha llegado aquí por error, simplemente cierre esta página.",
        "done": "Se ha dado de baja",
        "under_way": "Un mensaje que ya estaba en camino todavía puede llegar.",
        "invalid": "Este enlace no es válido",
        "nowhere": "Este enlace no lleva a ninguna parte",
        "cut_short": "Puede que se haya cortado por el camino. Use el enlace del mensaje más reciente, tal como está.",
        "again": "Inténtelo de nuevo",
        "nothing_done": "No ha funcionado y no ha cambiado nada. Inténtelo de nuevo dentro de unos minutos.",
    },
}


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of one language; what a host's own leave out is said as built in, else in English."""

    language: str
    texts: Mapping[str, str]

    @property
    def direction(self) -> str:
        return "rtl" if self.language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"

    def say(self, key: str, **values: str) -> Markup:
        """A text as HTML; `{recipient}` and `{topic}` stand out, everything else is text."""
        shown = {name: f"<strong>{escape(value)}</strong>" for name, value in values.items()}
        said = str(escape(self.texts[key]))
        return Markup(_BLANK.sub(lambda found: shown.get(found[1], found[0]), said))


def wording(accepted: str | None, own: Texts) -> Wording:
    """In the language that an Accept-Language header prefers of those there are; else in English."""
    language = preferred(accepted, BUILT_IN.keys() | own.keys())
    base = language.partition("-")[0]
    return Wording(
        language,
        {**BUILT_IN[DEFAULT], **BUILT_IN.get(base, {}), **own.get(base, {}), **own.get(language, {})},
    )


def preferred(accepted: str | None, known: Collection[str]) -> str:
    """The best of the known languages (RFC 9110, section 12.5.4, by the lookup of RFC 4647, section 3.4)."""
    spelled = {each.lower(): each for each in known}
    wanted: list[tuple[float, int, str]] = []
    for place, each in enumerate((accepted or "")[:500].split(",")):
        tag, _, parameters = each.strip().lower().partition(";")
        wanted.append((-_weight(parameters), place, tag.strip()))
    for weight, _, tag in sorted(wanted):
        while weight < 0 and tag:
            if tag in spelled:
                return spelled[tag]
            tag = tag.rpartition("-")[0]
    return DEFAULT


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
