"""When does somebody come back, by the words of an out-of-office message?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

LONGEST_ABSENCE = timedelta(days=400)

_MONTHS: Mapping[str, int] = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero gennaio januari janeiro",
            "february feb februar feber février fevrier febrero febbraio februari fevereiro",
            "march mar märz maerz mars marzo maart março marco",
            "april apr avril abril aprile",
            "may mai mayo maggio mei maio",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août aout agosto augustus",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre decembre diciembre dicembre dezembro",
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True))
_DAY = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lundi|mardi|mercredi|"
    r"jeudi|vendredi|samedi|dimanche|lunes|martes|mi[ée]rcoles|jueves|viernes|luned[ìi]|marted[ìi]|mercoled[ìi]|"
    r"gioved[ìi]|venerd[ìi]|maandag|dinsdag|woensdag|donderdag|vrijdag|segunda|ter[çc]a|quarta|quinta|sexta)(?:-feira)?"
)
# What stands before the date, and whether that day itself is still one of absence.
_AWAY_THROUGH = (
    r"through|until and including|up to and including|bis (?:einschlie(?:ß|ss)lich |inklusive )?(?:zum |zu )?|"
    r"jusqu['’]au|hasta el|hasta|fino al|tot en met|t/m|at[ée] (?:o dia |a )?"
)
_BACK_ON = (
    r"until|till|back (?:in (?:the )?office )?(?:on|from)?|return(?:ing)?(?: to (?:the |my )?(?:office|work))?(?: on)?|"
    r"wieder (?:ab |am |im b[üu]ro ab |zur[üu]ck ab |erreichbar ab |da ab )|zur[üu]ck (?:am|ab)|ab dem|"
    r"de retour (?:le|[àa] partir du)|retour le|de vuelta el|de regreso el|regreso el|vuelvo el|"
    r"rientro (?:il|previsto (?:il|per il))|torner[òo] il|rientrer[òo] il|terug op|weer aanwezig (?:op|vanaf)|"
    r"de volta (?:em|a|no dia|dia)|retorno (?:em|no dia)|regresso (?:em|a)"
)
_NUMERIC = (
    r"(?P<y1>\d{4})-(?P<m1>\d{1,2})-(?P<d1>\d{1,2})|"
    r"(?P<a>\d{1,2})(?P<sep>[./-])(?P<b>\d{1,2})(?:[./-](?P<y2>\d{4}|\d{2})\b)?\.?"
)
_NAMED = (
    rf"(?P<d3>\d{{1,2}})(?:st|nd|rd|th|er|º|°|\.)?\s*(?:of |de |di )?(?P<m3>{_MONTH})\b\.?"
    r"(?:,? (?:de |del )?(?P<y3>\d{4}))?"
    rf"|(?P<m4>{_MONTH})\b\.?\s*(?:the )?(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y4>\d{{4}}))?"
)
_FOUND = re.compile(
    rf"\b(?:(?P<through>{_AWAY_THROUGH})|(?P<back>{_BACK_ON}))\s*:?\s*(?:the |le |el |il |dem |den |am |on )?"
    rf"(?:{_DAY},?\s*(?:the |le |el |il |dem |den |dia )?)?(?:{_NUMERIC}|{_NAMED})",
    re.IGNORECASE,
)


def return_date(text: str, received: date) -> date | None:
    """The first day of work that the text names, in English, German, French, Spanish, Italian, Dutch or Portuguese.

    A day of absence that is named ("through March 14", "bis 14.03.") gives the day after it. A date without a year is
    the next one; one that could be two dates (3/4/2030), lies in the past or far ahead is not guessed at: None.
    """
    latest: date | None = None
    for found in _FOUND.finditer(text[:20_000]):
        day = _date(found, received)
        if day is None:
            continue
        day += timedelta(days=1 if found["through"] else 0)
        if received <= day <= received + LONGEST_ABSENCE and (latest is None or day > latest):
            latest = day
    return latest


def _date(found: re.Match[str], received: date) -> date | None:
    if found["y1"]:
        return _made(int(found["y1"]), int(found["m1"]), int(found["d1"]))
    if found["a"]:
        day, month = int(found["a"]), int(found["b"])
        if found["sep"] == "/" and day != month:
            if month > 12:
                day, month = month, day
            elif day <= 12:
                return None  # day first or month first: nobody can know
        return _with_year(found["y2"], month, day, received)
    day = int(found["d3"] or found["d4"])
    month = _MONTHS[(found["m3"] or found["m4"]).lower()]
    return _with_year(found["y3"] or found["y4"], month, day, received)


def _with_year(year: str | None, month: int, day: int, received: date) -> date | None:
    if year:
        return _made(int(year) + (2000 if len(year) == 2 else 0), month, day)
    this = _made(received.year, month, day)
    return this if this is None or this >= received else _made(received.year + 1, month, day)


def _made(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
